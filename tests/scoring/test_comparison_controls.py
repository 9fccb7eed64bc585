"""The comparison's own controls pass where they must, and turn red where they must."""

import numpy as np
import pytest
from planted_rows import PLAN, row

from benchmark.plan.analysis import ASSD, DSC
from benchmark.scoring.controls import degraded, permuted_names, seeds_agree, truth_itself
from benchmark.scoring.statistics.layout import Incomplete, RowValues

GIVEN = {"metric": DSC, "plan": PLAN}
LOST = Incomplete(row="fsm", missing=(("case_0", 0),))


def test_same_row_with_other_seeds():
    found = seeds_agree(row("fsm", seeds=5), **GIVEN)
    assert found.passed
    assert found.comparison.row == "fsm (seeds 0, 1)"
    assert found.comparison.reference == "fsm (seeds 2, 3)"


@pytest.mark.parametrize("metric", [DSC, ASSD])
def test_seeds_that_are_not_the_same_row_turn_it_red(metric):
    mixed = row("fsm", seeds=4, patients=60)
    mixed.value_nS[:, :2] += 5
    found = seeds_agree(mixed, metric=metric, plan=PLAN)
    assert found.passed is False
    assert found.comparison.word == ("better" if metric is DSC else "worse")


def test_same_row_says_where_the_margin_is_under_its_noise():
    wide, narrow = (seeds_agree(row("fsm", rest_sd=sd), **GIVEN) for sd in (6.0, 0.1))
    assert "the margin is under two standard errors" in wide.sentence
    assert "the margin is under" not in narrow.sentence


def test_same_row_that_cannot_be_made():
    for found, why in [
        (seeds_agree(row("fsm", seeds=1), **GIVEN), "needs two seeds"),
        (seeds_agree(LOST, **GIVEN), "incomplete"),
        (seeds_agree(row("fsm", patients=5), **GIVEN), "values only"),
    ]:
        assert found.passed is None
        assert why in found.sentence


@pytest.mark.parametrize("gain", [0.0, 4.0])
@pytest.mark.parametrize("run_sd", [0.0, 1.0])
def test_permuted_names_leave_nothing(gain, run_sd):
    design = {"patients": 40, "run_sd": run_sd}
    found = permuted_names(row("fsm", 90 + gain, **design), row("unet", **design), **GIVEN)
    assert found.passed, found.sentence


def test_permuted_names_turn_red_where_the_error_is_too_small(monkeypatch):
    monkeypatch.setattr(
        "benchmark.scoring.controls.components", lambda v, f, **how: _half(_components(v, f, **how))
    )
    found = permuted_names(row("fsm", patients=40), row("unet", patients=40), **GIVEN)
    assert found.passed is False


def test_permuted_names_that_cannot_be_made():
    same = row("fsm")
    for pair in [(same, same), (row("a", patients=11), row("b", patients=11)),
                 (row("a", seeds=1), row("b", seeds=1)), (LOST, same)]:  # fmt: skip
        assert permuted_names(*pair, **GIVEN).passed is None


def test_a_degraded_row_must_be_found_worse():
    assert degraded(row("fsm[steps/10]", 80.0), row("fsm"), **GIVEN).passed
    assert degraded(row("fsm[steps/10]", 90.0), row("fsm"), **GIVEN).passed is False
    assert degraded(LOST, row("fsm"), **GIVEN).passed is None


@pytest.mark.parametrize(("metric", "best", "wrong"), [(DSC, 100.0, 99.99), (ASSD, 0.0, 1e-9)])
def test_ground_truth_against_itself(metric, best, wrong):
    truth = RowValues(
        row="truth",
        cases=("a", "b"),
        seeds=(0,),
        fold_n=np.array([0, 1]),
        value_nS=np.full((2, 1), best),
    )
    assert truth_itself(truth, metric=metric).passed
    truth.value_nS[1] = wrong
    found = truth_itself(truth, metric=metric)
    assert found.passed is False
    assert "in 1 of 2 patients" in found.sentence
    assert truth_itself(LOST, metric=metric).passed is None


def _components(values, folds, *, fold_luck):
    from benchmark.scoring.statistics.components import components

    return components(values, folds, fold_luck=fold_luck)


def _half(found):
    from dataclasses import replace

    return replace(
        found,
        **{
            f"{name}_squared": getattr(found, f"{name}_squared") / 4
            for name in ("patient", "fold", "run")
        },
    )
