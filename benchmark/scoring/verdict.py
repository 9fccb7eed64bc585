"""The verdict by a fixed rule (docs/methods.md section 6). Every sentence is made of the numbers.

d is the gain of the subject (`fsm`) over a control, with the primary 95 % interval; delta is the
margin that the plan fixed before the run. Checked in this order:

1. demonstration: the preset is not one that may give a verdict;
2. incomplete: a planned value of the subject, of a control or of the GT gap is missing;
3. not supported: for some control the upper limit of d is under delta (equivalent, or worse), also
   without the patient that moves d by more than delta, where there is one;
4. supported: for every control the lower limit of d is over 0 and d at least delta, no single
   patient moves d by more than delta, and, where the plan asks for it, the GT gap's lower limit is
   over 0 and the gap at least 5 %;
5. undecided, with the number of patients that would decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.scoring.comparison import Comparison, level_of
from benchmark.scoring.statistics.components import Components, Interval, interval_text, primary
from benchmark.scoring.statistics.corrections import Needed, patients_needed
from benchmark.scoring.statistics.layout import Incomplete, RowValues

Outcome = Literal["supported", "not supported", "undecided", "incomplete", "demonstration"]
Compared = Mapping[str, "Comparison | Incomplete"]


@dataclass(frozen=True, kw_only=True)
class GapEstimate:
    """The GT gap over the test patients, in percent: (M_shuffled - M_matched) / M_shuffled."""

    patients: int
    mean: float
    primary: Interval | None
    no_interval: str
    spread: Components


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one data set says of the subject, and why.

    `level` is what the number of seeds can carry (look, screen, claim). `needed` is the design that
    would decide an undecided verdict; None elsewhere, and where none would. `sensitivity` is the
    outcome that the same rule gives with the Nadeau-Bengio intervals, None where those are
    not defined. `timing` is "" or "post hoc".
    """

    dataset: str
    subject: str
    outcome: Outcome
    level: str
    timing: str
    reasons: tuple[str, ...]
    needed: Needed | None
    sensitivity: Outcome | None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict for people: its outcome first, then why, and what would decide it."""
        when = f", {self.timing}" if self.timing else ""
        lines = [f"{self.subject} on {self.dataset}: {self.outcome} ({self.level}{when})."]
        lines += [f"{reason[0].upper()}{reason[1:]}." for reason in self.reasons]
        if self.outcome == "undecided":
            lines.append(_decides(self.needed))
        if self.sensitivity not in (None, self.outcome):
            lines.append(f"By the Nadeau-Bengio intervals it would be: {self.sensitivity}.")
        return tuple(lines)


def gt_gap(gap: RowValues, *, level: float = 0.95, fold_luck: bool = True) -> GapEstimate:
    """Return the GT gap's mean over patients with its primary interval, None where
    `components.primary` says why."""
    whole = primary(gap.value_nS, gap.fold_n, level=level, fold_luck=fold_luck)
    return GapEstimate(
        patients=len(gap.cases),
        mean=float(gap.value_nS.mean()),
        primary=whole.interval,
        no_interval=whole.why_not,
        spread=whole.spread,
    )


def judge(
    comparisons: Compared,
    gap: RowValues | Incomplete | None,
    *,
    dataset: str,
    preset: str,
    plan: AnalysisPlan,
    timing: str = "",
) -> Verdict:
    """Return the verdict of one data set.

    `comparisons` holds the subject against each of the plan's controls, by the control's name, in
    the plan's first metric; a control that is not there, or a `gap` of None where the plan asks for
    one, was not run and makes the verdict incomplete. `timing` is what
    `benchmark.plan.analysis.timing` gave.
    """
    _check_planned(comparisons, plan)
    lacking = _lacking(comparisons, gap, plan)
    present = [c for c in comparisons.values() if isinstance(c, Comparison)]
    levels = [level_of(c.seeds, c.folds, plan.folds) for c in present]
    level = min(levels, key=_LEVELS.index, default="look")
    outcome: Outcome
    reasons: tuple[str, ...]
    needed, sensitivity = None, None
    if preset not in plan.presets:
        outcome, reasons = "demonstration", (f"preset {preset} gives no verdict",)
    elif lacking:
        outcome, reasons = "incomplete", lacking
    else:
        controls = [c for c in present if c.reference in plan.controls]
        found = _gap_asked(gap, plan)
        outcome, reasons = _by_rule(controls, found, lambda c: c.primary, plan)
        sensitivity = _sensitivity(controls, found, plan)
        if outcome == "undecided":
            needed, why = _needed(controls, found, plan)
            reasons += why
    return Verdict(
        dataset=dataset,
        subject=plan.subject,
        outcome=outcome,
        level=level,
        timing=timing,
        reasons=reasons,
        needed=needed,
        sensitivity=sensitivity,
    )


def overall(verdicts: Mapping[str, Verdict], plan: AnalysisPlan) -> tuple[Outcome, str]:
    """Return the outcome over the plan's data sets, and its sentence. The paper's claim needs every
    set: one "not supported" refutes it, and a set without a verdict leaves it incomplete."""
    found = {name: verdicts[name].outcome for name in plan.datasets if name in verdicts}
    absent = [name for name in plan.datasets if name not in verdicts]
    outcome: Outcome
    if "demonstration" in found.values():
        outcome = "demonstration"
    elif "not supported" in found.values():
        outcome = "not supported"
    elif absent or "incomplete" in found.values():
        outcome = "incomplete"
    else:
        outcome = "supported" if set(found.values()) == {"supported"} else "undecided"
    parts = [f"{name}: {each}" for name, each in found.items()]
    parts += [f"{name}: not run" for name in absent]
    return outcome, f"{plan.subject}, the claim on every set: {outcome} ({'; '.join(parts)})."


_LEVELS = ("look", "screen", "claim")


def _check_planned(comparisons: Compared, plan: AnalysisPlan) -> None:
    for name, found in comparisons.items():
        if not isinstance(found, Comparison):
            continue
        planned = (plan.subject, name, plan.metrics[0])
        if (found.row, found.reference, found.metric) != planned:
            raise BadInput(
                f"the verdict reads {plan.subject} against {name} in {plan.metrics[0].name}, not "
                f"{found.row} against {found.reference} in {found.metric.name}"
            )


def _lacking(
    comparisons: Compared, gap: RowValues | Incomplete | None, plan: AnalysisPlan
) -> tuple[str, ...]:
    lines = [f"row {name} was not run" for name in plan.controls if name not in comparisons]
    for name in plan.controls:
        found = comparisons.get(name)
        if isinstance(found, Incomplete):
            lines.append(f"row {found.sentence}")
    if plan.asks_gap and gap is None:
        lines.append("the GT gap was not measured")
    elif plan.asks_gap and isinstance(gap, Incomplete):
        lines.append(gap.sentence)
    return tuple(dict.fromkeys(lines))


def _gap_asked(gap: RowValues | Incomplete | None, plan: AnalysisPlan) -> GapEstimate | None:
    """The GT gap, None where the plan asks for none."""
    if not (plan.asks_gap and isinstance(gap, RowValues)):
        return None
    return gt_gap(gap, level=plan.level, fold_luck=plan.fold_luck)


def _by_rule(
    controls: list[Comparison],
    gap: GapEstimate | None,
    interval_of: Callable[[Comparison], Interval | None],
    plan: AnalysisPlan,
) -> tuple[Outcome, tuple[str, ...]]:
    """Rules 3 to 5 with one kind of interval."""
    margin, unit = plan.metrics[0].margin, plan.metrics[0].unit
    pairs = [(c, interval_of(c)) for c in controls]
    refuting = [
        (c, i) for c, i in pairs if i is not None and i.high < margin and _stands(c, margin)
    ]
    if refuting:
        return "not supported", tuple(
            f"against {c.reference} the gain is {_kind(i)}: {interval_text(i, unit)}, under the "
            f"margin of {margin:g}"
            for c, i in refuting
        )
    doubts = [
        f"against {c.reference}: "
        + (c.no_interval or "no interval of this kind" if i is None else interval_text(i, unit))
        + (f"; {c.influence}" if c.one_patient else "")
        for c, i in pairs
        if i is None or c.one_patient or not (i.low > 0 and i.estimate >= margin)
    ]
    doubts += _gap_doubts(gap, plan) if gap else []
    if doubts:
        return "undecided", tuple(doubts)
    least = min((i for _, i in pairs if i is not None), key=lambda i: i.estimate)
    asked = f"{margin:g} {unit.removesuffix('s') if margin == 1 else unit}"
    return "supported", (
        f"the gain over each of {len(controls)} controls is over 0 and at least {asked}; "
        f"the least is {interval_text(least, unit)}",
    )


def _gap_doubts(gap: GapEstimate, plan: AnalysisPlan) -> list[str]:
    if gap.primary is None:
        return [f"GT gap: {gap.no_interval}"]
    if gap.primary.low > 0 and gap.primary.estimate >= plan.gap_minimum:
        return []
    return [f"GT gap: {interval_text(gap.primary, '%')}, needed {plan.gap_minimum:g} %"]


def _stands(found: Comparison, margin: float) -> bool:
    """Whether a gain under the margin is so without the one patient that moves it, too."""
    one = found.one_patient
    return one is None or (one.without is not None and one.without.high < margin)


def _sensitivity(
    controls: list[Comparison], gap: GapEstimate | None, plan: AnalysisPlan
) -> Outcome | None:
    if any(c.nadeau_bengio is None for c in controls):
        return None
    return _by_rule(controls, gap, lambda c: c.nadeau_bengio, plan)[0]


def _needed(
    controls: list[Comparison], gap: GapEstimate | None, plan: AnalysisPlan
) -> tuple[Needed | None, tuple[str, ...]]:
    """The least design that decides, if every estimate and spread stays as it is.

    With an estimate under the margin the verdict can only become "not supported", by any such
    control; else only "supported", which needs every control and the gap."""
    margin = plan.metrics[0].margin
    below = [c for c in controls if c.mean < margin]
    if below:
        found = [_design(margin - c.mean, c.spread, c, plan) for c in below]
        known = [each for each in found if each is not None]
        return min(known, key=lambda each: (each.seeds, each.patients), default=None), ()
    if gap and gap.mean < plan.gap_minimum:
        return None, ("no number of patients decides while the GT gap stays as it is",)
    found = [_design(c.mean, c.spread, c, plan) for c in controls]
    found += [_design(gap.mean, gap.spread, controls[0], plan)] if gap else []
    if any(each is None for each in found):
        return None, ()
    return Needed(
        patients=max(each.patients for each in found if each),
        seeds=max(each.seeds for each in found if each),
    ), ()


def _design(
    distance: float, spread: Components, like: Comparison, plan: AnalysisPlan
) -> Needed | None:
    found = patients_needed(distance, spread, seeds=like.seeds, folds=like.folds, level=plan.level)
    if found is None or found.seeds > like.seeds:
        return found
    # the projection's degrees of freedom are rounder than those of the data in hand
    return replace(found, patients=max(found.patients, like.patients + 1))


def _decides(needed: Needed | None) -> str:
    if needed is None:
        return (
            "No number of patients or seeds would decide with these folds, if estimates and spread "
            "stay as they are."
        )
    return (
        f"{needed.patients} patients with {needed.seeds} seeds would decide, "
        "if estimates and spread stay as they are."
    )


def _kind(found: Interval) -> str:
    return "negative" if found.high < 0 else "none or too small"
