"""Does a response exceed run noise? A rule over numbers; no sentence here is written by hand.

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
from dataclasses import dataclass

from scipy import stats

LEVEL = 0.05
ROUNDING = 1e-9  # variances below are those of equal numbers

ByFold = Mapping[str, float]
BySeed = Mapping[int, ByFold]


@dataclass(frozen=True, kw_only=True)
class Response:
    """What tuning was worth, in points of DSC.

    `spread` is the sd between settings, `noise` that between seeds of one setting's mean over
    folds; None where there is nothing to compute it from. `gain` is best minus default with its
    interval `low` to `high`.
    """

    settings: int
    spread: float | None
    noise: float | None
    exceeds: bool | None
    gain: float | None
    low: float | None
    high: float | None
    sentence: str


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
        return _unknown(len(values), spread)
    noise = math.sqrt(variance / (folds * seeds_per_trial))
    exceeds = _varies(spread**2, noise**2, len(values) - 1, freedom)
    gain = low = high = None
    if not same:
        gain = _mean(best) - _mean(default)
        half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * math.sqrt(
            variance / folds * (1 / len(best) + 1 / len(default))
        )
        low, high = gain - half, gain + half
    return Response(
        settings=len(values), spread=spread, noise=noise, exceeds=exceeds, gain=gain, low=low,
        high=high, sentence=_sentence(len(values), spread, noise, exceeds, gain, low, high),
    )  # fmt: skip


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


def _sentence(
    settings: int,
    spread: float,
    noise: float,
    exceeds: bool,
    gain: float | None,
    low: float | None,
    high: float | None,
) -> str:
    varies = (
        f"{settings} settings differ by {spread:.2f} points of DSC (sd), seeds of one setting "
        f"by {noise:.2f}"
    )
    better = low is not None and low > 0
    if gain is None:
        verdict = "the best setting is the default"
    else:
        interval = f"({gain:+.2f} points on fresh seeds, 95 % interval {low:+.2f} to {high:+.2f})"
        word = "is better than" if better else "is not shown to be better than"
        verdict = f"the best setting {word} the default {interval}"
    if exceeds or better:
        return f"The response exceeds run noise: {varies}; {verdict}."
    return f"The response is flat within run noise: {varies}; {verdict}."


def _unknown(settings: int, spread: float | None) -> Response:
    return Response(
        settings=settings, spread=spread, noise=None, exceeds=None, gain=None, low=None, high=None,
        sentence="Whether the response exceeds run noise is not known: it takes two settings, and "
        "two seeds of the best and of the default (--repeats).",
    )  # fmt: skip
