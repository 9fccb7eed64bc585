"""What a run shows, in one or two plain sentences, by rule: the first line below its table.

Nothing is said that was not measured. Figures are from the least to the greatest over the cells,
one figure where both are written alike. The limits are those of the flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.parts.bottoms import UNUSED_POINTS
from benchmark.parts.probes import GAP_PERCENT, NEGLIGIBLE, FsmState
from benchmark.plan.presets import demonstration
from benchmark.plan.wording import counted
from benchmark.reporting.ranges import (
    WHOLE,
    Range,
    four,
    percent,
    range_of,
    significant,
    spread,
    tenths,
    whole,
)
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


def text_of(seen: Seen) -> str:
    """Return one or two sentences that say what the cells of a row show."""
    if not seen.done:
        return f"No cell of {seen.row} was done: there is nothing to look at."
    if seen.part != "test":
        return (
            f"{seen.row} was scored on inner validation patients, for tuning alone: no test "
            "patient was scored, and nothing but the scores was measured."
        )
    return f"{_of_which(seen)}{_first(seen)} {_second(seen)}".strip()


def value_of(entry: Entry, name: str) -> float:
    """Return a value of a cell's row as a number; 0 where the row has none of that name."""
    try:
        return float(entry.params.get(name, 0))
    except ValueError:
        return 0.0


def _of_which(seen: Seen) -> str:
    """Of how many cells the rest is said; "" where of all."""
    counts = [len(seen.done), *([len(seen.means)] if seen.means else [])]
    whole = len(seen.entries)
    return "" if min(counts) == whole else f"Of {min(counts)} of {counted(whole, 'cell')}: "


def _first(seen: Seen) -> str:
    if seen.over("m_relative"):
        return _fsm(seen)
    if seen.over("gt_gap") or seen.over("m_matched"):
        return _guided(seen)
    if terms := seen.metrics(PULL):
        return _terms(seen, terms)
    if seen.over("restored_percent"):
        return _shape(seen)
    if seen.kind == PLAIN:
        return f"{seen.row} is the plain network: it has no term to look at."
    own = sorted({name for entry in seen.done for name, _, _ in entry.probes})
    told = f"{seen.row} ({seen.about.rstrip('.')})" if seen.about else seen.row
    if own:
        return f"No sentence is made of what was measured of {told}: {', '.join(own)}."
    return f"Nothing but its scores was measured of {told}."


def _second(seen: Seen) -> str:
    """What stands beside the first sentence, or what is needed to say more."""
    if seen.kind == PLAIN:
        return "Its scores are what other rows are compared with."
    if seen.is_off and not pulled_before(seen):
        return "A gain of the row would not be FSM's."
    if seen.kind == SUBJECT and seen.beside_m and not seen.is_off:
        return f"{_beside(seen.beside_m)}."
    if little := _little(seen):
        return f"Little could be handed on at this tap: {'; '.join(little)}."
    if seen.kind == CONTROL:
        return "It is a control: it says something only beside the row that it controls."
    judged = "" if demonstration(seen.entries[0].preset) else ", and a verdict needs bench report"
    return f"Whether {seen.row} gains anything, only rows beside it can tell{judged}."


def _fsm(seen: Seen) -> str:
    who = f"In this control ({seen.about.rstrip('.')}) FSM" if seen.kind == CONTROL else "FSM"
    pull = f"{'hardly pulled:' if seen.hardly_pulls else 'pulled with'} {_pull(seen)}"
    if seen.is_off:
        end = " in the end" if pulled_before(seen) else ""
        return f"{who} was switched off{end}: {_why_off(seen)}; it {pull}."
    some = f"was switched off in {len(seen.off)} of {counted(len(seen.means), 'cell')}; it "
    way = _way_of_m(seen)
    parts = [f"{who} {some if seen.off else ''}{pull}", way, *_gap(seen, "it" if way else "M")]
    return f"{'; '.join(filter(None, parts))}{_transfer(seen)}."


def _guided(seen: Seen) -> str:
    term = next(iter(seen.metrics(PULL)), "")
    name = "The distance to N_GT's features"
    pull = f"pulled with {_share_of_loss(seen, term)}" if term else "was measured"
    return f"{'; '.join([f'{name} {pull}', *_gap(seen, 'it')])}{_transfer(seen)}."


def _terms(seen: Seen, metrics: list[str]) -> str:
    told = [f"{m.removesuffix(PULL)} with {_share_of_loss(seen, m, at='')}" for m in metrics]
    many = "The terms" if len(told) > 1 else "The term"
    return f"{many} beside the loss pulled at the end of the training: {' and '.join(told)}."


def _shape(seen: Seen) -> str:
    restored = seen.over("restored_percent") or (0.0, 0.0)
    verb = "takes" if restored[1] > 0 else "repairs nothing: it takes"
    text = f"The shape model {verb} {spread(restored, whole)} % of the damage in masks away"
    shares = [
        f"{m.removesuffix(SHARE)} {spread(percent(seen.over(m)), tenths)} %"
        for m in seen.metrics(SHARE)
    ]
    told = f"; of what is minimised its terms are {' and '.join(shares)}" if shares else ""
    return f"{text}{told}."


def _why_off(seen: Seen) -> str:
    """What of FSM is at its end, in the cells in which it is."""
    dead = range_of(WHOLE * means["dead_r"] for means in seen.off if is_dead(means))
    ends = range_of(means["m_relative"] for means in seen.off if not is_dead(means))
    told = [f"R is zero in {spread(dead, whole)} % of the slices"] if dead else []
    told += [f"M stands at its end ({spread(ends, four)} of 1)"] if ends else []
    return f"{' or '.join(told)}, and M has next to no gradient there"


def _pull(seen: Seen) -> str:
    """How strongly FSM pulled, and when that was measured."""
    if seen.pulled:
        return f"{_of_loss(seen.pulled)} in the middle of the training"
    return _share_of_loss(seen, FSM_PULL)


def _share_of_loss(seen: Seen, metric: str, at: str = " at the end of the training") -> str:
    found = percent(seen.over(metric))
    if found is None:
        return "a gradient that was not measured"
    return f"{_of_loss(found)}{at}"


def _of_loss(share: Range) -> str:
    if share[0] > WHOLE:
        times = share[0] / WHOLE, share[1] / WHOLE
        return f"{spread(times, significant)} times the loss's gradient"
    return f"{spread(share, significant)} % of the loss's gradient"


def pulled_before(seen: Seen) -> bool:
    """Return whether FSM pulled during the training, whatever it does at the end."""
    return seen.pulled is not None and seen.pulled[1] >= WHOLE * NEGLIGIBLE


def _way_of_m(seen: Seen) -> str:
    """How M went in training; without its curve, what it is on the test patients."""
    first, last = (range_of(ends) for ends in (zip(*seen.m, strict=True) if seen.m else ((), ())))
    if first and last:
        end = f"{'fell to' if _fell(seen) else 'ended at'} {spread(last, significant)}"
        return f"M {end} ({spread(first, significant)} in the first epoch)"
    matched = seen.over("m_matched")
    return f"M is {spread(matched, significant)} on the test patients" if matched else ""


def _fell(seen: Seen) -> bool:
    return bool(seen.m) and all(last < first for first, last in seen.m)


def _gap(seen: Seen, what: str) -> list[str]:
    """What another patient's masks, or image where the teacher reads that, make of M."""
    gap, params = seen.over("gt_gap"), seen.entries[0].params
    of_ct = params.get("teacher") == "ct" or params.get("gt.reads") == "image"
    other = f"another patient's {'image' if of_ct else 'masks'}"
    if gap is None:
        return [f"{other} could not be shown"]
    shown, (low, high) = f"(GT gap {spread(gap, tenths)} %)", gap
    if low >= GAP_PERCENT:
        return [f"with {other} {what} is higher {shown}"]
    if high >= GAP_PERCENT:
        return [f"with {other} {what} is higher in some cells only {shown}"]
    same = "stays as low" if _fell(seen) else "hardly changes"
    same = same if low > -GAP_PERCENT else "is as low or lower"
    return [f"shown {other} {what} {same} {shown}"]


def _transfer(seen: Seen) -> str:
    """The word on transfer, of a row that is no control, where the GT gap was measured."""
    gap = seen.over("gt_gap")
    if gap is None or seen.kind == CONTROL:
        return ""
    if gap[1] < GAP_PERCENT:
        return ": no sign of transfer"
    return ": it depends on whose they are" if gap[0] >= GAP_PERCENT else ": undecided"


def _beside(beside: Mapping[str, Range]) -> str:
    told = [
        f"{spread(beside[row], significant)} {what} ({row})"
        for row, what in WITH_OTHERS.items()
        if row in beside
    ]
    return f"At the same step M was {' and '.join(told)}"


def _little(seen: Seen) -> list[str]:
    """Why better features could not be seen in the scores, where that holds in all cells."""
    headroom = seen.over("headroom")
    lost = {
        "N_GT": seen.over("teacher_loses_shuffled"),
        "N_CT": seen.over("student_loses_shuffled"),
    }
    told = [
        f"{net} loses {spread(points, tenths)} points of DSC when its bottom is shuffled"
        for net, points in lost.items()
        if points and points[1] < UNUSED_POINTS
    ]
    if headroom and headroom[1] < UNUSED_POINTS:
        told.append(f"even the true masks' features gain {spread(headroom, tenths)} points")
    return told


def _end(means: Mapping[str, float]) -> str:
    """The flag of a cell whose FSM is at its end, by the rule that raises it; "" for none."""
    return "".join(FsmState().flags(means)).partition(":")[0]


def is_dead(means: Mapping[str, float]) -> bool:
    """Return whether R is zero in so many slices of a cell that the flag says so."""
    return _end(means) == "fsm_dead"
