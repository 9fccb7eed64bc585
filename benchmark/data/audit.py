"""What a person should know of a stored case: measures, HU, organs, checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.data.judging.anatomy import measure, verify
from benchmark.data.judging.checks import check_volume
from benchmark.data.library import DataSet
from benchmark.data.volume import Volume


def audit_case(dataset: DataSet, case: str) -> dict[str, Any]:
    """Return what `bench data audit --json` says of a case; the arrays are read and verified."""
    return audited(dataset, dataset.load(case))


def audited(dataset: DataSet, volume: Volume) -> dict[str, Any]:
    """Return the same of a volume that was loaded already.

    `shape`, `spacing_mm` and `box` belong to the canonical axes (z, y, x), `orientation` to the
    array on disk. An annotated organ without a voxel has 0 ml and a median HU of null. The checks
    are those made on adding, with those of the volume made again.
    """
    record = dataset.record(volume.case)
    checks = {check["name"]: check for check in record["checks"]}
    again = list(check_volume(volume, dataset.organs))
    if "reader" in dataset.origin:
        again += verify(volume, dataset.organs)[0]
    known = (*dataset.organs, *dataset.origin.get("not_annotated", ()))
    return {
        "case": volume.case,
        "shape": list(volume.image.shape),
        "spacing_mm": list(volume.geometry.spacing_mm),
        "orientation": volume.geometry.orientation,
        "hu": [float(np.percentile(volume.image[:, ::4, ::4], q)) for q in (0, 5, 50, 95, 100)],
        "box": volume.box,
        "organs": _organs(volume, dataset.organs),
        "not_annotated": [organ for organ in known if organ not in volume.annotated],
        "checks": list((checks | {check.name: check.to_dict() for check in again}).values()),
        "forced": record["forced"],
        "warnings": _warnings(dataset, volume.case),
    }


def _organs(volume: Volume, organs: Sequence[str]) -> dict[str, dict[str, float | None]]:
    empty: dict[str, float | None] = {"ml": 0.0, "hu_median": None, "hu_mean": None}
    result = {organ: dict(empty) for organ in organs if organ in volume.annotated}
    for organ in measure(volume, tuple(organs)):
        if organ.name in result:
            result[organ.name] = {
                "ml": round(organ.ml, 3),
                "hu_median": float(np.median(organ.hu)),
                "hu_mean": round(float(organ.hu.mean(dtype=np.float64)), 2),
            }
    return result


def _warnings(dataset: DataSet, case: str) -> list[str]:
    start = f"case {case}: "
    said = dataset.origin.get("warnings", ())
    return [line.removeprefix(start) for line in said if line.startswith(start)]
