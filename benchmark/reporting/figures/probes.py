"""What the probes saw, patient by patient: the GT gap, and what a teacher loses without its
bottom."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from benchmark.reporting.chapter import Chapter
from benchmark.reporting.figures.style import (
    BLUE,
    CYCLE,
    GREY,
    MARKERS,
    VERMILION,
    Picture,
    canvas,
    name_rows,
    picture,
)

LOST = ("shuffled", "mean", "zero")
MOST = 30


def gt_gap(chapter: Chapter) -> Picture | None:
    """Return the GT gap and the teacher probe of every row with a teacher; None without any."""
    frame = chapter.scores.probes.dropna(subset=["value"])
    by = ["row", "metric", "case"]
    case = frame.groupby(by, observed=True)["value"].mean()
    metrics = set(case.index.get_level_values("metric"))
    if "gt_gap" not in metrics and "teacher_loses_shuffled" not in metrics:
        return None
    there = set(case.index.get_level_values("row"))
    rows = [row for row in chapter.group.rows if row in there][:MOST]
    figure, axes = canvas(1, 2, height=1.6 + 0.24 * len(rows), sharey=True)
    told = _gaps(axes[0], rows, case, chapter.plan.gap_minimum)
    told += _teacher(axes[1], rows, case)
    name_rows(axes[0], rows)
    handles = [h for h in axes[1].get_lines() if h.get_label() in LOST]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(LOST), fontsize=8)
    name = f"GT gap and teacher probe: {chapter.group.dataset}"
    figure.suptitle(name, x=0.01, ha="left", fontsize=10)
    return picture(
        figure,
        name="gt-gap",
        title="GT gap and teacher probe",
        alt="GT gap in percent and points of DSC that the teacher loses: " + "; ".join(told) + ".",
        caption="Left: a dot a patient, bar: mean; the dashed line is what the verdict asks for. "
        "Right: points of DSC that the teacher loses when its bottom is shuffled among slices, "
        "replaced by its mean, or zeroed; left of the dashed line (1 point) it is not used.",
    )


def _values(case: pd.Series, row: str, metric: str) -> np.ndarray:
    if (row, metric) not in case.index.droplevel("case"):
        return np.array([])
    return np.asarray(case.loc[(row, metric)])


def _gaps(ax: Axes, rows: list[str], case: pd.Series, minimum: float) -> list[str]:
    told = []
    for place, row in enumerate(rows):
        value_n = _values(case, row, "gt_gap")
        if len(value_n):
            ax.plot(value_n, np.full(len(value_n), place), "o", color=BLUE, ms=3, alpha=0.6)
            mean = value_n.mean()
            ax.plot([mean], [place], "|", color=VERMILION, markersize=12, markeredgewidth=2.2)
            told.append(f"{row} gap {mean:.1f} %")
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.axvline(minimum, color=GREY, linewidth=0.8, linestyle="--")
    ax.set_xlabel("GT gap (%)")
    ax.grid(axis="y", color="#eeeeee")
    return told


def _teacher(ax: Axes, rows: list[str], case: pd.Series) -> list[str]:
    told = []
    for number, how in enumerate(LOST):
        places, means = [], []
        for place, row in enumerate(rows):
            value_n = _values(case, row, f"teacher_loses_{how}")
            if len(value_n):
                places.append(place + 0.18 * (number - 1))
                means.append(float(value_n.mean()))
                if how == "shuffled":
                    told.append(f"{row} teacher loses {means[-1]:.1f} points")
        marker, colour = MARKERS[number], CYCLE[number]
        ax.plot(means, places, marker, color=colour, markersize=4.5, label=how)
    ax.axvline(1, color=GREY, linewidth=0.8, linestyle="--")
    ax.set_xlabel("teacher loses (points of DSC)")
    ax.grid(axis="y", color="#eeeeee")
    return told
