"""What a study says: its trials, its best setting, what sharing saved, and the judgement.

Does a response exceed run noise? A rule over numbers; no sentence here is written by hand.

The best and the default setting are trained again with seeds that tuning did not use. Their
spread between seeds, within a setting and a fold, is the run noise. Two questions follow:

1. Do the trials vary more than seeds do? F test of the variance between settings against it.
2. Is the best better than the default? Difference of their means over the fresh seeds alone (the
   tuned seed's value is the winner's, hence too high), with a 95 % interval from the run noise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from optuna.study import Study
from optuna.trial import TrialState
from scipy import stats

from sweeps import studies

EDGES = "edges"
DEFAULT = "default values"
SAME = "best is default"
LEVEL = 0.05
ROUNDING = 1e-9  # variances below are those of equal numbers
UNKNOWN = (
    "Whether the response exceeds run noise is not known: it takes two settings, and two seeds of "
    "the best and of the default (--repeats)."
)

ByFold = Mapping[str, float]
BySeed = Mapping[int, ByFold]


@dataclass(frozen=True, kw_only=True)
class ScoredTrial:
    """One trial that has its value: DSC in percent, also by fold and by fold and patient.

    `broken` are the constraints of its space that it breaks, by name, each over 0.
    """

    number: int
    params: Mapping[str, Any]
    overrides: Mapping[str, Any]
    value: float
    folds: Mapping[str, float]
    patients: Mapping[str, Mapping[str, float]]
    diverged: str
    broken: Mapping[str, float]


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
class Response:
    """What tuning was worth, in points of DSC.

    `spread` is the sd between settings, `noise` that between seeds of one setting's mean over
    folds; None where there is nothing to compute it from. `gain` is best minus default with its
    interval `low` to `high`.
    """

    settings: int
    spread: float | None
    noise: float | None = None
    exceeds: bool | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    sentence: str = UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One study, as far as it is. `best` is the best of the trials that keep their constraints;
    None before any of them has its value."""

    study: str
    about: studies.About
    points: tuple[ScoredTrial, ...]
    running: int
    best: ScoredTrial | None
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
    allowed = [point for point in points if not point.broken]
    best = max(allowed, key=lambda point: (point.value, -point.number), default=None)
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


def _point(trial: Any) -> ScoredTrial:
    measured = studies.evaluation(trial)
    return ScoredTrial(
        number=trial.number,
        params=dict(trial.params),
        overrides=trial.user_attrs[studies.OVERRIDES],
        value=trial.value,
        folds=measured["folds"],
        patients=measured["patients"],
        diverged=measured["diverged"],
        broken=studies.broken(trial),
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
    study: Study, about: studies.About, points: tuple[ScoredTrial, ...], best: ScoredTrial | None
) -> Response:
    values = {studies.repeat_name(p.overrides, 0): p.value for p in points if not p.diverged}
    if best is None:
        return judge(values.values(), {}, {}, seeds_per_trial=len(about.seeds), same=False)
    groups = [
        {
            seed: found["folds"]
            for seed, found in studies.repeats(study, chosen).items()
            if seed not in about.seeds and not found["diverged"]
        }
        for chosen in (best.overrides, {})
    ]
    same = bool(study.user_attrs.get(SAME, False))
    return judge(
        values.values(),
        groups[1] if same else groups[0],
        groups[1],
        seeds_per_trial=len(about.seeds),
        same=same,
    )


def judge(
    trials: Iterable[float], best: BySeed, default: BySeed, *, seeds_per_trial: int, same: bool
) -> Response:
    """Return the judgement over the values of distinct settings and the repeats of two of them.

    `seeds_per_trial` is how many seeds a trial's value is the mean of; `same` says that the best
    setting is the default. Diverged settings are not among `trials`.
    """
    values = list(trials)
    spread = statistics.stdev(values) if len(values) > 1 else None
    variance, freedom = run_variance([best] if same else [best, default])
    folds = len(next(iter(best.values()), {}))
    if spread is None or variance is None or not folds:
        return Response(settings=len(values), spread=spread)
    noise = math.sqrt(variance / (folds * seeds_per_trial))
    exceeds = _varies(spread**2, noise**2, len(values) - 1, freedom)
    gain = low = high = None
    if not same:
        gain = _mean(best) - _mean(default)
        half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * math.sqrt(
            variance / folds * (1 / len(best) + 1 / len(default))
        )
        low, high = gain - half, gain + half
    found = Response(
        settings=len(values),
        spread=spread,
        noise=noise,
        exceeds=exceeds,
        gain=gain,
        low=low,
        high=high,
    )
    return replace(found, sentence=_sentence(found))


def run_variance(groups: Iterable[BySeed]) -> tuple[float | None, int]:
    """Return the variance between seeds within a setting and a fold, and its degrees of freedom;
    None where no setting has two seeds."""
    squares, freedom = 0.0, 0
    for by_seed in groups:
        for fold in next(iter(by_seed.values()), {}):
            values = [folds[fold] for folds in by_seed.values() if fold in folds]
            if len(values) > 1:
                squares += statistics.variance(values) * (len(values) - 1)
                freedom += len(values) - 1
    return (squares / freedom, freedom) if freedom else (None, 0)


def _varies(between: float, within: float, freedom_between: int, freedom: int) -> bool:
    if within < ROUNDING:
        return between >= ROUNDING
    return float(stats.f.sf(between / within, freedom_between, freedom)) < LEVEL


def _mean(by_seed: BySeed) -> float:
    return statistics.fmean(statistics.fmean(folds.values()) for folds in by_seed.values())


def _sentence(found: Response) -> str:
    varies = (
        f"{found.settings} settings differ by {found.spread:.2f} points of DSC (sd), seeds of one "
        f"setting by {found.noise:.2f}"
    )
    better = found.low is not None and found.low > 0
    if found.gain is None:
        verdict = "the best setting is the default"
    else:
        between = f"95 % interval {found.low:+.2f} to {found.high:+.2f}"
        interval = f"({found.gain:+.2f} points on fresh seeds, {between})"
        word = "is better than" if better else "is not shown to be better than"
        verdict = f"the best setting {word} the default {interval}"
    if found.exceeds or better:
        return f"The response exceeds run noise: {varies}; {verdict}."
    return f"The response is flat within run noise: {varies}; {verdict}."
