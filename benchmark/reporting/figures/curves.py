"""Training curves: every training behind the paper's rows, one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from benchmark.reporting.chapter import Chapter
from benchmark.reporting.figures.style import CYCLE, GREY, Picture, canvas, picture, short
from benchmark.store.ledger import Entry

MOST, COLUMNS = 9, 3
DASHES = ("-", "--", ":", "-.")
LOWEST = 1e-4  # of the logarithmic axis


def curves(chapter: Chapter) -> Picture | None:
    """Return a panel for each row with its trainings in order, one colour a term of the loss; the
    mean over cells, the band from least to greatest. None without records."""
    whole = [r for r in chapter.group.of_kind("paper") if "@" not in r]
    whole = whole or [r for r in chapter.group.rows if "@" not in r]
    stages = {row: _stages(chapter.group.cells[row], chapter) for row in whole}
    rows = [row for row in whole if stages[row]][:MOST]
    if not rows:
        return None
    terms = list(dict.fromkeys(t for row in rows for _, found in stages[row] for t in found))
    lines = math.ceil(len(rows) / COLUMNS)
    figure, axes = canvas(lines, COLUMNS, height=0.9 + 1.75 * lines, sharey=True)
    told = [_panel(ax, row, stages[row], terms) for ax, row in zip(axes, rows, strict=False)]
    for ax in axes[len(rows) :]:
        ax.axis("off")
    handles = {
        h.get_label(): h for ax in axes for h in ax.get_lines() if str(h.get_label())[0] != "_"
    }
    figure.legend(
        handles=list(handles.values()), loc="outside upper right", ncols=min(len(handles), 6)
    )
    figure.suptitle(f"Training curves: {chapter.group.dataset}", x=0.01, ha="left", fontsize=10)
    return picture(
        figure,
        name="curves",
        title="Training curves",
        alt="Training curves, last epoch of the last training: " + "; ".join(told) + ".",
        caption="Terms of the loss by epoch, trainings one after the other (grey lines between "
        "them); line: mean over folds and seeds, band: least to greatest. Logarithmic; values "
        f"under {LOWEST:g} are drawn there.",
    )


Stage = tuple[str, Mapping[str, NDArray[np.float64]]]


def _stages(members: Sequence[Entry], chapter: Chapter) -> list[Stage]:
    """Each training of a row: its title, and its terms as arrays (cells, epochs)."""
    found: list[Stage] = []
    for place in range(len(members[0].nodes)):
        there = [
            training
            for entry in members
            if place < len(entry.nodes)
            and (training := chapter.trainings.get(entry.nodes[place])) is not None
            and training.curves
        ]
        if there:
            names = [n for n in there[0].curves if all(n in each.curves for each in there)]
            length = min(len(each.curves[names[0]]) for each in there) if names else 0
            stacked = {n: np.stack([each.curves[n][:length] for each in there]) for n in names}
            if length:
                found.append((there[0].title, stacked))
    return found


def _panel(ax: Axes, row: str, stages: Sequence[Stage], terms: Sequence[str]) -> str:
    start, last = 0, ""
    for title, found in stages:
        length = 0
        for term, value_ce in found.items():
            drawn, kind = np.maximum(value_ce, LOWEST), terms.index(term)
            length = drawn.shape[1]
            x = np.arange(start + 1, start + length + 1)
            colour, dash = CYCLE[kind % len(CYCLE)], DASHES[kind % len(DASHES)]
            ax.plot(x, drawn.mean(axis=0), dash, color=colour, linewidth=1.2, label=term)
            ax.fill_between(x, drawn.min(axis=0), drawn.max(axis=0), color=colour, alpha=0.2)
        if start:
            ax.axvline(start + 0.5, color=GREY, linewidth=0.6)
        start += length
        last = ", ".join(f"{t} {v[:, -1].mean():.3g}" for t, v in found.items())
        last = f"{title}: {last}"
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.set_title(short(row, 26))
    ax.set_xlabel("epoch")
    return f"{row}, {last}"
