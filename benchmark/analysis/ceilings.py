"""The reference lines beside a table, over the very patients that it is of: two ceilings, and what
two predictions score that never look at the CT; and the flags `at_target` and `not_learned`.

A line that cannot be given is left out with one sentence why: never a number of other data.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.analysis.ceiling_means import Mean, mean_lines
from benchmark.analysis.ceiling_sources import (
    BLIND,
    NATIVE,
    KnownCeilings,
    RowKey,
    Scored,
    measured_ceilings,
    measured_references,
)
from benchmark.analysis.tables import MEAN3, line_of
from benchmark.data.ceilings import Ceiling
from benchmark.data.library import DataSet
from benchmark.plan.folds import Fold
from benchmark.plan.ground import MAJORITY, Ground
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow

if TYPE_CHECKING:
    from benchmark.store.workspace import Workspace

AT_TARGET, NOT_LEARNED = FLAGS = ("at_target", "not_learned")  # names, stored nowhere
AT_TARGET_POINTS = 0.5
WHAT = (
    "target ceiling: the DSC of a perfect copy of the training target; grid ceiling: that of each "
    "organ's share of every pixel of the training grid"
)
WHAT_BLIND = (
    "mean shape: the DSC of the training patients' mean mask at the same height between the ends "
    "of the patient's own liver, which the truth alone tells; constant predictor: that of one mask "
    "for all patients, from the scan's first slice to its last; neither looks at the CT"
)
CEILINGS = "target and grid ceiling"
NAMES = ("target ceiling", "grid ceiling", "mean shape", "constant predictor")
Texts = TypeVar("Texts")


@dataclass(frozen=True, kw_only=True)
class CeilingLine:
    """The reference lines of an organ beside a row, over the row's patients."""

    dataset: str
    row: str
    preset: str
    organ: str
    mean: Mean

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values for a program."""
        place = {name: getattr(self, name) for name in ("dataset", "row", "preset", "organ")}
        return place | self.mean._asdict()


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What stands beside a table. `lines` are those of all rows with ceilings, `entries` the
    table's cells with the flags of this module where they hold, `left_out` why rows have none,
    `blind_left_out` why rows have none of what never looks at the CT."""

    lines: tuple[CeilingLine, ...] = ()
    entries: tuple[Entry, ...] = ()
    left_out: Mapping[RowKey, str] = field(default_factory=dict)
    blind_left_out: Mapping[RowKey, str] = field(default_factory=dict)

    @property
    def why_not(self) -> tuple[str, ...]:
        """Why rows lack lines, each reason once."""
        blind = (why for row, why in self.blind_left_out.items() if row not in self.left_out)
        return tuple(dict.fromkeys((*self.left_out.values(), *blind)))

    @property
    def words(self) -> tuple[str, ...]:
        """What the lines of a table are, and why rows have none."""
        blind = any(line.mean.constant is not None for line in self.lines)
        what = (*([WHAT] if self.lines else []), *([WHAT_BLIND] if blind else []))
        return (*what, *self.why_not)

    def on(self, dataset: str) -> Ceilings:
        """Return what is of one data set."""
        return Ceilings(
            lines=tuple(line for line in self.lines if line.dataset == dataset),
            entries=tuple(entry for entry in self.entries if entry.dataset == dataset),
            left_out={row: why for row, why in self.left_out.items() if row[0] == dataset},
            blind_left_out={x: why for x, why in self.blind_left_out.items() if x[0] == dataset},
        )

    def of(self, row: str, dataset: str) -> dict[str, CeilingLine]:
        """Return the lines of a row on a data set by organ; empty where there are none."""
        return {x.organ: x for x in self.lines if (x.row, x.dataset) == (row, dataset)}

    def as_json(self) -> list[dict[str, Any]]:
        """Return the lines as plain values for a program."""
        return [line.as_json() for line in self.lines if line.organ != MEAN3]


def ceilings_of(
    workspace: Workspace,
    entries: Iterable[Entry],
    *,
    say: Callable[[str], None] = lambda _: None,
    scored: Callable[[Entry], Sequence[Scored]] | None = None,
    measuring: bool = True,
    known: KnownCeilings | None = None,
) -> Ceilings:
    """Return the ceilings of the rows that `entries` are cells of, and the flagged entries.

    What is not kept yet is measured, which `say` is told; without `measuring` it is left out.
    `scored` gives the defined DSC of any cell; None reads the stored rows of those that are done.
    `known` holds what was opened before, in place of `say` and `measuring`.
    """
    read = scored or (lambda x: stored_scores(workspace, x) if x.state == "done" else [])
    cells = [(entry, read(entry)) for entry in entries]
    known = known or KnownCeilings(workspace, say, measuring)
    known.open(cells)
    beside = [known.beside(entry, scores) for entry, scores in cells]
    values: dict[RowKey, dict[tuple[str, str], Ceiling]] = defaultdict(dict)
    flagged = []
    for (entry, _), pairs in zip(cells, beside, strict=True):
        shown = [] if line_of(entry) in known.why else pairs
        values[line_of(entry)] |= {(score.case, score.organ): one for score, one in shown}
        flags = ceiling_flags(shown, _labels(entry))
        flagged.append(replace(entry, flags=(*entry.flags, *flags)) if flags else entry)
    labels = {line_of(entry): _labels(entry) for entry, _ in cells}
    return Ceilings(
        lines=tuple(line for row, of in values.items() for line in _lines(row, of, labels[row])),
        entries=tuple(flagged),
        left_out=known.why,
        blind_left_out=known.why_blind,
    )


def set_ceilings(
    dataset: DataSet, folds: Iterable[Fold], ground: Ground, say: Callable[[str], None]
) -> dict[str, Mean]:
    """Return the reference lines by organ over a whole data set, each patient in the fold that
    tests it, with means as a table takes them. What is not kept yet is measured, which `say` is
    told.

    Raises `BadInput` where a stored case is missing or damaged.
    """
    if ground.size is None:
        held = {(case.name, organ): NATIVE for case in dataset.cases for organ in case.annotated}
    else:
        measured = measured_ceilings(dataset, [x.name for x in dataset.cases], ground.size, say)
        held = {
            (name, organ): found[organ]
            for name, found in measured.items()
            for organ in dataset.organs
            if organ in found and found[organ].n_voxels_true
        }
    for fold in folds:
        blind = measured_references(dataset, fold, fold.test, ground.size, say)
        for place in [(name, organ) for name, of in blind.items() for organ in of]:
            one = blind[place[0]][place[1]]
            if place in held and one.constant == one.constant:
                held[place] = replace(held[place], mean_shape=one.mean_shape, constant=one.constant)
    means = mean_lines(held, ground.labels)
    return {organ: mean for organ, mean in means.items() if organ != MEAN3}  # the report's alone


def stored_scores(workspace: Workspace, entry: Entry) -> list[Scored]:
    """Return the defined DSC of a cell from its rows."""
    return scored_in(workspace.results.rows(entry.key, entry.evaluation))


def scored_in(rows: Iterable[ResultRow]) -> list[Scored]:
    """Return the defined DSC among the rows of a cell."""
    return [
        Scored(case=x.case, organ=x.organ, value=x.value, n_voxels_true=x.n_voxels_true)
        for x in rows
        if x.metric == "dsc" and x.value == x.value
    ]


def ceiling_flags(pairs: Iterable[tuple[Scored, Ceiling]], labels: str) -> tuple[str, ...]:
    """Return the flags of a cell's organs, by their means over the patients: at most half a point
    under the target ceiling, or above it (there rows have no room to differ); and under the
    constant predictor, one mask for all patients (a training that failed)."""
    gaps, above = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for score, ceiling in pairs:
        gaps[score.organ].append(ceiling.target(labels) - score.value)
        if ceiling.constant is not None:
            above[score.organ].append(score.value - ceiling.constant)
    target = {organ: statistics.fmean(each) for organ, each in gaps.items()}
    constant = {organ: statistics.fmean(each) for organ, each in above.items()}
    return (
        *(
            f"{AT_TARGET}: {organ} {abs(gap):.1f} points {'above' if gap < 0 else 'under'} what a "
            "perfect copy of the training target scores"
            for organ, gap in target.items()
            if gap <= AT_TARGET_POINTS
        ),
        *(
            f"{NOT_LEARNED}: {organ} {-gain:.1f} points under what one mask for all patients "
            "scores, which never looks at the CT"
            for organ, gain in constant.items()
            if gain < 0
        ),
    )


def headed(of: str, texts: Iterable[tuple[str, str]]) -> list[str]:
    """Return `organ_texts` as lines; `of` says of which rows they are."""
    return [f"{heading}{of}, DSC in percent: {text}" for heading, text in texts]


def alike(found: Iterable[tuple[str, Texts]]) -> list[tuple[str, Texts]]:
    """Return the ceilings of several rows, each once: with "" where all rows have the same, else
    with " of ROW, ROW". `found` are names of rows and their ceilings, as texts."""
    rows: dict[Texts, list[str]] = {}
    for row, texts in found:
        rows.setdefault(texts, []).append(row)
    return [("" if len(rows) == 1 else f" of {', '.join(x)}", texts) for texts, x in rows.items()]


def ceiling_texts(line: CeilingLine | None) -> tuple[str, ...]:
    """Return the lines as a table shows them, in the order of `NAMES`, "-" where there is none."""
    values = (None,) * len(NAMES) if line is None else line.mean.values
    return tuple("-" if value is None else f"{value:.1f}" for value in values)


def organ_texts(found: Mapping[str, Mean]) -> tuple[tuple[str, str], ...]:
    """Return the lines of some organs in words, each with its heading: the ceilings, and what
    never looks at the CT; without what is not known of them all."""
    texts = []
    for heading, first in ((CEILINGS, 0), (BLIND, 2)):
        pairs = {organ: mean.values[first : first + 2] for organ, mean in found.items()}
        if pairs and not any(None in pair for pair in pairs.values()):
            each = [f"{organ} {a:.1f} and {b:.1f}" for organ, (a, b) in pairs.items()]
            texts.append((heading, ", ".join(each)))
    return tuple(texts)


def _lines(
    row: RowKey, values: Mapping[tuple[str, str], Ceiling], labels: str
) -> list[CeilingLine]:
    dataset, label, preset, *_ = row
    return [
        CeilingLine(dataset=dataset, row=label, preset=preset, organ=organ, mean=mean)
        for organ, mean in mean_lines(values, labels).items()
    ]


def _labels(entry: Entry) -> str:
    return entry.params.get("ground.labels", MAJORITY)
