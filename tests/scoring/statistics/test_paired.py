"""Tests beside the primary interval against scipy, statsmodels and published examples."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from benchmark.errors import BadInput
from benchmark.scoring.statistics.components import as_interval
from benchmark.scoring.statistics.paired import (
    EXACT_RANKS,
    equivalence,
    false_claim_probability,
    nadeau_bengio,
    probability_better,
    sign_flip_p,
    ttost_p,
    wilcoxon_p,
)

# Darwin's maize in Fisher, The Design of Experiments (1935), section 21: of 32,768 assignments of
# signs 1,726 give a sum at least as far from 0 as the observed 314 (eighths of an inch).
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=float)
FOLDS = np.arange(20) % 5


def gains(n=20, mean=0.4, rng_seed=0):
    return np.random.default_rng(rng_seed).normal(mean, 1, n)


def patients_interval(gain_n, level=0.95):
    return as_interval(gain_n.mean(), stats.sem(gain_n), len(gain_n) - 1, level=level)


def test_sign_flip_of_fishers_example():
    assert sign_flip_p(DARWIN) == pytest.approx(1726 / 32768, abs=1e-12)


def test_sign_flip_agrees_with_scipy():
    gain_n = gains(12)
    expected = stats.permutation_test(
        (gain_n,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(gain_n) == pytest.approx(expected.pvalue, abs=1e-12)


def test_sign_flip_by_sampling_beyond_twenty_patients():
    gain_n = gains(60, mean=0.2)
    assert sign_flip_p(gain_n) == pytest.approx(stats.ttest_1samp(gain_n, 0).pvalue, abs=0.02)
    assert sign_flip_p(gain_n) == sign_flip_p(gain_n)
    assert sign_flip_p(np.full(60, 3.0)) == pytest.approx(1 / 10_001)


def test_wilcoxon_agrees_with_scipy():
    assert wilcoxon_p(DARWIN) == pytest.approx(stats.wilcoxon(DARWIN).pvalue, abs=1e-12)
    assert wilcoxon_p(np.zeros(12)) == 1.0


def test_wilcoxon_is_exact_with_ties_and_zeros():
    """All 2^m signs of the ranks, by SciPy's permutation test."""
    gain_n = np.array([0, 0, 1, 1, -1, 2, 2, -3, 4, 4, 4, -5, 6], dtype=float)
    moved = gain_n[gain_n != 0]
    expected = stats.permutation_test(
        (moved,),
        lambda x: np.sum(np.sign(x) * stats.rankdata(abs(x))),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert wilcoxon_p(gain_n) == pytest.approx(expected.pvalue, abs=1e-12)


def test_wilcoxon_of_one_patient_is_the_same_among_any_number():
    """SciPy's own switch gives 1.0 among 12 and 0.317 among 30."""
    for n in (12, 30, 60):
        gain_n = np.zeros(n)
        gain_n[3] = -2.0
        assert wilcoxon_p(gain_n) == 1.0


def test_wilcoxon_changes_to_the_approximation_without_a_step():
    for mean in (0.1, 0.2):
        gain_n = gains(EXACT_RANKS, mean=mean)
        exact = wilcoxon_p(gain_n[:-1])
        assert stats.wilcoxon(gain_n[:-1], method="approx").pvalue == pytest.approx(exact, rel=0.06)


@pytest.mark.parametrize("test", [sign_flip_p, wilcoxon_p, lambda gain_n: ttost_p(gain_n, 1.0)])
@pytest.mark.parametrize("n", [5, 11])
def test_no_p_of_fold_means_or_few_patients(test, n):
    with pytest.raises(BadInput, match=r"at least 12 patients.*five fold means never"):
        test(gains(n))
    test(gains(12))


@pytest.mark.parametrize("mean", [0.0, 0.9, 1.4])
def test_equivalence_agrees_with_ttost_paired(mean):
    a, b = gains(30, mean), gains(30, 0, rng_seed=1)
    expected = ttost_paired(a, b, -1.0, 1.0)[0]
    assert equivalence(patients_interval(a - b), 1.0).p == pytest.approx(expected, abs=1e-9)
    assert ttost_p(a - b, 1.0) == pytest.approx(expected, abs=1e-9)


def test_equivalence_needs_the_whole_95_percent_interval():
    """Stricter than TOST at 5 %: there the 90 % interval would do."""
    found = as_interval(0.0, 0.5, 100, level=0.95)
    just = equivalence(found, 0.9)
    assert just.p < 0.05
    assert not just.holds
    assert equivalence(found, 1.0).holds
    assert not equivalence(as_interval(2.0, 0.5, 100, level=0.95), 1.0).holds


def test_nadeau_bengio_factors():
    """Five folds have 0.45 where independence has 0.20; 5 x 5 runs 0.29 for 0.04."""
    for seeds, factor in ((1, 0.45), (5, 0.29)):
        gain_nS = np.random.default_rng(3).normal(0.5, 1, (20, seeds))
        means = np.array([gain_nS[f == FOLDS].mean(axis=0) for f in range(5)]).ravel()
        found = nadeau_bengio(gain_nS, FOLDS, folds=5)
        assert found.error == pytest.approx(np.sqrt(factor * means.var(ddof=1)))
        assert found.degrees == len(means) - 1
        t = stats.t.ppf(0.975, len(means) - 1)
        assert found.high == pytest.approx(means.mean() + t * found.error)


def test_nadeau_bengio_of_an_empty_fold_is_not_defined():
    assert nadeau_bengio(gains(16).reshape(-1, 1), FOLDS[FOLDS != 4], folds=5) is None


def test_probability_better():
    gain_nS = np.ones((20, 3))
    gain_nS[:4] = -1
    gain_nS[4:8] = 0
    better, low, high = probability_better(gain_nS, FOLDS, draws=2000)
    assert better == pytest.approx(0.7)
    assert low == pytest.approx(0.7 - 1.96 * np.sqrt((0.64 + 0.04 - 0.36 + 0.04) / 4 / 20), abs=0.2)
    assert low < 0.6 < 0.8 < high
    assert probability_better(np.ones((20, 3)), FOLDS, draws=50) == (1.0, 1.0, 1.0)


def test_false_claim_probability_is_the_published_formula():
    a, b = gains(40, 90.5), gains(40, 90.1, rng_seed=1)
    s_a, s_b, r = a.std(ddof=1), b.std(ddof=1), np.corrcoef(a, b)[0, 1]
    sd = np.sqrt(s_a**2 + s_b**2 - 2 * s_a * s_b * r)
    published = stats.t.cdf(np.sqrt(40) * (b.mean() - a.mean()) / sd, 39)
    found = false_claim_probability((a - b)[:, None], patients_interval(a - b))
    assert found == pytest.approx(published, abs=1e-9)
    # the primary interval knows more luck: the larger probability is told
    wide = as_interval(float((a - b).mean()), 3.0, 10, level=0.95)
    assert false_claim_probability((a - b)[:, None], wide) > found
