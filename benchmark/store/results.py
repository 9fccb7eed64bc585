"""Rows and predicted label maps by key.

    results/KEY/EVALUATION/rows.parquet, labels.npz, checksums.json

One row a case, organ and metric; never only a mean. EVALUATION names what was evaluated: the
network, the test cases' bytes, and the version of the scoring. EVALUATION+METRIC holds the rows of
a metric of somebody's own, made from the label maps of EVALUATION; it goes where that goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.files.arrays import load_member
from benchmark.files.atomic import checked, commit_folder, damage, move_aside
from benchmark.files.locks import is_held, shown_lock
from benchmark.files.mirror import Mirror
from benchmark.scoring.cases import Score

BESIDE = "+"  # between an evaluation and the metric of one's own that scored its label maps

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("seed", pa.int64()),
        ("fold", pa.int64()),
        ("case", pa.string()),
        ("organ", pa.string()),
        ("state", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),  # NaN where the metric is undefined for the state
        ("unit", pa.string()),
        ("n_voxels_true", pa.int64()),
        ("code", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class ResultRow(Score):
    """A score with its place: the training's key, seed and fold, and the case. `code` is the
    fingerprint of the source that measured it."""

    key: str
    seed: int
    fold: int
    case: str
    code: str


def rows_of(
    scores: Iterable[Score], *, key: str, seed: int, fold: int, case: str, code: str
) -> list[ResultRow]:
    """Return the rows of what the code with the fingerprint `code` measured on one case."""
    place: dict[str, Any] = {"key": key, "seed": seed, "fold": fold, "case": case, "code": code}
    return [ResultRow(**place, **asdict(score)) for score in scores]


class Results:
    """The store of rows under `folder`; `warn` is told what was set aside."""

    def __init__(
        self, folder: Path, warn: Callable[[str], None], mirror: Mirror | None = None
    ) -> None:
        self.folder = folder
        self._warn = warn
        self._mirror = mirror

    def lock(self, key: str, evaluation: str) -> AbstractContextManager[None]:
        """Return the lock of one evaluation; whoever waits says for whom."""
        return shown_lock(self._lock(key, evaluation), f"the scoring of {key}", self._warn)

    def is_scoring(self, key: str, evaluation: str) -> bool:
        """Return whether a living process of this machine, or of one that shares its folder, makes
        the rows."""
        return is_held(self._lock(key, evaluation))

    def _lock(self, key: str, evaluation: str) -> Path:
        return self.folder / f"{key}-{evaluation}.lock"

    def path(self, key: str, evaluation: str) -> Path:
        """Return the folder of one evaluation, whether it is there or not; of a bucket's workspace
        it is brought here first."""
        place = self._place(key, evaluation)
        if self._mirror and not place.exists():
            self._mirror.bring(f"results/{key}/{evaluation}")
        return place

    def _place(self, key: str, evaluation: str) -> Path:
        return self.folder / key / evaluation

    def has(self, key: str, evaluation: str) -> bool:
        """Return whether the rows are there."""
        return (self.path(key, evaluation) / "rows.parquet").is_file()

    def whole(self, key: str, evaluation: str) -> bool:
        """Return whether the rows are there and match their checksums; damaged ones are moved
        out of the way with a warning, since they can be computed again."""
        if self._mirror:
            return self._mirror.bring(f"results/{key}/{evaluation}", sound=True)
        folder = self._place(key, evaluation)
        if not folder.exists():
            return False
        fault = damage(folder)
        if fault:
            self._warn(f"rows of {key} are damaged ({fault}): they are computed again")
            with suppress(FileNotFoundError):  # another process moved them just now
                self.discard(key, evaluation)
        return not fault

    def intact(self, key: str, evaluation: str) -> bool:
        """Return whether the rows are there and match their checksums; changes nothing."""
        return self.has(key, evaluation) and not damage(self.path(key, evaluation))

    def discard_all(self, key: str) -> None:
        """Move all evaluations of a key out of the way: its networks are no more."""
        for stored, evaluation in self._all(key):
            if stored == key and self.has(key, evaluation):  # else it went with what it is beside
                self.discard(key, evaluation)

    def discard(self, key: str, evaluation: str) -> None:
        """Move an evaluation out of the way, under a new number each time, with the rows that
        metrics of one's own have beside it. Raises `OSError` where it is not there."""
        for beside in self.beside(key, evaluation).values():
            self.discard(key, beside)
        folder = self.path(key, evaluation)
        if self._mirror:
            self._mirror.drop(f"results/{key}/{evaluation}")
        move_aside(folder, self.folder / "aside", f"{key}-{evaluation}")

    def commit(
        self,
        key: str,
        evaluation: str,
        rows: Iterable[ResultRow],
        labels: Mapping[str, NDArray[np.uint8]],
    ) -> None:
        """Write rows and predicted label maps (by case; a probe has none) whole. Where another
        process was faster, its rows are the ones that count. Raises `OSError` for a full disk."""
        table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
        try:
            self._commit(key, evaluation, table, labels)
        except FileExistsError:
            if not self.whole(key, evaluation):  # it was damaged, and is out of the way now
                self._commit(key, evaluation, table, labels)

    def _commit(
        self, key: str, evaluation: str, table: pa.Table, labels: Mapping[str, NDArray[np.uint8]]
    ) -> None:
        final = self._place(key, evaluation)
        with commit_folder(final, checksums=True, keeper=self._mirror) as folder:
            pq.write_table(table, folder / "rows.parquet")
            if labels:
                arrays: dict[str, Any] = dict(labels)
                np.savez_compressed(folder / "labels.npz", **arrays)

    def rows(self, key: str, evaluation: str) -> list[ResultRow]:
        """Return the rows of one evaluation, as they were written; `value` is nan where the metric
        is undefined. Raises `OSError` or `ValueError` for a file that is none."""
        table = pq.read_table(self.path(key, evaluation) / "rows.parquet", schema=SCHEMA)
        return [ResultRow(**row) for row in table.to_pylist()]

    def code(self, key: str, evaluation: str) -> str:
        """Return the fingerprint of the code that measured the rows, "" where there are none. All
        rows of an evaluation have one, so the file's own summary of the column tells it."""
        return code_in(pq.read_metadata(self.path(key, evaluation) / "rows.parquet"))

    def checked_code(self, key: str, evaluation: str) -> str | None:
        """Return `code` of rows that match their checksum; None where they do not, or are not
        there. The label maps beside them, nearly all of an evaluation's bytes, are not read."""
        content = checked(self.path(key, evaluation), "rows.parquet")
        return None if content is None else code_in(pq.read_metadata(pa.BufferReader(content)))

    def beside(self, key: str, evaluation: str) -> dict[str, str]:
        """Return the metrics of one's own that have rows beside an evaluation, each with the name
        of theirs."""
        start = evaluation + BESIDE
        found = [other for stored, other in self._all(key) if stored == key]
        return {name.removeprefix(start): name for name in found if name.startswith(start)}

    def label_cases(self, key: str, evaluation: str) -> tuple[str, ...]:
        """Return the cases whose label maps an evaluation has, in the order in which they were
        written; none where it has none."""
        path = self.path(key, evaluation) / "labels.npz"
        if not path.is_file():
            return ()
        with np.load(path, allow_pickle=False) as file:
            return tuple(file.files)

    def labels(self, key: str, evaluation: str, case: str) -> NDArray[np.uint8]:
        """Return the predicted label map (Z, Y, X) of a case on its native grid, uint8. Raises
        `OSError` where the evaluation has none (a probe), `KeyError` for an unknown case."""
        array: NDArray[np.uint8] = load_member(self.path(key, evaluation) / "labels.npz", case)
        return array

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield (KEY/EVALUATION, "" or what is wrong) for every evaluation; changes nothing."""
        for key, evaluation in self._all():
            name, place = f"{key}/{evaluation}", self._place(key, evaluation)
            fault = self._mirror.fault(f"results/{name}") if self._mirror else ""
            if not self._mirror or place.exists():
                fault = fault or damage(place)
            yield name, fault

    def unused(self, used: set[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the (key, evaluation) pairs that are not in `used`."""
        return [pair for pair in self._all() if pair not in used]

    def remove(self, key: str, evaluation: str) -> None:
        """Remove an evaluation, for good, with the rows beside it; one that is not there is no
        error."""
        for beside in self.beside(key, evaluation).values():
            self.remove(key, beside)
        if self._mirror:
            self._mirror.drop(f"results/{key}/{evaluation}")
        shutil.rmtree(self._place(key, evaluation), ignore_errors=True)

    def clear_aside(self) -> None:
        """Remove all that was set aside, for good. What cannot be removed stays."""
        shutil.rmtree(self.folder / "aside", ignore_errors=True)

    def _all(self, key: str = "") -> list[tuple[str, str]]:
        """The (key, evaluation) pairs, of one key or of all."""
        if self._mirror:
            names = self._mirror.committed(f"results/{key}/" if key else "results/")
            found = [(name.split("/")[1], name.split("/")[2]) for name in names]
        else:
            files = sorted(self.folder.glob(f"{key or '*'}/*/rows.parquet"))
            found = [(path.parts[-3], path.parts[-2]) for path in files]
        # `glob` also finds what a living writer prepares, under a name with a dot
        return [pair for pair in found if pair[0] != "aside" and not pair[1].startswith(".")]


def code_in(about: pq.FileMetaData) -> str:
    """Return what `Results.code` returns, from what a file of rows says of itself."""
    if not about.num_row_groups:
        return ""
    summary = about.row_group(0).column(SCHEMA.get_field_index("code")).statistics
    return str(summary.min) if summary is not None and summary.has_min_max else ""
