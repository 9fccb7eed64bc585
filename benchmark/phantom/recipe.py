"""The embedded CT phantom: an abdomen that is computed, not downloaded.

`INFORMATIVE` and `SHAPELESS` are the two modes: in the first the liver's hidden border is the
smooth continuation of the liver that can be seen, in the second it is random. A method that
learns shape should gain in the first and cannot in the second. `docs/phantom.md` shows slices.

`write` puts a phantom into a native layout, to try the commands with before a download.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.data.volume import Geometry, Label, Volume
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_folder
from benchmark.phantom import downloads
from benchmark.phantom import patient as tuning
from benchmark.phantom.anatomy import Anatomy, build_anatomy
from benchmark.phantom.imaging import halve, scan
from benchmark.phantom.layout import save
from benchmark.phantom.patient import PhantomPatient, draw_patient
from benchmark.phantom.shapes import Field, Grid, TissueCodes

KIND = "phantom"


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """The recipe of a phantom data set: equal values give equal volumes, to the bit.

    `patients`: how many, 1..1000. PhantomPatient k does not depend on it.
    `seed`: of every random draw, from 0.
    `isointense`: 0..1, the share of the liver's contact with stomach and muscle (wall of the
    trunk, crus of the diaphragm) whose neighbour has the liver's own HU.
    `hu_overlap`: 0..1, how far the HU of spleen and medulla approach the liver's, and those of
    the bowel the kidneys'.
    `shape_informative`: whether the hidden border is the smooth continuation of the liver that
    can be seen (True), or displaced by a random field (False). The images of both are the same.
    """

    patients: int = 15
    seed: int = 0
    isointense: float = 0.7
    hu_overlap: float = 0.5
    shape_informative: bool = True

    organs: ClassVar[tuple[str, ...]] = ("liver", "left_kidney", "right_kidney")
    version: ClassVar[int] = tuning.VERSION

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        _whole("patients", self.patients, 1, 1000)
        _whole("seed", self.seed, 0, 2**32 - 1)
        _share("isointense", self.isointense)
        _share("hu_overlap", self.hu_overlap)
        if not isinstance(self.shape_informative, bool):
            raise BadInput(
                f"phantom: shape_informative={self.shape_informative!r} is not a truth value; "
                "give true or false."
            )

    @property
    def fingerprint(self) -> str:
        """The SHA-256 in hex of kind, version and field values; not of the pixels."""
        return self._hash(asdict(self))

    def _hash(self, values: dict[str, object]) -> str:
        values |= {"isointense": float(self.isointense), "hu_overlap": float(self.hu_overlap)}
        text = json.dumps({"kind": KIND, "version": self.version, **values}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def volumes(self) -> Iterator[Volume]:
        """Yield the patients one at a time, as canonical volumes."""
        for index in range(self.patients):
            yield self.volume(index)

    def volume(self, index: int) -> Volume:
        """Return patient `index`, whatever `patients` is."""
        return self.imaged(*self.anatomy(index))

    def imaged(self, patient: PhantomPatient, anatomy: Anatomy) -> Volume:
        """Return the scan of a patient that `anatomy` returned."""
        case = f"phantom_{patient.index:03d}"
        image = scan(patient, anatomy, self.hu_overlap)
        # without `patients`: patient k is the same case in a larger phantom
        values = {n: v for n, v in asdict(self).items() if n != "patients"} | {"case": case}
        return Volume(
            case=case,
            image=image,
            label=label_of(anatomy.label),
            annotated=self.organs,
            geometry=_geometry(patient, image.shape),
            source_sha256=self._hash(values),
        )

    def anatomy(self, index: int) -> tuple[PhantomPatient, Anatomy]:
        """Return patient `index` as drawn, on the fine grid: what the image is made from."""
        patient = draw_patient(self.seed, index)
        found = build_anatomy(
            patient,
            fine_grid(patient),
            isointense=float(self.isointense),
            shape_informative=self.shape_informative,
        )
        return patient, found


def fine_grid(patient: PhantomPatient) -> Grid:
    """Return the grid of half a voxel in every axis, in mm of the standard body."""

    def axis(count: int, step: float, start: float) -> Field:
        return ((start + step * np.arange(count)) / patient.scale).astype(np.float32)

    n, step = 2 * tuning.PIXELS, patient.pixel_mm / 2
    low = -step * (n - 1) / 2
    return Grid(
        z=axis(2 * patient.slices, patient.slice_mm / 2, tuning.BOTTOM * patient.scale),
        y=axis(n, step, low + patient.shift[1]),
        x=axis(n, step, low + patient.shift[0]),
    )


def label_of(fine: TissueCodes) -> Label:
    """Return the label map of half the grid: an organ where it fills more than half a voxel."""
    label = np.zeros(tuple(n // 2 for n in fine.shape), np.uint8)
    for value in range(1, len(Phantom.organs) + 1):
        label[halve((fine == value).astype(np.float32)) > 0.5] = value
    return label


def _geometry(patient: PhantomPatient, shape: tuple[int, ...]) -> Geometry:
    """Return the geometry of a scan whose voxel (i, j, k) is (X, Y, Z), to left, back and head."""
    pixel, z = patient.pixel_mm, patient.slice_mm
    half = pixel * (tuning.PIXELS - 1) / 2
    return Geometry(
        spacing_mm=(z, pixel, pixel),
        affine=(
            (-pixel, 0.0, 0.0, half),
            (0.0, -pixel, 0.0, half),
            (0.0, 0.0, z, tuning.BOTTOM),
            (0.0, 0.0, 0.0, 1.0),
        ),
        shape=(shape[2], shape[1], shape[0]),
        orientation="LPS",
    )


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadInput(f"phantom: {name}={value!r} must be a whole number from {low} to {high}.")


def _share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadInput(f"phantom: {name}={value!r} must be a number from 0 to 1.")


INFORMATIVE = Phantom()
SHAPELESS = Phantom(shape_informative=False)
# the study's sets (docs/study): the first 15 patients of the first are those of `phantom`
STUDY = Phantom(patients=60)
STUDY_1, STUDY_2 = Phantom(patients=60, seed=1), Phantom(patients=60, seed=2)
STUDY_SHAPELESS = Phantom(patients=60, shape_informative=False)


KIDNEYS = ("left_kidney", "right_kidney")


def write(folder: Path, layout: str, phantom: Phantom) -> None:
    """Write the phantom's patients below a new folder, which appears whole or not at all.

    As in the originals, some patients have no masks of the kidneys, and downloads are packed in
    different ways. Raises BadInput where the folder exists or cannot be made.
    """
    if folder.exists():
        raise BadInput(f"{folder} exists: choose a new folder for --out")
    try:
        with commit_folder(folder.resolve()) as temporary:
            if layout == "ircadb":
                _ircadb(temporary, phantom)
            else:
                _multi_organ(temporary, phantom)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror or error}") from None


def commands(folder: Path, layout: str) -> list[str]:
    """Return the commands that add what `write` wrote."""
    if layout == "ircadb":
        return [f"bench data add ircadb {folder}"]
    images = " ".join(f"--images {source}={folder / source}" for source in ("tcia", "btcv"))
    return [f"bench data add multi-organ {folder / 'labels'} {images}"]


def not_looked_for(volume: Volume, organs: Sequence[str], missing: Sequence[str]) -> Volume:
    """Return a volume in which nobody looked for the missing organs."""
    numbers = [organs.index(organ) + 1 for organ in missing]
    label = np.where(np.isin(volume.label, numbers), 0, volume.label).astype(np.uint8)
    annotated = tuple(organ for organ in volume.annotated if organ not in missing)
    return replace(volume, label=label, annotated=annotated)


def _ircadb(folder: Path, phantom: Phantom) -> None:
    for number, volume in enumerate(phantom.volumes(), start=1):
        written = not_looked_for(volume, phantom.organs, KIDNEYS) if number % 3 == 0 else volume
        options = downloads.IrcadbOptions(packing=downloads.PACKINGS[number % 3])
        files = downloads.patient_files(written, phantom.organs, options)
        save(folder, downloads.packed(number, files, options.packing))


def _multi_organ(folder: Path, phantom: Phantom) -> None:
    def members() -> Iterator[downloads.Member]:
        for index, volume in enumerate(phantom.volumes()):
            source = ("tcia", "btcv")[index % 2]
            yield downloads.Member(volume=volume, source=source, number=1 + index // 2)

    downloads.write_multi_organ(folder, members(), phantom.organs)
