"""Every form that the image and the labels of one case may have on disk, read as one thing.

An image is a picture file or a folder of DICOM slices. Labels are a label map with numbers, a
folder with one mask file an organ, or a DICOM SEG or RTSTRUCT. A form is one module; which it is
tell the file's ending and, for DICOM, its kind of object.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmark.data.badfile import BadFile, digest_of, guarded
from benchmark.data.judging.checks import Check
from benchmark.data.readers import itk
from benchmark.data.readers.base import integers, place_checks
from benchmark.data.readers.contents import (
    SEGMENTATIONS,
    STRUCTURES,
    contents,
    is_picture,
    kind_of,
)
from benchmark.data.readers.contours import masks_of_contours
from benchmark.data.readers.dicom import mended, quiet_pydicom, read_slices
from benchmark.data.readers.files import FoundFile
from benchmark.data.readers.names import stem
from benchmark.data.readers.nifti import read_nifti
from benchmark.data.readers.numbers import from_numbers
from benchmark.data.readers.placed import Placed, laid_like
from benchmark.data.readers.segments import masks_of_segments
from benchmark.data.readers.series import assemble, series_of
from benchmark.data.readers.structures import (
    NOTHING,
    Labels,
    Mask,
    Structure,
    Wanted,
    chosen,
    fits,
    one_map,
)
from benchmark.plan.keys import content_hash

MOST_ORGANS, LEAST_AIR_HU = 255, -200


def read_picture(path: Path) -> Placed:
    """Return a NIfTI, MetaImage or NRRD file; raises BadFile as their readers do."""
    return itk.read_itk(path) if path.name.lower().endswith(itk.ENDINGS) else read_nifti(path)


def read_image(path: Path) -> Placed:
    """Return the image of a case: a picture file, or a folder with one or with one DICOM series.

    Raises BadFile where there is none, or more than one.
    """
    if not path.is_dir():
        return read_picture(path)
    found = contents(path)
    images = found.images or found.masks
    if not found.images and (found.slices or not found.masks):
        return _series(path.name, found.slices)
    if len(images) != 1 or found.slices:
        shown = ", ".join([*(p.name for p in images[:3]), *(["DICOM slices"] * bool(found.slices))])
        message = f"its image must be one DICOM series, or one file; there is {shown or 'neither'}"
        raise BadFile("images", len(images), "one", message)
    return read_picture(images[0])


def check_order(image: Placed, label: Path) -> None:
    """Raise BadFile where the image looks like a label map and the label like a CT. Of a label
    that is no one picture nothing is said."""
    if not _is_map(image) or label.is_dir() or not is_picture(label.name):
        return
    other = read_picture(label)
    if not _is_map(other) and float(other.array.min()) < LEAST_AIR_HU:
        message = (
            "the image looks like a label map, and the label like a CT: are the two exchanged?"
        )
        raise BadFile(
            "order", "exchanged", "IMAGE LABEL", f"{message} Give IMAGE first, then LABEL"
        )


def _is_map(found: Placed) -> bool:
    values = found.array
    return bool(values.min() >= 0 and values.max() <= MOST_ORGANS and (values == 0).mean() > 0.5)


def image_digest(path: Path) -> str:
    """Return the hash of the bytes that `read_image` reads, as it gives it."""
    if not path.is_dir():
        return itk.digest(path) if path.name.lower().endswith(itk.ENDINGS) else digest_of(path)
    found = contents(path)
    if found.slices:
        return content_hash([entry.sha256() for entry in found.slices])
    return image_digest((found.images or found.masks)[0])


def _series(name: str, entries: Iterable[FoundFile]) -> Placed:
    read = read_slices(entries)
    said = [*read.warnings]
    groups = series_of(read.slices, said)
    if len(groups) != 1:
        message = f"{name} holds {len(groups) or 'no'} DICOM series: give a folder of one"
        raise BadFile("series", len(groups), "one", message)
    found = assemble(groups[0], drop_equal=True)
    return Placed(
        array=found.values_kji.T,
        affine=found.affine,
        sha256=content_hash(list(read.sha256)),
        warnings=(*said, *found.warnings),
        read_by=mended(groups[0]),
    )


def read_labels(path: Path, image: Placed, wanted: Wanted, said: list[str]) -> Labels:
    """Return the labels of a case on its image's grid, whatever form they have.

    Raises BadFile where there are none, where their form cannot hold what was asked for, and as
    the readers of the forms do.
    """
    if path.is_dir():
        found = contents(path)
        masks, structures = found.masks, found.structures
    else:
        masks, structures = _one_file(path)
    if masks and structures:
        message = "labels lie there as pictures and as DICOM: which are right? Remove the others"
        raise BadFile("label", "several", "one form", message)
    if structures:
        return _of_dicom(structures, image, wanted, said)
    by_number = all(isinstance(n, int) for names in wanted.values() for n in names)
    if by_number and len(masks) == 1:
        return from_numbers(read_picture(masks[0]), image, wanted, said)
    if by_number or not masks:
        raise _unfit(len(masks))
    if len(masks) == 1 and not any(fits(stem(masks[0].name), wanted)):
        raise _unfit(1)
    return _of_masks(masks, image, wanted, said)


def labels_digest(path: Path, wanted: Wanted) -> str:
    """Return the hash of the bytes that `read_labels` reads, as it gives it."""
    if path.is_dir():
        found = contents(path)
        masks, structures = found.masks, found.structures
    else:
        masks, structures = _one_file(path)
    if structures:
        return content_hash([entry.sha256() for entry in structures])
    if len(masks) == 1 and all(isinstance(n, int) for names in wanted.values() for n in names):
        return image_digest(masks[0])
    files = _files_of(masks, wanted, [])
    return content_hash({organ: [image_digest(p) for p in paths] for organ, paths in files.items()})


def _one_file(path: Path) -> tuple[tuple[Path, ...], tuple[FoundFile, ...]]:
    if is_picture(path.name) or not path.is_file():
        return (path,), ()
    entry = FoundFile(path, (), (path.name,), path.stat().st_size)
    if not (kind := kind_of(entry)):
        return (path,), ()
    if kind not in (*SEGMENTATIONS, STRUCTURES):
        message = f"{path.name} is neither a label map nor a DICOM SEG nor an RTSTRUCT"
        raise BadFile("label", "other", "a label", message)
    return (), (entry,)


def _unfit(files: int) -> BadFile:
    if not files:
        return BadFile("label", "missing", "a label", "it has no label: no mask, SEG or RTSTRUCT")
    if files == 1:
        message = "its label is one map of numbers: say which is which organ, --map liver=5"
        return BadFile("label", "one map", "numbers", message)
    message = f"its labels are {files} mask files: name them, --organ liver or --map liver=FILE"
    return BadFile("label", files, "names", message)


def _of_dicom(
    entries: Sequence[FoundFile], image: Placed, wanted: Wanted, said: list[str]
) -> Labels:
    """Several files may hold one organ each, and none may hold an organ that another holds."""
    masks: dict[str, Mask] = {}
    nothing: list[BadFile] = []
    told: list[str] = []
    for entry in entries:
        try:
            found = _structures_of(entry, image, wanted, told)
        except BadFile as error:
            if error.check.value != NOTHING:
                raise
            nothing.append(error)
            continue
        if twice := sorted(masks.keys() & found.keys()):
            message = f"two files of SEG or RTSTRUCT hold {twice[0]}: which is right? Remove one"
            raise BadFile("label", "several", "one", message)
        masks |= found
    if not masks:
        raise nothing[0]
    lacking = [line for line in dict.fromkeys(told) if not any(f" {o}:" in line for o in masks)]
    said += lacking
    return one_map(masks, wanted, (), content_hash([entry.sha256() for entry in entries]))


def _structures_of(
    entry: FoundFile, image: Placed, wanted: Wanted, said: list[str]
) -> dict[str, Mask]:
    reads = masks_of_contours if kind_of(entry) == STRUCTURES else masks_of_segments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they may quote the header
        library = quiet_pydicom()
        try:
            return reads(library.dcmread(BytesIO(entry.read())), image, wanted, said)
        except BadFile:
            raise
        except Exception as error:  # its text may quote the header
            kind = type(error).__name__
            message = f"{entry.shown} cannot be read as SEG or RTSTRUCT ({kind})"
            raise BadFile("label", kind, "readable", message) from None


def _files_of(paths: Sequence[Path], wanted: Wanted, said: list[str]) -> dict[str, list[Path]]:
    """The mask files of each organ, by their names."""
    named = [
        Structure(number=number, names=(stem(path.name),)) for number, path in enumerate(paths)
    ]
    found = chosen(named, wanted, said)
    return {organ: [paths[number] for number in numbers] for organ, numbers in found.items()}


def _of_masks(paths: Sequence[Path], image: Placed, wanted: Wanted, said: list[str]) -> Labels:
    masks: dict[str, Mask] = {}
    checks: list[Check] = []
    digests: dict[str, list[str]] = {}
    for organ, files in _files_of(paths, wanted, said).items():
        masks[organ] = np.zeros(image.array.shape, bool)
        for path in files:
            with guarded(path.name):
                read = laid_like(read_picture(path), image)
                digests.setdefault(organ, []).append(read.sha256)
                placed = place_checks(image.grid, read.grid, said)
                checks += placed
                if all(check.ok for check in placed):
                    masks[organ] |= _binary(path, read)
    if not all(check.ok for check in checks):
        bad = tuple(check for check in checks if not check.ok)
        return Labels(label=None, annotated=(), checks=bad[:1], sha256="")
    first = {check.name: check for check in reversed(checks)}
    return one_map(masks, wanted, tuple(first.values()), content_hash(digests))


def _binary(path: Path, read: Placed) -> Mask:
    values = np.unique(integers(read.array, read.scaling))
    if np.count_nonzero(values) > 1:
        message = f"{path.name} holds {np.count_nonzero(values)} numbers: a mask has one and 0"
        raise BadFile("mask_values", len(values), "two values", message)
    mask: Mask = read.array > 0.5
    return mask
