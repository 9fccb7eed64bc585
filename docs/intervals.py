"""Compare candidates for the primary interval, by simulation: the tables of decision 0019.

python docs/intervals.py   # coverage, width and power; a few minutes, writes nothing

Candidates: `runs` (the first analysis: patients and runs), `folds` (in use: random folds as well,
Satterthwaite), `means` (t of the fold means), `sum` (each component times the t quantile of its own
degrees of freedom), `nadeau` (Nadeau-Bengio), `bca` and `studentised` (bootstrap of patients
within folds). Last, the least width that any function of the two mean squares can have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import optimize, stats
from simulation import Design, draw_gains

from benchmark.scoring.statistics.components import components
from benchmark.scoring.statistics.layout import Floats

DRAWS, BOOTS, LEVEL = 2000, 400, 0.975
Ends = tuple[Floats, Floats]
DESIGNS = {
    "normal, folds alike": Design(patients=20, seeds=3, run_sd=0.5),
    "fold sd 0.5": Design(patients=20, seeds=3, run_sd=0.5, fold_sd=0.5),
    "fold sd 0.5, 90 patients": Design(patients=90, seeds=5, run_sd=0.0, fold_sd=0.5),
    "fold sd 1, 90 patients": Design(patients=90, seeds=3, run_sd=0.5, fold_sd=1.0),
    "uneven, fold sd 0.5": Design(patients=20, seeds=3, run_sd=0.5, fold_sd=0.5, uneven=True),
    "skewed, 12 patients": Design(patients=12, seeds=5, run_sd=0.0, skewed=True),
    "skewed, 20 patients": Design(patients=20, seeds=5, run_sd=0.0, skewed=True),
    "gain of 2, 15 patients": Design(patients=15, seeds=3, run_sd=0.5, fold_sd=0.3, gain=2.0),
    "gain of 2, 20 patients": Design(patients=20, seeds=5, run_sd=0.5, fold_sd=0.3, gain=2.0),
}


def by_components(gain: Floats, design: Design, *, fold_luck: bool) -> Ends:
    """Return the ends of the first analysis or of the one in use."""
    found = components(gain, design.fold_n, fold_luck=fold_luck)
    half = stats.t.ppf(LEVEL, found.degrees) * found.error
    return found.mean - half, found.mean + half


def fold_means(gain: Floats, design: Design) -> Floats:
    """Return the mean of each fold, of shape (draws, folds)."""
    folds = [design.fold_n == fold for fold in range(5)]
    return np.stack([gain[:, each].mean(axis=(1, 2)) for each in folds], axis=-1)


def by_means(gain: Floats, design: Design) -> Ends:
    """Return the t interval of the fold means."""
    means = fold_means(gain, design)
    half = stats.t.ppf(LEVEL, 4) * stats.sem(means, axis=-1)
    return means.mean(axis=-1) - half, means.mean(axis=-1) + half


def by_sum(gain: Floats, design: Design) -> Ends:
    """Return the interval whose squared half width is the sum of the components' own."""
    first = components(gain, design.fold_n, fold_luck=False)
    whole = components(gain, design.fold_n)
    within = (stats.t.ppf(LEVEL, first.degrees) * first.error) ** 2
    half = np.sqrt(within + stats.t.ppf(LEVEL, 4) ** 2 * whole.fold_squared / whole.folds)
    return whole.mean - half, whole.mean + half


def by_nadeau(gain: Floats, design: Design) -> Ends:
    """Return the Nadeau-Bengio interval."""
    runs = [gain[:, design.fold_n == fold].mean(axis=1) for fold in range(5)]
    means = np.concatenate(runs, axis=-1)
    count = means.shape[-1]
    error = np.sqrt((1 / count + 1 / 4) * means.var(axis=-1, ddof=1))
    half = stats.t.ppf(LEVEL, count - 1) * error
    return means.mean(axis=-1) - half, means.mean(axis=-1) + half


def by_bootstrap(gain: Floats, design: Design, *, studentised: bool) -> Ends:
    """Return BCa or studentised bootstrap ends, patients drawn within folds."""
    rng, ends = np.random.default_rng(0), []
    folds = [np.flatnonzero(design.fold_n == fold) for fold in range(5)]
    for gain_n in gain.mean(axis=2):
        picks = np.concatenate([rng.choice(each, (BOOTS, len(each))) for each in folds], axis=1)
        drawn = gain_n[picks]
        ends.append(_studentised(gain_n, drawn) if studentised else _bca(gain_n, drawn))
    low, high = np.transpose(ends)
    return low, high


def _studentised(gain_n: Floats, drawn: Floats) -> tuple[float, float]:
    ratio = (drawn.mean(axis=1) - gain_n.mean()) / np.maximum(stats.sem(drawn, axis=1), 1e-12)
    low, high = np.quantile(ratio, [LEVEL, 1 - LEVEL])
    return gain_n.mean() - low * stats.sem(gain_n), gain_n.mean() - high * stats.sem(gain_n)


def _bca(gain_n: Floats, drawn: Floats) -> tuple[float, float]:
    means, apart = drawn.mean(axis=1), gain_n.mean() - gain_n
    bias = stats.norm.ppf(np.clip(np.mean(means < gain_n.mean()), 1 / BOOTS, 1 - 1 / BOOTS))
    skew = -(apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    z = bias + stats.norm.ppf([1 - LEVEL, LEVEL])
    low, high = np.quantile(means, stats.norm.cdf(bias + z / (1 - skew * z)))
    return float(low), float(high)


CANDIDATES: Mapping[str, Callable[[Floats, Design], Ends]] = {
    "runs": lambda gain, design: by_components(gain, design, fold_luck=False),
    "folds": lambda gain, design: by_components(gain, design, fold_luck=True),
    "means": by_means,
    "sum": by_sum,
    "nadeau": by_nadeau,
    "bca": lambda gain, design: by_bootstrap(gain, design, studentised=False),
    "studentised": lambda gain, design: by_bootstrap(gain, design, studentised=True),
}


def least_width(coverage: float, degrees: int = 85) -> float:
    """Return the least mean width, as a multiple of the first analysis's where folds are alike, of
    an interval that covers so often whatever the folds' luck.

    The half width is any rising function of the ratio of the two mean squares, times the root of
    the patients'; searched over splines of 14 knots."""
    share = (np.arange(200) + 0.5) / 200
    between, within = stats.chi2.ppf(share, 4) / 4, stats.chi2.ppf(share[::5], degrees) / degrees
    knots = np.linspace(np.log(0.05), np.log(60), 14)
    luck = np.exp(np.linspace(0, 4.5, 24))
    plain = stats.t.ppf(LEVEL, degrees) * np.sqrt(within).mean()

    def half(height: Floats, times: float) -> Floats:
        ratio = np.log(times * between[:, None] / within[None, :])
        grown = 0.5 * np.maximum(ratio - knots[-1], 0)
        return np.asarray(np.exp(np.interp(ratio, knots, height) + grown) * np.sqrt(within))

    def covered(height: Floats) -> Floats:
        z = [half(height, times) / np.sqrt(times) for times in luck]
        return np.array([(2 * stats.norm.cdf(each) - 1).mean() for each in z])

    start = np.log(np.maximum(2, 2.776 * np.exp(knots / 2)))
    limits = [
        {"type": "ineq", "fun": lambda height: 10 * (covered(height) - coverage)},
        {"type": "ineq", "fun": np.diff},
    ]
    found = optimize.minimize(
        lambda height: half(height, 1.0).mean() / plain,
        start,
        constraints=limits,
        method="SLSQP",
        options={"maxiter": 60},
    )
    assert covered(found.x).min() > coverage - 1e-4
    return float(found.fun)


def main() -> None:
    """Print coverage, width and power of every candidate."""
    print(f"| design | {' | '.join(CANDIDATES)} |\n{'|---' * (len(CANDIDATES) + 1)}|")
    for name, design in DESIGNS.items():
        gain = draw_gains(design, DRAWS, np.random.default_rng(12))
        cells = []
        for ends in CANDIDATES.values():
            low, high = ends(gain, design)
            share = np.mean(low > 0) if design.gain else np.mean((low <= 0) & (high >= 0))
            cells.append(f"{100 * share:.1f}, {np.mean(high - low):.2f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for coverage in (0.93, 0.94):
        print(f"least width with coverage {coverage:.0%}: {least_width(coverage):.2f}", flush=True)


if __name__ == "__main__":
    main()
