"""The analysis plan of a comparison: endpoint, margins, families, controls and seeds.

It is hashed into a suite before the suite's first result (docs/methods.md section 7). A
suite whose stored hash differs from the plan it is analysed with is labelled "post hoc".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from benchmark.errors import BadInput, near
from benchmark.plan.fields import later
from benchmark.plan.keys import canonical, digest

POST_HOC = "post hoc"
ANALYSES = {
    1: "analysis 1: patients and trainings random",
    2: "analysis 2: patients, folds and trainings random",
}
"""The primary analyses by version. A suite is analysed by the one that its plan was written with;
the first does not know the luck of a fold's training patients (docs/decisions/0019)."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A tested metric: a column of `benchmark.scoring.cases`, its unit, and its margin.

    `margin` is the largest difference, in `unit`, that counts as none. It is fixed before the run
    and never widened afterwards."""

    kind: ClassVar[str] = "tested-metric"
    name: str
    unit: str
    higher_is_better: bool
    margin: float

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise BadInput(f"the margin of {self.name} must be above 0, not {self.margin}")


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One planned comparison: does `row` differ from `reference` in `metric`?"""

    row: str
    reference: str
    metric: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """A closed set of contrasts of one data set that share one error of `alpha` (Holm)."""

    name: str
    contrasts: tuple[Contrast, ...]


DSC = Metric(name="dsc", unit="points", higher_is_better=True, margin=1.0)
ASSD = Metric(name="assd_penalised", unit="mm", higher_is_better=False, margin=0.15)

CONTROLS = (
    "unet-200",
    "unet-200-restart",
    "refine-gt",
    "fsm-shuffled",
    "fsm-mean-shape",
    "fsm-random-teacher",
    "fsm-constant",
    "fsm-ct-teacher",
)


@dataclass(frozen=True, kw_only=True)
class AnalysisPlan:
    """All that is decided before the first result (docs/methods.md sections 6 and 7).

    The endpoint of a patient is the mean over `anchor_organ` and every organ that at least
    `organ_share` of the set's patients have. `gap_minimum` is the GT gap's least estimate, in
    percent; without `asks_gap` the verdict does not ask for one (a row without a teacher has none).
    `presets` are those that may give a verdict; every other one is a demonstration.
    `draws_rank` and `draws_bootstrap` are bootstrap samples, `draws_seed` their random seed.
    `version` names the primary analysis, one of `ANALYSES`.
    """

    kind: ClassVar[str] = "analysis-plan"
    version: int = field(default=max(ANALYSES), metadata={"label": True})  # `canonical` adds it
    anchor_organ: str = "liver"
    organ_share: float = 0.8
    metrics: tuple[Metric, ...] = (DSC, ASSD)
    subject: str = "fsm"
    baseline: str = "unet"
    competitors: tuple[str, ...] = ("shape-loss", "param-transfer")
    ablations: tuple[str, ...] = ("joint-train", "no-refine", "no-noise")
    controls: tuple[str, ...] = CONTROLS
    datasets: tuple[str, ...] = ("ircadb", "multi-organ")
    presets: tuple[str, ...] = ("paper",)
    seeds: tuple[int, ...] = (0, 1, 2)
    folds: int = 5
    level: float = 0.95
    alpha: float = 0.05
    power: float = 0.8
    gap_minimum: float = 5.0
    asks_gap: bool = later(True)
    draws_rank: int = 1000
    draws_bootstrap: int = 10_000
    draws_seed: int = 0

    def __post_init__(self) -> None:
        if self.version not in ANALYSES:
            known = ", ".join(map(str, ANALYSES))
            raise BadInput(f"the plan is of analysis {self.version}; this bench knows {known}")
        for name in ("organ_share", "level", "alpha", "power"):
            if not 0 < getattr(self, name) <= 1:
                raise BadInput(f"{name} must lie in (0, 1], not {getattr(self, name)}")
        for name in ("metrics", "controls", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise BadInput(f"{name} must name at least one thing, and none twice: {values}")

    @property
    def fold_luck(self) -> bool:
        """Whether the primary interval counts the luck of a fold's training patients."""
        return self.version >= 2

    def metric(self, name: str) -> Metric:
        """Return the tested metric of that name; raises `BadInput` for one that is not planned."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        names = [each.name for each in self.metrics]
        raise BadInput(
            f"{name} is not a tested metric: {near(name, names)}there is {', '.join(names)}"
        )


def families(plan: AnalysisPlan) -> tuple[Family, ...]:
    """Return the Holm families of one data set, closed: no contrast joins or leaves them later.

    `rows`: every row of Table 1 against the baseline. `ablations`: the subject against its
    ablations. `competitors`: the subject against the other methods; it is ours, so that the
    paper's claim over them is corrected too. Each is taken in every metric.
    """
    table = (*plan.competitors, *plan.ablations, plan.subject)
    pairs = {
        "rows": [(row, plan.baseline) for row in table],
        "ablations": [(plan.subject, row) for row in plan.ablations],
        "competitors": [(plan.subject, row) for row in plan.competitors],
    }
    return tuple(
        Family(
            name=name,
            contrasts=tuple(
                Contrast(row=row, reference=reference, metric=metric.name)
                for row, reference in members
                for metric in plan.metrics
            ),
        )
        for name, members in pairs.items()
        if members
    )


def fingerprint(plan: AnalysisPlan) -> str:
    """Return the hash of a plan, 20 hexadecimal digits: equal exactly for equal plans."""
    return digest(canonical(plan))


def timing(stored: str | None, plan: AnalysisPlan) -> str:
    """Return "" where `stored`, the hash written before the first result, is this plan's; else
    "post hoc". A suite without a stored hash was never planned: "post hoc" too."""
    return "" if stored == fingerprint(plan) else POST_HOC
