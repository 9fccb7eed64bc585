"""How often the statistics are wrong, by simulation: the numbers of docs/statistics.md.

Rows are drawn in which no row is better than another. A value is patient + run + rest; the luck of
a run is shared by the test patients of its fold. All sds are those of one row, in points, so
that the difference of two rows has sqrt(2) of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmark.plan.analysis import ASSD, DSC
from benchmark.scoring.statistics.components import Components, components
from benchmark.scoring.statistics.families import holm
from benchmark.scoring.statistics.layout import Floats, Integers

ROWS = 7  # Table 1: the baseline first, the subject last, the three ablations before it
CHUNK = 200  # draws at a time: bounds the memory
BETA = (54.0, 6.0)  # DSC of 90 +- 3.8 points
DICE_SD = 3.8
BETA_GRID = np.linspace(-6, 6, 4001)
BETA_DSC = 100 * stats.beta.ppf(stats.norm.cdf(BETA_GRID), *BETA)


@dataclass(frozen=True, kw_only=True)
class Design:
    """One cell of the simulation: the design, the sds of a row in points, and the shape.

    `missed` is None for normal values; else values are a mixture, DSC of a beta distribution
    (90 +- 3.8) and zeros, of which the baseline and the subject have these shares."""

    patients: int
    seeds: int
    run_sd: float
    patient_sd: float = 1.4
    rest_sd: float = 0.7
    folds: int = 5
    missed: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Shares of draws, in percent.

    `coverage`: the primary interval holds the true difference. `family_rows`, `family_ablations`:
    Holm rejects anything in the family. `equivalent`, `tost`: with a true difference of exactly
    the margin, equivalence is declared by the interval, or by TOST at 5 %. `wilcoxon`: the
    patients' Wilcoxon test rejects at 5 %. nan where not simulated.
    """

    coverage: float
    family_rows: float = float("nan")
    family_ablations: float = float("nan")
    equivalent: float = float("nan")
    tost: float = float("nan")
    wilcoxon: float = float("nan")


def calibrate(design: Design, *, draws: int, seed: int) -> Calibration:
    """Return how often the statistics err in `draws` simulated comparisons of one design."""
    rng = np.random.default_rng(seed)
    one = _normal_chunk if design.missed is None else _mixture_chunk
    found: dict[str, list[Floats]] = {}
    for start in range(0, draws, CHUNK):
        chunk = one(design, min(CHUNK, draws - start), rng)
        for name, wrong in chunk.items():
            found.setdefault(name, []).append(wrong)
    return Calibration(
        **{name: 100 * float(np.concatenate(each).mean()) for name, each in found.items()}
    )


def _folds(design: Design) -> Integers:
    return np.arange(design.patients) % design.folds


def _effects(design: Design, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """patient + run + rest, in points, of shape (*shape, n, S)."""
    fold_n, n, n_seeds = _folds(design), design.patients, design.seeds
    patient = design.patient_sd * rng.standard_normal((*shape, n, 1))
    run = design.run_sd * rng.standard_normal((*shape, design.folds, n_seeds))
    rest = design.rest_sd * rng.standard_normal((*shape, n, n_seeds))
    total: Floats = patient + run[..., fold_n, :] + rest
    return total


def _normal_chunk(design: Design, draws: int, rng: np.random.Generator) -> dict[str, Floats]:
    fold_n = _folds(design)
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
        p_bk = np.stack([_p(components(a - b, fold_n)) for a, b in pairs], axis=-1)
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
    fold_n, n = _folds(design), design.patients
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
    return {"coverage": _covers(components(rows[1] - rows[0], fold_n), truth)}


def _p(found: Components) -> Floats:
    return np.asarray(2 * stats.t.sf(np.abs(found.mean) / found.error, found.degrees))


def _share(wrong: NDArray[np.bool_] | np.bool_) -> Floats:
    return np.asarray(wrong, dtype=np.float64)


def _covers(found: Components, truth: float) -> Floats:
    half = stats.t.ppf(0.975, found.degrees) * found.error
    return _share(np.abs(found.mean - truth) <= half)


def _within(found: Components, quantile: float) -> Floats:
    """Whether the interval with this one-sided level lies inside the margin."""
    half = stats.t.ppf(quantile, found.degrees) * found.error
    return _share(np.abs(found.mean) + half < DSC.margin)
