"""A data set of ours in nnU-Net's raw layout, with our folds as its `splits_final.json`.

`nnUNet_raw/DatasetNNN_NAME/{dataset.json, imagesTr, labelsTr}`; a fold's `val` are its test
patients, so that nnU-Net predicts each patient by a network that never saw it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmark.data.readers.nifti import read_nifti
from benchmark.data.volume import Geometry, Label, Volume, from_canonical, to_canonical
from benchmark.errors import BadInput
from benchmark.plan.folds import Fold

ENDING = ".nii.gz"
SAME_MM = 1e-3  # how far a predicted map's grid may lie from its image's


def export(
    folder: Path, volumes: Iterable[Volume], organs: Sequence[str], splits: Sequence[Fold]
) -> Path:
    """Write volumes as a raw data set, and `splits_final.json` beside `dataset.json` (nnU-Net reads
    it in its preprocessed folder). Raises `BadInput` for a case that nnU-Net cannot be told of: one
    with an organ that nobody looked for, or with a crop box."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names = []
    for volume in volumes:
        _check(volume, organs)
        _write(folder / "imagesTr" / f"{volume.case}_0000{ENDING}", volume.image, volume.geometry)
        _write(folder / "labelsTr" / f"{volume.case}{ENDING}", volume.label, volume.geometry)
        names.append(volume.case)
    described = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{organ: n for n, organ in enumerate(organs, start=1)}},
        "numTraining": len(names),
        "file_ending": ENDING,
    }
    folds = [{"train": list(fold.train), "val": list(fold.test)} for fold in splits]
    for name, values in (("dataset.json", described), ("splits_final.json", folds)):
        (folder / name).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return folder


def predicted(path: Path, volume: Volume) -> Label:
    """Return the label map that nnU-Net predicted for a volume, canonical (Z, Y, X). Raises
    `BadInput` where it lies on another grid than the volume, or holds other than whole numbers."""
    found = read_nifti(path)
    affine = np.asarray(volume.geometry.affine)
    there = found.array.shape == volume.geometry.shape
    if not there or not np.allclose(found.affine, affine, rtol=0, atol=SAME_MM):
        raise BadInput(f"{path.name} lies on another grid than {volume.case}: predict it again")
    label, _ = to_canonical(found.array, affine)
    whole = label.astype(np.uint8)
    if not np.array_equal(whole, label):
        raise BadInput(f"{path.name} holds values that are not labels: predict it again")
    return whole


def thinned(volume: Volume, every: int) -> Volume:
    """Return a volume with every k-th pixel of a slice: less to compute."""
    if every == 1:
        return volume
    image, label = (
        np.ascontiguousarray(a[:, ::every, ::every]) for a in (volume.image, volume.label)
    )
    array, affine = from_canonical(volume.image, volume.geometry), np.array(volume.geometry.affine)
    steps = [every if n != image.shape[0] else 1 for n in array.shape]
    z, y, x = volume.geometry.spacing_mm
    place = Geometry(
        spacing_mm=(z, y * every, x * every),
        affine=tuple(tuple(float(v) for v in row) for row in affine @ np.diag([*steps, 1])),
        shape=(image.shape[2], image.shape[1], image.shape[0]),
        orientation=volume.geometry.orientation,
    )
    return replace(volume, image=image, label=label, geometry=place)


def _check(volume: Volume, organs: Sequence[str]) -> None:
    if missing := [organ for organ in organs if organ not in volume.annotated]:
        raise BadInput(
            f"{volume.case}: nobody looked for {missing[0]} here, which nnU-Net would learn as "
            "background; leave the case or the organ out"
        )
    if volume.box is not None:
        raise BadInput(f"{volume.case} has a crop box, which nnU-Net cannot be told: leave it out")


def _write(path: Path, array_ZYX: np.ndarray, geometry: Geometry) -> None:
    image = nib.Nifti1Image(from_canonical(array_ZYX, geometry), np.asarray(geometry.affine))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
