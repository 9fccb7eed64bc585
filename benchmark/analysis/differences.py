"""Numbers beside a row's own: minus the plain U-Net's, patient by patient, which two bars of DSC do
not show; and in another library's definition of ASSD and HD95.

The latter come from stored label maps and are shown where a person asks for them; they are stored
nowhere, and no word rests on them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.analysis.tables import MEAN, ScoreLine, table
from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import DataSet, stored_dataset
from benchmark.data.volume import slices_of
from benchmark.errors import BadInput
from benchmark.plan.keys import canonical
from benchmark.scoring.cases import known
from benchmark.scoring.statistics.components import interval
from benchmark.scoring.surface import Elsewhere, SurfaceDistances, surface_distances
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow
from benchmark.store.workspace import Workspace

BASELINE = "unet"
METRICS = ("dsc", "assd")
THEIRS = " there"  # what a metric's name ends on in another library's definition
SHOWN = ("dsc", "assd", "hd95")
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
    plain = {(row.metric, *_place(row)): row.value for row in theirs}
    for metric in METRICS:
        gains: dict[str, dict[tuple[str, int, int], float]] = defaultdict(dict)
        for row in ours:
            difference = row.value - plain.get((metric, *_place(row)), math.nan)
            if row.metric == metric and not math.isnan(difference):
                gains[row.organ][row.case, row.fold, row.seed] = difference
        for organ, gain in gains.items():
            metrics |= _named(metric, organ, _mean(gain), gain)
        if gains and gains.keys() == {row.organ for row in ours if row.metric == metric}:
            mean = fmean(_mean(gain) for gain in gains.values())
            metrics |= _named(metric, MEAN, mean, _over_organs(list(gains.values())))
    return metrics


def _place(row: ResultRow) -> tuple[str, str, int, int]:
    return row.organ, row.case, row.fold, row.seed


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


def in_other(
    workspace: Workspace, entries: Iterable[Entry], dataset: str, definition: Elsewhere
) -> list[ScoreLine]:
    """Return the means of these cells' rows on one data set: of our `dsc`, `assd` and `hd95`, and
    of "assd there" and "hd95 there". A missed organ has no distance in either.

    Raises `BadInput` where the data set is not in the workspace or is another now, and where a
    cell has no label maps.
    """
    chosen = [entry for entry in entries if entry.dataset == dataset]
    opened = stored_dataset(workspace.root, dataset)
    if {entry.split for entry in chosen if not entry.own_split} - {folds_of(opened).fingerprint}:
        raise BadInput(f"data set {dataset} in the workspace is not the one that was tested")
    lines, _ = table(chosen, lambda entry: _theirs(workspace, entry, opened, definition))
    return lines


def _theirs(
    workspace: Workspace, entry: Entry, dataset: DataSet, definition: Elsewhere
) -> list[ResultRow]:
    """The stored rows that are shown, and those in the other definition."""
    stored = [
        row for row in workspace.results.rows(entry.key, entry.evaluation) if row.metric in SHOWN
    ]
    rows = [*stored]
    for case in dict.fromkeys(row.case for row in stored):
        predicted = _label_map(workspace, entry, case)[slices_of(dataset.case(case).box)]
        truth, spacing_mm = dataset.label(case), dataset.case(case).geometry.spacing_mm
        unknown = dataset.unknown(case)
        predicted = known(predicted, unknown)
        distances: dict[str, SurfaceDistances] = {}
        for row in (row for row in stored if row.case == case and row.metric != "dsc"):
            value = row.value
            if row.state == "overlap":
                if row.organ not in distances:
                    label = dataset.organs.index(row.organ) + 1
                    masks = truth == label, predicted == label
                    distances[row.organ] = surface_distances(*masks, spacing_mm, unknown)
                formula = definition.assd if row.metric == "assd" else definition.hd95
                value = formula(distances[row.organ])
            rows.append(replace(row, metric=row.metric + THEIRS, value=value))
    return rows


def _label_map(workspace: Workspace, entry: Entry, case: str) -> NDArray[np.uint8]:
    try:
        return workspace.results.labels(entry.key, entry.evaluation, case)
    except (OSError, KeyError) as error:
        raise BadInput(
            f"{entry.where} has no label map of {case}: bench run makes it again"
        ) from error
