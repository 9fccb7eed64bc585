"""The next command to type after a run: it can be run as it is printed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import count, islice
from typing import Any

from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.folds import FOLDS
from benchmark.plan.presets import demonstration
from benchmark.reporting.reading.groups import plain
from benchmark.reporting.seen_row import CONTROL, SUBJECT, Seen, is_dead, pulled_before, value_of
from benchmark.running.standing import MAIN, numbers_text

PRESET, DATASET, SEEDS = "quick", "phantom", (0,)  # what the commands take by themselves
RATE, EPOCHS, WEIGHT = "schedule.lr", "schedule.epochs", "xi"
SLOWER, LONGER, STRONGER = 0.25, 3, 10


def next_of(seen: Seen) -> str:
    """Return the command that tells most after what was seen: the same again where a cell failed,
    a change that lets FSM pull where it did not, else the row beside those that it needs."""
    first = seen.entries[0]
    if len(seen.done) < len(seen.entries):
        return _again(seen)
    if first.part != "test":
        return _again(seen, part="test")
    if seen.kind != CONTROL and (changed := _switched_on(seen)):
        return changed
    if seen.lies_in:
        return _compared(seen)
    if seen.alone:
        row, values = seen.alone
        return _shell(["bench", "run", "--method", row], seen, seen.seeds, values)
    return _suite(seen)


def _again(
    seen: Seen,
    *,
    part: str = "",
    seeds: Sequence[int] = (),
    values: Mapping[str, Any] | None = None,
) -> str:
    """The run itself, with other seeds or with more values."""
    first = seen.entries[0]
    words = ["bench", "run", "--method", first.row]
    words += ["--inner"] if (part or first.part) != "test" else []
    words += ["--tuned", first.tuned] if first.tuned else []
    changed = {**first.overrides, **(values or {})}
    return _shell(words, seen, seeds or seen.seeds, changed)


def _switched_on(seen: Seen) -> str:
    """A run in which FSM may pull, where it did not and these values were not changed yet: other
    first weights, a slower training, or more weight. A preset that may give a verdict stays."""
    first = seen.entries[0]
    if not demonstration(first.preset) or pulled_before(seen):
        return ""
    if seen.is_off and all(map(is_dead, seen.means)) and len(seen.seeds) == 1:
        return _again(seen, seeds=[seen.seeds[0] + 1])
    if seen.is_off:
        return _with(seen, {RATE: SLOWER, EPOCHS: LONGER})
    return _with(seen, {WEIGHT: STRONGER}) if seen.hardly_pulls else ""


def _with(seen: Seen, factors: Mapping[str, float]) -> str:
    """The run with values multiplied; "" where the first of them was set by hand, or one is none
    of the row's or 0."""
    first = seen.entries[0]
    known = [value_of(first, name) for name in factors]
    if next(iter(factors)) in first.overrides or not all(known):
        return ""
    values = [value * factor for value, factor in zip(known, factors.values(), strict=True)]
    whole = [int(value) if value.is_integer() else value for value in values]
    return _again(seen, values=dict(zip(factors, whole, strict=True)))


def _compared(seen: Seen) -> str:
    """Two rows of a suite side by side, or what judges all of them."""
    first = seen.entries[0]
    if seen.kind == SUBJECT and not demonstration(first.preset):
        return shlex.join(["bench", "report", "--suite", seen.lies_in, *_root(seen)])
    words = ["bench", "compare", *seen.pair, "--suite", seen.lies_in, "--dataset", first.dataset]
    return shlex.join([*words, "--preset", first.preset, *_root(seen)])


def _suite(seen: Seen) -> str:
    """The row with those beside it, in a suite whose plan nobody wrote yet."""
    names = (f"{seen.row.lower()}-{number}" for number in count(1))
    name = next(
        name for name in (MAIN, *islice(names, len(seen.planned))) if name not in seen.planned
    )
    words = ["bench", "suite", *([] if name == MAIN else ["--name", name])]
    return _shell([*words, "--rows", ",".join(seen.rows)], seen, seen.seeds, seen.values)


def _shell(words: list[str], seen: Seen, seeds: Sequence[int], values: Mapping[str, Any]) -> str:
    """The command with data set, preset, folds, seeds and values where they are not its own."""
    first, suite = seen.entries[0], words[1] == "suite"
    folds = sorted({entry.fold for entry in seen.entries})
    usual = AnalysisPlan().seeds if suite and not demonstration(first.preset) else SEEDS
    options = {
        "--datasets" if suite else "--dataset": first.dataset if first.dataset != DATASET else "",
        "--preset": first.preset if first.preset != PRESET else "",
        "--folds": numbers_text(folds) if folds != list(range(FOLDS)) else "",
        "--seeds": numbers_text(seeds) if tuple(seeds) != usual else "",
    }
    given = [word for name, text in options.items() if text for word in (name, text)]
    sets = [word for name, value in values.items() for word in ("--set", f"{name}={plain(value)}")]
    return shlex.join([*words, *given, *sets, *_root(seen)])


def _root(seen: Seen) -> list[str]:
    return ["--root", seen.root] if seen.root else []
