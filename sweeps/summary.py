"""What a study says: its trials, its best setting, what sharing saved, and the judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.study import Study
from optuna.trial import TrialState

from sweeps import studies
from sweeps.noise import Response, judge

EDGES = "edges"
DEFAULT = "default values"
SAME = "best is default"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One trial that has its value: DSC in percent, also by fold and by fold and patient."""

    number: int
    params: Mapping[str, Any]
    overrides: Mapping[str, Any]
    value: float
    folds: Mapping[str, float]
    patients: Mapping[str, Mapping[str, float]]
    diverged: str


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Trainings of a sweep: how many were `needed`, and how many its settings have `alone`.

    `folds` counts cells of one setting, folds times seeds.
    """

    settings: int
    folds: int
    needed: int
    alone: int

    def line(self) -> str:
        """Return it as a sentence."""
        saved = self.alone - self.needed
        share = round(100 * saved / self.alone) if self.alone else 0
        return (
            f"{self.settings} distinct settings over {self.folds} folds took {self.needed} "
            f"trainings instead of {self.alone}: sharing saved {saved} ({share} %)"
        )


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One study, as far as it is. `best` is None before any trial has its value."""

    study: str
    about: studies.About
    points: tuple[Point, ...]
    running: int
    best: Point | None
    edges: tuple[str, ...]
    sharing: Sharing
    default: float | None  # what the default setting is worth with the tuning seeds
    default_values: Mapping[str, Any]  # what it has where trials vary
    response: Response

    @property
    def config(self) -> dict[str, Any]:
        """The overrides of the best setting with those below them, for `bench run --config`."""
        return {**self.about.overrides, **(self.best.overrides if self.best else {})}


def summarise(study: Study) -> Summary:
    """Return the summary of a study. Raises `BadInput` for one that is not ours."""
    about = studies.about(study)
    points = tuple(_point(trial) for trial in studies.counted(study))
    best = max(points, key=lambda point: (point.value, -point.number), default=None)
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    return Summary(
        study=study.study_name,
        about=about,
        points=points,
        running=sum(state == TrialState.RUNNING for state in states),
        best=best,
        edges=tuple(study.user_attrs.get(EDGES, ())) if best else (),
        sharing=_sharing(study),
        default=_default(study, about),
        default_values=study.user_attrs.get(DEFAULT, {}),
        response=_response(study, about, points, best),
    )


def fresh_seeds(seeds: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return seeds that tuning did not use."""
    return tuple(range(max(seeds) + 1, max(seeds) + 1 + count))


def _point(trial: Any) -> Point:
    measured = studies.evaluation(trial)
    return Point(
        number=trial.number,
        params=dict(trial.params),
        overrides=trial.user_attrs[studies.OVERRIDES],
        value=trial.value,
        folds=measured["folds"],
        patients=measured["patients"],
        diverged=measured["diverged"],
    )


def _sharing(study: Study) -> Sharing:
    """Counted over the settings of trials; repeats with other seeds share nothing with them."""
    by_setting: dict[str, dict[str, list[str]]] = {}
    for trial in studies.counted(study):
        name = studies.repeat_name(trial.user_attrs[studies.OVERRIDES], 0)
        by_setting[name] = studies.evaluation(trial)["nodes"]
    keys = [keys for cells in by_setting.values() for keys in cells.values()]
    return Sharing(
        settings=len(by_setting),
        folds=max((len(cells) for cells in by_setting.values()), default=0),
        needed=len({key for cell in keys for key in cell}),
        alone=sum(len(cell) for cell in keys),
    )


def _default(study: Study, about: studies.About) -> float | None:
    known = studies.repeats(study, {})
    values = [known[seed]["value"] for seed in about.seeds if seed in known]
    return sum(values) / len(values) if len(values) == len(about.seeds) else None


def _response(
    study: Study, about: studies.About, points: tuple[Point, ...], best: Point | None
) -> Response:
    overrides = best.overrides if best else {}
    groups = [
        {
            seed: found["folds"]
            for seed, found in studies.repeats(study, chosen).items()
            if seed not in about.seeds and not found["diverged"]
        }
        for chosen in (overrides, {})
    ]
    distinct = {studies.repeat_name(p.overrides, 0): p.value for p in points if not p.diverged}
    same = bool(study.user_attrs.get(SAME, False))
    return judge(
        distinct.values(), groups[1] if same else groups[0], groups[1],
        seeds_per_trial=len(about.seeds), same=same,
    )  # fmt: skip
