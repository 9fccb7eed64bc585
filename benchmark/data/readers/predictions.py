"""Label maps that another tool predicted, read onto the grid of a stored case; and the folder that
nnU-Net leaves: `fold_K/validation/CASE.nii.gz`, `dataset.json`, `splits_final.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.badfile import BadFile, demand, guarded, read_regular
from benchmark.data.readers.base import integers, place_checks
from benchmark.data.readers.names import ENDINGS, is_case_name, label_files, safe_names
from benchmark.data.readers.nifti import read_nifti
from benchmark.data.readers.nnunet import organ_name
from benchmark.data.volume import Geometry, Label, to_canonical, turned_like
from benchmark.errors import BadInput

MOST_JSON = 64 * 1024**2
SPLITS = "splits_final.json"


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What the numbers of a tool's label maps mean: `organ` is number -> organ. `rest`: all other
    numbers are background; else they are refused."""

    organ: Mapping[int, str]
    rest: bool = False


def own_numbers(organs: Sequence[str]) -> Numbers:
    """Return 1, 2, ... for the organs in a data set's order, as `bench predict` writes them."""
    return Numbers(organ=dict(enumerate(organs, start=1)))


def described_numbers(path: Path) -> Numbers:
    """Return the numbers that nnU-Net predicts by the `labels` of a `dataset.json`; where it has
    regions, by its `regions_class_order`. Raises `BadInput`."""
    described = json_object(path)
    labels, order = described.get("labels"), described.get("regions_class_order")
    if not isinstance(labels, dict):
        raise BadInput(f"{path} has no 'labels': give the dataset.json of the trained data set")
    names = [name for name in labels if organ_name(str(name)) not in ("background", "ignore")]
    numbers = order if isinstance(order, list) else [labels[name] for name in names]
    plain = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if len(numbers) != len(names) or not plain or len({*numbers}) < len(numbers):
        raise BadInput(f"{path}: 'labels' gives no number of its own to each organ: use --map")
    return Numbers(organ=dict(zip(numbers, map(organ_name, names), strict=True)))


def prediction_files(folder: Path) -> dict[str, Path]:
    """Return the label maps in a folder by the name of their case. Raises `BadInput` where there
    is none, or one case has two."""
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}: give the one with CASE.nii.gz in it")
    found = {ending: label_files(folder, ending) for ending in ENDINGS}
    stems = {stem: path for files in found.values() for stem, path in files.items()}
    if twice := sorted(found[ENDINGS[0]].keys() & found[ENDINGS[1]].keys()):
        raise BadInput(f"{folder} has {twice[0]}.nii and {twice[0]}.nii.gz: remove one of the two")
    if not stems:
        raise BadInput(f"{folder} holds no .nii.gz or .nii: write the label maps as CASE.nii.gz")
    names = safe_names(stems, is_case_name)
    return {names[stem]: path for stem, path in stems.items()}


def read_prediction(
    path: Path, geometry: Geometry, numbers: Numbers, organs: Sequence[str], say: list[str]
) -> Label:
    """Return a label map in the numbers of the data set, canonical (Z, Y, X), uint8.

    Raises `BadFile` for another grid than the case's own (half a voxel, as for labels), for what
    are no whole numbers, and for numbers that mean no organ of the set. `say` gets what is odd.
    """
    with guarded(path.name):
        found = read_nifti(path)
        affine = np.asarray(geometry.affine)
        array, own = turned_like(found.array, found.affine, affine)
        grid, case = (array.shape, own), (geometry.shape, affine)
        demand(place_checks(case, grid, say), f"{path.name} against its case: ")
        whole = integers(array, found.scaling)
        return to_canonical(_in_own_numbers(path, whole, numbers, organs, say), affine)[0]


def _in_own_numbers(
    path: Path, whole: Any, numbers: Numbers, organs: Sequence[str], say: list[str]
) -> Label:
    values, counts = np.unique(whole[whole != 0], return_counts=True)
    there = dict(zip(values.tolist(), counts.tolist(), strict=True))
    unknown = {n: numbers.organ.get(n, "") for n in there if numbers.organ.get(n) not in organs}
    shown = ", ".join(
        f"{there[n]} voxels with {n}{f' ({name})' if name else ''}"
        for n, name in sorted(unknown.items())[:5]
    )
    if unknown and not numbers.rest:
        what = f"the data set has {', '.join(organs)}; say with --map which number is which organ"
        raise BadFile("labels", shown, "known", f"{path.name} holds {shown}: {what}")
    if unknown:
        say.append(f"{path.name}: {shown} are taken as background")
    result = np.zeros(whole.shape, np.uint8)
    for number in there.keys() - unknown.keys():
        result[whole == number] = organs.index(numbers.organ[number]) + 1
    return result


@dataclass(frozen=True, kw_only=True)
class NnUNetFolder:
    """What nnU-Net left of a configuration: the folders of `validation` by fold, the folds that
    have none, the numbers, where its splits lie, and what it says of itself."""

    validation: Mapping[int, Path]
    unfinished: tuple[int, ...]
    numbers: Numbers
    splits: Path
    source: str


def nnunet_folder(
    folder: Path, splits: Path | None = None, numbers: Numbers | None = None
) -> NnUNetFolder:
    """Return what lies in a folder `TRAINER__PLANS__CONFIGURATION` of nnU-Net's results. `splits`
    is its `splits_final.json`; None looks in the folder and in `nnUNet_preprocessed` beside
    `nnUNet_results`. `numbers` are taken before those of its `dataset.json`. Raises `BadInput` for
    what is not there."""
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}: give one of nnUNet_results/DATASET/")
    folds = {
        int(match[1]): path
        for path in sorted(folder.iterdir())
        if path.is_dir() and (match := re.fullmatch(r"fold_(\d+)", path.name))
    }
    there = {
        fold: path / "validation"
        for fold, path in folds.items()
        if any(label_files(path / "validation", ending) for ending in ENDINGS)
    }
    if not there:
        raise BadInput(
            f"{folder} has no fold_K/validation with label maps: nnUNetv2_train ends with them, or "
            "makes them with --val; give the folder TRAINER__PLANS__CONFIGURATION"
        )
    return NnUNetFolder(
        validation=there,
        unfinished=tuple(fold for fold in folds if fold not in there),
        numbers=numbers or described_numbers(folder / "dataset.json"),
        splits=splits or _splits(folder),
        source=_source(folder),
    )


def _splits(folder: Path) -> Path:
    whole, places = folder.resolve(), [folder]
    if len(whole.parents) > 2:
        places.append(whole.parents[2] / "nnUNet_preprocessed" / whole.parent.name)
    for place in places:
        if (place / SPLITS).is_file():
            return place / SPLITS
    raise BadInput(
        f"{folder} has no {SPLITS}, and nnUNet_preprocessed none: give it with --splits FILE, so "
        "that it is known what each fold was trained on"
    )


def _source(folder: Path) -> str:
    """What nnU-Net's own folder is called, with the data set and the plan's name as it has them."""
    return f"nnU-Net v2, {folder.resolve().name}"


def json_object(path: Path) -> Mapping[str, Any]:
    """Return the JSON object in a file. Raises `BadInput` for what is none."""
    values = json_of_file(path)
    if not isinstance(values, dict):
        raise BadInput(f"{path} holds no JSON object: give the file as its tool wrote it")
    return values


def json_of_file(path: Path) -> Any:
    """Return the JSON value in a file that a person named. Raises `BadInput`."""
    try:
        return json.loads(read_regular(path, MOST_JSON).decode("utf-8-sig"))
    except (BadFile, RecursionError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as JSON ({error}): give the whole file") from None
