"""The specification curve: the best reading decides, and only with equal tuning."""

from dataclasses import replace

import pytest
from planted_rows import PLAN, against_controls, gap

from benchmark.errors import BadInput
from benchmark.scoring.paper import READINGS, ReadingResult, specification_curve
from benchmark.scoring.statistics.components import as_interval
from benchmark.scoring.verdict import judge

TRIALS = dict.fromkeys(("fsm", *PLAN.controls), 20)
GOOD, BAD = (
    judge(against_controls(gain), gap(), dataset="ircadb", preset="paper", plan=PLAN)
    for gain in (4.0, 0.0)
)


def results(best, *others_of):
    """All twelve readings; the k-th has inner validation k, the last the best."""
    verdicts = [*others_of, *[BAD] * (len(READINGS) - 1 - len(others_of)), best]
    return [
        ReadingResult(
            reading=reading,
            verdict=verdict,
            weakest=as_interval((7 * k) % 12, 1.0, 10, level=0.95),
            inner_validation=80.0 + k,
            trials=TRIALS,
        )
        for k, (reading, verdict) in enumerate(zip(READINGS, verdicts, strict=True))
    ]


def test_the_list_is_fixed():
    assert len(READINGS) == len(set(READINGS)) == 12
    assert READINGS[0].label == "norm none, M relative, gradient both"


def test_a_refutation_must_hold_for_the_best_reading():
    refuted = specification_curve(results(BAD, GOOD), PLAN)
    assert (refuted.outcome, refuted.counts) == (
        "not supported",
        {"supported": 1, "not supported": 11},
    )
    spared = specification_curve(results(GOOD), PLAN)
    assert spared.outcome == "supported"
    assert spared.best.reading == READINGS[-1]
    assert "1 supported" in spared.sentence


def test_the_curve_is_in_the_order_of_the_weakest_gain():
    some = results(BAD)
    some[3] = replace(some[3], weakest=None)
    found = specification_curve(some, PLAN)
    heights = [point.weakest.estimate for point in found.points[:-1]]
    assert heights == sorted(heights)
    assert found.points[-1].weakest is None


def test_a_missing_reading_is_incomplete():
    found = specification_curve(results(BAD)[1:], PLAN)
    assert (found.outcome, found.missing) == ("incomplete", (READINGS[0],))


@pytest.mark.parametrize("row", ["fsm", "fsm-constant"])
@pytest.mark.parametrize("number", [19, None])
def test_unequal_tuning_is_refused(row, number):
    some = results(BAD)
    trials = {k: v for k, v in (TRIALS | {row: number}).items() if v is not None}
    some[2] = replace(some[2], trials=trials)
    with pytest.raises(BadInput, match=f"unequal tuning: {row} had {number or 0} trials"):
        specification_curve(some, PLAN)


def test_what_is_no_curve():
    with pytest.raises(BadInput, match="no reading"):
        specification_curve([], PLAN)
    with pytest.raises(BadInput, match="there twice"):
        specification_curve([results(BAD)[0]] * 2, PLAN)
    stranger = replace(results(BAD)[0], reading=replace(READINGS[0], distance="raw"))
    with pytest.raises(BadInput, match="not on the fixed list"):
        specification_curve([stranger], PLAN)
