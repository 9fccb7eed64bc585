"""Figures of paired values: forests, patients, ranks, and the specification curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from benchmark.analysis.ceilings import NAMES
from benchmark.plan.analysis import Metric
from benchmark.reporting import look
from benchmark.reporting.chapter import Chapter
from benchmark.scoring.comparison import Comparison
from benchmark.scoring.paper import DISTANCES, GRADIENTS, NETWORK_NORMS, InterpretationResult
from benchmark.scoring.statistics.components import interval_text

MOST_IN_FOREST = 45  # rows of a forest
REFERENCE_CAPTION = (
    "Red lines: what the reference lines score over the baseline; those outside the panel are "
    "named above it."
)


def over_baseline(chapter: Chapter) -> look.Picture | None:
    """Return the gain of every row over the baseline; None where nothing could be compared."""
    base = chapter.plan.baseline
    rows = [row for row in chapter.group.rows if row != base]
    pairs = {row: (row, base) for row in rows}
    return _forest("forest", f"Gain over {base}", pairs, chapter, _references(base, chapter))


def _references(base: str, chapter: Chapter) -> dict[str, float]:
    """How many points of DSC each reference line is above the baseline, over the endpoint's organs;
    without those that are not known."""
    beside = chapter.ceilings.of(base, chapter.group.dataset)
    found: dict[str, list[float | None]] = {name: [] for name in NAMES}
    for organ in chapter.analysis.organs:
        score = chapter.index.get((base, "dsc", organ))
        known = organ in beside and score is not None and score.mean is not None
        values = beside[organ].mean.values if known else (None,) * len(NAMES)
        for name, value in zip(NAMES, values, strict=True):
            ours = score.mean if score and score.mean is not None else 0.0
            found[name].append(None if value is None else value - ours)
    return {
        name: float(np.mean([x for x in each if x is not None]))
        for name, each in found.items()
        if each and None not in each
    }


def over_controls(chapter: Chapter) -> look.Picture | None:
    """Return the gain of the subject over each row of the verdict, ablation or control."""
    plan = chapter.plan
    rows = dict.fromkeys((*plan.controls, *chapter.group.of_kind("controls"), *plan.ablations))
    pairs = {row: (plan.subject, row) for row in rows}
    title = f"Gain of {plan.subject} over controls and ablations"
    return _forest("forest-controls", title, pairs, chapter)


def _forest(
    name: str,
    title: str,
    pairs: Mapping[str, tuple[str, str]],
    chapter: Chapter,
    references: Mapping[str, float] | None = None,
) -> look.Picture | None:
    metrics = chapter.plan.metrics
    first = metrics[0].name
    there = [x for x in pairs if chapter.analysis.comparison(*pairs[x], first)][:MOST_IN_FOREST]
    if not there:
        return None
    figure, axes = look.canvas(1, len(metrics), height=1.3 + 0.22 * len(there), sharey=True)
    told = []
    for ax, metric in zip(axes, metrics, strict=True):
        found = [chapter.analysis.comparison(*pairs[x], metric.name) for x in there]
        _forest_panel(ax, metric, found)
        if metric.name == first:
            told = [_gain_words(x, c) for x, c in zip(there, found, strict=True) if c]
            told += draw_references(ax, references or {})
    look.name_rows(axes[0], there)
    figure.suptitle(f"{title}: {chapter.group.dataset}", x=0.01, ha="left", fontsize=10)
    return look.picture(
        figure,
        name=name,
        title=title,
        alt=f"Forest plot, {chapter.group.dataset}, {first}: " + "; ".join(told) + ".",
        caption="Point: mean paired gain over patients and seeds. Line: primary 95 % interval (an "
        "open point has none: under 6 patients). Grey band: the margin. Right of 0 is better, for "
        "distances too." + (f" {REFERENCE_CAPTION}" if references else ""),
    )


def draw_references(ax: Axes, references: Mapping[str, float]) -> list[str]:
    """Draw each reference line that lies within the panel, and name those beyond it at its edge, so
    that they do not squeeze the intervals; return their words."""
    low, high = ax.get_xlim()
    inside = {name: x for name, x in references.items() if low <= x <= high}
    for (name, x), dashes in zip(inside.items(), (":", "--", "-.", (0, (1, 4))), strict=False):
        ax.axvline(x, color=look.VERMILION, linewidth=1.2, linestyle=dashes, zorder=1, label=name)
    beyond = [
        f"{'←' if x < low else '→'} {name} {x:+z.1f}"
        for name, x in references.items()
        if name not in inside
    ]
    if beyond:
        ax.set_title("\n".join(beyond), fontsize=7, color=look.VERMILION, loc="left")
    if inside:
        ax.legend(fontsize=7, loc="best")
    ax.set_xlim(low, high)
    return [f"{name} {x:+z.2f}" for name, x in references.items()]


def _forest_panel(ax: Axes, metric: Metric, found: Sequence[Comparison | None]) -> None:
    ax.axvspan(-metric.margin, metric.margin, color="#dddddd", zorder=0)
    ax.axvline(0, color=look.GREY, linewidth=0.8, zorder=1)
    for place, each in enumerate(found):
        if each is None:
            continue
        interval = each.primary
        if interval is not None:
            ax.plot([interval.low, interval.high], [place, place], color=look.BLUE, linewidth=1.6)
        fill = look.BLUE if interval is not None else "white"
        ax.plot([each.mean], [place], "o", color=look.BLUE, markerfacecolor=fill, markersize=4.5)
    ax.set_xlabel(f"gain, {metric.name} ({metric.unit})")
    ax.grid(axis="y", color="#eeeeee")
    ax.set_axisbelow(True)


def _gain_words(row: str, found: Comparison) -> str:
    unit, interval = found.metric.unit, found.primary
    text = f"{row} {found.mean:+z.2f} {unit}"
    return text if interval is None else f"{text} ({interval.low:+z.2f} to {interval.high:+z.2f})"


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
    ax.set_ylabel(f"{metric.name} of the endpoint (%)")
    ax.set_title(f"Every patient: {chapter.group.dataset}")
    told = [
        f"{row} mean {mean:.1f}, worst {worst:.1f}"
        for row, mean, worst in zip(rows, mean_r, worst_r, strict=True)
    ]
    return look.picture(
        figure,
        name="patients",
        title="Every patient",
        alt=f"Dot-and-line plot of {value_rn.shape[1]} patients: " + "; ".join(told) + ".",
        caption="One line a patient, mean over seeds; the bar is the mean over patients. Lines "
        "that rise together are a gain in every patient.",
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
        caption=f"Dot: rank of the mean {chapter.plan.metrics[0].name}. Line: 95 % of "
        f"{chapter.plan.draws_rank} bootstrap draws of patients and seeds. Kendall's tau "
        f"{found.kendall_tau:.2f}.",
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
    )


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
