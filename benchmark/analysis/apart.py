"""Scores on a set that was kept apart: each fold's network predicted all of its patients."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from benchmark.plan.wording import counted


def networks_line(kept: str, folds: Collection[int], count: int) -> str:
    """Return whose scores a comparison on a set that was kept apart is of: the networks of `folds`,
    of `count` that the split has."""
    return (
        f"patients of {kept}, which was kept apart; of each the mean over the networks of "
        f"{len(folds)} of {counted(count, 'fold')} counts: intervals are about its patients, and "
        "these networks"
    )


def over_networks(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame of cells of which each has all patients, with one value a row, patient,
    organ, metric and seed: the mean over the folds' networks, in fold 0; undefined where it is
    for one of them."""
    by = ["row", "seed", "case", "organ", "metric"]
    grouped = frame.groupby(by, observed=True, sort=False)
    found = grouped.agg(
        value=("value", lambda values: values.mean(skipna=False)), state=("state", "first")
    )
    return found.reset_index().assign(fold=0)
