"""Names, identities and digests."""

from __future__ import annotations

from changed_preset import NEW, OLD
from conftest import make_cell, make_row
from hypothesis import given
from hypothesis import strategies as st

from benchmark.tracking import names as naming


@given(st.text(max_size=400))
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    clean = naming.clean_name(name)
    assert 1 <= len(clean) <= 250
    _validate_metric_name(clean)
    _validate_param_name(clean)


def test_good_names_stay_as_they_are() -> None:
    assert naming.clean_name("cv/dsc-minus.unet/left_kidney 2") == "cv/dsc-minus.unet/left_kidney 2"
    assert naming.clean_name("/a/../b//c[1]") == "a/b/c_1_"


def test_identity_is_row_fold_seed_and_key() -> None:
    row = make_row()
    same = make_cell(row, 0, metrics={"test/dsc": 0.1}, done=False)
    assert make_cell(row, 0).identity == same.identity
    others = [
        make_cell(row, 1, key="key-fsm-0"),
        make_cell(row, 0, seed=1),
        make_cell(row, 0, key="k"),
        *(
            make_cell(make_row(**{name: "other"}), 0, key="key-fsm-0")
            for name in ("dataset", "suite", "label", "preset")
        ),
    ]
    assert len({cell.identity for cell in [same, *others]}) == 8


def test_identity_of_a_row_follows_its_values_and_split() -> None:
    first = make_row().identity
    assert first == "021a53452514646f54da451ae21c4bd3"  # as it was before presets had a hash
    assert make_row(preset_hash=OLD.hash).identity == first
    assert make_row(preset="quick-1", preset_hash=OLD.hash).identity == first
    new = make_row(preset_hash=NEW.hash).identity
    assert make_row(preset="quick-2", preset_hash=NEW.hash).identity == new
    own = {make_row(split=split).identity for split in ("s", "t")}
    assert len({first, new, *own}) == 4


def test_digest_follows_the_contents_but_not_the_order() -> None:
    cell = make_cell(make_row(), 0)
    turned = make_cell(make_row(), 0, points=cell.points[::-1] + cell.points[:1])
    assert turned.digest == cell.digest
    assert make_cell(make_row(), 0, points=cell.points[1:]).digest != (cell.digest)


def test_values_that_are_not_finite_become_a_tag() -> None:
    metrics = {"test/dsc": 0.5, "test/assd[mm]": float("nan"), "test/x": float("-inf")}
    assert naming.finite(metrics) == {"test/dsc": 0.5}
    assert naming.undefined(metrics) == {
        "test/assd_mm__state": "undefined",
        "test/x_state": "undefined",
    }


def test_two_flags_of_one_name_are_one_tag_with_both() -> None:
    flags = ("term_negligible: m 0.1 %", "fsm_dead: 60 %", "term_negligible: code 0.2 %")
    assert naming.flag_tags(flags) == {
        "flags": "; ".join(flags),
        "flag.term_negligible": "term_negligible: m 0.1 %; term_negligible: code 0.2 %",
        "flag.fsm_dead": "fsm_dead: 60 %",
    }
    assert naming.flag_tags(()) == {}
