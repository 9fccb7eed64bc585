"""What the distances of `surface` are in words, and what other libraries make of the same ones.

`OURS` is the one text that tables, page and commands show. `ELSEWHERE` holds the definitions of
others that are one formula over the distances between the two surfaces. They are shown beside
ours where somebody asks for them, and never stored or tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from benchmark.errors import BadInput
from benchmark.scoring.surface import SurfaceDistances, assd_mm, hd95_mm

Formula = Callable[[SurfaceDistances], float]

OURS: Mapping[str, str] = MappingProxyType(
    {
        "assd": "ASSD: mean distance over the border voxels of both masks, pooled (as MedPy 0.5.2 "
        "and MONAI)",
        "assd_penalised": "assd_penalised: ASSD, but the volume's diagonal for a missed organ",
        "hd95": "HD95: the larger of the two directed 95th percentiles (as MONAI and Metrics "
        "Reloaded)",
        "nsd": "NSD: share of border voxels that lie within the organ's tolerance, exactly at it "
        "too (as MONAI and Metrics Reloaded)",
    }
)
EMPTY = (
    "A missed organ has DSC 0, NSD 0, no ASSD and no HD95; an organ that the truth does not hold "
    "has none of them."
)


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """The ASSD and HD95, in mm, of a library of one version (`about`)."""

    about: str
    assd: Formula
    hd95: Formula


def described(metrics: Iterable[str]) -> str:
    """Return what these metrics are and what an empty mask gives, as sentences in one line."""
    return "; ".join(OURS[metric] for metric in metrics) + f". {EMPTY}"


def mean_of_means_mm(distances: SurfaceDistances) -> float:
    """Return the mean of the two directed mean distances, in mm."""
    directed = (distances.truth_to_predicted_mm, distances.predicted_to_truth_mm)
    return float(np.mean([np.mean(each) for each in directed]))


def pooled_hd95_mm(distances: SurfaceDistances) -> float:
    """Return the 95th percentile of the distances of both directions together, in mm."""
    return float(np.percentile(distances.pooled_mm, 95))


ELSEWHERE: Mapping[str, Elsewhere] = MappingProxyType(
    {
        "medpy-0.4": Elsewhere(about="MedPy 0.4.0", assd=mean_of_means_mm, hd95=pooled_hd95_mm),
        "medpy-0.5": Elsewhere(about="MedPy 0.5.2", assd=assd_mm, hd95=pooled_hd95_mm),
        "pooled-hd95": Elsewhere(about="MedPy 0.5.2", assd=assd_mm, hd95=pooled_hd95_mm),
        "monai": Elsewhere(about="MONAI 1.6.1", assd=assd_mm, hd95=hd95_mm),
        "metrics-reloaded": Elsewhere(
            about="Metrics Reloaded, snapshot ca3d352", assd=assd_mm, hd95=hd95_mm
        ),
    }
)
"""By the name that `bench compare --as` takes."""


def elsewhere(name: str) -> Elsewhere:
    """Return the definitions of that name; raises `BadInput` with the known ones."""
    if name not in ELSEWHERE:
        raise BadInput(f"--as {name!r}: there is {', '.join(ELSEWHERE)}")
    return ELSEWHERE[name]
