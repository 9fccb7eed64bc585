"""The word of a comparison: mirrored when the rows change places, and never hung on one patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_rows import PLAN, gap, row

from benchmark.errors import BadInput
from benchmark.plan.analysis import CONTROLS, DSC
from benchmark.scoring.claims import status_of
from benchmark.scoring.comparison import Comparison, compare, compare_gain
from benchmark.scoring.verdict import judge

OTHER = {"better": "worse", "worse": "better"}
FAST = replace(PLAN, draws_bootstrap=2, draws_rank=2)


def compared(gain_nS: np.ndarray, fold_n: np.ndarray, *, version: int = 2) -> Comparison:
    return compare_gain(
        gain_nS, fold_n, cases=[f"case_{i}" for i in range(len(fold_n))], row="a", reference="b",
        metric=DSC, plan=replace(FAST, version=version),
    )  # fmt: skip


def design(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gains of 6 to 40 patients in five folds, some with a failure, some with no spread."""
    n, seeds = int(rng.integers(6, 41)), int(rng.integers(1, 6))
    fold_n = np.arange(n) % 5 if rng.random() < 0.7 else rng.integers(0, 5, n)
    patient, run, rest, fold = rng.choice([0.0, 0.3, 0.7, 1.5, 3.0], 4)
    gain_nS = rng.choice([-3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0]) + (
        patient * rng.standard_normal((n, 1))
        + rest * rng.standard_normal((n, seeds))
        + (fold * rng.standard_normal((5, 1)) + run * rng.standard_normal((5, seeds)))[fold_n]
    )
    if rng.random() < 0.2:
        gain_nS[int(rng.integers(n))] += rng.choice([-30.0, 30.0])
    return gain_nS, fold_n


@pytest.mark.parametrize("designs", [500, pytest.param(20_000, marks=pytest.mark.long)])
def test_swapped_rows_swap_words_p_and_ends(designs: int) -> None:
    rng = np.random.default_rng(12)
    words = dict.fromkeys(("better", "worse", "equivalent", "undecided", "values only"), 0)
    for _ in range(designs):
        gain_nS, fold_n = design(rng)
        try:
            found, back = compared(gain_nS, fold_n), compared(-gain_nS, fold_n)
        except BadInput:
            continue
        words[found.word] += 1
        assert back.word == OTHER.get(found.word, found.word)
        assert (back.p, back.no_interval) == (found.p, found.no_interval)
        if found.primary and back.primary:
            low, high = found.primary.low, found.primary.high
            assert (back.primary.low, back.primary.high) == (-high, -low) and low < high
        if found.one_patient and back.one_patient:
            assert back.one_patient.moves == -found.one_patient.moves
            assert back.one_patient.case == found.one_patient.case
    assert min(words.values()) >= designs / 100, words


@pytest.mark.parametrize("version", [1, 2])
def test_the_pair_that_was_worse_one_way_and_undecided_the_other(version: int) -> None:
    rng = np.random.default_rng(4)
    fold_n = np.arange(20) % 5
    patient, rest, fold = (rng.normal(size=shape) for shape in ((20, 1), (20, 3), 5))
    gain_nS = -1.5 + 0.7 * patient + 0.7 * rest + 3 * fold[fold_n][:, None]
    words = [compared(sign * gain_nS, fold_n, version=version).word for sign in (1, -1)]
    assert words == ["undecided", "undecided"]


def test_one_failure_is_named_and_leaves_it_undecided() -> None:
    fsm, unet = row("fsm", 92.0, patients=20), row("unet", 90.0, patients=20)
    assert compare(fsm, unet, metric=DSC, plan=PLAN).word == "better"
    fsm.value_nS[7] -= 30.0
    found = compare(fsm, unet, metric=DSC, plan=PLAN)
    assert found.word == "undecided" and found.one_patient is not None
    assert found.one_patient.case == "case_7"
    assert found.one_patient.moves == pytest.approx(-1.58, abs=0.2)
    assert "one patient, case_7, moves the gain by -1." in found.sentence
    assert found.one_patient.without is not None and found.one_patient.without.low > 1
    assert found.median == pytest.approx(2.0, abs=0.5) and found.patients_better >= 18


def test_a_word_that_hangs_on_one_patient_is_undecided() -> None:
    """A failure of the reference widens the interval; the other patients alone are equivalent."""
    fold_n = np.arange(12) % 5
    gain_nS = np.random.default_rng(0).normal(0.9, 0.01, (12, 3))
    gain_nS[0] = 13.5
    found = compared(gain_nS, fold_n)
    assert found.word == "undecided"
    assert found.one_patient is not None and found.one_patient.without is not None
    assert found.one_patient.without.high < 1


def test_a_word_that_stands_without_the_patient_stays() -> None:
    """A row that lost 40 points is worse, however unequally; the flag is there all the same."""
    fold_n = np.arange(15) % 5
    gain_nS = np.random.default_rng(1).normal(-40, 1, (15, 3))
    gain_nS[3] -= 25
    found = compared(gain_nS, fold_n)
    assert found.word == "worse" and found.one_patient is not None
    assert found.one_patient.moves == pytest.approx(-25 / 15, abs=0.2)


def test_nothing_is_supported_while_one_patient_moves_the_gain() -> None:
    rows = {name: row(name, 84.0, patients=40) for name in CONTROLS}
    fsm = row("fsm", 90.0, patients=40)
    rows["refine-gt"].value_nS[5] -= 60.0  # a failure of one control
    against = {name: compare(fsm, each, metric=DSC, plan=PLAN) for name, each in rows.items()}
    hit = against["refine-gt"]
    assert isinstance(hit, Comparison) and hit.word == "better" and hit.one_patient is not None
    found = judge(against, gap(patients=40), dataset="ircadb", preset="paper", plan=PLAN)
    assert found.outcome == "undecided"
    assert (
        len(found.reasons) == 1 and "one patient, case_5, moves the gain by +1." in found.reasons[0]
    )


def test_one_patient_refutes_nothing() -> None:
    """The upper limit is under the margin, but not without the patient who pulls it down."""
    fsm = row("fsm", 90.0, patients=40)
    rows = {name: row(name, 84.0, patients=40) for name in CONTROLS}
    gain_n = np.where(np.arange(40) % 10 < 5, 9.2, -16.0)
    gain_n[5] = -61.0
    rows["refine-gt"] = replace(fsm, row="refine-gt", value_nS=fsm.value_nS - gain_n[:, None])
    against = {name: compare(fsm, each, metric=DSC, plan=PLAN) for name, each in rows.items()}
    hit = against["refine-gt"]
    assert isinstance(hit, Comparison) and hit.primary is not None and hit.primary.high < 1
    assert hit.one_patient is not None and hit.one_patient.case == "case_5"
    assert hit.one_patient.without is not None and hit.one_patient.without.high > 1
    found = judge(against, gap(patients=40), dataset="ircadb", preset="paper", plan=PLAN)
    assert found.outcome == "undecided"


def test_a_claim_that_hangs_on_one_patient_is_not_reproduced() -> None:
    found = compared(np.random.default_rng(2).normal(5, 0.5, (20, 3)), np.arange(20) % 5)
    assert status_of("better", found.primary, 1.0) == "reproduced"
    assert status_of("better", found.primary, 1.0, sure=False) == "undecided"


def test_a_suite_of_the_first_analysis_keeps_it_and_is_told_the_second() -> None:
    fold_n = np.arange(20) % 5
    luck = np.array([1.0, -0.5, 0.8, -1.0, -0.3])[fold_n][:, None]
    gain_nS = np.random.default_rng(3).normal(0.6, 0.5, (20, 3)) + luck
    first, second = (compared(gain_nS, fold_n, version=version) for version in (1, 2))
    assert first.primary is not None and second.primary is not None
    assert first.primary.error < second.primary.error
    assert first.notes[-1] == (
        "planned with analysis 1: patients and trainings random; by analysis 2: patients, folds "
        f"and trainings random: {second.primary.low:+.2f} to {second.primary.high:+.2f}"
    )
    assert not any("planned with" in note for note in second.notes)
