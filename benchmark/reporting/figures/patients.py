"""Patient by patient: dot-and-line plots, and the ranks' stability."""

from __future__ import annotations

import numpy as np

from benchmark.reporting.chapter import Chapter
from benchmark.reporting.figures.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILION,
    Picture,
    canvas,
    name_rows,
    picture,
    short,
)

MOST_RANKED = 40


def per_case(chapter: Chapter) -> Picture | None:
    """Return each patient as a line over the paper's rows, in the test endpoint; None where fewer
    than two rows are complete."""
    metric = chapter.plan.metrics[0]
    rows = [r for r in chapter.complete_rows(metric.name, "paper") if "@" not in r]
    if len(rows) < 2:
        rows = [r for r in chapter.complete_rows(metric.name) if "@" not in r][:8]
    if len(rows) < 2:
        return None
    found = [chapter.analysis.row(row, metric.name) for row in rows]
    value_rn = np.stack([each.value_nS.mean(axis=1) for each in found if each])
    figure, (ax,) = canvas(1, 1, height=3.8)
    for value_r in value_rn.T:
        ax.plot(range(len(rows)), value_r, color=GREY, linewidth=0.6, alpha=0.6, zorder=1)
    for place, value_n in enumerate(value_rn):
        ax.plot(np.full(len(value_n), place), value_n, "o", color=BLUE, markersize=3, zorder=2)
    mean_r, worst_r = value_rn.mean(axis=1), value_rn.min(axis=1)
    ax.plot(range(len(rows)), mean_r, "_", color=VERMILION, markersize=26, markeredgewidth=2.2)
    ax.set_xticks(range(len(rows)), [short(row, 18) for row in rows], rotation=20, ha="right")
    ax.set_xlim(-0.5, len(rows) - 0.5)
    ax.set_ylabel(f"{metric.name} of the endpoint (%)")
    ax.set_title(f"Every patient: {chapter.group.dataset}")
    told = [
        f"{row} mean {mean:.1f}, worst {worst:.1f}"
        for row, mean, worst in zip(rows, mean_r, worst_r, strict=True)
    ]
    return picture(
        figure,
        name="patients",
        title="Every patient",
        alt=f"Dot-and-line plot of {value_rn.shape[1]} patients: " + "; ".join(told) + ".",
        caption="One line a patient, mean over seeds; the bar is the mean over patients. Lines "
        "that rise together are a gain in every patient.",
    )


def ranks(chapter: Chapter) -> Picture | None:
    """Return the rank of each row with its bootstrap interval; None without a ranking."""
    found = chapter.analysis.ranks
    if found is None:
        return None
    ordered = sorted(found.ranks, key=lambda r: (r.rank, r.row))[:MOST_RANKED]
    figure, (ax,) = canvas(1, 1, height=1.3 + 0.22 * len(ordered))
    for place, each in enumerate(ordered):
        ax.plot([each.low, each.high], [place, place], color=BLUE, linewidth=1.6)
        ax.plot([each.rank], [place], "o", color=BLACK, markersize=4.5)
        ax.annotate(
            f"first in {100 * each.first:.0f} %" if each.first >= 0.005 else "",
            (each.high, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    name_rows(ax, [each.row for each in ordered])
    ax.set_xlabel("rank (1 is best)")
    ax.grid(axis="y", color="#eeeeee")
    ax.set_title(f"Ranks and their stability: {chapter.group.dataset}")
    told = [f"{r.row} {r.rank:g} ({r.low:g} to {r.high:g})" for r in ordered]
    return picture(
        figure,
        name="ranks",
        title="Ranks and their stability",
        alt="Rank plot, rank with 95 % of the draws: " + "; ".join(told) + ".",
        caption=f"Dot: rank of the mean {chapter.plan.metrics[0].name}. Line: 95 % of "
        f"{chapter.plan.draws_rank} bootstrap draws of patients and seeds. Kendall's tau "
        f"{found.kendall_tau:.2f}.",
    )
