"""The cost table: epochs and steps on CT and on ground truth, parameters, seconds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.errors import BadInput
from benchmark.plan.budget import budget, trains
from benchmark.plan.nodes import Train, in_order, stages_of
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.sheets.sheet import NOTHING, Sheet
from benchmark.settings.registry import Registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Entry


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a row costs in one cell. Epochs are planned, steps and seconds are those of its
    records, means over cells; None where they are not known. A training that rows share counts
    in each of them."""

    trainings: int
    ct_epochs: float | None
    gt_epochs: float | None
    ct_steps: int | None
    gt_steps: int | None
    parameters: int | None
    seconds: float | None


def cost_sheet(chapter: Chapter) -> Sheet:
    """Return the cost table."""
    body = []
    for row, members in chapter.group.cells.items():
        cost = cost_of(members, chapter)
        body.append(
            (
                row,
                str(cost.trainings),
                f"{_text(cost.ct_epochs)} / {_text(cost.gt_epochs)}",
                f"{_text(cost.ct_steps)} / {_text(cost.gt_steps)}",
                NOTHING if cost.parameters is None else f"{cost.parameters / 1e6:.3f}",
                NOTHING if cost.seconds is None else f"{cost.seconds:.0f}",
            )
        )
    return Sheet(
        name="cost",
        title="Cost",
        columns=(
            "row",
            "trainings",
            "epochs CT / GT",
            "steps CT / GT",
            "million parameters",
            "seconds a cell",
        ),
        rows=tuple(body),
        about="Of one cell (fold and seed). CT: trainings of a network that reads CT; GT: of one "
        "that reads masks; a joint training counts in both. Parameters: all networks of the last "
        "training. Seconds: all trainings behind the row, as if none were shared.",
    )


def cost_of(members: Sequence[Entry], chapter: Chapter) -> Cost:
    """Return the cost of a row, from its plan and its trainings' records."""
    final = final_training(members[0], chapter)
    spent = budget(final) if final else None
    steps = {reads: _steps(members, final, reads, chapter) for reads in ("image", "masks")}
    found = [chapter.trainings.get(entry.key) for entry in members]
    sizes = [sum(each.parameters.values()) for each in found if each]
    return Cost(
        trainings=len(members[0].nodes),
        ct_epochs=spent.ct_epochs if spent else None,
        gt_epochs=spent.gt_epochs if spent else None,
        ct_steps=steps["image"] if steps["image"] is not None or not spent else spent.ct_steps,
        gt_steps=steps["masks"] if steps["masks"] is not None or not spent else spent.gt_steps,
        parameters=max(sizes, default=None),
        seconds=_seconds(members, chapter),
    )


def final_training(entry: Entry, chapter: Chapter) -> Train | None:
    """Return the last training of a cell's plan, None where its row is not installed here."""
    name, _, stage = entry.row.partition("@")
    try:
        registry = Registry(rows=dict(chapter.registry))
        method = resolve(registry, name, entry.preset, entry.overrides).method
        return stages_of(method)[stage].node if stage else method.plan().node
    except (BadInput, KeyError):
        return None


def _steps(
    members: Sequence[Entry], final: Train | None, reads: str, chapter: Chapter
) -> int | None:
    """The mean steps of the trainings that read something; a plan's nodes are in the order of an
    entry's keys."""
    if final is None:
        return None
    nodes = list(in_order(final))
    sums = []
    for entry in members:
        pairs = zip(nodes, entry.nodes, strict=False)
        found = [chapter.trainings.get(key) for node, key in pairs if trains(node, reads)]
        if all(found):
            sums.append(sum(each.steps for each in found if each))
    return round(statistics.fmean(sums)) if sums else None


def _seconds(members: Sequence[Entry], chapter: Chapter) -> float | None:
    sums = []
    for entry in members:
        found = [chapter.trainings.get(key) for key in entry.nodes]
        if all(found):
            sums.append(sum(each.seconds for each in found if each))
    return statistics.fmean(sums) if sums else None


def _text(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"
