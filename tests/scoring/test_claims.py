"""The claims ledger on planted rows, and the paper's printed numbers."""

from dataclasses import replace

import pytest
from planted_rows import PLAN, row

from benchmark.plan.analysis import ASSD, DSC, Contrast, families
from benchmark.scoring.claims import claim_margin, claims, ledger, mean_gain, status_of
from benchmark.scoring.comparison import compare
from benchmark.scoring.paper import MARKS, PRINTED, printed, printed_gain
from benchmark.scoring.statistics.components import as_interval
from benchmark.scoring.statistics.corrections import adjust
from benchmark.scoring.statistics.layout import Incomplete

AS_PRINTED = {
    "unet": 90.4, "shape-loss": 91.9, "param-transfer": 92.3, "joint-train": 90.4,
    "no-refine": 93.9, "no-noise": 84.2, "fsm": 94.6, "fsm[gt=smp:unet/resnet18]": 94.0,
}  # fmt: skip


def lines(means=AS_PRINTED, preset="paper", drop=(), **design):
    settings = {"patients": 60, "patient_sd": 0.5, "run_sd": 0.05, "rest_sd": 0.2} | design
    rows = {name: row(name, mean, **settings) for name, mean in means.items()}
    for name in drop:
        rows[name] = Incomplete(row=name, missing=(("case_0", 0),))
    compared = {
        claim.contrast: compare(
            rows[claim.contrast.row], rows[claim.contrast.reference], metric=DSC, plan=PLAN
        )
        for claim in claims("ircadb", PLAN)
        if claim.contrast.metric == "dsc"
    }
    adjusted = {}
    for family in families(PLAN):
        p = {c: getattr(compared.get(c), "p", None) for c in family.contrasts if c in compared}
        adjusted |= adjust(family, p)
    found = ledger(compared, adjusted, dataset="ircadb", preset=preset, plan=PLAN)
    return {(x.claim.about, x.claim.contrast.row, x.claim.contrast.reference): x
            for x in found if x.claim.contrast.metric == "dsc"}  # fmt: skip


def test_rows_as_the_paper_prints_them_reproduce_every_claim():
    found = lines()
    assert len(found) == 11
    assert {line.status for line in found.values()} == {"reproduced"}


def test_rows_without_a_difference_contradict_every_claim_but_one():
    found = lines(dict.fromkeys(AS_PRINTED, 90.0))
    assert {about for (about, *_), line in found.items() if line.status == "reproduced"} == {
        "Joint-Train gains nothing"
    }
    others = [line.status for (about, *_), line in found.items() if "nothing" not in about]
    assert set(others) == {"contradicted"}


def test_a_wide_spread_leaves_them_undecided():
    found = lines(dict.fromkeys(AS_PRINTED, 90.0), patients=12, patient_sd=6.0)
    assert {line.status for line in found.values()} == {"undecided"}


def test_a_claim_in_a_family_needs_holm():
    """11 patients give an interval far over 0, and no p: nothing in a family is reproduced."""
    found = lines(patients=11)
    assert found["better than U-Net", "fsm", "unet"].status == "undecided"
    assert found["different architectures work", "fsm[gt=smp:unet/resnet18]", "unet"].status == (
        "reproduced"
    )
    assert found["Joint-Train gains nothing", "joint-train", "unet"].status == "reproduced"


def test_an_incomplete_row_is_undecided_and_told():
    line = lines(drop=("no-refine",))["each component is needed", "fsm", "no-refine"]
    assert (line.status, line.interval) == ("undecided", None)
    assert "no-refine is incomplete: it lacks 1 planned value (the first: " in line.sentence


def test_the_paper_claims_nothing_of_another_subject():
    other = replace(PLAN, subject="spike-100", competitors=(), ablations=())
    assert claims("phantom", other) == ()
    assert claims("phantom", replace(PLAN, subject="fsm[xi=1]"))


def test_a_demonstration_claims_nothing():
    assert {line.status for line in lines(preset="quick").values()} == {"demonstration"}


def test_small_claims_have_small_margins():
    assert claim_margin(DSC, 4.2) == 1.0
    assert claim_margin(DSC, 0.7) == pytest.approx(0.35)
    assert claim_margin(ASSD, -0.2) == pytest.approx(0.1)
    assert claim_margin(DSC, None) == 1.0
    found = lines()
    assert found["each component is needed", "fsm", "no-refine"].margin == pytest.approx(0.35)
    assert found["Joint-Train gains nothing", "joint-train", "unet"].margin == 1.0


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("better", 1.0, 3.0, "reproduced"),
        ("better", 0.1, 1.5, "undecided"),  # the estimate is under the margin
        ("better", -0.1, 3.0, "undecided"),
        ("better", 0.1, 0.9, "contradicted"),
        ("worse", -3.0, -1.0, "reproduced"),
        ("worse", -0.9, 0.5, "contradicted"),
        ("worse", 1.0, 3.0, "contradicted"),
        ("none", -0.5, 0.9, "reproduced"),
        ("none", 0.5, 3.0, "contradicted"),
        ("none", -0.5, 1.5, "undecided"),
        ("size", 3.3, 4.0, "reproduced"),
        ("size", 3.1, 5.0, "undecided"),
        ("size", 1.0, 3.1, "contradicted"),
    ],
)
def test_the_table_of_statuses(kind, low, high, expected):
    half = (high - low) / 2
    found = as_interval(low + half, half / 1.984467, 99, level=0.95)
    found = replace(found, degrees=99.0, low=low, high=high)
    assert status_of(kind, found, 1.0, size=4.2) == expected
    assert status_of(kind, None, 1.0, size=4.2) == "undecided"
    if kind in ("better", "worse") and expected == "reproduced":
        assert status_of(kind, found, 1.0, sure=False) == "undecided"


def test_mean_gain_over_both_sets():
    design = {"patients": 60, "patient_sd": 0.5, "run_sd": 0.05}

    def line(*gains, preset="paper"):
        compared = {
            name: compare(
                row("fsm", 90 + g, **design), row("unet", **design), metric=DSC, plan=PLAN
            )
            for name, g in zip(("ircadb", "multi-organ"), gains, strict=False)
        }
        return mean_gain(compared, metric=DSC, preset=preset, plan=PLAN)

    assert line(4.9, 3.5).status == "reproduced"
    assert line(4.9, 3.5).interval.estimate == pytest.approx(4.2)
    assert line(4.2, 1.0).status == "contradicted"
    assert line(3.2, 3.2).status == "undecided"
    assert line(4.2).status == "undecided"
    assert line(4.2, 4.2, preset="lite").status == "demonstration"


def test_the_printed_numbers():
    assert printed("fsm", "multi-organ", "assd_penalised").mean == 0.90
    assert printed("no-noise", "multi-organ", "dsc") is None
    assert (printed("unet", "ircadb", "dsc").mean, printed("unet", "ircadb", "dsc").sd) == (
        90.4,
        2.7,
    )
    assert printed("unet", "ircadb", "assd").mark == "?"
    assert printed("unet", "multi-organ", "dsc").mark == "derived"
    assert printed("shape-loss", "multi-organ", "dsc").mean is None
    assert {each.mark for each in PRINTED} == {"", *MARKS}
    assert len({(p.row, p.dataset, p.metric) for p in PRINTED}) == len(PRINTED) == 24


def test_printed_gains_are_positive_where_the_paper_is_better():
    assert printed_gain("fsm", "unet", "ircadb", "dsc") == pytest.approx(4.2)
    assert printed_gain("fsm", "unet", "ircadb", "assd_penalised") == pytest.approx(0.39)
    assert printed_gain("no-noise", "unet", "ircadb", "dsc") == pytest.approx(-6.2)
    assert printed_gain("fsm", "shape-loss", "multi-organ", "dsc") is None


def test_every_contrast_of_a_claim_is_planned_or_told_apart():
    corrected = {c for family in families(PLAN) for c in family.contrasts}
    free = {c.contrast for c in claims("ircadb", PLAN)} - corrected
    assert free == {
        Contrast(row="fsm[gt=smp:unet/resnet18]", reference="unet", metric=metric.name)
        for metric in PLAN.metrics
    }
