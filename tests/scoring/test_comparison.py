"""Two rows, paired: figures by the number of patients and seeds, and the word."""

import numpy as np
import pytest
from planted_rows import PLAN, row

from benchmark.plan.analysis import ASSD, DSC
from benchmark.scoring.comparison import compare, level_of, word_in_family
from benchmark.scoring.statistics.layout import Incomplete


def compared(gain, **design):
    return compare(
        row("fsm", 90 + gain, **design), row("unet", 90.0, **design), metric=DSC, plan=PLAN
    )


@pytest.mark.parametrize(
    ("gain", "word"),
    [(3.0, "better"), (-3.0, "worse"), (0.0, "equivalent"), (0.6, "undecided")],
)
def test_the_word(gain, word):
    found = compared(gain, patients=60, patient_sd=2.0)
    assert found.word == word
    assert found.mean == pytest.approx(gain)
    assert f"{word} ({gain:+.2f} points" in found.sentence


def test_a_sure_difference_inside_the_margin_is_none():
    found = compared(0.5, patients=90, patient_sd=0.5)
    assert found.primary.low > 0
    assert found.p < 0.001
    assert found.word == "equivalent"


def test_distances_gain_by_falling():
    rows = row("fsm", 0.5, patient_sd=0.1, run_sd=0.02, rest_sd=0.05), row("unet", 1.5)
    assert compare(*rows, metric=ASSD, plan=PLAN).mean == pytest.approx(1.0)


@pytest.mark.parametrize("patients", [4, 5])
def test_under_six_patients_values_only(patients):
    found = compared(3.0, patients=patients)
    assert found.word == "values only"
    assert found.mean == pytest.approx(3.0)
    nothing = (found.primary, found.p, found.equivalence, found.nadeau_bengio, found.better,
               found.false_claim, found.smallest_detectable)  # fmt: skip
    assert nothing == (None,) * 7
    assert found.these_networks.sign_flip_p is None
    assert "values only, no interval" in found.notes[0]


@pytest.mark.parametrize("patients", [6, 11])
def test_under_twelve_patients_an_interval_and_no_p(patients):
    found = compared(3.0, patients=patients)
    assert found.primary is not None
    assert (found.p, found.false_claim) == (None, None)
    assert (found.these_networks.wilcoxon_p, found.these_networks.ttost_p) == (None, None)
    assert found.equivalence.p is None


def test_twelve_patients_have_a_p():
    found = compared(3.0, patients=12)
    assert found.p < 0.05
    assert found.these_networks.sign_flip_p < 0.05
    assert found.equivalence.p > 0.5
    assert found.false_claim < 0.05


def test_no_p_under_three_seeds():
    assert compared(3.0, seeds=3).p is not None
    for seeds, shown in ((1, "1 seed"), (2, "2 seeds")):
        found = compared(3.0, seeds=seeds)
        assert found.p is None
        assert found.primary is not None
        assert f"{shown}: a look, no p under 3" in found.notes


def test_seeds_are_never_averaged_away():
    """Seeds that disagree widen the interval, although the patients' mean gains stay the same."""
    fsm, unet = (row(name, run_sd=0, patients=90, seeds=3) for name in ("fsm", "unet"))
    calm = compare(fsm, unet, metric=DSC, plan=PLAN)
    tilt = np.where(fsm.fold_n % 2 == 0, 1, -1)[:, None] * np.array([[4.0, 0.0, -4.0]])
    fsm.value_nS[:] += tilt
    torn = compare(fsm, unet, metric=DSC, plan=PLAN)
    assert torn.mean == pytest.approx(calm.mean)
    assert torn.these_networks.wilcoxon_p == pytest.approx(calm.these_networks.wilcoxon_p)
    assert torn.primary.error > 3 * calm.primary.error


def test_an_incomplete_row_is_not_compared():
    gone = Incomplete(row="fsm", missing=(("case_1", 2),))
    assert compare(gone, row("unet"), metric=DSC, plan=PLAN) is gone
    assert compare(row("unet"), gone, metric=DSC, plan=PLAN) is gone


def test_better_needs_holm_in_a_family():
    found = compared(3.0, patients=60)
    assert word_in_family(found, 0.04) == "better"
    assert word_in_family(found, 0.06) == "undecided"
    assert word_in_family(found, None) == "undecided"
    assert word_in_family(compared(0.0, patients=60), None) == "equivalent"


def test_notes_tell_of_misses_and_empty_folds():
    missed = row("fsm")
    missed.value_nS[3] = 0.0
    assert any(
        "missed" in note for note in compare(missed, row("unet"), metric=DSC, plan=PLAN).notes
    )
    found = compared(1.0, folds=4)
    assert "4 of 5 folds hold patients" in found.notes
    assert found.nadeau_bengio is None


def test_a_note_tells_of_an_effect_of_folds():
    fsm = row("fsm", patients=60)
    assert not any(
        "folds differ" in n
        for n in compare(fsm, row("unet", patients=60), metric=DSC, plan=PLAN).notes
    )
    fsm.value_nS[:] += 3.0 * np.array([1, -1, 0.5, -0.5, 0])[fsm.fold_n][:, None]
    found = compare(fsm, row("unet", patients=60), metric=DSC, plan=PLAN)
    assert found.fold_excess_p < 0.001
    told = "folds differ by more than patients and runs explain (p < 0.000001)"
    assert told in found.notes[-1] and "with 4.0 degrees of freedom" in found.notes[-1]


def test_levels():
    levels = [level_of(seeds, 5) for seeds in (1, 2, 3, 4, 5, 9)]
    assert levels == ["look", "look", "screen", "screen", "claim", "claim"]
    assert level_of(5, 4) == "screen"
