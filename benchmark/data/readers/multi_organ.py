"""Multi-Organ Abdominal CT (Zenodo 1169361): label maps, whose images come from elsewhere.

Labels are `label0001.nii.gz` in an archive or folder named after its source (tcia, btcv), with
`cropping.csv` beside them. Images are TCIA's Pancreas-CT (DICOM below `PANCREAS_0001`, however
deep) and BTCV (`img0001.nii.gz`). Axes may run differently in image and label: both are brought to
the patient's directions by their own geometry, and must then lie on one grid.

Outside the crop box the annotation may be incomplete, so nothing there is trained on or scored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile, demand
from benchmark.data.judging.checks import Check, check_values
from benchmark.data.readers.base import TARGETS, Read, Reader, integers, place_checks
from benchmark.data.readers.crop import Crops, box_check, crop_box, read_crops
from benchmark.data.readers.dicom import mended, read_slices
from benchmark.data.readers.files import FoundFile, find_files
from benchmark.data.readers.nifti import Nifti, nifti_of
from benchmark.data.readers.series import assemble, series_of
from benchmark.data.volume import Geometry, Label, Volume, canonical_affine, to_canonical
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

IDS: Mapping[str, int] = {
    "spleen": 1,
    "right_kidney": 2,
    "left_kidney": 3,
    "gallbladder": 4,
    "esophagus": 5,
    "liver": 6,
    "stomach": 7,
    "aorta": 8,
    "vena_cava": 9,
    "portal_vein": 10,
    "pancreas": 11,
    "right_adrenal": 12,
    "left_adrenal": 13,
    "duodenum": 14,
}
ONLY_BTCV = ("right_kidney", "aorta", "vena_cava", "portal_vein", "right_adrenal", "left_adrenal")
SOURCES = ("tcia", "btcv")
LABEL = re.compile(r"label(\d{4})\.nii(\.gz)?", re.IGNORECASE)
BTCV_IMAGE = re.compile(r"img(\d{4})\.nii(\.gz)?", re.IGNORECASE)
TCIA_IMAGE = re.compile(r"pancreas[-_](\d{4})(\.nii(\.gz)?)?", re.IGNORECASE)
WITHDRAWN = ("tcia_0025",)  # no longer in TCIA's collection


class MultiOrgan(Reader):
    """A source over the labels and the images of one or both sources."""

    def __init__(
        self, labels: Path, images: Mapping[str, Path], organs: Sequence[str] = TARGETS
    ) -> None:
        super().__init__(labels, *images.values(), options=[list(organs), sorted(images)])
        if unknown := sorted(set(organs) - set(IDS)):
            known = ", ".join(IDS)
            raise BadInput(f"no organ {', '.join(unknown)} in the Multi-Organ labels: {known}")
        self._organs, self._image_roots = tuple(organs), dict(images)

    @property
    def organs(self) -> tuple[str, ...]:
        """The organs asked for."""
        return self._organs

    @cached_property
    def _found(self) -> tuple[dict[str, FoundFile], Crops | None]:
        return _labels(find_files(self.roots[0]), tuple(self._image_roots), self.roots[0])

    @cached_property
    def _images(self) -> dict[str, list[FoundFile]]:
        images: dict[str, list[FoundFile]] = {}
        for source, root in self._image_roots.items():
            found = _image_files(source, find_files(root))
            if not found:
                wanted = "PANCREAS_0001" if source == "tcia" else "img0001.nii.gz"
                raise BadInput(f"--images {source}={root}: nothing like {wanted} lies there")
            images |= found
        return images

    @cached_property
    def cases(self) -> tuple[str, ...]:
        """`tcia_0001`, `btcv_0001`, ...: every label of the sources whose images were given."""
        gone = [case for case in WITHDRAWN if case not in self._images]
        return tuple(sorted(case for case in self._found[0] if case not in gone))

    @property
    def origin(self) -> dict[str, Any]:
        """The reader, its sources, and whether there were crop boxes; no path."""
        boxes = self._found[1] is not None
        return {"reader": "multi-organ", "sources": sorted(self._image_roots), "boxes": boxes}

    @property
    def warnings(self) -> tuple[str, ...]:
        """A label whose image was withdrawn, and missing crop boxes."""
        gone = [case for case in WITHDRAWN if case in self._found[0] and case not in self.cases]
        said = [f"{case}: its image was withdrawn from the collection; left out" for case in gone]
        if self._found[1] is None:
            said.append("no cropping.csv: labels outside of it may be incomplete, and are used")
        return tuple(said)

    def digest(self, case: str) -> str:
        """Return the hash of the case's image files and label."""
        label = self._found[0][case].sha256()
        return self._hash([entry.sha256() for entry in self._images.get(case, [])], label)

    def _hash(self, images: Sequence[str], label: str) -> str:
        ids = [[organ, IDS[organ]] for organ in self.organs]
        return content_hash(["multi-organ", list(images), label, ids])

    def read(self, case: str) -> Read:
        """Return a case; raises BadFile where files are missing, broken or do not fit."""
        if not self._images.get(case):
            raise BadFile("pair", "missing", "image and label", "it has a label and no image")
        entry = self._found[0][case]
        said = self._said
        content = nifti_of(entry.name, entry.read())
        label, label_geometry = to_canonical(
            integers(content.array, content.scaling), content.affine
        )
        grid = label.shape, canonical_affine(label_geometry)
        said += content.warnings
        image, geometry, hashes, checks, by = _image(self._images[case], grid, said)
        annotated = self._annotated(case, label)
        volume = Volume(
            case=case,
            image=image,
            label=_own_ids(label, self.organs, annotated),
            annotated=annotated,
            geometry=geometry,
            source=case.split("_")[0],
            source_sha256=self._hash(hashes, content.sha256),
            box=None if (crops := self._found[1]) is None else crop_box(crops, case, image.shape),
            read_by=by,
        )
        return volume, (*checks, *box_check(volume))

    def _annotated(self, case: str, label: NDArray[Any]) -> tuple[str, ...]:
        """The released organs; the others where this label has them, and then only in BTCV."""
        there = set(np.unique(label).tolist()) if case.startswith("btcv") else set()
        return tuple(o for o in self.organs if o not in ONLY_BTCV or IDS[o] in there)


def parse_images(texts: Sequence[str]) -> dict[str, Path]:
    """Return `tcia=PATH` and `btcv=PATH` as a mapping; raises BadInput for anything else."""
    images = {}
    for text in texts:
        source, equals, path = text.partition("=")
        if source not in SOURCES or not equals or not path or source in images:
            raise BadInput(f"--images {text!r}: write tcia=PATH or btcv=PATH, each once")
        images[source] = Path(path)
    return images


def _own_ids(label: NDArray[Any], organs: Sequence[str], annotated: Sequence[str]) -> Label:
    known = {0, *IDS.values()}
    if unknown := sorted(set(np.unique(label).tolist()) - known):
        shown = ", ".join(str(number) for number in unknown[:5])
        raise BadFile("labels", shown, "0..14", f"the label holds {shown}; 0 to 14 are known")
    table = np.zeros(max(known) + 1, np.uint8)
    for position, organ in enumerate(organs, start=1):
        table[IDS[organ]] = position if organ in annotated else 0
    own: Label = table[label]
    return own


def _image(
    entries: Sequence[FoundFile], grid: tuple[tuple[int, ...], NDArray[np.float64]], said: list[str]
) -> tuple[NDArray[np.int16], Geometry, list[str], tuple[Check, ...], str]:
    """Return the image on the label's grid, its geometry, hashes, checks, and `read_by`.

    Raises BadFile when no series, or more than one, has the label's geometry.
    """
    if any(entry.name.lower().endswith((".nii", ".nii.gz")) for entry in entries):
        return _nifti_image(entries, grid, said)
    read = read_slices(entries)
    groups = series_of(read.slices, said)
    fitting, misfits, failures = [], list[BadFile](), list[Check]()
    for slices in groups:
        try:
            series = assemble(slices, drop_equal=True)
        except BadFile as error:
            misfits.append(error)
            continue
        image, geometry = to_canonical(series.values_kji.T, series.affine)
        warnings = [*series.warnings]
        checks = place_checks((image.shape, canonical_affine(geometry)), grid, warnings)
        if all(check.ok for check in checks):
            fitting.append((image, geometry, warnings, checks, mended(slices)))
        else:
            failures += [check for check in checks if not check.ok]
    if len(fitting) != 1:
        raise _no_series(len(fitting), len(groups), misfits, failures)
    image, geometry, warnings, checks, by = fitting[0]
    said += [*read.warnings, *warnings]
    if len(groups) > 1:
        said.append(f"1 of {len(groups)} series has the label's geometry and is used")
    return image, geometry, list(read.sha256), checks, by


def _no_series(
    fitting: int, groups: int, misfits: Sequence[BadFile], failures: Sequence[Check]
) -> BadFile:
    if fitting:
        message = f"{fitting} series have the label's geometry: remove all but one"
        return BadFile("series", fitting, "one", message)
    if misfits and not failures:
        return misfits[0]
    if not failures:
        return BadFile("series", 0, ">= 1", "it has no series of slices")
    first = min(failures, key=lambda check: check.name)  # affine before shape: the nearest miss
    where = f" (none of {groups} series fits)" if groups > 1 else ""
    return BadFile(first.name, first.value, first.limit, first.message + where)


def _nifti_image(
    entries: Sequence[FoundFile], grid: tuple[tuple[int, ...], NDArray[np.float64]], said: list[str]
) -> tuple[NDArray[np.int16], Geometry, list[str], tuple[Check, ...], str]:
    if len(entries) > 1:
        message = f"{len(entries)} files of this number: {', '.join(e.shown for e in entries[:3])}"
        raise BadFile("images", len(entries), "one", message)
    read: Nifti = nifti_of(entries[0].name, entries[0].read())
    said += read.warnings
    image, geometry = to_canonical(read.array, read.affine)
    placed = place_checks((image.shape, canonical_affine(geometry)), grid, said)
    checks = (*placed, *check_values(image))
    demand(checks)
    whole = np.rint(image).astype(np.int16) if image.dtype != np.int16 else image
    return whole, geometry, [read.sha256], checks, ""


def _labels(
    entries: Sequence[FoundFile], sources: tuple[str, ...], root: Path
) -> tuple[dict[str, FoundFile], Crops | None]:
    """Return the labels of the wanted sources by case, and the crop boxes."""
    labels: dict[str, FoundFile] = {}
    crops = None
    for entry in entries:
        if entry.name.lower() == "cropping.csv":
            crops = read_crops(entry)
        if (match := LABEL.fullmatch(entry.name)) is None:
            continue
        source = _source(entry, sources)
        if source not in sources:
            continue
        case = f"{source}_{match[1]}"
        if case in labels:
            raise BadInput(f"{labels[case].shown} and {entry.shown} are one label: remove one")
        labels[case] = entry
    if not labels:
        raise BadInput(f"{root} holds no label0001.nii.gz for {' or '.join(sources)}")
    return labels, crops


def _source(entry: FoundFile, sources: tuple[str, ...]) -> str:
    above = "/".join(entry.parts[:-1]).lower()
    named = [source for source in SOURCES if source in above.split("/")[-1]]
    named = named or [source for source in SOURCES if source in above]
    if len(named) == 1:
        return named[0]
    if not named and len(sources) == 1:
        return sources[0]
    raise BadInput(
        f"{entry.shown}: which source is it of? Name its folder or archive after tcia or btcv"
    )


def _image_files(source: str, entries: Sequence[FoundFile]) -> dict[str, list[FoundFile]]:
    images: dict[str, list[FoundFile]] = {}
    for entry in entries:
        if source == "btcv":
            match = BTCV_IMAGE.fullmatch(entry.name)
        else:
            found = (TCIA_IMAGE.fullmatch(part) for part in reversed(entry.parts))
            match = next((one for one in found if one), None)
            if entry.name.lower().endswith((".json", ".csv", ".txt", ".pdf", ".tcia", ".html")):
                match = None
        if match:
            images.setdefault(f"{source}_{match[1]}", []).append(entry)
    return images
