"""Implicit shapes on a fine grid: the drawing tools of the phantom.

A shape is a field that is about the signed distance to its surface in mm, negative inside. Fields
are evaluated in a small box around the shape, on coordinates in mm: x to the patient's left, y to
the back, z to the head, as in `volume.py`. The distance to an ellipsoid is the usual first-order
one, f / |grad f|; the smooth minimum is the quadratic one. Both are textbook formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
TissueCodes = NDArray[np.uint8]
Point = tuple[float, float, float]  # (x, y, z) in mm


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of the grid: where it lies (`at`, slices of a (Z, Y, X) array), and its coordinates.

    `z` has shape (Z, 1, 1), `y` (1, Y, 1) and `x` (1, 1, X), all in mm, so they broadcast.
    """

    at: tuple[slice, slice, slice]
    z: Field
    y: Field
    x: Field


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The fine grid: one coordinate in mm for every index of the axes z, y and x, ascending."""

    z: Field
    y: Field
    x: Field

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (Z, Y, X)."""
        return len(self.z), len(self.y), len(self.x)

    def box(self, low: Point, high: Point) -> Box:
        """Return the part between two corners (x, y, z) in mm; it may be empty."""
        limits = zip((self.z, self.y, self.x), low[::-1], high[::-1], strict=True)
        z, y, x = (
            slice(int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b)))
            for axis, a, b in limits
        )
        return Box(
            at=(z, y, x), z=self.z[z, None, None], y=self.y[None, y, None], x=self.x[None, None, x]
        )

    def around(self, points: Sequence[Point], margin: float) -> Box:
        """Return the part that holds all points and `margin` mm around them."""
        corners = np.asarray(points, dtype=float)
        low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
        return self.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def embed(box: Box, part: Box, field: Field, far: float = 60.0) -> Field:
    """Return a field that is known on `part` on the whole of `box`: `far` where it is not known."""
    whole = np.full((box.z.size, box.y.size, box.x.size), far, np.float32)
    spans = []
    for outer, inner in zip(box.at, part.at, strict=True):
        low, high = max(outer.start, inner.start), min(outer.stop, inner.stop)
        spans.append((low, max(high, low), outer.start, inner.start))
    to = tuple(slice(low - o, high - o) for low, high, o, _ in spans)
    of = tuple(slice(low - i, high - i) for low, high, _, i in spans)
    whole[to] = field[of]
    return whole


def ellipsoid(
    box: Box, center: Point, radii: Point, lean: tuple[float, float] = (0.0, 0.0), turn: float = 0.0
) -> Field:
    """Return the distance in mm to an ellipsoid, shape of the box.

    `lean` moves x and y by so many mm per mm of z; `turn` moves x per mm of y.
    """
    dz = box.z - center[2]
    dy = box.y - center[1] - lean[1] * dz
    dx = box.x - center[0] - lean[0] * dz - turn * (box.y - center[1])
    rx, ry, rz = radii
    across = dx * dx
    value = across / rx**2 + (dy * dy / ry**2 + dz * dz / rz**2)
    slope = across / rx**4 + (dy * dy / ry**4 + dz * dz / rz**4)
    # In place from here: these arrays are the largest of the phantom.
    np.sqrt(value, out=value)
    np.sqrt(slope, out=slope)
    slope += 1e-6
    np.divide(value, slope, out=slope)
    value -= 1
    slope *= value
    return np.asarray(slope, np.float32)


def tube(box: Box, path: Sequence[Point], radii: Sequence[float]) -> Field:
    """Return the distance in mm to a tube along a path, its radius given at each point."""
    found: Field | None = None
    for a, b, ra, rb in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        d = np.subtract(b, a).astype(np.float32)
        ax, ay, az = box.x - a[0], box.y - a[1], box.z - a[2]
        along = np.clip((ax * d[0] + ay * d[1] + az * d[2]) / float(d @ d), 0, 1)
        square = (ax - along * d[0]) ** 2 + (ay - along * d[1]) ** 2 + (az - along * d[2]) ** 2
        part = np.sqrt(square) - (ra + along * (rb - ra))
        found = part if found is None else smooth_min(found, part, 0.4 * min(ra, rb))
    assert found is not None
    return found.astype(np.float32, copy=False)


def smooth_min(a: Field, b: Field, blend: float) -> Field:
    """Return the union of two shapes, rounded where they meet over about `blend` mm."""
    gap: Field = np.abs(a - b)
    np.subtract(blend, gap, out=gap)
    np.maximum(gap, 0, out=gap)
    gap *= gap
    gap *= -1 / (4 * blend)
    gap += np.minimum(a, b)
    return gap


def smooth_max(a: Field, b: Field, blend: float) -> Field:
    """Return the intersection of two shapes, rounded over about `blend` mm."""
    return -smooth_min(-a, -b, blend)


def ramp(values: Field, start: float, stop: float) -> Field:
    """Return 0 before `start`, 1 after `stop`, a smooth step between; they may be swapped."""
    t = np.clip((values - start) / (stop - start), 0, 1)
    step: Field = t * t * (3 - 2 * t)
    return step


@dataclass(frozen=True)
class Waves:
    """A smooth random field: a sum of products of cosines, so that any box is cheap.

    It has mean 0 and standard deviation about 1 over space.
    """

    rates: NDArray[np.float64]  # (K, 3) radians per mm along x, y, z
    shifts: NDArray[np.float64]  # (K, 3)

    @classmethod
    def draw(cls, rng: np.random.Generator, length: float, terms: int = 16) -> Waves:
        """Draw a field whose features are about `length` mm apart."""
        rates = rng.normal(0, np.pi / length / 1.7, (terms, 3))
        return cls(rates, rng.uniform(0, 2 * np.pi, (terms, 3)))

    def __call__(self, box: Box) -> Field:
        """Return the field on a box, shape (Z, Y, X)."""
        axes = (box.x.ravel(), box.y.ravel(), box.z.ravel())
        x, y, z = (
            np.cos(axis[:, None] * self.rates[:, i] + self.shifts[:, i]).astype(np.float32)
            for i, axis in enumerate(axes)
        )
        scale = float(np.sqrt(8 / len(self.rates)))
        return np.asarray((scale * z[:, None] * y[None]) @ x.T, np.float32)
