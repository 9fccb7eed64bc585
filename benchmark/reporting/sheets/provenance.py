"""Where the numbers come from: data, plan, versions, code, hardware, flags, keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from benchmark.plan.analysis import ANALYSES, fingerprint
from benchmark.plan.folds import FOLDS
from benchmark.plan.presets import PRESETS
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.flags import flags_of
from benchmark.reporting.mixtures import HARDWARE, mixtures, value_mixtures
from benchmark.reporting.sheets.sheet import NOTHING, Sheet
from benchmark.running.renewal import older_line, outdated_line
from benchmark.store.ledger import Entry

PACKAGES = ("beyond-loss", "torch", "numpy", "scipy", "pandas", "matplotlib")
KEYS = ("dataset", "preset", "row", "fold", "seed", "state", "key", "evaluation", "probes",
        "split")  # fmt: skip


def provenance_sheets(chapter: Chapter) -> list[Sheet]:
    """Return the facts of a group and its flags."""
    return [_facts(chapter), _flags(chapter)]


def _facts(chapter: Chapter) -> Sheet:
    return Sheet(
        name="provenance",
        title="Provenance",
        columns=("what", "value"),
        rows=tuple((what, value or NOTHING) for what, value in _lines(chapter)),
        notes=(
            *mixtures((t.record() for t in chapter.trainings.values()), chapter.bench.codes),
            *value_mixtures(chapter.group.entries),
        ),
        about="Every cell's key is in keys.csv; `bench store verify` checks every checksum.",
    )


def _lines(chapter: Chapter) -> Iterator[tuple[str, str]]:
    group, scores = chapter.group, chapter.scores
    trainings = list(chapter.trainings.values())
    dataset = scores.dataset
    yield "suite", group.suite
    yield "data set", f"{group.dataset}, {len(scores.patients)} patients tested"
    yield "organs", ", ".join(scores.organs)
    yield "data set fingerprint", dataset.fingerprint if dataset else "not in this workspace"
    yield "split fingerprint", group.split
    preset = PRESETS.get(group.preset)
    yield "preset", group.preset + (f": {preset.about}" if preset else "")
    yield "values that all rows share", ", ".join(f"{n}={v}" for n, v in group.common.items())
    yield "folds", f"{', '.join(map(str, group.folds))} of {FOLDS}"
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
    yield "made by other code", outdated_line(chapter.bench, group.entries, chapter.registry)
    yield "older definition of distance", older_line(chapter.bench, group.entries)
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


def _flags(chapter: Chapter) -> Sheet:
    shown = [(flag.row, flag.line()) for flag in flags_of(chapter.ceilings.entries)]
    return Sheet(
        name="flags",
        title="Flags",
        columns=("row", "warning"),
        rows=tuple(shown),
        about="Warnings by fixed rules, with the cells in which they hold; a range is over these.",
        notes=() if shown else ("No flag.",),
    )


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
