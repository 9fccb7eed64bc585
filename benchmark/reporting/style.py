"""One look for all figures: colours that colour-blind readers can tell apart, dark on white.

Colours: Okabe & Ito, Color Universal Design, 2008. No figure tells anything by colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure in two formats. `alt` says what it shows, with numbers; `caption` how to read it."""

    name: str
    title: str
    alt: str
    caption: str
    png: bytes
    svg: bytes


@contextmanager
def style() -> Iterator[None]:
    """Draw with our look, whatever the user's own settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def picture(figure: Figure, *, name: str, title: str, alt: str, caption: str) -> Picture:
    """Return the figure as PNG and SVG: the same bytes for the same figure."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.draw_without_rendering()  # the layout is found once, not once a format
    figure.set_layout_engine("none")
    figure.savefig(png, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return Picture(
        name=name, title=title, alt=alt, caption=caption, png=png.getvalue(), svg=svg.getvalue()
    )


def canvas(rows: int, columns: int, *, height: float, **more: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure with its axes in reading order."""
    figure = Figure(figsize=(WIDTH, height))
    axes: Any = figure.subplots(rows, columns, squeeze=False, **more)
    return figure, list(axes.ravel())


def name_rows(ax: Axes, rows: Sequence[str]) -> None:
    """Write the rows' names along the y axis, the first on top."""
    ax.set_yticks(range(len(rows)), [short(row) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)


def short(row: str, most: int = 34) -> str:
    """Return a row's name, its middle left out where it is long."""
    return row if len(row) <= most else f"{row[: most - 10]}...{row[-7:]}"
