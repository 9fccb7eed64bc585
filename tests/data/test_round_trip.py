"""What is written in a native layout comes back exactly, however axes and slices run."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from native import ORGANS, full, same, small, write_ircadb

from benchmark.data.readers.ircadb import Ircadb
from benchmark.data.readers.multi_organ import MultiOrgan
from benchmark.data.readers.stacks import Stacks
from benchmark.data.volume import Volume
from benchmark.phantom import downloads
from benchmark.phantom.layout import Header, dicom_files, on_disk, save
from benchmark.phantom.recipe import not_looked_for

FLIPS = st.tuples(st.booleans(), st.booleans(), st.booleans())
SLICES = len(small(0).image)
ORDERS = st.one_of(
    st.none(), st.integers(0, 2**16).map(lambda seed: shuffled(seed)), st.just(range(SLICES)[::-1])
).map(lambda order: None if order is None else tuple(order))
RESCALES = st.sampled_from([(1.0, -1024.0), (1.0, -1500.0), (0.5, -1024.0), (2.0, -1200.0)])


def shuffled(seed: int) -> list[int]:
    order = list(range(SLICES))
    random.Random(seed).shuffle(order)
    return order


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        shutil.rmtree(path)


def even(slope: float) -> Volume:
    """The patient with HU that this slope can store."""
    volume = small(0)
    return volume if slope != 2 else replace(volume, image=volume.image // 2 * 2)


@settings(max_examples=12, deadline=None)
@given(
    flips=FLIPS,
    order=ORDERS,
    rescale=RESCALES,
    positions=st.booleans(),
    foreground=st.sampled_from([1, 255]),
    packing=st.sampled_from(downloads.PACKINGS),
)
def test_ircadb(flips, order, rescale, positions, foreground, packing) -> None:
    slope, intercept = rescale
    options = downloads.IrcadbOptions(
        flips=flips,
        order=order,
        header=Header(slope=slope, intercept=intercept),
        mask_positions=positions,
        foreground=foreground,
        packing=packing,
    )
    with folder() as home:
        write_ircadb(home, [even(slope)], ORGANS, options)
        (found,) = Ircadb(home).volumes()
        same(found, even(slope))


@settings(max_examples=20, deadline=None)
@given(
    image_flips=FLIPS,
    label_flips=FLIPS,
    order=ORDERS,
    archives=st.booleans(),
    source=st.sampled_from(["tcia", "btcv"]),
)
def test_multi_organ(image_flips, label_flips, order, archives, source) -> None:
    options = downloads.MultiOrganOptions(
        image_flips=image_flips, label_flips=label_flips, order=order, archives=archives
    )
    member = downloads.Member(volume=small(0), source=source, number=7)
    with folder() as home:
        downloads.write_multi_organ(home, [member], ORGANS, options)
        (found,) = MultiOrgan(home / "labels", {source: home / source}).volumes()
        wanted = (
            small(0) if source == "btcv" else not_looked_for(small(0), ORGANS, ["right_kidney"])
        )
        same(found, wanted)
        assert found.box == downloads.crop_box(small(0), downloads.MARGIN)


@settings(max_examples=8, deadline=None)
@given(flips=FLIPS, order=ORDERS)
def test_slices_with_pictures(flips, order) -> None:
    liver = not_looked_for(small(0), ORGANS, ["left_kidney", "right_kidney"])
    disk = on_disk(liver, flips)
    with folder() as home:
        slices = dicom_files(
            disk.image_ijk, disk.affine, header=Header(), names="i{:04d}.dcm", order=order
        )
        save(home / "case_1" / "DICOM", slices)
        (home / "case_1" / "Ground").mkdir()
        for n, k in enumerate(order or range(SLICES)):
            picture = SimpleITK.GetImageFromArray(disk.label_ijk[:, :, k].T * np.uint8(255))
            SimpleITK.WriteImage(picture, str(home / "case_1" / "Ground" / f"mask_{n:03d}.png"))
        (found,) = Stacks(home, "liver").volumes()
        same(found, liver, ("liver",))


def test_whole_patients_in_every_packing(tmp_path: Path) -> None:
    """As large as the phantom is, with a patient whose kidneys nobody looked for."""
    patients = [full(0), not_looked_for(full(1), ORGANS, ["left_kidney", "right_kidney"])]
    for packing in ("nested", "doubled"):
        options = downloads.IrcadbOptions(packing=packing)
        write_ircadb(tmp_path / packing, patients, ORGANS, options)
        for found, wanted in zip(Ircadb(tmp_path / packing).volumes(), patients, strict=True):
            same(found, wanted)
