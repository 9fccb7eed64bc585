"""Tables by hand-computed examples."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.analysis.flags import mixtures, value_mixtures
from benchmark.analysis.tables import ScoreLine, per_patient, table
from benchmark.files.code import Code
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow
from benchmark.store.workspace import Codes

NAN = math.nan
ENTRY = Entry(
    dataset="set", row="fsm", label="fsm", preset="quick", overrides={}, fold=0, seed=0,
    part="test", key="k", evaluation="e", split="s", nodes=("k",), state="done",
)  # fmt: skip


def row(case: str, organ: str, value: float, state: str = "overlap", **more: object) -> ResultRow:
    base = ResultRow(
        key="k", seed=0, fold=0, case=case, organ=organ, state=state, metric="dsc", value=value,
        unit="percent", n_voxels_true=1, code="c",
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def lines_of(*rows: ResultRow, entry: Entry = ENTRY) -> dict[tuple[str, str], ScoreLine]:
    lines, missing = table([entry], lambda _: list(rows))
    assert not missing
    return {(line.metric, line.organ): line for line in lines}


def test_mean_sd_n_and_headline() -> None:
    lines = lines_of(
        row("a", "liver", 90), row("b", "liver", 80), row("c", "liver", 70),
        row("a", "left_kidney", 60), row("b", "left_kidney", 40),
        row("a", "right_kidney", 10),
    )  # fmt: skip
    liver, left, right = (lines["dsc", o] for o in ("liver", "left_kidney", "right_kidney"))
    assert (liver.mean, liver.sd, liver.n) == (80, 10, 3)
    assert (left.mean, left.n) == (50, 2) and left.sd == pytest.approx(math.sqrt(200))
    assert (right.mean, right.sd, right.n) == (10, None, 1)
    # the mean over organs of the mean over patients: every organ counts the same
    assert lines["dsc", "mean"].mean == pytest.approx((80 + 50 + 10) / 3)
    assert lines["dsc", "headline"].mean == pytest.approx(65)
    assert lines["dsc", "mean"].n == lines["dsc", "headline"].n == 3
    # the sd is over patients, of each one's mean over organs: a 53.3, b 60, c 70
    expected = [160 / 3, 60, 70]
    centre = sum(expected) / 3
    sd = math.sqrt(sum((x - centre) ** 2 for x in expected) / 2)
    assert lines["dsc", "mean"].sd == pytest.approx(sd)


def test_missed_organ_counts_zero_and_has_no_surface_distance() -> None:
    lines = lines_of(
        row("a", "liver", 90),
        row("b", "liver", 0, "missed"),
        row("a", "liver", 2, metric="assd", unit="mm"),
        row("b", "liver", NAN, "missed", metric="assd", unit="mm"),
    )
    dsc, assd = lines["dsc", "liver"], lines["assd", "liver"]
    assert (dsc.mean, dsc.n, dsc.n_missed) == (45, 2, 1)
    assert (assd.mean, assd.n, assd.n_missed, assd.sd) == (2, 1, 1, None)


def test_undefined_everywhere_is_none_and_spoils_the_mean_openly() -> None:
    lines = lines_of(row("a", "liver", 90), row("a", "left_kidney", NAN, "false_alarm"))
    left = lines["dsc", "left_kidney"]
    assert (left.mean, left.sd, left.n, left.n_missed) == (None, None, 0, 0)
    assert lines["dsc", "mean"].mean is None and lines["dsc", "headline"].mean is None


def test_headline_of_a_set_without_the_left_kidney() -> None:
    lines = lines_of(row("a", "liver", 90), row("a", "spleen", 50))
    assert lines["dsc", "headline"].mean == 90
    assert ("dsc", "headline") not in lines_of(row("a", "spleen", 50))


def test_seeds_are_averaged_per_patient() -> None:
    rows = [row("a", "liver", 90), row("a", "liver", 70, seed=1), row("b", "liver", 50)]
    line = lines_of(*rows)["dsc", "liver"]
    assert (line.mean, line.n) == (65, 2), "patient a counts once, with 80"
    assert per_patient(rows) == {"liver": {"a": 80, "b": 50}}
    missed = lines_of(row("a", "liver", 0, "missed"), row("a", "liver", 60, seed=1))
    assert missed["dsc", "liver"].n_missed == 1, "a patient missed by two seeds is one patient"


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "lite"},
        {"split": "t"},
        {"part": "inner"},
        {"dataset": "d"},
        {"label": "fsm[xi=1]"},
    ],
)
def test_what_differs_never_shares_a_line(change: dict[str, str]) -> None:
    other = replace(ENTRY, **change, fold=1)  # type: ignore[arg-type]
    values = {0: 90.0, 1: 50.0}
    lines, _ = table([ENTRY, other], lambda entry: [row("a", "liver", values[entry.fold])])
    means = [line.mean for line in lines if line.organ == "liver"]
    assert means == [90, 50]


def test_folds_of_one_row_share_a_line() -> None:
    values = {0: 90.0, 1: 50.0}
    lines, _ = table(
        [ENTRY, replace(ENTRY, fold=1)],
        lambda entry: [row(f"p{entry.fold}", "liver", values[entry.fold])],
    )
    assert [line.mean for line in lines if line.organ == "liver"] == [70]


def test_cells_without_rows_are_missing() -> None:
    failed = replace(ENTRY, state="failed", error="step 3", fold=2)
    lines, missing = table([ENTRY, failed], lambda _: [row("a", "liver", 90)])
    assert {line.n for line in lines} == {1}
    (cell,) = missing
    assert (cell.fold, cell.state, cell.error) == (2, "failed", "step 3")


def test_mixtures_are_named(tmp_path: Path) -> None:
    codes = Codes(tmp_path)
    hardware = {"device": "cpu", "name": "A", "precision": "fp32", "threads": 1, "torch": "2.13"}
    one = {"hardware": hardware, "code": "x"}
    assert all(mixtures(records, codes) == () for records in ([], [one], [one, one]))
    for name, value in {"device": "cuda", "precision": "bf16", "threads": 2}.items():
        (line,) = mixtures([one, {"hardware": {**hardware, name: value}, "code": "x"}], codes)
        assert name in line and str(value) in line


def test_cells_of_one_name_with_other_values_are_named() -> None:
    """A default that changed between two folds is in no label."""
    old, new = (replace(ENTRY, fold=n, params={"xi": v}) for n, v in enumerate(("0.3", "0.4")))
    assert value_mixtures([old, replace(old, fold=2)]) == ()
    (line,) = value_mixtures([old, new])
    assert "fsm on set differ in xi: 0.3, 0.4" in line
    assert value_mixtures([old, replace(new, label="fsm[xi=0.4]")]) == ()
    assert value_mixtures([replace(each, tuned="xi") for each in (old, new)]) == ()


def test_a_mixture_of_code_is_one_of_versions_not_of_what_rows_use(tmp_path: Path) -> None:
    codes = Codes(tmp_path)
    hardware = {"device": "cpu"}
    used = {
        "plain": Code(ours=frozenset({("fit", "1")})),
        "guided": Code(ours=frozenset({("fit", "1"), ("Guided", "7")})),
        "later": Code(ours=frozenset({("fit", "2")})),
    }
    record = {n: {"hardware": hardware, "code": codes.note(code)} for n, code in used.items()}
    assert mixtures([record["plain"], record["guided"]], codes) == ()
    (line,) = mixtures([record["guided"], record["later"]], Codes(tmp_path))
    assert line.endswith("differ in code: fit")
