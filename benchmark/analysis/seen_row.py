"""What is stored of a row's cells, as the sentence below its table reads it, and the next command,
which can be run as it is printed. Ranges go from the least to the greatest over cells.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from benchmark.analysis.groups import set_text
from benchmark.analysis.suites import numbers_text
from benchmark.parts.probes import NEGLIGIBLE, FsmState
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.folds import FOLDS
from benchmark.plan.presets import demonstration
from benchmark.store.ledger import MAIN, Entry, shown_suite

Range = tuple[float, float]
WHOLE = 100.0  # percent


def range_of(values: Iterable[float]) -> Range | None:
    """Return the least and the greatest of what is a number; None for none."""
    found = [value for value in values if not math.isnan(value)]
    return (min(found), max(found)) if found else None


def percent(found: Range | None) -> Range | None:
    """Return a range of shares in percent; None for none."""
    return (WHOLE * found[0], WHOLE * found[1]) if found else None


PLAIN, SUBJECT, CONTROL, OTHER = "plain", "subject", "control", "other"
PULL, SHARE = "_gradient_ratio", "_share"
FSM_PULL = "m" + PULL
WITH_OTHERS = {
    "fsm-shuffled": "where FSM saw another patient's masks",
    "fsm-constant": "where it saw none",
}
"""The controls whose M is told beside that of `fsm`, and what FSM saw in them."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What should stand beside a row: `rows` are the row and the others, as `bench suite --rows`
    takes them with `values` for `--set`; `alone` is one row with its values where a run of that
    one is enough; `pair` the two labels to compare."""

    rows: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    alone: tuple[str, Mapping[str, Any]] | None = None
    pair: tuple[str, str] = ("", "")


@dataclass(frozen=True, kw_only=True)
class Seen(Beside):
    """What is stored of a row's cells, and of the rows beside it.

    `entries` are the row's own cells, without those of earlier stages; `kind` is `plain` (nothing
    but N_CT on the loss that all rows share), `subject` (the method in question), `control` or
    `other`; `about` is the registry's line. `means` holds, for each cell that was probed, the means
    over its test patients by metric. `m` is M in the first and in the last epoch of the training
    with FSM, for each cell; `pulled` the size of FSM's gradient at F in percent of the loss's in
    the middle third of that training, the least and the greatest mean of the cells, None where only
    the end of it was measured. `beside_m` is M at the same step in the controls of `WITH_OTHERS`
    that are stored.

    `lies_in` is the suite in which all of them are stored, "" where in none; `mixed` says that it
    holds the row or the one beside it in another split too; `planned` are the suites that have a
    plan; `root` the workspace, "" for the default.
    """

    entries: tuple[Entry, ...]
    kind: str
    about: str = ""
    means: tuple[Mapping[str, float], ...] = ()
    m: tuple[tuple[float, float], ...] = ()
    pulled: Range | None = None
    beside_m: Mapping[str, Range] = field(default_factory=dict)
    lies_in: str = ""
    mixed: bool = False
    planned: tuple[str, ...] = ()
    root: str = ""

    @property
    def row(self) -> str:
        """The row's name, without its values."""
        return self.entries[0].row

    @property
    def part(self) -> str:
        """Whose scores they are: "test" or "inner"."""
        return self.entries[0].part

    @property
    def seeds(self) -> list[int]:
        """The seeds of the cells, sorted."""
        return sorted({entry.seed for entry in self.entries})

    @property
    def done(self) -> tuple[Entry, ...]:
        """The cells that have a result."""
        return tuple(entry for entry in self.entries if entry.state == "done")

    def over(self, metric: str) -> Range | None:
        """Return the least and the greatest mean of a metric over the cells; None without one."""
        return range_of(means[metric] for means in self.means if metric in means)

    def metrics(self, end: str) -> list[str]:
        """Return the metrics with this end that any cell has, each once."""
        return list(dict.fromkeys(m for means in self.means for m in means if m.endswith(end)))

    @property
    def off(self) -> tuple[Mapping[str, float], ...]:
        """The cells in which FSM is dead or saturated at the end, by the rule of the flags."""
        return tuple(means for means in self.means if _end(means))

    @property
    def is_off(self) -> bool:
        """Whether FSM is dead or saturated in all cells."""
        return bool(self.off) and len(self.off) == len(self.means)

    @property
    def hardly_pulls(self) -> bool:
        """Whether FSM's gradient is under the limit of `term_negligible` wherever it was seen."""
        seen = [found for found in (self.pulled, percent(self.over(FSM_PULL))) if found]
        return bool(seen) and all(high < WHOLE * NEGLIGIBLE for _, high in seen)


def value_of(entry: Entry, name: str) -> float:
    """Return a value of a cell's row as a number; 0 where the row has none of that name."""
    try:
        return float(entry.params.get(name, 0))
    except ValueError:
        return 0.0


def pulled_before(seen: Seen) -> bool:
    """Return whether FSM pulled during the training, whatever it does at the end."""
    return seen.pulled is not None and seen.pulled[1] >= WHOLE * NEGLIGIBLE


def _end(means: Mapping[str, float]) -> str:
    """The flag of a cell whose FSM is at its end, by the rule that raises it; "" for none."""
    return "".join(FsmState().flags(means)).partition(":")[0]


def is_dead(means: Mapping[str, float]) -> bool:
    """Return whether R is zero in so many slices of a cell that the flag says so."""
    return _end(means) == "fsm_dead"


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
    first, suite = seen.entries[0], shown_suite(seen.lies_in)
    if seen.kind == SUBJECT and not demonstration(first.preset):
        return shlex.join(["bench", "report", "--suite", suite, *_root(seen)])
    words = ["bench", "compare", *seen.pair, "--suite", suite, "--dataset", first.dataset]
    words += ["--preset", first.preset, *(["--split", first.split[:8]] if seen.mixed else [])]
    return shlex.join([*words, *_root(seen)])


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
        "--split": first.split[:8] if first.own_split else "",
        "--folds": numbers_text(folds) if folds != list(range(FOLDS)) else "",
        "--seeds": numbers_text(seeds) if tuple(seeds) != usual else "",
    }
    given = [word for name, text in options.items() if text for word in (name, text)]
    sets = [f"{name}={set_text(value)}" for name, value in values.items()]
    given += [word for text in sets for word in ("--set", text)]
    return shlex.join([*words, *given, *_root(seen)])


def _root(seen: Seen) -> list[str]:
    return ["--root", seen.root] if seen.root else []
