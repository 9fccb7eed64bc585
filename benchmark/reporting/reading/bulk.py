"""Rows of many evaluations at once, as one table of columns.

Ten thousand cells hold a million rows: they are never made into objects one by one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.files.atomic import CHECKSUMS
from benchmark.store.results import Results

Pair = tuple[str, str]  # (key, evaluation)
TEXTS = ("case", "organ", "state", "metric", "unit")
READERS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """All rows of `pairs`, with the place of a row's pair in the column `pair`; `damaged` are the
    pairs whose rows are not there or do not match their checksum."""

    pairs: tuple[Pair, ...]
    frame: pd.DataFrame
    damaged: frozenset[Pair]


def read_rows(results: Results, pairs: Iterable[Pair]) -> Rows:
    """Return the rows of evaluations, each read once and checked against its checksum."""
    chosen = tuple(dict.fromkeys(pairs))
    with ThreadPoolExecutor(READERS) as pool:
        read = list(pool.map(partial(_read, results), chosen))
    there = [(place, table) for place, table in enumerate(read) if table is not None]
    return Rows(
        pairs=chosen,
        frame=_frame(there),
        damaged=frozenset(pair for pair, table in zip(chosen, read, strict=True) if table is None),
    )


def _read(results: Results, pair: Pair) -> pa.Table | None:
    content = checked(results.path(*pair), "rows.parquet")
    if content is None:
        return None
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(TEXTS))
    return file.read(columns=[*TEXTS, "value"])


def checked(folder: Path, name: str) -> bytes | None:
    """Return the bytes of a file of a committed folder; None where they do not match."""
    try:
        expected = json.loads((folder / CHECKSUMS).read_bytes())[name]
        content = (folder / name).read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if hashlib.sha256(content).hexdigest() == expected else None


def _frame(tables: list[tuple[int, pa.Table]]) -> pd.DataFrame:
    if not tables:
        empty = {name: pd.Categorical([]) for name in TEXTS}
        return pd.DataFrame(
            {**empty, "value": pd.Series(dtype=float), "pair": pd.Series(dtype=int)}
        )
    numbered = [
        table.append_column("pair", pa.repeat(pa.scalar(place, pa.int32()), len(table)))
        for place, table in tables
    ]
    frame: pd.DataFrame = pa.concat_tables(numbered).unify_dictionaries().to_pandas()
    return frame
