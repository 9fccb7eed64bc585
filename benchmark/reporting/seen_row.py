"""What is stored of a row's cells, as the sentence below its table and the next command read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.parts.probes import NEGLIGIBLE, FsmState
from benchmark.reporting.ranges import WHOLE, Range, percent, range_of
from benchmark.store.ledger import Entry

PLAIN, SUBJECT, CONTROL, OTHER = "plain", "subject", "control", "other"
PULL, SHARE = "_gradient_ratio", "_share"
FSM_PULL = "m" + PULL
WITH_OTHERS = {
    "fsm-shuffled": "where FSM saw another patient's masks",
    "fsm-constant": "where it saw none",
}
"""The controls whose M is told beside that of `fsm`, and what FSM saw in them."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is stored of a row's cells, and of the rows beside it.

    `entries` are the row's own cells, without those of earlier stages; `kind` is `plain` (nothing
    but N_CT on the loss that all rows share), `subject` (the method in question), `control` or
    `other`; `about` is the registry's line. `means` holds, for each cell that was probed, the means
    over its test patients by metric. `m` is M in the first and in the last epoch of the training
    with FSM, for each cell; `pulled` the size of FSM's gradient at F in percent of the loss's in
    the middle third of that training, the least and the greatest mean of the cells, None where only
    the end of it was measured. `beside_m` is M at the same step in the controls of `WITH_OTHERS`
    that are stored.

    `rows` are the row and what should stand beside it, as `bench suite --rows` takes them with
    `values` for `--set`; `alone` is one row with its values where a run of that one is enough;
    `pair` the two labels to compare; `lies_in` the suite in which all of them are stored, "" where
    in none; `planned` the suites that have a plan. `root` is the workspace, "" for the default.
    """

    entries: tuple[Entry, ...]
    kind: str
    about: str = ""
    means: tuple[Mapping[str, float], ...] = ()
    m: tuple[tuple[float, float], ...] = ()
    pulled: Range | None = None
    beside_m: Mapping[str, Range] = field(default_factory=dict)
    rows: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    alone: tuple[str, Mapping[str, Any]] | None = None
    pair: tuple[str, str] = ("", "")
    lies_in: str = ""
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
