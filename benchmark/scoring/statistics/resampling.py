"""Bootstrap samples of patients and of the seeds of their folds, as weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.scoring.statistics.layout import Floats, Integers


@dataclass(frozen=True, kw_only=True, eq=False)
class RunWeights:
    """How often each draw b holds a patient (`patient_bn`, sum n) and, in a patient's fold, a seed
    (`seed_bnS`, sum S). Seeds are drawn once per fold: its patients share their trainings."""

    patient_bn: Floats
    seed_bnS: Floats

    def patients(self, value_nS: Floats) -> Floats:
        """Return each draw's mean over its seeds, shape (draws, n)."""
        summed: Floats = np.einsum("bns,ns->bn", self.seed_bnS, value_nS)
        return np.asarray(summed / value_nS.shape[1])

    def means(self, value_nS: Floats) -> Floats:
        """Return each draw's mean over its patients and seeds, shape (draws,)."""
        weighted = self.patient_bn * self.patients(value_nS)
        return np.asarray(weighted.sum(axis=1) / value_nS.shape[0])


def run_weights(
    fold_n: Integers, n_seeds: int, *, draws: int, rng: np.random.Generator
) -> RunWeights:
    """Return `draws` bootstrap samples: patients with replacement, then seeds within folds."""
    n = len(fold_n)
    folds, place_n = np.unique(fold_n, return_inverse=True)
    patient_bn = rng.multinomial(n, np.full(n, 1 / n), size=draws)
    seed_bFS = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=(draws, len(folds)))
    return RunWeights(
        patient_bn=patient_bn.astype(np.float64), seed_bnS=seed_bFS[:, place_n].astype(np.float64)
    )
