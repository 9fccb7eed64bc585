"""Figures of what was measured beside the scores: training curves, hard cases, and what the probes
saw, patient by patient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from benchmark.reporting import look
from benchmark.reporting.chapter import Chapter, per_case
from benchmark.reporting.diagnostics import association, difficulty
from benchmark.scoring.hard_cases import TERCILES
from benchmark.store.ledger import Entry

MOST_PANELS, COLUMNS = 9, 3
DASHES = ("-", "--", ":", "-.")
LOWEST = 1e-4  # of the logarithmic axis


def curves(chapter: Chapter) -> look.Picture | None:
    """Return a panel for each row with its trainings in order, one colour a term of the loss; the
    mean over cells, the band from least to greatest. None without records."""
    whole = [r for r in chapter.group.of_kind("paper") if "@" not in r]
    whole = whole or [r for r in chapter.group.rows if "@" not in r]
    stages = {row: _stages(chapter.group.cells[row], chapter) for row in whole}
    rows = [row for row in whole if stages[row]][:MOST_PANELS]
    if not rows:
        return None
    terms = list(dict.fromkeys(t for row in rows for _, found in stages[row] for t in found))
    lines = math.ceil(len(rows) / COLUMNS)
    figure, axes = look.canvas(lines, COLUMNS, height=0.9 + 1.75 * lines, sharey=True)
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
    return look.picture(
        figure,
        name="curves",
        title="Training curves",
        alt="Training curves, last epoch of the last training: " + "; ".join(told) + ".",
        caption="Terms of the loss by epoch, trainings one after the other (grey lines between "
        "them); line: mean over folds and seeds, band: least to greatest. Logarithmic; values "
        f"under {LOWEST:g} are drawn there.",
        data=(("row", "training", "term", "epoch", "mean", "least", "greatest"), _points(stages)),
    )


def _points(stages: Mapping[str, Sequence[Stage]]) -> list[tuple[object, ...]]:
    """All epochs of all trainings, over cells."""
    return [
        (row, title, term, epoch + 1, *(float(of(value_c)) for of in (np.mean, np.min, np.max)))
        for row, found in stages.items()
        for title, terms in found
        for term, value_ce in terms.items()
        for epoch, value_c in enumerate(value_ce.T)
    ]


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
            colour, dash = look.CYCLE[kind % len(look.CYCLE)], DASHES[kind % len(DASHES)]
            ax.plot(x, drawn.mean(axis=0), dash, color=colour, linewidth=1.2, label=term)
            ax.fill_between(x, drawn.min(axis=0), drawn.max(axis=0), color=colour, alpha=0.2)
        if start:
            ax.axvline(start + 0.5, color=look.GREY, linewidth=0.6)
        start += length
        last = ", ".join(f"{t} {v[:, -1].mean():.3g}" for t, v in found.items())
        last = f"{title}: {last}"
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.set_title(look.short_name(row, 26))
    ax.set_xlabel("epoch")
    return f"{row}, {last}"


SHOWN = {"low": "faintest", "middle": "middle", "high": "sharpest"}
MOST_LINES = 7


def hard_cases(chapter: Chapter) -> look.Picture | None:
    """Return both panels; None where no hard case was measured."""
    frame = chapter.hard[chapter.hard["organ"].isin(chapter.analysis.organs)]
    case = per_case(frame)
    if case.empty:
        return None
    mean = case.groupby(["row", "metric"], observed=True).mean()
    there = set(mean.index.get_level_values("row"))
    paper = [r for r in chapter.group.of_kind("paper") if r in there and "@" not in r]
    rows = (paper or [r for r in chapter.group.rows if r in there])[:MOST_LINES]
    table = difficulty(chapter)
    beside = table is not None and not table.empty
    figure, axes = look.canvas(1, 1 + beside, height=3.6)
    told, drawn = [], []
    for number, row in enumerate(rows):
        errors = [float(mean.get((row, f"border_error_{t}"), float("nan"))) for t in TERCILES]
        colour, marker = (
            look.CYCLE[number % len(look.CYCLE)],
            look.MARKERS[number % len(look.MARKERS)],
        )
        axes[0].plot(
            range(3), errors, marker + "-", color=colour, ms=4, lw=1, label=look.short_name(row, 20)
        )
        told.append(f"{row} " + ", ".join(f"{e:.1f}" for e in errors))
        drawn += [
            ("border error %", row, SHOWN[t], "", e) for t, e in zip(TERCILES, errors, strict=True)
        ]
    _name_thirds(axes[0], chapter)
    if table is not None and beside:
        told += _difficulty(axes[1], table, chapter)
        points = zip(table.index, table["gradient"], table["gain"], strict=True)
        drawn += [("gain, points", chapter.plan.subject, case, x, y) for case, x, y in points]
    return look.picture(
        figure,
        name="hard-cases",
        title="Hard cases",
        alt="Border error in percent at the faintest, middle and sharpest third: "
        + "; ".join(told)
        + ".",
        caption="Where the CT shows the border less, a prior should help more."
        + (" Right: a dot a patient; faint borders lie to the left." if beside else ""),
        data=(("what", "row", "third or patient", "gradient HU/mm", "value"), drawn),
    )


def _name_thirds(ax: Axes, chapter: Chapter) -> None:
    ax.set_xticks(range(3), [SHOWN[t] for t in TERCILES])
    ax.set_xlabel("third of the border by its gradient in the CT")
    ax.set_ylabel("wrong voxels within 5 mm (%)")
    ax.legend(fontsize=7)
    ax.set_title(f"Border error: {chapter.group.dataset}")


def _difficulty(ax: Axes, table: pd.DataFrame, chapter: Chapter) -> list[str]:
    plan = chapter.plan
    ax.set_title("Gain against difficulty")
    ax.axhline(0, color=look.GREY, linewidth=0.8)
    ax.plot(table["gradient"], table["gain"], "o", color=look.BLUE, markersize=4)
    ax.set_xlabel("median gradient of the border (HU/mm)")
    ax.set_ylabel(f"gain of {plan.subject} over {plan.baseline} (points)")
    found = association(chapter)
    return [f"gain against gradient, Spearman {found.rho:.2f}"] if found else []


LOST = ("shuffled", "mean", "zero")
MOST_PROBED = 30


def gap_figure(chapter: Chapter) -> look.Picture | None:
    """Return the GT gap and the teacher probe of every row with a teacher; None without any."""
    case = per_case(chapter.scores.probes)
    metrics = set(case.index.get_level_values("metric"))
    if "gt_gap" not in metrics and "teacher_loses_shuffled" not in metrics:
        return None
    there = set(case.index.get_level_values("row"))
    rows = [row for row in chapter.group.rows if row in there][:MOST_PROBED]
    figure, axes = look.canvas(1, 2, height=1.6 + 0.24 * len(rows), sharey=True)
    told = _gaps(axes[0], rows, case, chapter.plan.gap_minimum)
    told += _teacher(axes[1], rows, case)
    look.name_rows(axes[0], rows)
    handles = [h for h in axes[1].get_lines() if h.get_label() in LOST]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(LOST), fontsize=8)
    name = f"GT gap and teacher probe: {chapter.group.dataset}"
    figure.suptitle(name, x=0.01, ha="left", fontsize=10)
    return look.picture(
        figure,
        name="gt-gap",
        title="GT gap and teacher probe",
        alt="GT gap in percent and points of DSC that the teacher loses: " + "; ".join(told) + ".",
        caption="Left: a dot a patient, bar: mean; the dashed line is what the verdict asks for. "
        "Right: points of DSC that the teacher loses when its bottom is shuffled among slices, "
        "replaced by its mean, or zeroed; left of the dashed line (1 point) it is not used.",
        data=(("row", "metric", "patient", "value"), _probed(rows, case)),
    )


def _probed(rows: Sequence[str], case: pd.Series) -> list[tuple[object, ...]]:
    """Every value that is drawn or in a mean that is."""
    metrics = ("gt_gap", *(f"teacher_loses_{how}" for how in LOST))
    return [
        (row, metric, patient, float(value))
        for row in rows
        for metric in metrics
        if (row, metric) in case.index.droplevel("case")
        for patient, value in case.loc[(row, metric)].items()
    ]


def _of_row(case: pd.Series, row: str, metric: str) -> np.ndarray:
    if (row, metric) not in case.index.droplevel("case"):
        return np.array([])
    return np.asarray(case.loc[(row, metric)])


def _gaps(ax: Axes, rows: list[str], case: pd.Series, minimum: float) -> list[str]:
    told = []
    for place, row in enumerate(rows):
        value_n = _of_row(case, row, "gt_gap")
        if len(value_n):
            ax.plot(value_n, np.full(len(value_n), place), "o", color=look.BLUE, ms=3, alpha=0.6)
            mean = value_n.mean()
            ax.plot([mean], [place], "|", color=look.VERMILION, markersize=12, markeredgewidth=2.2)
            told.append(f"{row} gap {mean:.1f} %")
    ax.axvline(0, color=look.GREY, linewidth=0.8)
    ax.axvline(minimum, color=look.GREY, linewidth=0.8, linestyle="--")
    ax.set_xlabel("GT gap (%)")
    ax.grid(axis="y", color="#eeeeee")
    return told


def _teacher(ax: Axes, rows: list[str], case: pd.Series) -> list[str]:
    told = []
    for number, how in enumerate(LOST):
        places, means = [], []
        for place, row in enumerate(rows):
            value_n = _of_row(case, row, f"teacher_loses_{how}")
            if len(value_n):
                places.append(place + 0.18 * (number - 1))
                means.append(float(value_n.mean()))
                if how == "shuffled":
                    told.append(f"{row} teacher loses {means[-1]:.1f} points")
        marker, colour = look.MARKERS[number], look.CYCLE[number]
        ax.plot(means, places, marker, color=colour, markersize=4.5, label=how)
    ax.axvline(1, color=look.GREY, linewidth=0.8, linestyle="--")
    ax.set_xlabel("teacher loses (points of DSC)")
    ax.grid(axis="y", color="#eeeeee")
    return told
