"""The specification curve: the weakest gain of every reading of the paper."""

from __future__ import annotations

from matplotlib.axes import Axes

from benchmark.reporting.chapter import Chapter
from benchmark.reporting.figures.style import BLACK, BLUE, GREY, Picture, canvas, picture
from benchmark.scoring.paper import DISTANCES, GRADIENTS, NETWORK_NORMS, ReadingResult

CHOICES = (
    *((f"norm {n}", "network_norm", n) for n in NETWORK_NORMS),
    *((f"M {d}", "distance", d) for d in DISTANCES),
    *((f"gradient {g}", "gradient", g) for g in GRADIENTS),
)


def specification_curve(chapter: Chapter) -> Picture | None:
    """Return the curve with the choices below it; None where there is no curve."""
    curve, metric = chapter.readings.curve, chapter.plan.metrics[0]
    if curve is None:
        return None
    figure, (top, below) = canvas(2, 1, height=4.6, sharex=True, height_ratios=(3, 2))
    told = []
    for place, point in enumerate(curve.points):
        told.append(_point(top, place, point, best=point is curve.best))
    top.axhspan(-metric.margin, metric.margin, color="#dddddd", zorder=0)
    top.axhline(0, color=GREY, linewidth=0.8)
    top.set_ylabel(f"weakest gain\n({metric.unit})")
    top.set_title(f"Specification curve: {chapter.group.dataset}")
    _choices(below, curve.points)
    return picture(
        figure,
        name="readings",
        title="Specification curve",
        alt=f"Specification curve. {curve.sentence} " + "; ".join(told) + ".",
        caption="Above: gain over the control against which it is least, primary 95 % interval; "
        "the black diamond is the reading with the best inner validation; grey band: the margin. "
        "Below: what each reading chooses.",
    )


def _point(ax: Axes, place: int, point: ReadingResult, *, best: bool) -> str:
    found, name = point.weakest, point.reading.label
    if found is None:
        return f"{name}: no interval"
    ax.plot([place, place], [found.low, found.high], color=BLUE, linewidth=1.6)
    colour, marker = (BLACK, "D") if best else (BLUE, "o")
    ax.plot([place], [found.estimate], marker, color=colour, markersize=5)
    return f"{name}: {found.estimate:+z.2f} ({found.low:+z.2f} to {found.high:+z.2f})"


def _choices(ax: Axes, points: tuple[ReadingResult, ...]) -> None:
    for line, (_, field, value) in enumerate(CHOICES):
        places = [n for n, p in enumerate(points) if getattr(p.reading, field) == value]
        ax.plot(range(len(points)), [line] * len(points), "s", color="#dddddd", markersize=5)
        ax.plot(places, [line] * len(places), "s", color=BLACK, markersize=5)
    ax.set_yticks(range(len(CHOICES)), [text for text, _, _ in CHOICES])
    ax.set_ylim(len(CHOICES) - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_xlabel("readings, by their weakest gain")
