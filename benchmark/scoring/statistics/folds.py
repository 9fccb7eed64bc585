"""Do folds differ by more than the luck of their runs?

What all seeds of a fold share is the luck of its training patients. The primary interval counts it;
that of the first analysis did not, and would be short.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmark.scoring.statistics.components import components
from benchmark.scoring.statistics.layout import Floats, Integers


def fold_excess_p(gain_nS: Floats, fold_n: Integers) -> float | None:
    """Return the p of "fold means differ as patients and runs explain", from values (n, S).

    The weighted mean square of fold means over their expected variance s_patient^2 / patients +
    s_run^2 / seeds, as an F with folds - 1 and Satterthwaite's degrees of freedom. None with one
    seed (its runs are told by fold means) or one fold.
    """
    folds, n_seeds = np.unique(fold_n), gain_nS.shape[1]
    if n_seeds < 2 or len(folds) < 2:
        return None
    found = components(gain_nS, fold_n, fold_luck=False)
    size_F = np.array([np.count_nonzero(fold_n == fold) for fold in folds])
    mean_F = np.array([gain_nS[fold_n == fold].mean() for fold in folds])
    expected_F = float(found.patient_squared) / size_F + float(found.run_squared) / n_seeds
    if not expected_F.all():
        return None
    centre = np.average(mean_F, weights=1 / expected_F)
    ratio = float(((mean_F - centre) ** 2 / expected_F).sum() / (len(folds) - 1))
    return float(stats.f.sf(ratio, len(folds) - 1, float(found.degrees)))
