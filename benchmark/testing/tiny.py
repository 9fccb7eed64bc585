"""A tiny data set that a tiny network learns in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmark.data.volume import Geometry, Image, Label, Volume

ORGANS = ("liver", "left_kidney", "right_kidney")
SHAPE = (5, 24, 20)
HU = (-100, 110, 210, 190)  # fat, liver, left kidney, right kidney
CENTRES = ((10.0, 6.0), (16.0, 14.0), (17.0, 5.0))  # y, x of the organs
RADII = ((5.0, 4.0), (3.0, 2.5), (3.0, 2.5))


@dataclass(frozen=True, kw_only=True)
class TinySource:
    """`patients` volumes of 5x24x20 voxels, each with a liver and two kidneys as bright blobs.

    Every patient's blobs lie a little elsewhere. The kidneys are missing in the end slices.
    """

    patients: int = 6
    organs: tuple[str, ...] = ORGANS

    @property
    def fingerprint(self) -> str:
        """The identity of the set."""
        return f"tiny-{self.patients}"

    def volumes(self) -> Iterator[Volume]:
        """Yield the patients."""
        for number in range(self.patients):
            yield tiny_volume(number)


def tiny_volume(number: int) -> Volume:
    """Return patient `number` of the tiny set, always the same."""
    rng = np.random.default_rng([7, number])
    label: Label = np.zeros(SHAPE, dtype=np.uint8)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for organ, (centre, radius) in enumerate(zip(CENTRES, RADII, strict=True), start=1):
        move_y, move_x = rng.uniform(-1, 1, 2)
        far = ((y - centre[0] - move_y) / radius[0]) ** 2 + (
            (x - centre[1] - move_x) / radius[1]
        ) ** 2
        label[0 if organ == 1 else 1 : 5 if organ == 1 else 4, far <= 1] = organ
    image: Image = (np.array(HU)[label] + rng.normal(0, 10, SHAPE)).astype(np.int16)
    image[:, :2] = -1000  # air in front of the patient
    affine = (
        (-1.0, 0.0, 0.0, 0.0),
        (0.0, -1.0, 0.0, 0.0),
        (0.0, 0.0, 2.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    )
    geometry = Geometry(
        spacing_mm=(2.0, 1.0, 1.0), affine=affine, shape=SHAPE[::-1], orientation="LPS"
    )
    return Volume(
        case=f"p{number:02d}", image=image, label=label, annotated=ORGANS, geometry=geometry
    )
