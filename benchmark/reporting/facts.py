"""What the numbers rest on: data, plan, versions, code, hardware, flags, keys; what rows cost."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from benchmark.analysis.flags import HARDWARE, flags_of_rows, mixtures, value_mixtures
from benchmark.analysis.suites import older_line
from benchmark.errors import BadInput
from benchmark.plan.analysis import ANALYSES, fingerprint
from benchmark.plan.budget import budget, trains
from benchmark.plan.nodes import Train, in_order, stages_of
from benchmark.plan.presets import PRESETS
from benchmark.plan.wording import counted
from benchmark.reporting.chapter import Chapter, TrainingRecord
from benchmark.reporting.look import NOTHING, Sheet
from benchmark.settings.registry import OUTSIDE, Registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Entry, shown_suite

PACKAGES = ("beyond-loss", "torch", "numpy", "scipy", "pandas", "matplotlib")
KEYS = ["dataset", "preset", "row", "fold", "seed", "state", "key", "evaluation", "probes", "split"]


def provenance_sheets(chapter: Chapter) -> list[Sheet]:
    """Return the facts of a group, and its flags where it has any."""
    return [_facts(chapter), *_flags(chapter)]


def _facts(chapter: Chapter) -> Sheet:
    entries = chapter.group.entries
    codes = {key: training.code for key, training in chapter.trainings.items()}
    codes |= {"/".join(pair): code for pair, code in chapter.scores.codes.items()}
    old = chapter.outdated(entries, codes), older_line(chapter.workspace, entries)
    return Sheet(
        name="provenance",
        title="Provenance",
        columns=("what", "value"),
        rows=tuple((what, value or NOTHING) for what, value in _lines(chapter, *old)),
        aside=True,
        notes=(
            *filter(None, old),
            *mixtures(map(vars, chapter.trainings.values()), chapter.workspace.codes),
            *value_mixtures(chapter.group.entries),
        ),
        about="Every cell's key is in keys.csv; `bench store verify` checks every checksum.",
    )


def _lines(chapter: Chapter, other_code: str, older: str) -> Iterator[tuple[str, str]]:
    group, scores = chapter.group, chapter.scores
    trainings = list(chapter.trainings.values())
    dataset = scores.dataset
    yield "suite", shown_suite(group.suite)
    yield "data set", f"{group.dataset}, {counted(len(scores.patients), 'patient')} tested"
    yield "organs", ", ".join(scores.organs)
    yield "data set fingerprint", dataset.fingerprint if dataset else "not in this workspace"
    yield "split fingerprint", group.split
    preset = PRESETS.get(group.preset)
    yield "preset", group.preset + (f": {preset.about}" if preset else "")
    yield "values that all rows share", ", ".join(f"{n}={v}" for n, v in group.common.items())
    yield "folds", f"{', '.join(map(str, group.folds))} of {scores.fold_count}"
    yield "seeds", ", ".join(map(str, group.seeds))
    yield "cells", f"{len(group.entries)}, {len(scores.missing)} missing"
    yield (
        "analysis plan",
        fingerprint(chapter.plan) + (f" ({chapter.timing})" if chapter.timing else ""),
    )
    yield "primary analysis", ANALYSES[chapter.plan.version]
    yield "endpoint", ", ".join(chapter.analysis.organs)
    yield "trainings", f"{len(trainings)}, {sum(t.resumed for t in trainings)} of them resumed"
    for name in HARDWARE:
        yield name, _joined(training.hardware.get(name) for training in trainings)
    yield "code of the trainings", _joined(training.code for training in trainings)
    yield "made by other code", other_code
    yield "older definition of distance", older
    made = sorted(training.made_at for training in trainings)
    yield "trained", f"{made[0]} to {made[-1]}" if made else ""
    yield "versions of this report", ", ".join(f"{n} {_version(n)}" for n in PACKAGES)


def _joined(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _flags(chapter: Chapter) -> list[Sheet]:
    shown = [(flag.row, flag.line()) for flag in flags_of_rows(chapter.ceilings.entries)]
    about = "Warnings by fixed rules, with the cells in which they hold; a range is over these."
    sheet = Sheet(
        name="flags", title="Flags", columns=("row", "warning"), rows=tuple(shown), about=about
    )
    return [sheet] if shown else []


def keys_of(chapters: Iterable[Chapter]) -> list[tuple[str, ...]]:
    """Return a line for each cell: what lies where in the workspace."""
    return [
        _key_line(row, entry)
        for chapter in chapters
        for row, members in chapter.group.cells.items()
        for entry in sorted(members, key=lambda e: (e.seed, e.fold))
    ]


def _key_line(row: str, entry: Entry) -> tuple[str, ...]:
    probes = " ".join(f"{name}:{key}/{evaluation}" for name, key, evaluation in entry.probes)
    texts = (entry.dataset, entry.preset, row, str(entry.fold), str(entry.seed), entry.state)
    return (*texts, entry.key, entry.evaluation, probes, entry.split)


def cost_sheet(chapter: Chapter) -> Sheet:
    """Return the cost table, from the rows' plans and their trainings' records. A training that
    rows share counts in each of them; a row of another tool has none."""
    cells, theirs = chapter.group.cells, chapter.group.of_kind(OUTSIDE)
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
        rows=tuple(
            (row, *_cost(members, chapter)) for row, members in cells.items() if row not in theirs
        ),
        about="Of one cell (fold and seed). CT: trainings of a network that reads CT; GT: of one "
        "that reads masks; a joint training counts in both. Parameters: all networks of the last "
        "training. Seconds: all trainings behind the row, as if none were shared.",
    )


def _cost(members: Sequence[Entry], chapter: Chapter) -> tuple[str, ...]:
    """What a row costs in one cell. Epochs are planned, steps and seconds are those of its records,
    means over cells; planned steps where there are none."""
    final = _final_training(members[0], chapter)
    spent = budget(final) if final else None
    ct, gt = (_steps(members, final, reads, chapter) for reads in ("image", "masks"))
    found = [chapter.trainings.get(entry.key) for entry in members]
    parameters = max((sum(each.parameters.values()) for each in found if each), default=None)
    nodes = [entry.nodes for entry in members]
    seconds = _mean_sum(nodes, lambda training: training.seconds, chapter)
    if spent:
        ct, gt = (spent.ct_steps if ct is None else ct), (spent.gt_steps if gt is None else gt)
    return (
        str(len(members[0].nodes)),
        f"{_text(spent.ct_epochs)} / {_text(spent.gt_epochs)}" if spent else "- / -",
        f"{_text(ct)} / {_text(gt)}",
        NOTHING if parameters is None else f"{parameters / 1e6:.3f}",
        NOTHING if seconds is None else f"{seconds:.0f}",
    )


def _final_training(entry: Entry, chapter: Chapter) -> Train | None:
    """The last training of a cell's plan, None where its row is not installed here."""
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
    pairs = [list(zip(nodes, entry.nodes, strict=False)) for entry in members]
    keys = [[key for node, key in each if trains(node, reads)] for each in pairs]
    mean = _mean_sum(keys, lambda training: training.steps, chapter)
    return None if mean is None else round(mean)


def _mean_sum(
    keys: Iterable[Sequence[str]], value_of: Callable[[TrainingRecord], float], chapter: Chapter
) -> float | None:
    """The mean over cells of the sum over a cell's trainings; cells without a record are left out,
    None where there is no other."""
    cells = [[chapter.trainings.get(key) for key in each] for each in keys]
    sums = [sum(value_of(one) for one in each if one) for each in cells if all(each)]
    return statistics.fmean(sums) if sums else None


def _text(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"
