"""What a run shows, in one or two plain sentences, by rule: the first line below its table.

Nothing is said that was not measured. Figures are from the least to the greatest over the cells,
one figure where both are written alike. The limits are those of the flags.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.analysis.seen_row import (
    CONTROL,
    FSM_PULL,
    PLAIN,
    PULL,
    SHARE,
    SUBJECT,
    WHOLE,
    WITH_OTHERS,
    Range,
    Seen,
    four,
    is_dead,
    percent,
    pulled_before,
    range_of,
    significant,
    spread,
    tenths,
    whole,
)
from benchmark.parts.measures import UNUSED_POINTS
from benchmark.parts.probes import GAP_PERCENT
from benchmark.plan.presets import demonstration
from benchmark.plan.wording import counted


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
