"""Hard cases: the border's error by its sharpness, and the gain against difficulty."""

from __future__ import annotations

from matplotlib.axes import Axes

from benchmark.reporting.chapter import Chapter
from benchmark.reporting.figures.style import (
    BLUE,
    CYCLE,
    GREY,
    MARKERS,
    Picture,
    canvas,
    picture,
    short,
)
from benchmark.reporting.sheets.diagnostics import association, difficulty
from benchmark.scoring.hard_cases import TERCILES

SHOWN = {"low": "faintest", "middle": "middle", "high": "sharpest"}
MOST = 7


def hard_cases(chapter: Chapter) -> Picture | None:
    """Return both panels; None where no hard case was measured."""
    frame = chapter.hard[chapter.hard["organ"].isin(chapter.analysis.organs)]
    frame = frame.dropna(subset=["value"])
    if frame.empty:
        return None
    case = frame.groupby(["row", "metric", "case"], observed=True)["value"].mean()
    mean = case.groupby(["row", "metric"], observed=True).mean()
    there = set(mean.index.get_level_values("row"))
    paper = [r for r in chapter.group.of_kind("paper") if r in there and "@" not in r]
    rows = (paper or [r for r in chapter.group.rows if r in there])[:MOST]
    figure, axes = canvas(1, 2, height=3.6)
    told = []
    for number, row in enumerate(rows):
        errors = [float(mean.get((row, f"border_error_{t}"), float("nan"))) for t in TERCILES]
        colour, marker = CYCLE[number % len(CYCLE)], MARKERS[number % len(MARKERS)]
        axes[0].plot(range(3), errors, marker + "-", color=colour, ms=4, lw=1, label=short(row, 20))
        told.append(f"{row} " + ", ".join(f"{e:.1f}" for e in errors))
    axes[0].set_xticks(range(3), [SHOWN[t] for t in TERCILES])
    axes[0].set_xlabel("third of the border by its gradient in the CT")
    axes[0].set_ylabel("wrong voxels within 5 mm (%)")
    axes[0].legend(fontsize=7)
    axes[0].set_title(f"Border error: {chapter.group.dataset}")
    told += _difficulty(axes[1], chapter)
    return picture(
        figure,
        name="hard-cases",
        title="Hard cases",
        alt="Border error in percent at the faintest, middle and sharpest third: "
        + "; ".join(told)
        + ".",
        caption="Left: where the CT shows the border less, a prior should help more. Right: a dot "
        "a patient; faint borders are left.",
    )


def _difficulty(ax: Axes, chapter: Chapter) -> list[str]:
    plan, table = chapter.plan, difficulty(chapter)
    ax.set_title("Gain against difficulty")
    if table is None or table.empty:
        ax.text(0.5, 0.5, f"needs {plan.subject} and {plan.baseline}", ha="center", color=GREY)
        ax.axis("off")
        return []
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.plot(table["gradient"], table["gain"], "o", color=BLUE, markersize=4)
    ax.set_xlabel("median gradient of the border (HU/mm)")
    ax.set_ylabel(f"gain of {plan.subject} over {plan.baseline} (points)")
    found = association(chapter)
    return [f"gain against gradient, Spearman {found.rho:.2f}"] if found else []
