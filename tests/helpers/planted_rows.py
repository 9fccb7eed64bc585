"""Rows with a planted truth: patient + fold + run + rest, in points of DSC."""

from __future__ import annotations

import numpy as np

from benchmark.plan.analysis import CONTROLS, DSC, AnalysisPlan
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.statistics.layout import Incomplete, RowValues

PLAN = AnalysisPlan(draws_bootstrap=200, draws_rank=200)


def row(
    name: str,
    mean: float = 90.0,
    *,
    patients: int = 20,
    seeds: int = 5,
    folds: int = 5,
    patient_sd: float = 0.8,
    run_sd: float = 0.3,
    rest_sd: float = 0.5,
    fold_sd: float = 0.0,
    luck: int = 0,
) -> RowValues:
    """A row whose luck is its own: a function of its name and `luck`. Its folds differ by `fold_sd`
    exactly, over several seeds: of one seed, by the luck of its runs."""
    rng = np.random.default_rng([luck, *name.encode()])
    fold_n = np.arange(patients) % folds
    common = np.random.default_rng(luck).normal(0, 3, (patients, 1))  # shared by all rows
    common -= common.mean()
    own = rng.normal(0, patient_sd, (patients, 1))
    run = rng.normal(0, run_sd, (folds, seeds))[fold_n]
    rest = rng.normal(0, rest_sd, (patients, seeds))
    drawn = own + run + rest
    for fold in np.unique(fold_n) if seeds > 1 else ():
        drawn[fold_n == fold] -= drawn[fold_n == fold].mean()
    tilt = np.linspace(-1, 1, folds) / np.linspace(-1, 1, folds).std(ddof=1)
    drawn += fold_sd * rng.permutation(tilt)[fold_n][:, None]
    centred = drawn - drawn.mean()  # the planted mean, exactly
    return RowValues(
        row=name,
        cases=tuple(f"case_{i}" for i in range(patients)),
        seeds=tuple(range(seeds)),
        fold_n=fold_n,
        value_nS=mean + common + centred,
    )


def against_controls(
    gain: float | dict[str, float], **design: float
) -> dict[str, Comparison | Incomplete]:
    """fsm against every control; `gain` is its gain over all, or over some by name (others 5)."""
    gains = {c: gain.get(c, 5.0) if isinstance(gain, dict) else gain for c in CONTROLS}
    fsm = row("fsm", 90.0, **design)
    return {
        name: compare(fsm, row(name, 90.0 - g, **design), metric=DSC, plan=PLAN)
        for name, g in gains.items()
    }


def gap(mean: float = 20.0, sd: float = 5.0, **design: float) -> RowValues:
    """A GT gap, in percent."""
    return row("gap", mean, **(design | {"patient_sd": sd}))
