"""Holm's correction over closed families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.errors import BadInput
from benchmark.plan.analysis import Contrast, Family
from benchmark.scoring.statistics.layout import Floats


@dataclass(frozen=True, kw_only=True)
class Adjusted:
    """A family after Holm: contrast -> adjusted p, None where the contrast has no p.

    `untested` names the contrasts without one. They count in the correction as if their p were 1:
    what is missing never makes the denominator smaller."""

    family: str
    p: Mapping[Contrast, float | None]
    untested: tuple[Contrast, ...]


def holm(p_k: Floats) -> Floats:
    """Return Holm's adjusted p along the last axis (Scand. J. Statistics 6, 1979).

    Equal to statsmodels' `multipletests(method="holm")`, for many families at once."""
    order = np.argsort(p_k, axis=-1)
    k = p_k.shape[-1]
    stepped = np.take_along_axis(p_k, order, axis=-1) * (k - np.arange(k))
    stepped = np.minimum(np.maximum.accumulate(stepped, axis=-1), 1.0)
    adjusted = np.empty_like(stepped)
    np.put_along_axis(adjusted, order, stepped, axis=-1)
    return adjusted


def adjust(family: Family, p: Mapping[Contrast, float | None]) -> Adjusted:
    """Return the family's adjusted p.

    Raises `BadInput` for a contrast that the plan does not hold in this family: families are
    closed before the first result.
    """
    strange = [contrast for contrast in p if contrast not in family.contrasts]
    if strange:
        raise BadInput(
            f"{strange[0].row} against {strange[0].reference} in {strange[0].metric} is not "
            f"planned in the family {family.name}"
        )
    known = [p.get(contrast) for contrast in family.contrasts]
    found = holm(np.array([1.0 if value is None else value for value in known]))
    pairs = list(zip(family.contrasts, known, found.tolist(), strict=True))
    return Adjusted(
        family=family.name,
        p={c: None if value is None else adjusted for c, value, adjusted in pairs},
        untested=tuple(contrast for contrast, value, _ in pairs if value is None),
    )
