"""A fold's own effect is seen, and mostly only where there is one."""

import numpy as np
import pytest
from scipy import stats

from benchmark.scoring.statistics.corrections import fold_excess_p

FOLD_N = np.arange(40) % 5


def p_of(fold_sd, draw, run_sd=0.5, patient_sd=1.0):
    rng = np.random.default_rng(draw)
    patient = rng.normal(0, patient_sd, (40, 1))
    run = rng.normal(0, run_sd, (5, 3))[FOLD_N]
    fold = rng.normal(0, fold_sd, (5, 1))[FOLD_N]
    return fold_excess_p(patient + run + fold + rng.normal(0, 0.5, (40, 3)), FOLD_N)


def test_it_is_as_rare_as_it_should_be():
    seen = np.mean([p_of(0.0, draw) <= 0.05 for draw in range(400)])
    assert 0.02 <= seen <= 0.09
    assert np.mean([p_of(2.0, draw) <= 0.05 for draw in range(100)]) > 0.9


def test_it_is_the_analysis_of_variance_without_runs():
    """Runs alike and folds of one size: a one-way analysis of variance of the patients."""
    gain_n = np.random.default_rng(0).normal(size=40)
    expected = stats.f_oneway(*[gain_n[fold == FOLD_N] for fold in range(5)]).pvalue
    assert fold_excess_p(np.repeat(gain_n[:, None], 3, axis=1), FOLD_N) == pytest.approx(
        expected, abs=1e-9
    )


def test_what_cannot_be_told():
    assert fold_excess_p(np.random.default_rng(0).normal(size=(40, 1)), FOLD_N) is None
    assert fold_excess_p(np.random.default_rng(0).normal(size=(40, 3)), FOLD_N * 0) is None
    assert fold_excess_p(np.zeros((40, 3)), FOLD_N) is None
