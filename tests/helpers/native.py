"""For tests: small patients, written in a native layout, and reading them back from one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmark.data import library
from benchmark.data.readers.base import Reader
from benchmark.data.volume import Geometry, Volume
from benchmark.errors import BadInput
from benchmark.phantom.downloads import IrcadbOptions, packed, patient_files
from benchmark.phantom.layout import save
from benchmark.phantom.recipe import Phantom

ORGANS = Phantom.organs
KIDNEYS = ("left_kidney", "right_kidney")


@cache
def full(index: int) -> Volume:
    """Patient `index` of the phantom."""
    return Phantom().volume(index)


@cache
def small(index: int) -> Volume:
    """The same with every second voxel of each axis: an eighth of the data, the same anatomy."""
    volume = full(index)
    step = (2, 2, 2)
    image, label = volume.image[::2, ::2, ::2], volume.label[::2, ::2, ::2]
    affine = np.array(volume.geometry.affine) @ np.diag([*step, 1])
    z, y, x = (size * mm for size, mm in zip(step, volume.geometry.spacing_mm, strict=True))
    geometry = Geometry(
        spacing_mm=(z, y, x),
        affine=tuple(tuple(float(v) for v in row) for row in affine),
        shape=image.shape[::-1],
        orientation="LPS",
    )
    arrays = {"image": np.ascontiguousarray(image), "label": np.ascontiguousarray(label)}
    return replace(volume, geometry=geometry, **arrays)


def same(found: Volume, wanted: Volume, organs: Sequence[str] = ORGANS) -> None:
    """Labels and HU are equal, spacing to a millionth of a millimetre."""
    np.testing.assert_array_equal(found.image, wanted.image)
    np.testing.assert_array_equal(found.label, wanted.label)
    assert (found.image.dtype, found.label.dtype) == (np.int16, np.uint8)
    assert found.geometry.spacing_mm == pytest.approx(wanted.geometry.spacing_mm, abs=1e-6)
    assert found.annotated == tuple(o for o in organs if o in wanted.annotated)


def write_ircadb(
    folder: Path, volumes: Iterable[Volume], organs: Sequence[str], options: IrcadbOptions
) -> None:
    """Write volumes as patients 1, 2, ... below a folder."""
    for number, volume in enumerate(volumes, start=1):
        save(folder, packed(number, patient_files(volume, organs, options), options.packing))


def add(root: Path, reader: Reader, **options: object) -> library.DataSet:
    return library.add(root, "set", reader, **options)  # type: ignore[arg-type]


def refused(root: Path, reader: Reader, *parts: str, **options: object) -> str:
    """Adding raises BadInput with all `parts` in its message and leaves nothing."""
    with pytest.raises(BadInput) as caught:
        add(root, reader, **options)
    for part in parts:
        assert part in str(caught.value), str(caught.value)
    data = root / "data"
    assert not data.exists() or list(data.iterdir()) == []
    return str(caught.value)
