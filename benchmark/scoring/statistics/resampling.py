"""Bootstrap samples of patients and of the seeds of their folds, as weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.scoring.statistics.layout import Floats, Integers


@dataclass(frozen=True, kw_only=True, eq=False)
class RunWeights:
    """How often each draw b holds a patient (`patient_bn`, sum n) and, in each fold, a seed
    (`seed_bFS`, sum S). Seeds are drawn once per fold: its patients share their trainings.
    `place_n` is a patient's fold as an index of F."""

    patient_bn: Floats
    seed_bFS: Floats
    place_n: Integers

    def patients(self, value_nS: Floats) -> Floats:
        """Return each patient's mean over a draw's seeds, shape (draws, n)."""
        mean_bn = np.empty(self.patient_bn.shape)
        for fold in range(self.seed_bFS.shape[1]):
            members = self.place_n == fold
            mean_bn[:, members] = self.seed_bFS[:, fold] @ value_nS[members].T
        return np.asarray(mean_bn / value_nS.shape[1])

    def means(self, value_nS: Floats) -> Floats:
        """Return each draw's mean over its patients and seeds, shape (draws,)."""
        weighted = self.patient_bn * self.patients(value_nS)
        return np.asarray(weighted.sum(axis=1) / value_nS.shape[0])


def run_weights(
    fold_n: Integers, n_seeds: int, *, draws: int, rng: np.random.Generator
) -> RunWeights:
    """Return `draws` bootstrap samples: patients with replacement, then seeds within folds."""
    folds, place_n = np.unique(fold_n, return_inverse=True)
    seed_bFS = _counts(draws * len(folds), n_seeds, rng).reshape(draws, len(folds), n_seeds)
    return RunWeights(
        patient_bn=_counts(draws, len(fold_n), rng), seed_bFS=seed_bFS, place_n=place_n
    )


def _counts(draws: int, n: int, rng: np.random.Generator) -> Floats:
    """How often each of n things is drawn in n draws with replacement; faster than multinomial."""
    cell = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(cell.ravel(), minlength=draws * n).reshape(draws, n)
    return counts.astype(np.float64)
