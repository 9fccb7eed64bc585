"""The primary interval against a published example, statsmodels and scipy."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm

from benchmark.errors import BadInput
from benchmark.scoring.statistics.components import (
    as_interval,
    components,
    interval,
    mean_of,
    p_two_sided,
    primary,
)

# Shrout & Fleiss, Psychological Bulletin 86 (1979), table 2: six targets, four judges. Their mean
# squares: targets 11.24, judges 32.49, residual 1.02.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]],
    dtype=float,
)


def planted(n=23, seeds=3, folds=5, run_sd=1.0, rng_seed=0):
    rng = np.random.default_rng(rng_seed)
    fold_n = np.arange(n) % folds
    run = rng.normal(0, run_sd, (folds, seeds))[fold_n]
    return rng.normal(0.7, 2, (n, 1)) + run + rng.normal(0, 1, (n, seeds)), fold_n


def test_published_two_way_random_effects():
    found = components(SHROUT_FLEISS, np.zeros(6, dtype=int))
    assert float(found.patient_squared) == pytest.approx(11.24 / 4, abs=0.002)
    assert float(found.run_squared) == pytest.approx((32.49 - 1.02) / 6, abs=0.002)
    assert float(found.error) ** 2 == pytest.approx((11.24 + 32.49 - 1.02) / 24, abs=0.002)


def test_mean_squares_of_statsmodels():
    """Balanced and unbalanced folds: the mean squares of a two-way analysis within each fold."""
    for n in (20, 23):
        value_nS, fold_n = planted(n=n)
        total = np.zeros(3)
        for fold in range(5):
            part = value_nS[fold_n == fold]
            i, s = np.indices(part.shape)
            frame = pd.DataFrame({"y": part.ravel(), "i": i.ravel(), "s": s.ravel()})
            total += anova_lm(smf.ols("y ~ C(i) + C(s)", frame).fit())["sum_sq"].to_numpy()
        patient, run, rest = total / [n - 5, 5 * 2, (n - 5) * 2]
        found = components(value_nS, fold_n)
        assert float(found.patient_squared) == pytest.approx(patient / 3, rel=1e-6)
        assert float(found.run_squared) == pytest.approx((run - rest) / (n / 5), rel=1e-6)
        runs = 3 * n**2 / sum(np.sum(fold_n == f) ** 2 for f in range(5))
        assert found.runs == pytest.approx(runs)
        parts = [patient / 3 / n, run / (n / 5) / runs, rest / (n / 5) / runs]
        squared = parts[0] + parts[1] - parts[2]
        df = squared**2 / sum(
            p**2 / d for p, d in zip(parts, [n - 5, 10, 2 * (n - 5)], strict=True)
        )
        assert float(found.error) == pytest.approx(np.sqrt(squared), rel=1e-6)
        assert float(found.degrees) == pytest.approx(df, rel=1e-6)


def test_reml_of_statsmodels_in_one_balanced_fold():
    """There REML and the analysis of variance are one where no component is cut off at 0."""
    value_nS, fold_n = planted(n=12, seeds=4, folds=1, run_sd=2)
    i, s = np.indices(value_nS.shape)
    frame = pd.DataFrame({"y": value_nS.ravel(), "i": i.ravel(), "s": s.ravel(), "all": 1})
    model = smf.mixedlm("y ~ 1", frame, groups="all", vc_formula={"i": "0 + C(i)", "s": "0 + C(s)"})
    fit = model.fit(reml=True, method="bfgs", gtol=1e-9)
    found = components(value_nS, fold_n)
    assert float(found.run_squared) > 0
    assert float(found.error) == pytest.approx(fit.bse["Intercept"], rel=1e-6)


def test_without_run_luck_it_is_the_patients_t_interval():
    """s_run^2 is cut off at 0; what is left is the t interval of patients within folds. (One fold:
    by the first analysis.)"""
    value_nS, _ = planted(n=20, folds=1, run_sd=0, rng_seed=1)
    value_nS -= value_nS.mean(axis=0)
    fold_n = np.zeros(20, dtype=int)
    found = primary(value_nS + 0.3, fold_n, fold_luck=False).interval
    mean_n = value_nS.mean(axis=1) + 0.3
    expected = stats.ttest_1samp(mean_n, 0)
    limits = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=1e-9)
    assert p_two_sided(found) == pytest.approx(expected.pvalue, abs=1e-9)


def test_run_luck_widens_the_interval():
    value_nS, fold_n = planted(n=90, run_sd=0)
    luck = np.random.default_rng(5).normal(0, 1.5, (5, 3))[fold_n]
    still, lucky = interval(value_nS, fold_n), interval(value_nS + luck, fold_n)
    assert lucky.error > 1.5 * still.error
    assert lucky.degrees < 30 < still.degrees


def test_one_seed_takes_runs_from_between_folds():
    rng = np.random.default_rng(2)
    fold_n = np.arange(20) % 5
    value_nS = rng.normal(0, 1, (20, 1)) + np.array([4.0, -4, 3, -3, 0])[fold_n][:, None]
    found = components(value_nS, fold_n)
    means = np.array([value_nS[fold_n == f].mean() for f in range(5)])
    assert float(found.error) == pytest.approx(stats.sem(means))
    assert float(found.degrees) == pytest.approx(4)
    with pytest.raises(BadInput, match="one fold and one seed"):
        components(value_nS, np.zeros(20, dtype=int))


def test_leading_axes_are_comparisons():
    values = np.stack([planted(rng_seed=k)[0] for k in range(4)])
    fold_n = planted()[1]
    together = components(values, fold_n)
    for k in range(4):
        alone = components(values[k], fold_n)
        assert float(together.error[k]) == pytest.approx(float(alone.error), rel=1e-12)
        assert float(together.degrees[k]) == pytest.approx(float(alone.degrees), rel=1e-12)


def test_fold_means_are_refused():
    with pytest.raises(BadInput, match="never one mean a fold"):
        interval(np.random.default_rng(0).normal(size=(7, 3)), np.arange(7))
    with pytest.raises(BadInput, match="5 values in 5 folds"):
        components(np.zeros((5, 3)), np.arange(5))


def test_fewer_than_six_patients_give_no_interval():
    value_nS, fold_n = planted(n=12, folds=3)
    assert interval(value_nS[:5], fold_n[:5]) is None
    assert interval(value_nS[:6], fold_n[:6]) is not None


@pytest.mark.parametrize("values", [np.zeros((20, 3)), np.ones((20, 3)), np.full((20, 3), 0.1)])
@pytest.mark.parametrize("fold_luck", [True, False])
def test_no_interval_has_width_0(values, fold_luck):
    fold_n = np.arange(20) % 5
    found = primary(values, fold_n, fold_luck=fold_luck)
    assert found.interval is None and "gains the same" in found.why_not


def test_where_only_folds_vary_they_are_the_interval():
    """The first analysis saw no spread there and gave a width of 0; now it is the t interval of the
    fold means."""
    fold_n, mean_F = np.arange(20) % 5, np.array([0.5, -0.3, 0.9, 0.2, -0.6])
    value_nS = np.repeat(mean_F[fold_n][:, None], 3, axis=1)
    found = interval(value_nS, fold_n)
    limits = stats.ttest_1samp(mean_F, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=1e-9)
    assert primary(value_nS, fold_n, fold_luck=False).interval is None


def test_the_luck_of_folds_does_not_average_out_over_seeds():
    mean_F = np.random.default_rng(3).normal(0, 1, 5)
    errors = []
    for seeds in (3, 30):
        value_nS, fold_n = planted(n=90, seeds=seeds, run_sd=0.3)
        errors.append(float(components(value_nS + mean_F[fold_n][:, None], fold_n).error))
    assert errors[1] > 0.8 * errors[0] > 0.3


def test_mean_squares_of_folds():
    """Even folds whose luck shows: the error is that of the fold means."""
    value_nS, fold_n = planted(n=20)
    value_nS = value_nS + np.array([3.0, -3, 2, -2, 0])[fold_n][:, None]
    found = components(value_nS, fold_n)
    means = np.array([value_nS[fold_n == f].mean() for f in range(5)])
    assert float(found.fold_squared) > 0
    assert float(found.error) == pytest.approx(stats.sem(means))
    assert float(found.degrees) == pytest.approx(4)


def test_one_large_fold_gives_values_only():
    value_nS, _ = planted(n=20)
    crowded = np.array([0] * 9 + [1] * 4 + [2] * 3 + [3] * 2 + [4] * 2)
    assert interval(value_nS, crowded) is None
    assert "one fold holds 9 of 20 patients" in primary(value_nS, crowded).why_not
    crowded[0] = 4  # 8 of 20: 40 % exactly
    assert interval(value_nS, crowded) is not None


def test_mean_of_two_sets():
    """Welch's degrees of freedom, as scipy has them for the difference of two means."""
    rng = np.random.default_rng(4)
    a, b = rng.normal(3, 1, 15), rng.normal(5, 3, 40)
    parts = [as_interval(x.mean(), stats.sem(x), len(x) - 1, level=0.95) for x in (a, b)]
    found = mean_of(parts)
    limits = stats.ttest_ind(a, -b, equal_var=False).confidence_interval()  # of the sum
    assert (found.low, found.high) == pytest.approx((limits.low / 2, limits.high / 2), abs=1e-9)
    with pytest.raises(BadInput, match="no interval"):
        mean_of([])
