"""How tables and figures look: a table of texts and how numbers become texts, and one look for all
figures, dark on white, in colours that colour-blind readers can tell apart.

Colours: Okabe & Ito, Color Universal Design, 2008. No figure tells anything by colour alone.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.scoring.statistics.components import Interval, interval_text

NOTHING = "-"
METRIC_TEXTS = {"dsc": "DSC", "assd": "ASSD", "assd_penalised": "penalised ASSD"}


def metric_text(name: str) -> str:
    """Return a metric's name as a sentence has it; files keep the stored one."""
    return METRIC_TEXTS.get(name, name)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table: `rows` of texts under `columns`; the first cell of a row is its heading.

    `name` is a file's stem, `about` says what the numbers are, `notes` stand below. A `long` table
    is folded away in the page; one that is `aside` too, and in Markdown it is a link to its file.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    about: str = ""
    notes: tuple[str, ...] = ()
    long: bool = False
    aside: bool = False

    @property
    def folded(self) -> bool:
        """Whether the page folds it away."""
        return self.long or self.aside

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self.rows and not self.notes

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.name}: a row has not {len(self.columns)} cells")


def filled(sheet: Sheet) -> Sheet:
    """Return the table as readers see it: without the columns in which no row has anything. Its
    file keeps them all."""
    places = [
        place
        for place in range(len(sheet.columns))
        if not place or any(row[place] not in ("", NOTHING) for row in sheet.rows)
    ]
    return replace(
        sheet,
        columns=tuple(sheet.columns[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in sheet.rows),
    )


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


def mean_sd_text(mean: float | None, sd: float | None, digits: int) -> str:
    """Return "mean ± sd", without what is not there."""
    if mean is None:
        return NOTHING
    return number(mean, digits) + ("" if sd is None else f" ± {sd:.{digits}f}")


def gain_text(found: Interval | None) -> str:
    """Return "+1.20 (+0.40 to +2.00)", "-" without an interval."""
    return NOTHING if found is None else interval_text(found)


BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = "osD^vP*X"
GREY = "#666666"
WIDTH = 7.2  # inches
DPI = 130
RC = {
    "font.size": 9,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "path",
    "svg.hashsalt": "bench",  # else every SVG has new ids
}


Data = tuple[tuple[str, ...], Sequence[Sequence[object]]]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure in two formats. `alt` says what it shows, with numbers; `caption` how to read it;
    `data` holds the heads and the lines of a table of all that is drawn."""

    name: str
    title: str
    alt: str
    caption: str
    png: bytes
    svg: bytes
    data: Data


@contextmanager
def style() -> Iterator[None]:
    """Draw with our look, whatever the user's own settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def picture(
    figure: Figure, *, name: str, title: str, alt: str, caption: str, data: Data
) -> Picture:
    """Return the figure as PNG and SVG: the same bytes for the same figure."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.draw_without_rendering()  # the layout is found once, not once a format
    figure.set_layout_engine("none")
    figure.savefig(png, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    heads, lines = data
    return Picture(
        name=name,
        title=title,
        alt=alt,
        caption=caption,
        png=png.getvalue(),
        svg=svg.getvalue(),
        data=(heads, [[_plain(cell) for cell in line] for line in lines]),
    )


def _plain(cell: object) -> object:
    """Ten digits of a number, as in scores.csv; nothing for None and for what is not a number."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return f"{cell:.10g}" if isinstance(cell, float) else cell


def canvas(rows: int, columns: int, *, height: float, **more: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure with its axes in reading order."""
    figure = Figure(figsize=(WIDTH, height))
    axes: Any = figure.subplots(rows, columns, squeeze=False, **more)
    return figure, list(axes.ravel())


def name_rows(ax: Axes, rows: Sequence[str]) -> None:
    """Write the rows' names along the y axis, the first on top."""
    ax.set_yticks(range(len(rows)), [short_name(row) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)


def short_name(row: str, most: int = 34) -> str:
    """Return a row's name, its middle left out where it is long."""
    return row if len(row) <= most else f"{row[: most - 10]}...{row[-7:]}"
