"""Forests: the gain of each row over another, with what stands beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from benchmark.analysis.ceilings import NAMES
from benchmark.analysis.tables import organs_text
from benchmark.plan.analysis import Metric
from benchmark.reporting import look
from benchmark.reporting.beside import Gain, gain_over
from benchmark.reporting.chapter import Chapter
from benchmark.settings.registry import OUTSIDE

MOST_IN_FOREST = 45  # rows of a forest
REFERENCE_CAPTION = (
    "Red lines: what the reference lines score over the baseline; those outside the panel are "
    "named above it."
)


LIMIT = "limit of detection"
LIMIT_CAPTION = (
    "Purple ticks: the row's limit of detection; a true difference to the baseline that is smaller "
    "would have been missed more often than the plan allows."
)
MARKED = {"controls": "s", OUTSIDE: "D"}
MARKED_CAPTION = "Squares: controls; diamonds: rows of other tools."
FOREST_HEADS = ("row", "reference", "kind", "metric", "unit", "gain", "low", "high")


def over_baseline(chapter: Chapter) -> look.Picture | None:
    """Return the gain of every row over the baseline; None where nothing could be compared."""
    base = chapter.plan.baseline
    rows = [row for row in chapter.group.rows if row != base]
    pairs = {row: (row, base) for row in rows}
    title, references = f"Gain over {base}", _references(base, chapter)
    return _forest("forest", title, pairs, chapter, references, _limits(pairs, chapter))


def _limits(pairs: Mapping[str, tuple[str, str]], chapter: Chapter) -> dict[str, float]:
    """The least true difference that would have been found for each row, where it is known."""
    metric = chapter.plan.metrics[0].name
    found = {name: chapter.analysis.comparison(*pair, metric) for name, pair in pairs.items()}
    known = {name: each.smallest_detectable for name, each in found.items() if each}
    return {name: least for name, least in known.items() if least is not None}


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
    limits: Mapping[str, float] | None = None,
) -> look.Picture | None:
    metrics = chapter.plan.metrics
    first, organs = metrics[0].name, organs_text(chapter.analysis.organs)
    there = [x for x in pairs if gain_over(*pairs[x], first, chapter)][:MOST_IN_FOREST]
    if not there:
        return None
    figure, axes = look.canvas(1, len(metrics), height=1.3 + 0.22 * len(there), sharey=True)
    told, drawn, kinds = [], [], chapter.group.kinds
    for ax, metric in zip(axes, metrics, strict=True):
        found = [gain_over(*pairs[x], metric.name, chapter) for x in there]
        _forest_panel(ax, metric, found, [MARKED.get(kinds[x], "o") for x in there])
        drawn += [_drawn(each, kinds) for each in found if each]
        if metric.name == first:
            told = [_gain_words(x, c) for x, c in zip(there, found, strict=True) if c]
            seen = {x: limits[x] for x in there if x in limits} if limits else {}
            told += draw_limits(ax, there, seen)
            told += draw_references(ax, references or {})
            drawn += _lines(metric, references or {}, seen)
    look.name_rows(axes[0], there)
    figure.suptitle(f"{title}: {chapter.group.dataset}", x=0.01, ha="left", fontsize=10)
    return look.picture(
        figure,
        name=name,
        title=title,
        alt=f"Forest plot, {chapter.group.dataset}, {look.metric_text(first)}: "
        + "; ".join(told)
        + ".",
        caption=f"Point: mean paired gain over patients and seeds, mean over {organs}. "
        "Line: primary 95 % interval (an "
        "open point has none: under 6 patients). Grey band: the margin. Right of 0 is better, for "
        f"distances too. {MARKED_CAPTION}"
        + (f" {LIMIT_CAPTION}" if limits else "")
        + (f" {REFERENCE_CAPTION}" if references else ""),
        data=(FOREST_HEADS, drawn),
    )


def _drawn(gain: Gain, kinds: Mapping[str, str]) -> list[object]:
    """A gain as a line of the figure's table."""
    found, metric = gain.interval, gain.metric
    limits = (found.low, found.high) if found else (None, None)
    return [gain.row, gain.reference, kinds[gain.row], metric.name, metric.unit, gain.mean, *limits]


def _lines(
    metric: Metric, references: Mapping[str, float], limits: Mapping[str, float]
) -> list[list[object]]:
    """The lines across a panel, and the ticks of its rows, as lines of the figure's table."""
    lines = [(name, "", at) for name, at in references.items()]
    lines += [(LIMIT, row, at) for row, at in limits.items()]
    return [[x, of, "line", metric.name, metric.unit, at, None, None] for x, of, at in lines]


def draw_limits(ax: Axes, rows: Sequence[str], limits: Mapping[str, float]) -> list[str]:
    """Draw in each row both ends of what could not have been seen, where they leave the intervals
    room; return their words."""
    low, high = ax.get_xlim()
    for row, limit in limits.items():
        place, inside = rows.index(row), [x for x in (-limit, limit) if low <= x <= high]
        ends = np.add(place, (-0.3, 0.3))
        ax.vlines(inside, *ends, color=look.PURPLE, linewidth=1.6)
    ax.set_xlim(low, high)
    return [f"{LIMIT} {min(limits.values()):.2f} to {max(limits.values()):.2f}"] if limits else []


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


def _forest_panel(
    ax: Axes, metric: Metric, found: Sequence[Gain | None], marks: Sequence[str]
) -> None:
    ax.axvspan(-metric.margin, metric.margin, color="#dddddd", zorder=0)
    ax.axvline(0, color=look.GREY, linewidth=0.8, zorder=1)
    for place, (each, mark) in enumerate(zip(found, marks, strict=True)):
        if each is None:
            continue
        interval = each.interval
        if interval is not None:
            ax.plot([interval.low, interval.high], [place, place], color=look.BLUE, linewidth=1.6)
        fill = look.BLUE if interval is not None else "white"
        ax.plot([each.mean], [place], mark, color=look.BLUE, markerfacecolor=fill, markersize=4.5)
    ax.set_xlabel(f"gain, {look.metric_text(metric.name)} ({metric.unit})")
    ax.grid(axis="y", color="#eeeeee")
    ax.set_axisbelow(True)


def _gain_words(row: str, found: Gain) -> str:
    unit, interval = found.metric.unit, found.interval
    text = f"{row} {found.mean:+z.2f} {unit}"
    return text if interval is None else f"{text} ({interval.low:+z.2f} to {interval.high:+z.2f})"
