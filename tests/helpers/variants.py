"""Clean patients of many kinds, none of which should be refused.

`python tests/helpers/variants.py 60` makes all kinds of so many patients and prints how many the
checks refuse, and which; and how many of them pass with an intercept that is off by 100 HU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from native import ORGANS, small
from scipy import ndimage

from benchmark.data.judging.anatomy import verify
from benchmark.data.judging.checks import check_volume
from benchmark.data.volume import Volume
from benchmark.phantom.recipe import Phantom, not_looked_for

Variant = Callable[[Volume, np.random.Generator], Volume]


def changed(volume: Volume, image: np.ndarray, label: np.ndarray | None = None) -> Volume:
    label = volume.label if label is None else label
    arrays = {"image": image.astype(np.int16), "label": label.astype(np.uint8)}
    return replace(volume, **arrays)


def noisy(volume: Volume, rng: np.random.Generator) -> Volume:
    return changed(volume, volume.image + rng.normal(0, 20, volume.image.shape))


def rescaled(volume: Volume, factor: float) -> Volume:
    z, y, x = (mm * factor for mm in volume.geometry.spacing_mm)
    return replace(volume, geometry=replace(volume.geometry, spacing_mm=(z, y, x)))


def cut(volume: Volume, first: float, last: float) -> Volume:
    count = len(volume.image)
    part = slice(round(first * count), round(last * count))
    return changed(volume, volume.image[part], volume.label[part])


def to_body(volume: Volume, rng: np.random.Generator) -> Volume:
    """A field of view so narrow that no air is left around the patient."""
    body = volume.image > -300
    rows, columns = (np.flatnonzero(body.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    y = slice(rows[0] + len(rows) // 6, rows[-1] - len(rows) // 6)
    x = slice(columns[0] + len(columns) // 8, columns[-1] - len(columns) // 8)
    return changed(volume, volume.image[:, y, x], volume.label[:, y, x])


def padded(volume: Volume, value: int) -> Volume:
    """A circular field of view with padding outside."""
    _, height, width = volume.image.shape
    y, x = np.ogrid[:height, :width]
    outside = np.hypot(y - height / 2, x - width / 2) > 0.5 * max(height, width)
    return changed(volume, np.where(outside, value, volume.image))


def turned(volume: Volume, rng: np.random.Generator) -> Volume:
    """The patient lies askew by up to ten degrees."""
    degrees = float(rng.uniform(-10, 10))
    image = ndimage.rotate(volume.image, degrees, (1, 2), reshape=False, order=1, cval=-1000)
    label = ndimage.rotate(volume.label, degrees, (1, 2), reshape=False, order=0)
    return changed(volume, image, label)


def off_centre(volume: Volume, rng: np.random.Generator) -> Volume:
    shift = (0, *(int(n) for n in rng.integers(-4, 5, 2)))
    image = ndimage.shift(volume.image, shift, order=0, cval=-1000)
    return changed(volume, image, ndimage.shift(volume.label, shift, order=0))


def moved_kidney(volume: Volume, to_other_side: bool) -> Volume:
    """The left kidney, with its pixels, below the other one or in the pelvis."""
    mask = volume.label == 2
    z, y, x = np.nonzero(mask)
    low = int(np.nonzero((volume.label == 1).any(axis=(1, 2)))[0][0])
    height = int(z.max() - z.min() + 1)
    room = np.full((height, *volume.image.shape[1:]), -1000, np.int16)
    room[:] = volume.image[: max(1, low)].mean(axis=0).astype(np.int16)
    noise = np.random.default_rng(0).normal(0, 8, room.shape).astype(np.int16)
    image = np.concatenate([room + noise, volume.image])
    label = np.concatenate([np.zeros(room.shape, np.uint8), np.where(mask, 0, volume.label)])
    middle = volume.image.shape[2] // 2
    new_x = 2 * middle - x if to_other_side else x - int(x.mean()) + middle - 2
    place = (z - z.min(), y - int(y.mean()) + volume.image.shape[1] // 2, new_x)
    image[place] = volume.image[z, y, x]
    label[place] = 2
    return changed(volume, image, label)


def fatty(volume: Volume, rng: np.random.Generator, hu: float | None = None) -> Volume:
    """A liver of -20..30 HU: fat beside its edge stays fat, and its own noise stays noise."""
    hu, mask = rng.uniform(-20, 30) if hu is None else hu, volume.label == 1
    factor = (hu + 100) / (float(np.median(volume.image[mask])) + 100)
    darker = -100 + (volume.image + 100.0) * factor + rng.normal(0, 12, volume.image.shape)
    return changed(volume, np.where(mask & (volume.image > -100), darker, volume.image))


def unenhanced(volume: Volume, rng: np.random.Generator) -> Volume:
    """No contrast: liver 38..60 HU, kidneys 25..40, all other soft tissue at most about 60."""
    image = np.where(
        (volume.image > 50) & (volume.image < 300), 50 + volume.image % 10, volume.image
    )
    for number, (low, high) in ((1, (38, 60)), (2, (25, 40)), (3, (25, 40))):
        mask = volume.label == number
        if mask.any():
            factor = (rng.uniform(low, high) + 100) / (float(np.median(volume.image[mask])) + 100)
            darker = -100 + (volume.image + 100.0) * factor + rng.normal(0, 10, mask.shape)
            image = np.where(mask & (volume.image > -100), darker, image)
    return changed(volume, image)


VARIANTS: dict[str, Variant] = {
    "as drawn": lambda v, rng: v,
    "noisy": noisy,
    "a child": lambda v, rng: rescaled(v, 0.72),
    "a giant": lambda v, rng: rescaled(v, 1.3),
    "one kidney, the left": lambda v, rng: lone(v, 3),
    "one kidney, the right": lambda v, rng: lone(v, 2),
    "kidneys not looked for": lambda v, rng: not_looked_for(
        v, ORGANS, ["left_kidney", "right_kidney"]
    ),
    "scan ends in the liver": lambda v, rng: cut(v, 0.0, 0.7),
    "scan begins in the kidneys": lambda v, rng: cut(v, 0.3, 1.0),
    "narrow field of view": to_body,
    "padded with -2000": lambda v, rng: padded(v, -2000),
    "padded with -3024": lambda v, rng: padded(v, -3024),
    "windowed to -200..300": lambda v, rng: windowed(v),
    "clipped at -1024, air at -1010": lambda v, rng: changed(v, (v.image - 10).clip(-1024)),
    "lying askew": turned,
    "off centre": off_centre,
    "crossed kidney": lambda v, rng: moved_kidney(v, True),
    "pelvic kidney": lambda v, rng: moved_kidney(v, False),
    "fatty liver": fatty,
    "fatty liver of -20 HU": lambda v, rng: fatty(v, rng, -20),
    "fatty liver of 29 HU": lambda v, rng: fatty(v, rng, 29),
    "fatty liver, noisy": lambda v, rng: noisy(fatty(v, rng), rng),
    "fatty liver, narrow field of view": lambda v, rng: to_body(fatty(v, rng), rng),
    "fatty liver, padded": lambda v, rng: padded(fatty(v, rng), -2000),
    "fatty liver, windowed to -200..300": lambda v, rng: windowed(fatty(v, rng)),
    "fatty liver alone": lambda v, rng: not_looked_for(
        fatty(v, rng), ORGANS, ["left_kidney", "right_kidney"]
    ),
    "fatty liver, scan ends in it": lambda v, rng: cut(fatty(v, rng), 0.0, 0.7),
    "unenhanced": unenhanced,
    "unenhanced, fatty liver": lambda v, rng: fatty(unenhanced(v, rng), rng),
}


def windowed(volume: Volume) -> Volume:
    return changed(volume, volume.image.clip(-200, 300))


def lone(volume: Volume, removed: int) -> Volume:
    """A person without one kidney: looked for, not there."""
    mask = volume.label == removed
    image = np.where(ndimage.binary_dilation(mask), -95, volume.image)
    return changed(volume, image, np.where(mask, 0, volume.label))


def refusals(volume: Volume) -> list[str]:
    """The checks that a clean patient fails."""
    checks = (*check_volume(volume, ORGANS), *verify(volume, ORGANS)[0])
    return [f"{check.name} = {check.value}" for check in checks if not check.ok]


def shifted(volume: Volume, hu: int) -> Volume:
    return changed(volume, volume.image + hu)


def all_variants(patients: int) -> Iterator[tuple[int, str, list[str]]]:
    for index in range(patients):
        for name, make in VARIANTS.items():
            yield index, name, refusals(make(small(index), np.random.default_rng(index)))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else Phantom().patients
    found = list(all_variants(count))
    bad = [(index, name, why) for index, name, why in found if why]
    for line in bad:
        print(*line)
    print(f"{len(bad)} of {len(found)} clean variants refused")
    for hu in (-100, 100):
        passed = [
            name
            for index in range(count)
            for name, make in VARIANTS.items()
            if not refusals(shifted(make(small(index), np.random.default_rng(index)), hu))
        ]
        print(f"{len(passed)} of {len(found)} pass {hu} HU off: {sorted(set(passed))}")
