"""The verdict on planted rows: each outcome, the order of the rule, and what would decide."""

from dataclasses import replace

import pytest
from planted_rows import PLAN, against_controls, gap, row

from benchmark.errors import BadInput
from benchmark.plan.analysis import ASSD, CONTROLS, DSC
from benchmark.scoring.comparison import compare
from benchmark.scoring.statistics.layout import Incomplete
from benchmark.scoring.verdict import judge, overall


def verdict(gain, gap_rows=None, **changes):
    design = changes.pop("design", {})
    settings = {"dataset": "ircadb", "preset": "paper", "plan": PLAN} | changes
    return judge(against_controls(gain, **design), gap_rows or gap(**design), **settings)


def test_true_transfer_is_supported():
    found = verdict(4.0)
    assert (found.outcome, found.level, found.needed) == ("supported", "claim", None)
    assert found.sentences[0] == "fsm on ircadb: supported (claim)."
    assert "each of 8 controls" in found.reasons[0]


@pytest.mark.parametrize("control", ["unet-200", "fsm-shuffled", "fsm-constant"])
def test_a_control_that_does_as_well_refutes(control):
    """Budget only; shuffled equal; generic regulariser."""
    found = verdict({control: 0.0})
    assert found.outcome == "not supported"
    assert len(found.reasons) == 1
    assert f"against {control} the gain is none or too small: +0.00" in found.reasons[0]


def test_worse_than_a_control():
    found = verdict({"refine-gt": -3.0})
    assert found.outcome == "not supported"
    assert "against refine-gt the gain is negative: -3.00 points" in found.reasons[0]


def test_better_but_inside_the_margin():
    found = verdict(0.5, design={"patients": 90, "patient_sd": 0.5, "run_sd": 0.1})
    assert found.outcome == "not supported"
    assert len(found.reasons) == 8


def test_refuted_goes_before_supported():
    """Every other control is beaten by far; one is not."""
    assert verdict({"fsm-ct-teacher": 0.2}).outcome == "not supported"


def test_an_estimate_under_the_margin_is_no_support():
    """The interval is over 0 and reaches beyond the margin: better, but not by enough."""
    found = verdict(0.85, design={"patients": 30, "patient_sd": 0.8})
    assert (found.outcome, len(found.reasons)) == ("undecided", 8)
    assert all("+0.85 points (+0." in reason for reason in found.reasons)


def test_too_few_patients_for_an_interval():
    found = verdict(4.0, design={"patients": 5})
    assert found.outcome == "undecided"
    assert found.needed.patients >= 6
    assert f"{found.needed.patients} patients with 5 seeds would decide" in found.sentences[-1]
    assert "5 patients: values only, no interval" in found.reasons[0]


@pytest.mark.parametrize("gain", [0.6, 1.2])
def test_undecided_names_the_patients_that_would_decide(gain):
    """A row of that size, drawn with the same spread, is decided; a smaller one is not."""
    design = {"patients": 15, "patient_sd": 2.5, "run_sd": 0.1}
    few = verdict(gain, design=design)
    assert few.outcome == "undecided"
    n = few.needed.patients
    assert few.needed.seeds == 5
    more = verdict(gain, design=design | {"patients": 2 * n})
    assert more.outcome == ("not supported" if gain < 1 else "supported")
    less = verdict(gain, design=design | {"patients": n // 2})
    assert less.outcome == "undecided"


def test_seeds_decide_where_patients_cannot():
    found = verdict(1.05, design={"patients": 40, "run_sd": 3.0})
    assert found.outcome == "undecided"
    assert found.needed.seeds > 5


@pytest.mark.parametrize(
    ("mean", "sd", "reason"), [(3.0, 1.0, "needed 5 %"), (6.0, 25.0, "GT gap: +6.00 %")]
)
def test_no_support_without_a_gt_gap(mean, sd, reason):
    found = verdict(4.0, gap(mean, sd))
    assert found.outcome == "undecided"
    assert reason in found.reasons[0]


def test_a_gt_gap_that_is_too_small_is_decided_by_no_number_of_patients():
    found = verdict(4.0, gap(3.0, 1.0))
    assert found.needed is None
    assert "No number of patients or seeds would decide" in found.sentences[-1]
    # the controls are decided with 20; the gap (sd 30 within folds) needs 1.99 * 30 / sqrt(n) < 6
    assert verdict(4.0, gap(6.0, 25.0)).needed.patients == pytest.approx(98, abs=3)


def test_a_plan_that_asks_for_no_gt_gap_is_judged_without_one():
    plan = replace(PLAN, asks_gap=False)
    compared = against_controls(4.0)
    for measured in (None, gap(-3.0, 1.0)):
        found = judge(compared, measured, dataset="ircadb", preset="paper", plan=plan)
        assert found.outcome == "supported"
    found = judge(against_controls(0.6, patients=15, patient_sd=2.5, run_sd=0.1), None,
                  dataset="ircadb", preset="paper", plan=plan)  # fmt: skip
    assert found.outcome == "undecided" and found.needed and "GT gap" not in str(found.reasons)


@pytest.mark.parametrize("preset", ["quick", "lite", "mine"])
def test_only_the_papers_preset_gives_a_verdict(preset):
    found = verdict(4.0, preset=preset)
    assert (found.outcome, found.sensitivity) == ("demonstration", None)
    assert found.sentences[1] == f"Preset {preset} gives no verdict."


def test_what_is_missing_makes_it_incomplete():
    compared = against_controls({"unet-200": 0.0})  # would be refuted
    lost = Incomplete(row="fsm-shuffled", missing=(("case_3", 1),))
    cases = {
        "row fsm-shuffled is incomplete: it lacks 1 planned value (": (
            compared | {"fsm-shuffled": lost},
            gap(),
        ),
        "row refine-gt was not run": (
            {k: v for k, v in compared.items() if k != "refine-gt"},
            gap(),
        ),
        "the GT gap was not measured": (compared, None),
        "gap is incomplete": (compared, Incomplete(row="gap", missing=(("case_0", 0),))),
    }
    for reason, (rows, gt_gap) in cases.items():
        found = judge(rows, gt_gap, dataset="ircadb", preset="paper", plan=PLAN)
        assert found.outcome == "incomplete"
        assert len(found.reasons) == 1
        assert found.reasons[0].startswith(reason)


def test_post_hoc_and_level_are_told():
    found = verdict(4.0, timing="post hoc", design={"seeds": 3})
    assert found.sentences[0] == "fsm on ircadb: supported (screen, post hoc)."
    assert verdict(4.0, design={"seeds": 1}).level == "look"


def test_the_wider_interval_is_told_where_it_would_change_the_outcome():
    found = verdict(1.6, design={"run_sd": 1.0})
    assert (found.outcome, found.sensitivity) == ("supported", "undecided")
    assert found.sentences[-1] == "By the Nadeau-Bengio intervals it would be: undecided."


def test_only_planned_comparisons_are_read():
    for wrong in (
        compare(row("fsm"), row("unet"), metric=DSC, plan=PLAN),
        compare(row("unet-200"), row("fsm"), metric=DSC, plan=PLAN),
        compare(row("fsm"), row("unet-200"), metric=ASSD, plan=PLAN),
        compare(row("fsm"), row("unet-200"), metric=replace(DSC, margin=9.0), plan=PLAN),
    ):
        with pytest.raises(BadInput, match="the verdict reads fsm against unet-200 in dsc"):
            judge({"unet-200": wrong}, gap(), dataset="ircadb", preset="paper", plan=PLAN)


def test_rows_beside_the_controls_do_not_count():
    compared = against_controls(4.0)
    extra = compare(row("fsm"), row("refine-own", 90.0), metric=DSC, plan=PLAN)
    found = judge(
        compared | {"refine-own": extra}, gap(), dataset="ircadb", preset="paper", plan=PLAN
    )
    assert found.outcome == "supported"
    assert set(compared) == set(CONTROLS)


def test_the_claim_needs_both_sets():
    good, bad = verdict(4.0), verdict({"unet-200": 0.0})
    unsure = verdict(4.0, gap(3.0, 1.0))
    lost = judge({}, None, dataset="ircadb", preset="paper", plan=PLAN)
    quick = verdict(4.0, preset="quick")
    for pair, expected in {
        (good, good): "supported",
        (good, bad): "not supported",
        (lost, bad): "not supported",
        (good, unsure): "undecided",
        (good, lost): "incomplete",
        (good, quick): "demonstration",
    }.items():
        found = dict(zip(("ircadb", "multi-organ"), pair, strict=True))
        assert overall(found, PLAN)[0] == expected
    outcome, sentence = overall({"ircadb": good}, PLAN)
    assert outcome == "incomplete"
    assert "multi-organ: not run" in sentence
