"""Forest plots: paired differences with their primary intervals and the margin."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from benchmark.plan.analysis import Metric
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.figures.style import BLUE, GREY, Picture, canvas, name_rows, picture
from benchmark.scoring.comparison import Comparison

MOST = 45  # rows of a forest


def over_baseline(chapter: Chapter) -> Picture | None:
    """Return the gain of every row over the baseline; None where nothing could be compared."""
    base = chapter.plan.baseline
    rows = [row for row in chapter.group.rows if row != base]
    pairs = [(row, base, row) for row in rows]
    return _forest("forest", f"Gain over {base}", pairs, chapter)


def over_controls(chapter: Chapter) -> Picture | None:
    """Return the gain of the subject over each row of the verdict, ablation or control."""
    plan = chapter.plan
    rows = dict.fromkeys((*plan.controls, *chapter.group.of_kind("controls"), *plan.ablations))
    pairs = [(plan.subject, row, row) for row in rows]
    title = f"Gain of {plan.subject} over controls and ablations"
    return _forest("forest-controls", title, pairs, chapter)


def _forest(
    name: str, title: str, pairs: Sequence[tuple[str, str, str]], chapter: Chapter
) -> Picture | None:
    metrics = chapter.plan.metrics
    first = metrics[0].name
    there = [p for p in pairs if chapter.analysis.comparison(p[0], p[1], first)][:MOST]
    if not there:
        return None
    figure, axes = canvas(1, len(metrics), height=1.3 + 0.22 * len(there), sharey=True)
    told = []
    for ax, metric in zip(axes, metrics, strict=True):
        found = [chapter.analysis.comparison(p[0], p[1], metric.name) for p in there]
        _panel(ax, metric, found)
        if metric.name == first:
            told = [_words(p[2], c) for p, c in zip(there, found, strict=True) if c]
    name_rows(axes[0], [label for _, _, label in there])
    figure.suptitle(f"{title}: {chapter.group.dataset}", x=0.01, ha="left", fontsize=10)
    return picture(
        figure,
        name=name,
        title=title,
        alt=f"Forest plot, {chapter.group.dataset}, {first}: " + "; ".join(told) + ".",
        caption="Point: mean paired gain over patients and seeds. Line: primary 95 % interval (an "
        "open point has none: under 6 patients). Grey band: the margin. Right of 0 is better, for "
        "distances too.",
    )


def _panel(ax: Axes, metric: Metric, found: Sequence[Comparison | None]) -> None:
    ax.axvspan(-metric.margin, metric.margin, color="#dddddd", zorder=0)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    for place, each in enumerate(found):
        if each is None:
            continue
        interval = each.primary
        if interval is not None:
            ax.plot([interval.low, interval.high], [place, place], color=BLUE, linewidth=1.6)
        fill = BLUE if interval is not None else "white"
        ax.plot([each.mean], [place], "o", color=BLUE, markerfacecolor=fill, markersize=4.5)
    ax.set_xlabel(f"gain, {metric.name} ({metric.unit})")
    ax.grid(axis="y", color="#eeeeee")
    ax.set_axisbelow(True)


def _words(row: str, found: Comparison) -> str:
    unit, interval = found.metric.unit, found.primary
    text = f"{row} {found.mean:+z.2f} {unit}"
    return text if interval is None else f"{text} ({interval.low:+z.2f} to {interval.high:+z.2f})"
