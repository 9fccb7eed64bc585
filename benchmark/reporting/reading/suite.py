"""A group with its rows: the frame that every table and figure is made of.

Patients have numbers here, by the order of their names in the data set: no name of a case leaves
the workspace with a report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from benchmark.data.library import DataSet, open_dataset
from benchmark.errors import BadInput
from benchmark.plan.folds import FOLDS
from benchmark.reporting.reading.bulk import Pair, Rows, read_rows
from benchmark.reporting.reading.groups import Group
from benchmark.reporting.tables import Missing
from benchmark.running.bench import Bench
from benchmark.running.folds import folds_of
from benchmark.scoring.statistics.layout import Patient
from benchmark.store.ledger import Entry

PairsOf = Callable[[Entry], list[Pair]]
HELD = ("overlap", "missed")  # the states in which the truth holds the organ


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """A group's scores. `frame` has the columns row, fold, seed, case, organ, state, metric, unit
    and value; `case` is a patient's number. `probes` has row, fold, seed, case, metric, value.

    `dataset` is None where the set is not in the workspace, or not the one that was tested.
    """

    group: Group
    dataset: DataSet | None
    organs: tuple[str, ...]
    frame: pd.DataFrame
    probes: pd.DataFrame
    patients: tuple[Patient, ...]
    numbers: Mapping[str, str]
    missing: tuple[Missing, ...]
    absent_folds: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether every row has every fold and seed, and no fold is left out."""
        return not self.missing and not self.absent_folds


def scores_of(group: Group, bench: Bench) -> Scores:
    """Return the scores of a group, its damaged cells among the missing ones."""
    done = [entry for entry in group.entries if entry.state != "failed"]
    rows = read_rows(bench.results, [(entry.key, entry.evaluation) for entry in done])
    probed = read_rows(bench.results, [(k, e) for entry in done for _, k, e in entry.probes])
    dataset = _dataset(group, bench)
    names = {str(case) for case in rows.frame["case"].unique()}
    numbers = patient_numbers(names | ({c.name for c in dataset.cases} if dataset else set()))
    frame = joined(group, rows, lambda entry: [(entry.key, entry.evaluation)], numbers)
    probes = joined(group, probed, lambda e: [(k, v) for _, k, v in e.probes], numbers)
    organs = _organs(frame, dataset)
    return Scores(
        group=group,
        dataset=dataset,
        organs=organs,
        frame=frame,
        probes=probes,
        patients=_patients(frame),
        numbers=numbers,
        missing=_missing(group, rows.damaged),
        absent_folds=tuple(f for f in range(FOLDS) if f not in group.folds),
    )


def patient_numbers(names: set[str]) -> dict[str, str]:
    """Return a number for each case, by the order of their names: "patient 03"."""
    digits = max(2, len(str(len(names))))
    return {name: f"patient {n:0{digits}d}" for n, name in enumerate(sorted(names), start=1)}


def _dataset(group: Group, bench: Bench) -> DataSet | None:
    if not (bench.root / "data" / group.dataset / "dataset.json").exists():
        return None
    try:
        dataset = open_dataset(bench.root, group.dataset)
        return dataset if folds_of(dataset).fingerprint == group.split else None
    except BadInput as error:
        bench.warn(str(error))
        return None


def joined(group: Group, rows: Rows, pairs_of: PairsOf, numbers: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of every cell; cells of different rows may share an evaluation."""
    place = {pair: number for number, pair in enumerate(rows.pairs)}
    cells = [
        (row, entry.fold, entry.seed, place[pair])
        for row, members in group.cells.items()
        for entry in members
        if entry.state != "failed"
        for pair in pairs_of(entry)
        if pair not in rows.damaged
    ]
    table = pd.DataFrame(cells, columns=["row", "fold", "seed", "pair"])
    table["row"] = pd.Categorical(table["row"], categories=list(group.rows))
    frame = rows.frame.merge(table, on="pair", how="inner").drop(columns="pair")
    known = {str(name): numbers[str(name)] for name in frame["case"].cat.categories}
    frame["case"] = frame["case"].cat.rename_categories(known)
    return frame


def _organs(frame: pd.DataFrame, dataset: DataSet | None) -> tuple[str, ...]:
    found = [str(organ) for organ in frame["organ"].unique()]
    if dataset is None:
        return tuple(sorted(found))
    return tuple(organ for organ in dataset.organs if organ in found)


def _patients(frame: pd.DataFrame) -> tuple[Patient, ...]:
    """Every tested patient with its fold and the organs that its truth holds, in any row."""
    tested = frame[["case", "fold"]].drop_duplicates()
    held = frame.loc[frame["state"].isin(HELD), ["case", "organ"]].drop_duplicates()
    organs: dict[str, list[str]] = {}
    for case, organ in zip(held["case"].astype(str), held["organ"].astype(str), strict=True):
        organs.setdefault(case, []).append(organ)
    pairs = sorted(zip(tested["case"].astype(str), tested["fold"].tolist(), strict=True))
    return tuple(
        Patient(case=case, fold=int(fold), organs=tuple(sorted(organs.get(case, []))))
        for case, fold in pairs
    )


def _missing(group: Group, damaged: frozenset[Pair]) -> tuple[Missing, ...]:
    """The cells without rows: failed, not finished, damaged, and those that other rows have."""
    lines = []
    for row in (*group.rows, *group.unstarted):
        members = group.cells.get(row, ())
        there = {(entry.fold, entry.seed): entry for entry in members}
        for seed in group.seeds:
            for fold in group.folds:
                entry = there.get((fold, seed))
                state, error = _state(entry, damaged)
                if state != "done":
                    lines.append(
                        Missing(
                            dataset=group.dataset,
                            row=row,
                            fold=fold,
                            seed=seed,
                            state=state,
                            error=error,
                        )
                    )
    return tuple(lines)


def _state(entry: Entry | None, damaged: frozenset[Pair]) -> tuple[str, str]:
    if entry is None:
        return "not run", ""
    if entry.state == "failed":
        return "failed", entry.error
    if (entry.key, entry.evaluation) in damaged:
        return ("damaged" if entry.state == "done" else entry.state), entry.error
    return "done", ""
