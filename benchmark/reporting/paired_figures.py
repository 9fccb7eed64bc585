"""Figures of paired values: patients, ranks, and the specification curve."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from benchmark.analysis.tables import organs_text
from benchmark.reporting import look
from benchmark.reporting.chapter import Chapter
from benchmark.scoring.paper import DISTANCES, GRADIENTS, NETWORK_NORMS, InterpretationResult
from benchmark.scoring.statistics.components import Interval, interval_text

MOST_RANKED = 40


def every_patient(chapter: Chapter) -> look.Picture | None:
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
    figure, (ax,) = look.canvas(1, 1, height=3.8)
    for value_r in value_rn.T:
        ax.plot(range(len(rows)), value_r, color=look.GREY, linewidth=0.6, alpha=0.6, zorder=1)
    for place, value_n in enumerate(value_rn):
        ax.plot(np.full(len(value_n), place), value_n, "o", color=look.BLUE, markersize=3, zorder=2)
    mean_r, worst_r = value_rn.mean(axis=1), value_rn.min(axis=1)
    ax.plot(range(len(rows)), mean_r, "_", color=look.VERMILION, markersize=26, markeredgewidth=2.2)
    ax.set_xticks(
        range(len(rows)), [look.short_name(row, 18) for row in rows], rotation=20, ha="right"
    )
    ax.set_xlim(-0.5, len(rows) - 0.5)
    over = f"mean over {organs_text(chapter.analysis.organs)}"
    ax.set_ylabel(f"{look.metric_text(metric.name)} (%)")
    ax.set_title(f"Every patient: {chapter.group.dataset}, {over}")
    told = [
        f"{row} mean {mean:.1f}, worst {worst:.1f}"
        for row, mean, worst in zip(rows, mean_r, worst_r, strict=True)
    ]
    return look.picture(
        figure,
        name="patients",
        title="Every patient",
        alt=f"Dot-and-line plot of {value_rn.shape[1]} patients: " + "; ".join(told) + ".",
        caption=f"One line a patient, {over} and over seeds; the bar is the mean over patients. "
        "Lines that rise together are a gain in every patient.",
        data=(
            ("row", "patient", metric.name),
            [
                (row, case, float(value))
                for row, each in zip(rows, found, strict=True)
                if each
                for case, value in zip(each.cases, each.value_nS.mean(axis=1), strict=True)
            ],
        ),
    )


def ranks(chapter: Chapter) -> look.Picture | None:
    """Return the rank of each row with its bootstrap interval; None without a ranking."""
    found = chapter.analysis.ranks
    if found is None:
        return None
    ordered = sorted(found.ranks, key=lambda r: (r.rank, r.row))[:MOST_RANKED]
    figure, (ax,) = look.canvas(1, 1, height=1.3 + 0.22 * len(ordered))
    for place, each in enumerate(ordered):
        ax.plot([each.low, each.high], [place, place], color=look.BLUE, linewidth=1.6)
        ax.plot([each.rank], [place], "o", color=look.BLACK, markersize=4.5)
        ax.annotate(
            f"first in {100 * each.first:.0f} %" if each.first >= 0.005 else "",
            (each.high, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    look.name_rows(ax, [each.row for each in ordered])
    ax.set_xlabel("rank (1 is best)")
    ax.grid(axis="y", color="#eeeeee")
    ax.set_title(f"Ranks and their stability: {chapter.group.dataset}")
    told = [f"{r.row} {r.rank:g} ({r.low:g} to {r.high:g})" for r in ordered]
    return look.picture(
        figure,
        name="ranks",
        title="Ranks and their stability",
        alt="Rank plot, rank with 95 % of the draws: " + "; ".join(told) + ".",
        caption=f"Dot: rank of the mean {look.metric_text(chapter.plan.metrics[0].name)}. Line: "
        f"95 % of {chapter.plan.draws_rank} bootstrap draws of patients and seeds. Kendall's tau "
        f"{found.kendall_tau:.2f}.",
        data=(
            ("row", "rank", "low", "high", "share of draws first"),
            [(r.row, r.rank, r.low, r.high, r.first) for r in ordered],
        ),
    )


CHOICES = (
    *((f"norm {n}", "network_norm", n) for n in NETWORK_NORMS),
    *((f"M {d}", "distance", d) for d in DISTANCES),
    *((f"gradient {g}", "gradient", g) for g in GRADIENTS),
)


def curve_figure(chapter: Chapter) -> look.Picture | None:
    """Return the curve with the choices below it; None where there is no curve."""
    curve, metric = chapter.interpretations.curve, chapter.plan.metrics[0]
    if curve is None:
        return None
    figure, (top, below) = look.canvas(2, 1, height=4.6, sharex=True, height_ratios=(3, 2))
    told = []
    for place, point in enumerate(curve.points):
        told.append(_point(top, place, point, best=point is curve.best))
    top.axhspan(-metric.margin, metric.margin, color="#dddddd", zorder=0)
    top.axhline(0, color=look.GREY, linewidth=0.8)
    top.set_ylabel(f"weakest gain\n({metric.unit})")
    top.set_title(f"Specification curve: {chapter.group.dataset}")
    _choices(below, curve.points)
    return look.picture(
        figure,
        name="readings",
        title="Specification curve",
        alt=f"Specification curve. {curve.sentence} " + "; ".join(told) + ".",
        caption="Above: gain over the control against which it is least, primary 95 % interval; "
        "the black diamond is the reading with the best inner validation; grey band: the margin. "
        "Below: what each reading chooses.",
        data=(
            ("reading", "weakest gain", "low", "high", "best inner validation"),
            [
                (p.label, *_limits(p.weakest), "yes" if p is curve.best else "no")
                for p in curve.points
            ],
        ),
    )


def _limits(found: Interval | None) -> tuple[float | None, float | None, float | None]:
    return (found.estimate, found.low, found.high) if found else (None, None, None)


def _point(ax: Axes, place: int, point: InterpretationResult, *, best: bool) -> str:
    found, name = point.weakest, point.label
    if found is None:
        return f"{name}: no interval"
    ax.plot([place, place], [found.low, found.high], color=look.BLUE, linewidth=1.6)
    colour, marker = (look.BLACK, "D") if best else (look.BLUE, "o")
    ax.plot([place], [found.estimate], marker, color=colour, markersize=5)
    return f"{name}: {interval_text(found)}"


def _choices(ax: Axes, points: tuple[InterpretationResult, ...]) -> None:
    for line, (_, field, value) in enumerate(CHOICES):
        places = [n for n, p in enumerate(points) if getattr(p.interpretation, field) == value]
        ax.plot(range(len(points)), [line] * len(points), "s", color="#dddddd", markersize=5)
        ax.plot(places, [line] * len(places), "s", color=look.BLACK, markersize=5)
    ax.set_yticks(range(len(CHOICES)), [text for text, _, _ in CHOICES])
    ax.set_ylim(len(CHOICES) - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_xlabel("readings, by their weakest gain")
