"""The rows of many cells as one frame, and a group with all of its scores.

Ten thousand cells hold a million rows: they are never made into objects one by one. Patients have
numbers in a group, by the order of their names in the data set: no name of a case leaves the
workspace with a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.analysis.groups import Group
from benchmark.analysis.own import own_of
from benchmark.analysis.suites import Missing, missing_cell
from benchmark.data.feeding.splits import split_of, splits_of
from benchmark.data.library import DataSet, open_dataset
from benchmark.errors import BadInput
from benchmark.files.atomic import checked
from benchmark.plan.folds import FOLDS
from benchmark.plan.suite import Planned
from benchmark.scoring.statistics.layout import Incomplete, RowValues, ScoredPatient, gather
from benchmark.store.ledger import Entry
from benchmark.store.results import Results, code_in
from benchmark.store.workspace import Workspace

Pair = tuple[str, str]  # (key, evaluation)
CellPlace = tuple[str, int, int, Pair]  # a row, a fold, a seed, and where its rows lie
Values = RowValues | Incomplete
TEXTS = ("case", "organ", "state", "metric", "unit")
READERS = 4
BATCH = 256  # evaluations that a reader fetches, then decodes
HELD = ("overlap", "missed")  # the states in which the truth holds the organ


def read_rows(
    results: Results, pairs: Iterable[Pair], codes: dict[Pair, str] | None = None
) -> tuple[pd.DataFrame, frozenset[Pair]]:
    """Return the rows of evaluations, each read once and checked against its checksum, and the
    pairs whose rows are damaged or not there. The column `pair` counts the pairs, each once.
    `codes` takes the fingerprint of the code that measured each."""
    chosen = tuple(dict.fromkeys(pairs))
    found: dict[Pair, str] = {}
    read = partial(_read_batch, results, chosen, found, Lock())
    with ThreadPoolExecutor(READERS) as pool:
        tables = list(pool.map(read, range(0, len(chosen), BATCH)))
    if codes is not None:
        codes |= found
    lost = frozenset(pair for pair in chosen if pair not in found)
    return _frame([table for table in tables if table is not None]), lost


def _read_batch(
    results: Results, pairs: Sequence[Pair], codes: dict[Pair, str], decoding: Lock, first: int
) -> pa.Table | None:
    """The rows of the pairs from `first` on in one table, None where there are none. Readers wait
    for the disk together, but decode in turn: many small files at once would fight for Python."""
    chosen = pairs[first : first + BATCH]
    contents = [checked(results.path(*pair), "rows.parquet") for pair in chosen]
    tables = []
    with decoding:
        for place, (pair, content) in enumerate(zip(chosen, contents, strict=True), start=first):
            if content is not None:
                table, codes[pair] = _decoded(content)
                count = pa.repeat(pa.scalar(place, pa.int32()), len(table))
                tables.append(table.append_column("pair", count))
        return pa.concat_tables(tables).unify_dictionaries().combine_chunks() if tables else None


def _decoded(content: bytes) -> tuple[pa.Table, str]:
    """The rows in a file's bytes, and the code that measured them."""
    source = pa.BufferReader(content)
    file = pq.ParquetFile(source, read_dictionary=list(TEXTS), pre_buffer=False)
    table = file.read(columns=[*TEXTS, "value"], use_threads=False)  # too small for threads
    return table, code_in(file.metadata)


def _frame(tables: list[pa.Table]) -> pd.DataFrame:
    if not tables:
        empty = {name: pd.Categorical([]) for name in TEXTS}
        return pd.DataFrame(
            {**empty, "value": pd.Series(dtype=float), "pair": pd.Series(dtype=int)}
        )
    frame: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    return frame


def read_cells(
    results: Results, cells: Iterable[CellPlace], codes: dict[Pair, str] | None = None
) -> tuple[pd.DataFrame, frozenset[Pair]]:
    """Return the rows of cells, columns row, fold, seed and those that are stored, and the pairs
    whose rows are damaged or not there. Cells of different rows may share an evaluation. `codes`
    as in `read_rows`."""
    known = list(cells)
    frame, damaged = read_rows(results, [pair for *_, pair in known], codes)
    place = {pair: n for n, pair in enumerate(dict.fromkeys(pair for *_, pair in known))}
    table = pd.DataFrame(
        [(*cell, place[pair]) for *cell, pair in known if pair not in damaged],
        columns=["row", "fold", "seed", "pair"],
    )
    names = dict.fromkeys(row for row, *_ in known)
    table["row"] = pd.Categorical(table["row"], categories=list(names))
    return frame.merge(table, on="pair", how="inner").drop(columns="pair"), damaged


def cells_of(group: Group) -> Iterator[tuple[str, Entry]]:
    """Yield each cell that may have rows, with its row's name."""
    for row, members in group.cells.items():
        yield from ((row, entry) for entry in members if entry.state != "failed")


def numbered(frame: pd.DataFrame, numbers: Mapping[str, str]) -> pd.DataFrame:
    """Return a frame whose cases have numbers."""
    known = {str(name): numbers[str(name)] for name in frame["case"].cat.categories}
    frame["case"] = frame["case"].cat.rename_categories(known)
    return frame


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """A group's scores. `frame` has the columns row, fold, seed, case, organ, state, metric, unit
    and value; `case` is a patient's number. `probes` has row, fold, seed, case, metric, value.

    `dataset` is None where the set is not in the workspace, or not the one that was tested;
    `fold_count` is how many folds its split has. `own_lines` say which metrics of one's own are
    not in the frame, and why. `codes` says of all that was read which code measured it.
    """

    group: Group
    dataset: DataSet | None
    organs: tuple[str, ...]
    frame: pd.DataFrame
    probes: pd.DataFrame
    patients: tuple[ScoredPatient, ...]
    numbers: Mapping[str, str]
    missing: tuple[Missing, ...]
    absent_folds: tuple[int, ...]
    own_lines: tuple[str, ...] = ()
    codes: Mapping[Pair, str] = field(default_factory=dict)
    fold_count: int = FOLDS

    @property
    def complete(self) -> bool:
        """Whether every row has every fold and seed, and no fold is left out."""
        return not self.missing and not self.absent_folds


def group_scores(group: Group, workspace: Workspace) -> Scores:
    """Return the scores of a group, its damaged cells among the missing ones."""
    done = list(cells_of(group))
    results, own = workspace.results, own_of(workspace, [entry for _, entry in done])
    codes: dict[Pair, str] = {}
    cells = [(row, e.fold, e.seed, pair) for row, e in done for pair in own.of(e)]
    frame, damaged = read_cells(results, cells, codes)
    cells = [(row, e.fold, e.seed, (k, v)) for row, e in done for _, k, v in e.probes]
    probes, _ = read_cells(results, cells, codes)
    dataset, count = _dataset(group, workspace)
    names = {str(case) for case in frame["case"].unique()}
    numbers = patient_numbers(names | ({c.name for c in dataset.cases} if dataset else set()))
    frame, probes = numbered(frame, numbers), numbered(probes, numbers)
    return Scores(
        group=group,
        dataset=dataset,
        organs=_organs(frame, dataset),
        frame=frame,
        probes=probes,
        patients=patients_of(frame),
        numbers=numbers,
        missing=tuple(_missing(group, damaged)),
        absent_folds=tuple(f for f in range(count) if f not in group.folds),
        fold_count=count,
        own_lines=own.lines,
        codes=codes,
    )


def patient_numbers(names: set[str]) -> dict[str, str]:
    """Return a number for each case, by the order of their names: "patient 03"."""
    digits = max(2, len(str(len(names))))
    return {name: f"patient {n:0{digits}d}" for n, name in enumerate(sorted(names), start=1)}


def _dataset(group: Group, workspace: Workspace) -> tuple[DataSet | None, int]:
    """The set that was tested, where it is still there, and how many folds it has."""
    if not (workspace.root / "data" / group.dataset / "dataset.json").exists():
        return None, FOLDS
    try:
        dataset = open_dataset(workspace.root, group.dataset)
        if group.split not in splits_of(dataset):
            return None, FOLDS
        return dataset, len(split_of(dataset, group.split).folds)
    except BadInput as error:
        workspace.warn(str(error))
        return None, FOLDS


def _organs(frame: pd.DataFrame, dataset: DataSet | None) -> tuple[str, ...]:
    found = [str(organ) for organ in frame["organ"].unique()]
    if dataset is None:
        return tuple(sorted(found))
    return tuple(organ for organ in dataset.organs if organ in found)


def patients_of(frame: pd.DataFrame) -> tuple[ScoredPatient, ...]:
    """Return every tested patient with its fold and the organs that its truth holds, in any row."""
    tested = frame[["case", "fold"]].drop_duplicates()
    held = frame.loc[frame["state"].isin(HELD), ["case", "organ"]].drop_duplicates()
    organs: dict[str, list[str]] = {}
    for case, organ in zip(held["case"].astype(str), held["organ"].astype(str), strict=True):
        organs.setdefault(case, []).append(organ)
    pairs = sorted(zip(tested["case"].astype(str), tested["fold"].tolist(), strict=True))
    return tuple(
        ScoredPatient(case=case, fold=int(fold), organs=tuple(sorted(organs.get(case, []))))
        for case, fold in pairs
    )


def _missing(group: Group, damaged: frozenset[Pair]) -> Iterator[Missing]:
    """The cells without rows: failed, not finished, damaged, and those that other rows have."""
    for row in (*group.rows, *group.unstarted):
        there = {(entry.fold, entry.seed): entry for entry in group.cells.get(row, ())}
        for seed in group.seeds:
            for fold in group.folds:
                entry = there.get((fold, seed))
                lost = entry is not None and (entry.key, entry.evaluation) in damaged
                if entry is None or entry.state == "failed" or lost:
                    cell = Planned(dataset=group.dataset, label=row, fold=fold, seed=seed)
                    ended = entry is not None and entry.state == "done"
                    yield missing_cell(cell, entry, "damaged" if ended else "")


def gathered(
    row: str,
    frame: pd.DataFrame,
    patients: Sequence[ScoredPatient],
    organs: Sequence[str],
    seeds: Sequence[int],
) -> Values:
    """Return a row's endpoint from a frame of one metric, or what is missing of it."""
    return gather(
        row,
        patients=patients,
        organs=organs,
        seeds=seeds,
        case_k=frame["case"].astype(str).to_numpy(),
        organ_k=frame["organ"].astype(str).to_numpy(),
        seed_k=frame["seed"].to_numpy(),
        value_k=frame["value"].to_numpy(),
    )
