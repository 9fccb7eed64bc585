"""The number of patients that would decide, and the smallest detectable difference."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from benchmark.plan.analysis import AnalysisPlan
from benchmark.scoring.statistics.components import Components, as_interval
from benchmark.scoring.statistics.corrections import Needed, patients_needed, smallest_detectable
from benchmark.scoring.statistics.paired import primary_of, word_of


def spread(patient=4.0, run=0.0, seeds=3, fold=0.0):
    return Components(
        mean=np.asarray(0.3),
        patient_squared=np.asarray(patient),
        fold_squared=np.asarray(fold),
        run_squared=np.asarray(run),
        degrees=np.asarray(15.0),
        n=20,
        folds=5.0,
        runs=5.0 * seeds,
    )


def half_width(n, patient, run, seeds):
    a, b = patient / n, run / (5 * seeds)
    df = (a + b) ** 2 / (a**2 / (n - 5) + b**2 / (5 * (seeds - 1)))
    return stats.t.ppf(0.975, df) * np.sqrt(a + b)


@pytest.mark.parametrize("run", [0.0, 0.25])
def test_it_is_the_least_number_that_decides(run):
    found = patients_needed(0.5, spread(run=run), seeds=3, folds=5)
    assert found.seeds == 3
    assert half_width(found.patients, 4.0, run, 3) < 0.5
    assert half_width(found.patients - 1, 4.0, run, 3) >= 0.5


def test_seeds_are_added_where_no_number_of_patients_is_enough():
    found = patients_needed(0.5, spread(run=2.0), seeds=3, folds=5)
    assert half_width(100_000, 4.0, 2.0, found.seeds) < 0.5
    assert half_width(100_000, 4.0, 2.0, found.seeds - 1) >= 0.5
    assert found.seeds > 3


def test_the_luck_of_folds_is_averaged_out_by_neither_patients_nor_seeds():
    """Where folds differ their means tell all, with folds - 1 degrees of freedom."""
    found = patients_needed(1.5, spread(run=0.25, fold=1.0), seeds=3, folds=5)
    t = stats.t.ppf(0.975, 4)
    halves = [t * np.sqrt(4.0 / (found.patients - k) + 0.25 / 15 + 1.0 / 5) for k in (0, 1)]
    assert halves[0] < 1.5 <= halves[1]
    assert patients_needed(t * np.sqrt(0.2), spread(fold=1.0), seeds=3, folds=5) is None


def test_what_nothing_decides():
    assert patients_needed(0.0, spread(), seeds=3, folds=5) is None
    assert patients_needed(0.001, spread(run=9.0), seeds=3, folds=5) is None
    assert patients_needed(1.0, spread(patient=np.nan), seeds=3, folds=5) is None


def test_an_interval_needs_six_patients_whatever_the_spread():
    assert patients_needed(9.0, spread(0.01), seeds=1, folds=5) == Needed(patients=6, seeds=1)


def test_smallest_detectable_difference_has_its_power():
    found = smallest_detectable(as_interval(0.1, 2 / np.sqrt(30), 29, level=0.95), margin=0.0)
    power = TTestPower().power(found / 2, 30, 0.05)
    assert power == pytest.approx(0.8, abs=0.01)  # the shifted t stands for the noncentral one


def test_smallest_detectable_difference_is_called_better_as_often_as_it_says():
    rng, plan = np.random.default_rng(0), AnalysisPlan()
    usual, fold_n = plan.metric("dsc"), np.arange(60) % 5
    noise_SnS = rng.normal(0, 0.6, (400, 60, 3))
    for metric in (usual, replace(usual, margin=0.05)):  # the margin decides, and it does not
        primaries = [primary_of(noise_nS, fold_n, plan).interval for noise_nS in noise_SnS]
        least = np.median([smallest_detectable(one, margin=metric.margin) for one in primaries])
        words = [
            word_of(noise_nS + least, fold_n, primary_of(noise_nS + least, fold_n, plan).interval,
                    (), metric, plan)
            for noise_nS in noise_SnS
        ]  # fmt: skip
        assert words.count("better") / len(words) == pytest.approx(0.8, abs=0.1)
