"""What many studies of known gain add up to: curves, limits of detection, and their intervals."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fold_luck import spread
from numpy.typing import NDArray
from sensitivity_edit import DOSES
from sensitivity_studies import PLAN, draw, own_studies, planned, shares

Floats = NDArray[np.float64]
Figures = dict[str, Any]

PATIENTS = (15, 20, 60, 90)
WANTED = 0.8  # share of studies that shall find a gain
SEED = 20200403


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is drawn: `studies` a curve, of which the first `checked` at each dose are read by
    `compare` and `judge` too; `resamples` times `studies_each` for the limits' intervals;
    `planned` studies to foretell from."""

    studies: int = 4000
    checked: int = 20
    resamples: int = 200
    studies_each: int = 400
    planned: int = 300

    @classmethod
    def of(cls, studies: int, resamples: int) -> Size:
        """Return a smaller size, in which nothing is larger than the number of studies."""
        return cls(
            studies=studies,
            checked=min(cls.checked, studies // 100),
            resamples=resamples,
            studies_each=min(cls.studies_each, studies),
            planned=min(cls.planned, studies),
        )


def figures(unseen_FSnD: Floats, own_FSnD: Floats, luck: Figures | None, size: Size) -> Figures:
    """Return all that the page shows, as plain values.

    `unseen_FSnD` and `own_FSnD` are the DSC of the edited row's networks on unseen patients and on
    the data set's own; `luck` is that of folds, as `luck_of` or `stored_luck` give it, None: it is
    left out."""
    sds = [0.0] if luck is None else sorted({0.0, luck["sd"]})
    curves = [
        curve(unseen_FSnD, patients=n, fold_sd=sd, size=size)
        for n, sd in itertools.product(PATIENTS, sds)
    ]
    rng = np.random.default_rng([SEED, 0])
    own = shares(own_FSnD, own_studies(rng, size.studies, own_FSnD), checked=size.checked)
    gain_D, error_D = true_gain(unseen_FSnD)
    own_D = np.nanmean(own_FSnD - own_FSnD[..., :1], axis=(0, 1, 2))
    return {
        "size": vars(size) | {"unseen": unseen_FSnD.shape[2], "own": own_FSnD.shape[2]},
        "mean": {"unseen": float(unseen_FSnD[..., 0].mean()),
                 "own": float(np.nanmean(own_FSnD[..., 0]))},
        "doses": list(DOSES),
        "gain": gain_D.tolist(),
        "error": error_D.tolist(),
        "own_gain": own_D.tolist(),
        "own": {name: each.tolist() for name, each in own.items()},
        "luck": luck,
        "curves": curves,
    }  # fmt: skip


def true_gain(dsc_FSnD: Floats) -> tuple[Floats, Floats]:
    """Return the true gain of each dose, edited minus unedited of the same networks, and its
    standard error over networks and patients, both in points (D,)."""
    gain_FSnD = dsc_FSnD - dsc_FSnD[..., :1]
    patient_nD = gain_FSnD.mean(axis=(0, 1))
    network_kD = gain_FSnD.mean(axis=2).reshape(-1, gain_FSnD.shape[-1])
    square_D = sum(each.var(axis=0, ddof=1) / len(each) for each in (patient_nD, network_kD))
    return gain_FSnD.mean(axis=(0, 1, 2)), np.sqrt(square_D)


def luck_of(dsc_FSn: Mapping[str, Floats]) -> Figures | None:
    """Return what the folds' luck is of each difference of two rows, and the root mean
    square of these sds, in points; None without rows."""
    names = list(dsc_FSn)
    pairs = {
        f"{a} - {b}": spread(dsc_FSn[a] - dsc_FSn[b]) for b, a in itertools.combinations(names, 2)
    }
    if not pairs:
        return None
    networks, patients = dsc_FSn[names[0]][..., 0].size, dsc_FSn[names[0]].shape[-1]
    sd = float(np.sqrt(np.mean([each["fold_sd"] ** 2 for each in pairs.values()])))
    return {"pairs": pairs, "sd": sd, "networks": networks, "patients": patients}


def stored_luck(path: Path) -> Figures:
    """Return the folds' luck as docs/fold_luck.py measured it, in the same form."""
    found = json.loads(path.read_text(encoding="utf-8"))
    pairs = {name: each for name, each in found["spread"].items() if " - " in name}
    sd = float(np.sqrt(np.mean([each["fold_sd"] ** 2 for each in pairs.values()])))
    networks = found["networks"] // (len(found["spread"]) - len(pairs))
    return {"pairs": pairs, "sd": sd, "networks": networks, "patients": found["patients"]}


def limit(
    gain_D: Sequence[float] | Floats, share_D: Sequence[float] | Floats, wanted: float
) -> float:
    """Return the gain from which on at least the share `wanted` is reached, on a straight line
    between two doses; inf where the largest dose does not reach it.

    >>> limit([0.0, 1.0, 2.0], [0.0, 0.6, 1.0], 0.8)
    1.5
    """
    under = np.flatnonzero(np.asarray(share_D) < wanted)
    if not len(under):
        return float(gain_D[0])
    i = int(under[-1])
    if i == len(share_D) - 1:
        return math.inf
    part = (wanted - share_D[i]) / (share_D[i + 1] - share_D[i])
    return float(gain_D[i] + part * (gain_D[i + 1] - gain_D[i]))


def curve(dsc_FSnD: Floats, *, patients: int, fold_sd: float, size: Size) -> Figures:
    """Return the shares of studies of so many patients at each dose, the limits of detection with
    their 95 % intervals, and what planning foretold."""
    seeds, scored = dsc_FSnD.shape[1], np.arange(dsc_FSnD.shape[2])
    rng = np.random.default_rng([SEED, patients])
    drawn = draw(rng, size.studies, patients=patients, scored=scored, seeds=seeds)
    found = shares(dsc_FSnD, drawn, fold_sd=fold_sd, checked=size.checked)
    gain_D = true_gain(dsc_FSnD)[0]
    again = _resampled(dsc_FSnD, patients, fold_sd, size, rng)
    half = limit(gain_D, found["better"], 0.5)
    few = draw(rng, size.planned, patients=patients, scored=scored, seeds=seeds)
    least, needed = planned(dsc_FSnD, few, fold_sd=fold_sd, distance=half)
    return {
        "patients": patients,
        "fold_sd": fold_sd,
        **{name: each.tolist() for name, each in found.items()},
        "limits": {
            name: [_plain(limit(gain_D, found[name], WANTED)), *map(_plain, _limits(again[name]))]
            for name in ("better", "supported")
        },
        "null": [float(found["better"][0]), *_limits(again["null"])],
        "half": _plain(half),
        "least": least,
        "needed": _plain(needed),
    }


def _resampled(
    dsc_FSnD: Floats, patients: int, fold_sd: float, size: Size, rng: np.random.Generator
) -> dict[str, list[float]]:
    """The limits, and the share "better" at dose 0, of studies of folds (each with its networks)
    and patients that are drawn anew."""
    folds, seeds, n, _ = dsc_FSnD.shape
    found: dict[str, list[float]] = {"better": [], "supported": [], "null": []}
    for _ in range(size.resamples):
        place_F, scored = rng.choice(folds, PLAN.folds), rng.choice(n, n)
        drawn = draw(rng, size.studies_each, patients=patients, scored=scored, seeds=seeds,
                     place_F=place_F)  # fmt: skip
        said = shares(dsc_FSnD, drawn, fold_sd=fold_sd)
        gain_D = true_gain(dsc_FSnD[place_F][:, :, scored])[0]
        for name in ("better", "supported"):
            found[name].append(limit(gain_D, said[name], WANTED))
        found["null"].append(float(said["better"][0]))
    return found


def _limits(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def _plain(value: float) -> float | None:
    """JSON knows no inf."""
    return value if math.isfinite(value) else None
