"""The claims ledger: each of the paper's claims, tested, with a status by rule.

With the primary interval [low, high] of a gain and the claim's margin m:

| kind   | reproduced                        | contradicted              |
|--------|-----------------------------------|---------------------------|
| better | low > 0, estimate >= m, Holm      | high < m                  |
| worse  | as better, of the opposite gain   | as better                 |
| none   | high < m                          | low > 0, estimate >= m, Holm |
| size g | low > g - m                       | high < g - m              |

All else is undecided. "Holm": the adjusted p is at most alpha, where the contrast is in a family,
and no single patient moves the gain by more than the metric's margin (`Comparison.one_patient`).
m is the plan's margin, or half the claimed size where that is under twice the margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmark.plan.analysis import AnalysisPlan, Contrast, Metric, families
from benchmark.plan.wording import p_text
from benchmark.scoring.comparison import Comparison
from benchmark.scoring.paper import MEAN_GAIN, printed_gain
from benchmark.scoring.statistics.components import Interval, interval_text, mean_of
from benchmark.scoring.statistics.layout import Incomplete

Kind = Literal["better", "worse", "none", "size"]
Status = Literal["reproduced", "contradicted", "undecided", "demonstration"]

OTHER_ARCHITECTURE = "fsm[gt=smp:unet/resnet18]"
"""The label of the row that tests the claim "different architectures work"."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of the paper as a contrast. `size` is the gain that it prints, if any."""

    about: str
    kind: Kind
    contrast: Contrast
    size: float | None


@dataclass(frozen=True, kw_only=True)
class ClaimLine:
    """A line of the ledger. `interval` and `p` are None where there are none; `p` is Holm's; `why`
    says why a claim is undecided, "" elsewhere."""

    dataset: str
    claim: Claim
    status: Status
    margin: float
    interval: Interval | None
    p: float | None
    unit: str
    why: str

    @property
    def sentence(self) -> str:
        """The line for people, made of its numbers."""
        claim, found = self.claim, self.interval
        rows = f"{claim.contrast.row} against {claim.contrast.reference}"
        text = f"{claim.about} ({self.dataset}, {rows}, {claim.contrast.metric}): {self.status}"
        if found is not None:
            text += f"; {interval_text(found, self.unit)}, margin {self.margin:g}"
            text += f", Holm p {p_text(self.p)}" if self.p is not None else ""
        if claim.size is not None:
            text += f"; the paper: {claim.size:+g}"
        return text + (f"; {self.why}" if self.why else "") + "."


def of_the_paper(plan: AnalysisPlan) -> bool:
    """Return whether the plan's subject is the paper's row, with any values."""
    return plan.subject.partition("[")[0] == AnalysisPlan().subject


def claims(dataset: str, plan: AnalysisPlan) -> tuple[Claim, ...]:
    """Return the paper's claims on one data set, each in every tested metric; none of them for a
    plan with another subject than the paper's."""
    if not of_the_paper(plan):
        return ()
    us, base = plan.subject, plan.baseline
    named: list[tuple[str, Kind, str, str]] = [
        ("better than U-Net", "better", row, base) for row in (*plan.competitors, us)
    ]
    named += [("better than the other methods", "better", us, row) for row in plan.competitors]
    named += [("each component is needed", "better", us, row) for row in plan.ablations]
    named += [
        ("No-Noise is worse than U-Net", "worse", "no-noise", base),
        ("Joint-Train gains nothing", "none", "joint-train", base),
        ("different architectures work", "better", OTHER_ARCHITECTURE, base),
    ]
    return tuple(
        Claim(
            about=about,
            kind=kind,
            contrast=Contrast(row=row, reference=reference, metric=metric.name),
            size=printed_gain(row, reference, dataset, metric.name),
        )
        for about, kind, row, reference in named
        for metric in plan.metrics
    )


def ledger(
    compared: Mapping[Contrast, Comparison | Incomplete],
    adjusted: Mapping[Contrast, float | None],
    *,
    dataset: str,
    preset: str,
    plan: AnalysisPlan,
) -> tuple[ClaimLine, ...]:
    """Return a line for each claim on a data set.

    `adjusted` holds Holm's p of all families (`families.adjust`). A contrast that is missing or
    incomplete leaves its claim undecided."""
    corrected = {contrast for family in families(plan) for contrast in family.contrasts}
    lines = []
    for claim in claims(dataset, plan):
        metric = plan.metric(claim.contrast.metric)
        found = compared.get(claim.contrast)
        interval = found.primary if isinstance(found, Comparison) else None
        p = adjusted.get(claim.contrast)
        hangs = isinstance(found, Comparison) and found.one_patient is not None
        sure = claim.contrast not in corrected or (p is not None and p <= plan.alpha)
        margin = claim_margin(metric, None if claim.kind == "none" else claim.size)
        status: Status = "demonstration"
        if preset in plan.presets:
            status = status_of(claim.kind, interval, margin, sure=sure and not hangs)
        lines.append(
            ClaimLine(
                dataset=dataset,
                claim=claim,
                status=status,
                margin=margin,
                interval=interval,
                p=p,
                unit=metric.unit,
                why=_why(found),
            )
        )
    return tuple(lines)


def mean_gain(
    compared: Mapping[str, Comparison | Incomplete],
    *,
    metric: Metric,
    preset: str,
    plan: AnalysisPlan,
) -> ClaimLine:
    """Return the line of "mean gain over U-Net, over both sets", from the subject against the
    baseline in one metric, by data set. A set of the plan that is not there leaves it undecided."""
    size = MEAN_GAIN[metric.name.removesuffix("_penalised")]
    contrast = Contrast(row=plan.subject, reference=plan.baseline, metric=metric.name)
    claim = Claim(about="mean gain over U-Net", kind="size", contrast=contrast, size=size)
    found = [compared.get(name) for name in plan.datasets]
    known = [c.primary for c in found if isinstance(c, Comparison) and c.primary is not None]
    interval = mean_of(known) if len(known) == len(plan.datasets) else None
    margin = claim_margin(metric, size)
    status: Status = "demonstration"
    if preset in plan.presets:
        status = status_of("size", interval, margin, size=size)
    return ClaimLine(
        dataset=" and ".join(plan.datasets),
        claim=claim,
        status=status,
        margin=margin,
        interval=interval,
        p=None,
        unit=metric.unit,
        why="not every set has an interval" if interval is None else "",
    )


def claim_margin(metric: Metric, size: float | None) -> float:
    """Return the margin of a claim: the metric's, or half of a size under twice that margin."""
    if not size:
        return metric.margin
    return min(metric.margin, abs(size) / 2)


def status_of(
    kind: Kind,
    found: Interval | None,
    margin: float,
    *,
    sure: bool = True,
    size: float = 0.0,
) -> Status:
    """Return a claim's status by the table above. `sure` says that Holm's p is small enough, or
    that the contrast is in no family, and that no single patient moves the gain by more than the
    metric's margin. "undecided" where there is no interval."""
    if found is None:
        return "undecided"
    if kind == "size":
        held, failed = found.low > size - margin, found.high < size - margin
    else:
        low, high, estimate = found.low, found.high, found.estimate
        if kind == "worse":
            low, high, estimate = -high, -low, -estimate
        held, failed = low > 0 and estimate >= margin and sure, high < margin
        if kind == "none":
            held, failed = failed, held
    # A tiny margin can be passed on both sides only by an empty interval; failing goes first.
    return "contradicted" if failed else "reproduced" if held else "undecided"


def _why(found: Comparison | Incomplete | None) -> str:
    if found is None:
        return "not run"
    if isinstance(found, Incomplete):
        return found.sentence
    return found.no_interval or found.influence
