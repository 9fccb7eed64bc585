"""The analysis plan: its hash, its families, and what comes after the data."""

from dataclasses import replace

import pytest

from benchmark.errors import BadInput
from benchmark.plan.analysis import (
    ASSD,
    CONTROLS,
    DSC,
    AnalysisPlan,
    Contrast,
    families,
    fingerprint,
    timing,
)

PLAN = AnalysisPlan()


def test_the_defaults_are_those_of_the_methods_page():
    assert (DSC.margin, ASSD.margin, PLAN.gap_minimum) == (1.0, 0.15, 5.0)
    assert len(CONTROLS) == 8
    assert PLAN.presets == ("paper",)


def test_any_later_change_is_post_hoc():
    stored = fingerprint(PLAN)
    assert timing(stored, AnalysisPlan()) == ""
    changes = {
        "metrics": (replace(DSC, margin=2.0), ASSD),
        "controls": CONTROLS[:-1],
        "seeds": (0, 1, 2, 3),
        "organ_share": 0.7,
        "ablations": PLAN.ablations[:2],
        "draws_seed": 1,
    }
    for name, value in changes.items():
        assert timing(stored, replace(PLAN, **{name: value})) == "post hoc", name
    assert timing(None, PLAN) == "post hoc"


def test_families_are_closed_lists():
    rows, ablations, competitors = families(PLAN)
    assert (len(rows.contrasts), len(ablations.contrasts), len(competitors.contrasts)) == (12, 6, 4)
    assert Contrast(row="fsm", reference="unet", metric="assd_penalised") in rows.contrasts
    assert {c.reference for c in ablations.contrasts} == {"joint-train", "no-refine", "no-noise"}
    assert not {c.reference for f in families(PLAN) for c in f.contrasts} & set(CONTROLS)


@pytest.mark.parametrize(
    "change", [{"level": 0.0}, {"alpha": 1.5}, {"seeds": ()}, {"seeds": (1, 1)}, {"metrics": ()}]
)
def test_a_plan_that_makes_no_sense(change):
    with pytest.raises(BadInput):
        AnalysisPlan(**change)


def test_metrics():
    assert PLAN.metric("dsc") is DSC
    with pytest.raises(BadInput, match="hd95 is not a tested metric"):
        PLAN.metric("hd95")
    with pytest.raises(BadInput, match="margin of dsc must be above 0"):
        replace(DSC, margin=0.0)
