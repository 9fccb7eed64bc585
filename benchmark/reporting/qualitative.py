"""The qualitative figure, like the paper's Fig. 3: CT, rows, ground truth, with contours.

Nothing is chosen by hand. Patients: the median and the worst by the endpoint's DSC of one row, mean
over seeds. Slice: of the median patient the one with the most true organ voxels; of the worst the
one in which all rows together have the most wrong voxels. Seed: the lowest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.data.volume import Label, Volume
from benchmark.reporting import look
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.overlay import SOFT_TISSUE_HU, outline, show_all
from benchmark.scoring.cases import known

ORGAN_COLOURS = (look.VERMILION, look.SKY, look.YELLOW, look.GREEN, look.PURPLE, look.ORANGE)
MOST_ROWS = 5
MARGIN_MM = 25.0
SIDE = 1.75  # inches of a panel


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """One line of the figure: a patient's slice, the label maps of the rows, and their scores."""

    title: str
    patient: str
    volume: Volume
    z: int
    predicted: dict[str, Label]
    dsc: dict[str, float]


def qualitative(chapter: Chapter) -> look.Picture | None:
    """Return the figure; None without the data set, or without label maps."""
    lines = chosen(chapter)
    if not lines:
        return None
    columns = 2 + len(lines[0].predicted)
    figure = Figure(figsize=(SIDE * columns, 0.5 + (SIDE + 0.25) * len(lines)))
    axes = figure.subplots(len(lines), columns, squeeze=False)
    for line, row in zip(lines, axes, strict=True):
        _draw(line, list(row), chapter)
    organs = ", ".join(chapter.scores.organs)
    told = "; ".join(_words(line) for line in lines)
    return look.picture(
        figure,
        name="qualitative",
        title="Median and worst patient",
        alt=f"CT slices with contours of {organs}. {told}.",
        caption=f"{_rule(chapter)} Columns: CT, rows, ground truth. Solid: the row's contours, "
        f"dotted white: the truth's. Colours: {_colours(chapter)}. DSC: of the patient, mean over "
        "the endpoint's organs, the seed that is shown.",
        data=(
            ("which", "patient", "slice", "row", "dsc"),
            [
                (line.title.partition(":")[0], line.patient, line.z + 1, row, dsc)
                for line in lines
                for row, dsc in line.dsc.items()
            ],
        ),
    )


def chosen(chapter: Chapter) -> list[Shown]:
    """Return the median and the worst patient, by the stated rule."""
    reference = judge_row(chapter)
    if reference is None or chapter.scores.dataset is None:
        return []
    found = chapter.analysis.row(reference, chapter.plan.metrics[0].name)
    assert found is not None
    mean_n = found.value_nS.mean(axis=1)
    order = np.lexsort((np.arange(len(mean_n)), mean_n))
    picks = {"worst": int(order[0]), "median": int(order[(len(order) - 1) // 2])}
    lines = [_shown(how, found.cases[picks[how]], chapter) for how in ("median", "worst")]
    return [line for line in lines if line is not None]


def judge_row(chapter: Chapter) -> str | None:
    """Return the row by which patients are chosen: the subject, else the baseline, else the first
    complete one."""
    rows = chapter.complete_rows(chapter.plan.metrics[0].name)
    preferred = [r for r in (chapter.plan.subject, chapter.plan.baseline, *rows) if r in rows]
    return preferred[0] if preferred else None


def rows_shown(chapter: Chapter) -> list[str]:
    """Return the rows of the figure: baseline and subject, then the paper's others, at most
    five, in the order of the table."""
    plan, rows = chapter.plan, chapter.complete_rows(chapter.plan.metrics[0].name)
    paper = [r for r in rows if chapter.group.kinds[r] == "paper" and "@" not in r]
    wanted = [r for r in (plan.baseline, plan.subject, *paper, *rows) if r in rows]
    picked = set(list(dict.fromkeys(wanted))[:MOST_ROWS])
    return [row for row in rows if row in picked]


def _shown(how: str, patient: str, chapter: Chapter) -> Shown | None:
    assert chapter.scores.dataset is not None
    case = {number: name for name, number in chapter.scores.numbers.items()}[patient]
    fold = next(p.fold for p in chapter.scores.patients if p.case == patient)
    predicted = {}
    for row in rows_shown(chapter):
        found = _label(row, fold, case, chapter)
        if found is not None:
            predicted[row] = found
    if not predicted:
        return None
    volume = chapter.scores.dataset.load(case)
    annotated = [k for k, o in enumerate(chapter.scores.dataset.organs, 1) if o in volume.annotated]
    true_Z = np.isin(volume.label, annotated).sum(axis=(1, 2))
    maps = [known(label, volume.unknown) for label in predicted.values()]
    wrong_Z = sum((label != volume.label).sum(axis=(1, 2)) for label in maps)
    return Shown(
        title=f"{how}: {patient}",
        patient=patient,
        volume=volume,
        z=int(np.argmax(true_Z if how == "median" else wrong_Z)),
        predicted=predicted,
        dsc={row: _dsc(row, patient, chapter) for row in predicted},
    )


def _label(row: str, fold: int, case: str, chapter: Chapter) -> Label | None:
    seed = min(chapter.group.seeds)
    for entry in chapter.group.cells[row]:
        if (entry.fold, entry.seed) == (fold, seed):
            try:
                return chapter.workspace.results.labels(entry.key, entry.evaluation, case)
            except (OSError, KeyError):
                return None
    return None


def _dsc(row: str, patient: str, chapter: Chapter) -> float:
    found = chapter.analysis.row(row, chapter.plan.metrics[0].name)
    assert found is not None
    return float(found.value_nS[found.cases.index(patient), 0])


def _draw(line: Shown, axes: list[Axes], chapter: Chapter) -> None:
    window = _window(line)
    image = line.volume.image[line.z][window]
    truth = line.volume.label[line.z][window]
    spacing, (low, high) = line.volume.geometry.spacing_mm, SOFT_TISSUE_HU
    panels = [("CT", None), *line.predicted.items(), ("ground truth", line.volume.label)]
    for ax, (name, label) in zip(axes, panels, strict=True):
        ax.imshow(image, cmap="gray", vmin=low, vmax=high, aspect=spacing[1] / spacing[2])
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        if label is not None:
            if name in line.dsc:
                _contours(ax, truth, chapter, dotted=True)
            _contours(ax, label[line.z][window], chapter)
        score = f"\nDSC {line.dsc[name]:.1f}" if name in line.dsc else "\n"
        ax.set_title(look.short_name(name, 20) + score, fontsize=9, loc="center")
    axes[0].set_ylabel(line.title, fontsize=9)


def _contours(ax: Axes, label: Label, chapter: Chapter, *, dotted: bool = False) -> None:
    assert chapter.scores.dataset is not None
    for k in range(len(chapter.scores.dataset.organs)):
        mask = label == k + 1
        if mask.any():
            colour = "white" if dotted else ORGAN_COLOURS[k % len(ORGAN_COLOURS)]
            kind = "dotted" if dotted else "solid"
            outline(ax, mask, colour=colour, style=kind, width=1.1)
    show_all(ax, label)


def _window(line: Shown) -> tuple[slice, slice]:
    """The box of all contours of the slice with a margin, as a square in mm where it fits."""
    union = line.volume.label[line.z] > 0
    for label in line.predicted.values():
        union = union | (label[line.z] > 0)
    cuts = []
    for axis, step_mm in enumerate(line.volume.geometry.spacing_mm[1:]):
        place = np.flatnonzero(union.any(axis=1 - axis))
        low, high = (place[0], place[-1] + 1) if len(place) else (0, union.shape[axis])
        room = round(MARGIN_MM / step_mm)
        cuts.append(slice(max(int(low) - room, 0), min(int(high) + room, union.shape[axis])))
    return cuts[0], cuts[1]


def _rule(chapter: Chapter) -> str:
    name = look.metric_text(chapter.plan.metrics[0].name)
    return (
        f"Patients: the median and the worst by {name} of {judge_row(chapter)} in the endpoint, "
        "mean over seeds. Slice: of the median patient the one with the most true organ voxels, of "
        "the worst the one in which these rows together have the most wrong voxels. Seed: "
        f"{min(chapter.group.seeds)}."
    )


def _colours(chapter: Chapter) -> str:
    names = ("vermilion", "sky blue", "yellow", "green", "purple", "orange")
    organs = chapter.scores.dataset.organs if chapter.scores.dataset else ()
    return ", ".join(f"{o} {names[k % len(names)]}" for k, o in enumerate(organs))


def _words(line: Shown) -> str:
    scored = ", ".join(f"{row} DSC {value:.1f}" for row, value in line.dsc.items())
    return f"{line.title}, slice {line.z + 1} of {len(line.volume.image)}: {scored}"
