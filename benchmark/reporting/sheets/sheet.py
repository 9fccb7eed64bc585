"""A table of texts, and how numbers become texts: the same in every format."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.scoring.statistics.components import Interval

NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table: `rows` of texts under `columns`; the first cell of a row is its heading.

    `name` is a file's stem, `about` says what the numbers are, `notes` stand below. A `long` table
    is folded away in the page.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    about: str = ""
    notes: tuple[str, ...] = ()
    long: bool = False

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.name}: a row has not {len(self.columns)} cells")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a CSV file with a heading line."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue()


def digits_of(metric: str) -> int:
    """Return the decimals of a metric: DSC in percent to 0.1, mm to 0.01 (docs/methods.md)."""
    return 1 if metric.startswith(("dsc", "nsd")) else 2


def number(value: float | None, digits: int) -> str:
    """Return a number, "-" where there is none."""
    return NOTHING if value is None or math.isnan(value) else f"{value:z.{digits}f}"


def spread(mean: float | None, sd: float | None, digits: int) -> str:
    """Return "mean ± sd", without what is not there."""
    if mean is None:
        return NOTHING
    return number(mean, digits) + ("" if sd is None else f" ± {sd:.{digits}f}")


def range_of(found: Interval | None, digits: int = 2) -> str:
    """Return "+1.20 (+0.40 to +2.00)", "-" without an interval."""
    if found is None:
        return NOTHING
    low, high = (f"{value:+z.{digits}f}" for value in (found.low, found.high))
    return f"{found.estimate:+z.{digits}f} ({low} to {high})"
