"""In what order slices come: an epoch, its strata, and streams with and without labels.

All of it is a function of the cases, the ground and a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.feeding.slices import CaseSlices, organ_range
from benchmark.data.volume import Label
from benchmark.errors import BadInput
from benchmark.plan.ground import Ground
from benchmark.plan.keys import content_hash, draw_seed
from benchmark.plan.nodes import SeenLabels

Stratum = tuple[int, ...]  # the classes of a slice's label map


class Slices:
    """All slices of the training cases, in order: whose they are, at what relative height, with
    what organs, and their ranks."""

    def __init__(self, cases: list[CaseSlices], ground: Ground) -> None:
        near: list[bool] = []
        strata: list[Stratum] = []
        case_N: list[int] = []
        position_N: list[float] = []
        for number, case in enumerate(cases):
            near += near_organs(len(case.label_ZHW), case.range_Z, ground).tolist()
            for z in range(len(case.label_ZHW)):
                strata.append(tuple(np.unique(case.label_ZHW[z].numpy()).tolist()))
                case_N.append(number)
                position_N.append(case.height(z))
        self.case_N, self.position_N = torch.tensor(case_N), torch.tensor(position_N)
        self._names = [(case.sha256, z) for case in cases for z in range(len(case.label_ZHW))]
        self._near, self._strata, self._ground = near, strata, ground
        self.everything = self.of(torch.ones(len(case_N), dtype=torch.bool))

    @cached_property  # a hash a slice, which most trainings do not ask for
    def rank_N(self) -> Tensor:
        """Each slice's rank, see `ranks`."""
        return ranks(self._names, self._strata)

    def of(self, chosen_N: Tensor) -> Stream:
        """Return the stream of the chosen slices."""
        chosen = chosen_N.nonzero()[:, 0].tolist()
        return Stream(
            [n for n in chosen if self._near[n]],
            [n for n in chosen if not self._near[n]],
            self._strata,
            self._ground,
        )


class Stream:
    """Some of the slices, epoch after epoch: those near the organs, and a share of the others."""

    def __init__(
        self, inside: list[int], outside: list[int], strata: list[Stratum], ground: Ground
    ) -> None:
        self._inside, self._outside, self._strata = inside, outside, strata
        self._others = _others(len(inside), len(outside), ground)
        self.per_epoch = len(inside) + self._others
        self._cache: tuple[int, list[int]] = (-1, [])

    def order(self, epoch: int, seed: int) -> list[int]:
        """Return the slices of one epoch in order: a random member of each stratum in turn."""
        if self._cache[0] != epoch:
            self._cache = (epoch, self._drawn(np.random.default_rng(seed)))
        return self._cache[1]

    def _drawn(self, rng: np.random.Generator) -> list[int]:
        others = rng.permutation(np.array(self._outside, dtype=int))[: self._others].tolist()
        groups: dict[Stratum, list[int]] = {}
        for member in [*self._inside, *others]:
            groups.setdefault(self._strata[member], []).append(member)
        return spread(
            (rng.permutation(members).tolist(), rng.random())
            for _, members in sorted(groups.items())
        )


Parts = dict[str, tuple[Stream, int]]
"""The streams that a batch is made of, and how many slices it takes of each."""


def parts_of(slices: Slices, ground: Ground, labels: SeenLabels) -> tuple[Parts, Tensor | None]:
    """Return what batches are made of, and which slices have a label that is seen (N), None where
    all have. Raises `BadInput` where a batch or the training cases are too small for the share of
    labels."""
    if not ground.partly_labelled:
        return {"": (slices.everything, ground.batch)}, None
    rank_N = (slices.rank_N + 0.5) % 1 if labels.other else slices.rank_N
    half = ground.batch // 2
    found = {
        " labelled": (slices.of(rank_N < ground.labelled), ground.batch - half),
        " others": (slices.of(rank_N >= ground.labelled), half),
    }
    if not half or not all(stream.per_epoch for stream, _ in found.values()):
        raise BadInput(
            f"ground.labelled = {ground.labelled:g}: a batch of {ground.batch} from "
            f"{len(rank_N)} training slices cannot hold slices with and without a label; give "
            "a larger share, or ground.batch of 2 or more"
        )
    return found, rank_N < ground.labelled + labels.dose * (1 - ground.labelled)


def spread(groups: Iterable[tuple[list[int], float]]) -> list[int]:
    """Return the members of all groups in one order, those of each as they come and spread evenly
    over it; a group comes with its offset, 0 to 1."""
    placed: list[tuple[float, int]] = []
    for members, offset in groups:
        placed += [((i + offset) / len(members), m) for i, m in enumerate(members)]
    return [member for _, member in sorted(placed)]


def ranks(slices: Sequence[tuple[str, int]], strata: Sequence[Stratum]) -> Tensor:
    """Return each slice's place in [0, 1) among all (N): a share s are the slices of rank < s, so
    shares are nested, and the same in every seed.

    `slices` are the case and number of each, `strata` its organs. By a hash of all of them, the
    slices of a stratum come in random order and spread evenly over the ranks, so that every share
    has its part of each organ.
    """
    fold = content_hash(slices)  # else which slices are labelled would be one luck of all folds
    groups: dict[Stratum, list[tuple[int, int]]] = {}
    for n, ((case, z), stratum) in enumerate(zip(slices, strata, strict=True)):
        groups.setdefault(stratum, []).append((draw_seed(fold, case, z), n))
    ordered = spread(
        ([n for _, n in sorted(members)], draw_seed(fold, *stratum) / 2**63)
        for stratum, members in sorted(groups.items())
    )
    place_N = torch.empty(len(slices), dtype=torch.float64)
    place_N[ordered] = torch.arange(len(slices), dtype=torch.float64)
    return place_N / len(slices)


def near_and_far(label_ZYX: Label, ground: Ground) -> tuple[int, int]:
    """Return how many slices of a case an epoch takes all of, and how many are the others."""
    near = int(near_organs(len(label_ZYX), organ_range(label_ZYX), ground).sum())
    return near, len(label_ZYX) - near


def epoch_length(counts: Iterable[tuple[int, int]], ground: Ground) -> int:
    """Return how many slices make one epoch of cases with these counts."""
    known = list(counts)
    near = sum(count for count, _ in known)
    return near + _others(near, sum(count for _, count in known), ground)


def near_organs(slices: int, range_Z: tuple[int, int], ground: Ground) -> NDArray[np.bool_]:
    """Return which slices lie within the organs' z-range widened by the margin (Z)."""
    low, high = range_Z
    reach = ground.margin * (high - low + 1)
    z = np.arange(slices)
    near: NDArray[np.bool_] = (z >= low - reach) & (z <= high + reach)
    return near


def _others(inside: int, outside: int, ground: Ground) -> int:
    return min(outside, round(ground.others * inside))
