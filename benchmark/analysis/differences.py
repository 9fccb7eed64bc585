"""A row minus the plain U-Net, patient by patient: the number that two bars of DSC do not show."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from benchmark.analysis.tables import MEAN
from benchmark.errors import BadInput
from benchmark.plan.keys import canonical
from benchmark.scoring.statistics.components import interval
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow

BASELINE = "unet"
METRICS = ("dsc", "assd")
Gain = Mapping[tuple[str, int, int], float]  # by case, fold and seed


def plain_row(entries: Sequence[Entry], known: Iterable[Entry]) -> list[Entry]:
    """Return the plain row's entries in the very cells of `entries`, or [] where one is missing.

    Its values are those of `entries` as far as it has such values (`ct.width`, but not `xi`);
    where there is no such row, its own.
    """
    first, cells = entries[0], {(entry.fold, entry.seed) for entry in entries}
    chosen = [
        entry
        for entry in known
        if (entry.row, entry.part) == (BASELINE, first.part)
        and (entry.dataset, entry.preset, entry.split) == (first.dataset, first.preset, first.split)
        and (entry.fold, entry.seed) in cells
    ]
    for shared in (True, False):
        members = [
            entry
            for entry in chosen
            if canonical(entry.overrides)
            == canonical(_of(first.overrides, entry.params if shared else ()))
        ]
        if len(members) == len(entries):
            return members
    return []


def _of(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The values of these names; what all rows share (`ground.`) in any case."""
    return {n: v for n, v in values.items() if n in names or n.startswith("ground.")}


def minus_plain(ours: Sequence[ResultRow], theirs: Sequence[ResultRow]) -> dict[str, float]:
    """Return the mean paired differences, named `cv/METRIC_minus_unet/ORGAN`.

    Beside each stand the ends of its primary interval (`cv/low_...`, `cv/high_...`) where there are
    enough patients and every patient has every seed. `mean` is the mean over all organs, where
    each has a difference; its interval needs all organs in all patients.
    """
    metrics: dict[str, float] = {}
    for metric in METRICS:
        mine, plain = (_by_organ(rows, metric) for rows in (ours, theirs))
        gains: dict[str, Gain] = {}
        for organ, values in mine.items():
            both = values.keys() & plain.get(organ, {}).keys()
            if both:
                gains[organ] = {cell: values[cell] - plain[organ][cell] for cell in sorted(both)}
        for organ, gain in gains.items():
            metrics |= _named(metric, organ, _mean(gain), gain)
        if gains and gains.keys() == {row.organ for row in ours if row.metric == metric}:
            mean = fmean(_mean(gain) for gain in gains.values())
            metrics |= _named(metric, MEAN, mean, _over_organs(list(gains.values())))
    return metrics


def _by_organ(
    rows: Iterable[ResultRow], metric: str
) -> dict[str, dict[tuple[str, int, int], float]]:
    found: dict[str, dict[tuple[str, int, int], float]] = {}
    for row in rows:
        if row.metric == metric and not math.isnan(row.value):
            found.setdefault(row.organ, {})[row.case, row.fold, row.seed] = row.value
    return found


def _mean(gain: Gain) -> float:
    """The mean over patients of each one's mean over seeds."""
    cases: dict[str, list[float]] = {}
    for (case, _, _), value in gain.items():
        cases.setdefault(case, []).append(value)
    return fmean(fmean(values) for values in cases.values())


def _over_organs(gains: list[Gain]) -> Gain:
    """The mean over organs in each cell; empty where the organs have not the same cells."""
    if any(gain.keys() != gains[0].keys() for gain in gains):
        return {}
    return {cell: fmean(gain[cell] for gain in gains) for cell in gains[0]}


def _named(metric: str, organ: str, mean: float, gain: Gain) -> dict[str, float]:
    # MLflow's table cuts names off at a dozen letters: the ends differ in the first
    name = f"{metric}_minus_{BASELINE}/{organ}"
    low, high = _ends(gain) or (None, None)
    ends = {f"cv/low_{name}": low, f"cv/high_{name}": high}
    return {f"cv/{name}": mean} | {n: v for n, v in ends.items() if v is not None}


def _ends(gain: Gain) -> tuple[float, float] | None:
    """The ends of the primary interval (docs/decisions/0019); None where it cannot be had."""
    if not gain:
        return None
    places = sorted({(case, fold) for case, fold, _ in gain})
    seeds = sorted({seed for _, _, seed in gain})
    if len(gain) != len(places) * len(seeds) or len({case for case, _ in places}) != len(places):
        return None
    value_nS = np.array([[gain[case, fold, seed] for seed in seeds] for case, fold in places])
    try:
        found = interval(value_nS, np.array([fold for _, fold in places], dtype=np.int64))
    except BadInput:  # one patient a fold, or one fold with one seed, cannot show its spread
        return None
    return (found.low, found.high) if found else None
