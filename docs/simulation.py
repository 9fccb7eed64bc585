"""How often the statistics are wrong, by simulation: what `calibration.py` makes the page of.

Rows are drawn in which no row is better than another. A value is patient + fold + run + rest; the
luck of a fold is shared by its test patients in all seeds, that of a run by its test patients.
All sds are those of one row, in points, so that the difference of two rows has sqrt(2) of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmark.plan.analysis import ASSD, DSC, AnalysisPlan
from benchmark.scoring.comparison import compare_gain
from benchmark.scoring.statistics.components import Components, components
from benchmark.scoring.statistics.corrections import holm
from benchmark.scoring.statistics.layout import Floats, Integers

ROWS = 7  # Table 1: the baseline first, the subject last, the three ablations before it
CHUNK = 200  # draws at a time: bounds the memory
BETA = (54.0, 6.0)  # DSC of 90 +- 3.8 points
DICE_SD = 3.8
BETA_GRID = np.linspace(-6, 6, 4001)
BETA_DSC = 100 * stats.beta.ppf(stats.norm.cdf(BETA_GRID), *BETA)
UNEVEN = (0.38, 0.26, 0.18, 0.10, 0.08)  # shares of the patients, no fold over 40 %
SKEW = 0.9  # of the logarithm of a gain


@dataclass(frozen=True, kw_only=True)
class Design:
    """One cell of the simulation: the design, the sds of a row in points, and the shape.

    `missed` is None for normal values; else values are a mixture, DSC of a beta distribution
    (90 +- 3.8) and zeros, of which the baseline and the subject have these shares. `skewed`
    makes the patients' gains lognormal. `gain` is the true difference."""

    patients: int
    seeds: int
    run_sd: float
    fold_sd: float = 0.0
    patient_sd: float = 1.4
    rest_sd: float = 0.7
    uneven: bool = False
    skewed: bool = False
    gain: float = 0.0
    missed: tuple[float, float] | None = None

    @property
    def fold_n(self) -> Integers:
        """The fold of each patient."""
        if not self.uneven:
            return np.arange(self.patients) % 5
        ends = np.rint(np.cumsum(UNEVEN) * self.patients)
        return np.searchsorted(ends, np.arange(self.patients), side="right")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Shares of draws, in percent.

    `coverage`: the primary interval holds the true difference. `false_word`: better or worse
    although it is 0. `found`: the row is called better. `family_rows`, `family_ablations`: Holm
    rejects anything in the family. `equivalent`, `tost`: with a true difference of exactly
    the margin, equivalence is declared by the interval, or by TOST at 5 %. `wilcoxon`: the
    patients' Wilcoxon test rejects at 5 %. `coverage_first` and `false_word_first` are those of the
    first analysis, which did not know folds; `width`, `width_median` its interval's width as a
    multiple of it, by the means and by the median ratio. nan where not simulated.
    """

    coverage: float
    false_word: float = float("nan")
    found: float = float("nan")
    coverage_first: float = float("nan")
    false_word_first: float = float("nan")
    width: float = float("nan")
    width_median: float = float("nan")
    family_rows: float = float("nan")
    family_ablations: float = float("nan")
    equivalent: float = float("nan")
    tost: float = float("nan")
    wilcoxon: float = float("nan")


def calibrate(design: Design, *, draws: int, seed: int, families: bool = True) -> Calibration:
    """Return how often the statistics err in `draws` simulated comparisons of one design.

    Words are those before the one-patient rule, which makes more of them "undecided". Without
    `families`, the subject and the baseline alone are drawn."""
    rng = np.random.default_rng(seed)
    one = _pair_chunk if design.missed is None else _mixture_chunk
    if design.missed is None and families:
        one = _family_chunk
    found: dict[str, list[Floats]] = {}
    for start in range(0, draws, CHUNK):
        chunk = one(design, min(CHUNK, draws - start), rng)
        for name, wrong in chunk.items():
            found.setdefault(name, []).append(wrong)
    whole = {name: np.concatenate(each) for name, each in found.items()}
    now, first = (whole.pop(name, None) for name in ("half", "half_first"))
    shares = {name: 100 * float(each.mean()) for name, each in whole.items()}
    if now is not None and first is not None:
        shares |= {"width": float(now.mean() / first.mean()),
                   "width_median": float(np.median(now / first))}  # fmt: skip
    return Calibration(**shares)


def single_failures(design: Design, *, points: float, draws: int, seed: int) -> dict[str, float]:
    """Return how often each word ends a sample in which a single patient fails in all seeds.

    Each of n patients fails with probability 1/n and then loses `points`; words are those of
    `compare_gain`, the one-patient rule included. "samples" counts those of `draws` with one."""
    rng = np.random.default_rng(seed)
    plan = AnalysisPlan(draws_bootstrap=2)
    words: list[str] = []
    for gain_nS in draw_gains(design, draws, rng):
        failed = rng.random(design.patients) < 1 / design.patients
        if failed.sum() != 1:
            continue
        hit_nS = gain_nS - points * failed[:, None]
        cases = [str(i) for i in range(design.patients)]
        found = compare_gain(hit_nS, design.fold_n, cases=cases, row="row", reference="reference",
                             metric=DSC, plan=plan)  # fmt: skip
        words.append(found.word)
    shares = {word: 100 * words.count(word) / len(words) for word in dict.fromkeys(words)}
    return {"samples": float(len(words)), **shares}


def _effects(design: Design, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """patient + fold + run + rest, in points, of shape (*shape, n, S)."""
    fold_n, n, n_seeds = design.fold_n, design.patients, design.seeds
    patient = design.patient_sd * _standard(design.skewed, (*shape, n, 1), rng)
    run = design.run_sd * rng.standard_normal((*shape, 5, n_seeds))
    fold = design.fold_sd * rng.standard_normal((*shape, 5, 1))
    rest = design.rest_sd * rng.standard_normal((*shape, n, n_seeds))
    total: Floats = patient + (fold + run)[..., fold_n, :] + rest
    return total


def _standard(skewed: bool, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draws of mean 0 and sd 1, normal or lognormal."""
    drawn = rng.standard_normal(shape)
    if not skewed:
        return drawn
    mean, square = np.exp(SKEW**2 / 2), np.exp(SKEW**2)
    return np.asarray((np.exp(SKEW * drawn) - mean) / (mean * np.sqrt(square - 1)))


def draw_gains(design: Design, draws: int, rng: np.random.Generator) -> Floats:
    """Differences of two rows, of shape (draws, n, S). The difference of the patients' effects is
    what is skewed: that of two skewed rows would be symmetric."""
    return np.asarray(design.gain + np.sqrt(2) * _effects(design, (draws,), rng))


def _pair_chunk(design: Design, draws: int, rng: np.random.Generator) -> dict[str, Floats]:
    gain = draw_gains(design, draws, rng)
    found, first = (components(gain, design.fold_n, fold_luck=luck) for luck in (True, False))
    better, worse = _words(found, gain)
    return {
        "coverage": _covers(found, design.gain),
        "coverage_first": _covers(first, design.gain),
        "false_word": _share(better | worse),
        "false_word_first": _share(np.logical_or(*_words(first, gain))),
        "found": _share(better),
        "half": _half(found, 0.975),
        "half_first": _half(first, 0.975),
    }


def _family_chunk(design: Design, draws: int, rng: np.random.Generator) -> dict[str, Floats]:
    fold_n = design.fold_n
    dsc = _effects(design, (ROWS, draws), rng)
    # a good DSC goes with a good ASSD: correlation 0.8
    assd = ASSD.margin * (0.8 * dsc + 0.6 * _effects(design, (ROWS, draws), rng))
    gains = {
        "family_rows": [
            (metric[row], metric[0]) for row in range(1, ROWS) for metric in (dsc, assd)
        ],
        "family_ablations": [
            (metric[-1], metric[row]) for row in (-2, -3, -4) for metric in (dsc, assd)
        ],
    }
    found: dict[str, Floats] = {}
    for name, pairs in gains.items():
        p_bk = np.stack([_family_p(components(a - b, fold_n)) for a, b in pairs], axis=-1)
        found[name] = _share((holm(p_bk) <= 0.05).any(axis=-1))
    subject = dsc[-1] - dsc[0]
    at_margin = components(subject + DSC.margin, fold_n)
    found["coverage"] = _covers(components(subject, fold_n), 0.0)
    found["equivalent"] = _within(at_margin, 0.975)
    found["tost"] = _within(at_margin, 0.95)
    found["wilcoxon"] = _share(stats.wilcoxon(subject.mean(axis=-1), axis=-1).pvalue <= 0.05)
    return found


def _mixture_chunk(design: Design, draws: int, rng: np.random.Generator) -> dict[str, Floats]:
    assert design.missed is not None
    n = design.patients
    rows = []
    common = rng.standard_normal((draws, n, 1))  # a hard patient is hard for every row
    hard = rng.standard_normal((draws, n, 1))
    own_sd = np.sqrt(design.patient_sd**2 + design.run_sd**2 + design.rest_sd**2) / DICE_SD
    for missed in design.missed:
        own = _effects(design, (draws,), rng) / DICE_SD
        score = np.sqrt(max(1 - own_sd**2, 0.0)) * common + own
        dsc = np.interp(score, BETA_GRID, BETA_DSC)
        luck = 0.8 * hard + 0.6 * rng.standard_normal(dsc.shape)
        rows.append(np.where(luck < stats.norm.ppf(missed), 0.0, dsc))
    mean = 100 * BETA[0] / sum(BETA)
    truth = mean * (design.missed[0] - design.missed[1])
    return {"coverage": _covers(components(rows[1] - rows[0], design.fold_n), truth)}


def _words(found: Components, gain: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which draws are called better, and which worse: `words.word_of` for many at once."""
    half = _half(found, 0.975)
    gain_n = gain.mean(axis=-1)
    published = stats.t.sf(np.abs(found.mean) / stats.sem(gain_n, axis=-1), gain_n.shape[-1] - 1)
    sure = (np.maximum(published, _p(found) / 2) <= 0.05) & (np.abs(found.mean) > half)
    sure &= np.abs(found.mean) + half >= DSC.margin  # else equivalent
    return sure & (found.mean > 0), sure & (found.mean < 0)


def _p(found: Components) -> Floats:
    return np.asarray(2 * stats.t.sf(np.abs(found.mean) / found.error, found.degrees))


def _family_p(found: Components) -> Floats:
    """`components.p_in_family` of many comparisons of five folds."""
    return _p(replace(found, degrees=np.minimum(found.degrees, 8.0)))


def _share(wrong: NDArray[np.bool_] | np.bool_) -> Floats:
    return np.asarray(wrong, dtype=np.float64)


def _half(found: Components, quantile: float) -> Floats:
    return np.asarray(stats.t.ppf(quantile, found.degrees) * found.error)


def _covers(found: Components, truth: float) -> Floats:
    return _share(np.abs(found.mean - truth) <= _half(found, 0.975))


def _within(found: Components, quantile: float) -> Floats:
    """Whether the interval with this one-sided level lies inside the margin."""
    return _share(np.abs(found.mean) + _half(found, quantile) < DSC.margin)
