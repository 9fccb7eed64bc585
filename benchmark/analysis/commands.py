"""The command that makes what a reader misses, whole, so that it can be typed as it stands."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark.analysis.groups import set_text
from benchmark.analysis.naming import TYPED, labels_named, short
from benchmark.analysis.suites import Standing, fill_command, numbers_text
from benchmark.errors import BadInput, near
from benchmark.settings.overrides import parse, pieces
from benchmark.settings.registry import load_registry
from benchmark.store.ledger import ON, SCRATCH, Entry, shown_suite

NNUNET = "nnU-Net v2, "  # what the source of a row begins with that `bench import nnunet` made


def row_command(cells: Sequence[Entry], places: Iterable[tuple[int, int]] = ()) -> str:
    """Return the command that makes cells of one row again, or those in other folds and seeds: with
    its data set, preset, split, values and, where it was scored on one, the set kept apart."""
    first, wanted = cells[0], [*places] or [(cell.fold, cell.seed) for cell in cells]
    folds = sorted({fold for fold, _ in wanted})
    seeds = sorted({seed for _, seed in wanted})
    if first.outside:
        return _import(first, folds)
    values = {} if first.tuned else first.overrides
    words = _run(first.row.partition("@")[0], first, folds, seeds, values)
    words += ["--config", "FILE", "--tuned", first.tuned] if first.tuned else []
    return shlex.join(words)


def run_command(label: str, beside: Iterable[Entry]) -> str:
    """Return the `bench run` of a label (`fsm[xi=1]@stage2`) on the data set, with the preset,
    folds and seeds of the first of these results and of those like it; "" where there are none."""
    typed, done = TYPED.fullmatch(label), list(beside)
    if typed is None or not done or typed["row"] not in load_registry().rows:
        return ""
    like = _like(done)
    folds, seeds = sorted({e.fold for e in like}), sorted({e.seed for e in like})
    values = parse(pieces(typed["values"]) if typed["values"] else [])
    return shlex.join(_run(typed["row"], like[0], folds, seeds, values))


def in_folds_of(ours: Sequence[Entry], theirs: Sequence[Entry]) -> str:
    """Return what to do where two rows, one or both of another tool, were tested in different
    folds: run the first in those of the second, or the other way round."""
    if not ours or not theirs:
        return ""
    moved, stay = (theirs, ours) if ours[0].outside and not theirs[0].outside else (ours, theirs)
    if moved[0].outside:
        return f"import {moved[0].label} in the folds of {stay[0].label}"
    names = ("split", "own_split", "fold", "seed")
    there = [replace(moved[0], **{name: getattr(e, name) for name in names}) for e in stay]
    return f"run {moved[0].label} in those of {stay[0].label}, too: {row_command(there)}"


def _like(entries: Sequence[Entry]) -> list[Entry]:
    """Those on the data set, in the folds and with the preset of the first."""
    names = ("dataset", "preset", "split")
    return [e for e in entries if all(getattr(e, n) == getattr(entries[0], n) for n in names)]


def _run(
    row: str, like: Entry, folds: Iterable[int], seeds: Iterable[int], values: Mapping[str, Any]
) -> list[str]:
    words = ["bench", "run", "--method", row, "--dataset", like.dataset, "--preset", like.preset]
    words += ["--split", like.split[:8]] if like.own_split else []
    words += ["--folds", numbers_text(folds), "--seeds", numbers_text(seeds)]
    words += ["--inner"] if like.part == "inner" else []
    words += ["--test-on", like.tested_on] if like.part.startswith(ON) else []
    for name, value in values.items():
        words += ["--set", f"{name}={set_text(value)}"]
    return words


def _import(like: Entry, folds: Sequence[int]) -> str:
    """The command that imports a row's masks of folds; of any tool's a fold at a time."""
    apart = like.part.startswith(ON)
    whole = like.outside.startswith(NNUNET) and not apart
    words = ["bench", "import", "nnunet" if whole else "predictions", "DIR", "--row", like.row]
    words += ["--dataset", like.dataset, "--source", like.outside]
    words += ["--test-on", like.tested_on] if apart else []
    words += ["--suite", shown_suite(like.suite)] if like.suite != SCRATCH and not apart else []
    if whole:
        return shlex.join([*words, "--folds", numbers_text(folds)])
    words += ["--split", like.split[:8]] if like.own_split else []
    more = f", and so for fold {', '.join(map(str, folds[1:]))}" if folds[1:] else ""
    return shlex.join([*words, "--fold", str(folds[0])]) + more


def not_there(
    suite: Standing, name: str, labels: Sequence[str], dataset: str | None = None
) -> BadInput:
    """Return what is wrong with a name of which a suite has no result: a data set that it lacks, a
    row that was not run, or a slip. `labels` are those that the suite has."""
    cells = (*suite.done, *suite.trained)
    known = dict.fromkeys([*(e.dataset for e in cells), *(m.dataset for m in suite.missing)])
    said = f"no row or key {name!r} in suite {shown_suite(suite.name)}"
    if dataset is not None and dataset not in known:
        sets = ", ".join(known) or "none"
        return BadInput(f"{said} with --dataset {dataset}: its data sets are {sets}")
    if there := _not_scored_there(suite, name, dataset):
        return BadInput(there)
    held = list(dict.fromkeys(map(short, labels)))
    said += f": it holds {', '.join(held) or 'nothing'}"
    if command := command_for(suite, name, dataset):
        return BadInput(f"{said}; run it with: {command}")
    hint = near(name, [*held, *load_registry().rows]).rstrip()
    return BadInput(f"{said}{hint and '; '}{hint} (bench methods lists all rows)")


def _not_scored_there(suite: Standing, name: str, dataset: str | None) -> str:
    """What to do where a row was run, and not scored on the set that was kept apart; else ""."""
    there = [entry for entry in suite.trained if dataset in (None, entry.dataset)]
    splits = {entry.split for entry in suite.done}
    there = [entry for entry in there if entry.split in splits] or there
    found = [
        [e for e in there if e.label == x] for x in labels_named(name, (e.label for e in there))
    ]
    if not found:
        return ""
    kept = found[0][0].tested_on
    commands = "; or ".join(row_command(_like(cells)) for cells in found)
    if outside := found[0][0].outside:
        return (
            f"{name} has no scores on {kept}: it comes from another tool ({outside}); import its "
            f"masks of {kept} with: {commands}"
        )
    return f"{name} was not scored on {kept}; run it with: {commands}"


def command_for(suite: Standing, name: str, dataset: str | None = None) -> str:
    """Return the command that adds a row to a suite; "" for a name that is no row, and for a suite
    of other origin than `bench run` and `bench suite`."""
    typed = TYPED.fullmatch(name)
    if typed is None or typed["row"] not in load_registry().rows:
        return ""
    if suite.plan:
        row = typed["row"] + (typed["bracket"] or "")
        rows = tuple(dict.fromkeys([*suite.plan.rows, row]))
        return fill_command(suite.name, replace(suite.plan, rows=rows))
    cells = suite.done or suite.trained
    beside = [entry for entry in cells if dataset in (None, entry.dataset) and not entry.outside]
    return run_command(name, beside) if suite.name == SCRATCH else ""
