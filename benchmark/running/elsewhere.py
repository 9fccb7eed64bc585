"""Two rows in another library's definition of ASSD and HD95, from their stored label maps.

Shown beside our own values where a person asks for it; stored nowhere, and no word rests on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.data.library import DataSet, stored_dataset
from benchmark.data.volume import slices_of
from benchmark.errors import BadInput
from benchmark.reporting.tables import Line, table
from benchmark.running.bench import Bench
from benchmark.running.folds import folds_of
from benchmark.scoring.surface import Elsewhere, SurfaceDistances, surface_distances
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow

THEIRS = " there"  # what a metric's name ends on in another library's definition
SHOWN = ("dsc", "assd", "hd95")


def in_other(
    bench: Bench, entries: Iterable[Entry], dataset: str, definition: Elsewhere
) -> list[Line]:
    """Return the means of these cells' rows on one data set: of our `dsc`, `assd` and `hd95`, and
    of "assd there" and "hd95 there". A missed organ has no distance in either.

    Raises `BadInput` where the data set is not in the workspace or is another now, and where a
    cell has no label maps.
    """
    chosen = [entry for entry in entries if entry.dataset == dataset]
    opened = stored_dataset(bench.root, dataset)
    if {entry.split for entry in chosen if not entry.own_split} - {folds_of(opened).fingerprint}:
        raise BadInput(f"data set {dataset} in the workspace is not the one that was tested")
    lines, _ = table(chosen, lambda entry: _rows(bench, entry, opened, definition))
    return lines


def _rows(bench: Bench, entry: Entry, dataset: DataSet, definition: Elsewhere) -> list[ResultRow]:
    """The stored rows that are shown, and those in the other definition."""
    stored = [row for row in bench.results.rows(entry.key, entry.evaluation) if row.metric in SHOWN]
    rows = [*stored]
    for case in dict.fromkeys(row.case for row in stored):
        predicted = _label_map(bench, entry, case)[slices_of(dataset.case(case).box)]
        own = [row for row in stored if row.case == case and row.metric != "dsc"]
        rows += _in_other(own, dataset.label(case), predicted, dataset, definition)
    return rows


def _in_other(
    own: Iterable[ResultRow],
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    dataset: DataSet,
    definition: Elsewhere,
) -> list[ResultRow]:
    rows: list[ResultRow] = []
    distances: dict[str, SurfaceDistances] = {}
    for row in own:
        value = row.value
        if row.state == "overlap":
            label = dataset.organs.index(row.organ) + 1
            if row.organ not in distances:
                spacing_mm = dataset.case(row.case).geometry.spacing_mm
                masks = truth == label, predicted == label
                distances[row.organ] = surface_distances(*masks, spacing_mm)
            formula = definition.assd if row.metric == "assd" else definition.hd95
            value = formula(distances[row.organ])
        rows.append(replace(row, metric=row.metric + THEIRS, value=value))
    return rows


def _label_map(bench: Bench, entry: Entry, case: str) -> NDArray[np.uint8]:
    try:
        return bench.results.labels(entry.key, entry.evaluation, case)
    except (OSError, KeyError) as error:
        raise BadInput(
            f"{entry.label} fold {entry.fold} seed {entry.seed} has no label map of {case}: "
            "bench run makes it again"
        ) from error
