"""Every fault in every layout, and what catches it: `python tests/helpers/faults.py` writes
`docs/data-faults.md`; a test fails where that page is not what the code does.

Each cell is made for real: a small patient is written in the layout with the fault, and read.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK
from native import ORGANS, small

from benchmark.data.readers.base import Reader
from benchmark.data.readers.ircadb import Ircadb
from benchmark.data.readers.multi_organ import IDS, MultiOrgan
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.readers.pairs import Pairs
from benchmark.data.readers.stacks import Stacks
from benchmark.data.source import judged
from benchmark.data.volume import Volume
from benchmark.phantom.downloads import HEAD, Member, crop_box, crop_row
from benchmark.phantom.layout import Header, OnDisk, dicom_files, nifti_bytes, on_disk, save

PAGE = Path(__file__).parents[2] / "docs" / "data-faults.md"
FOOT_FIRST = (False, False, False)


@dataclass(frozen=True, kw_only=True)
class Laid:
    """A case about to be written: arrays (i, j, k), affine, and which slices k are written."""

    disk: OnDisk
    image_slices: tuple[int, ...]
    label_slices: tuple[int, ...]


def laid(volume: Volume) -> Laid:
    disk = on_disk(volume, FOOT_FIRST)
    every = tuple(range(disk.image_ijk.shape[2]))
    return Laid(disk=disk, image_slices=every, label_slices=every)


def with_label(case: Laid, label_ijk: np.ndarray) -> Laid:
    return replace(case, disk=replace(case.disk, label_ijk=np.ascontiguousarray(label_ijk)))


def without_slice(case: Laid, k: int, *, image: bool, label: bool) -> Laid:
    fewer = tuple(n for n in case.image_slices if n != k % len(case.image_slices))
    return replace(
        case,
        image_slices=fewer if image else case.image_slices,
        label_slices=fewer if label else case.label_slices,
    )


def twice(case: Laid, *, label: bool) -> Laid:
    more = tuple(sorted([*case.image_slices, 9]))
    return replace(case, image_slices=more, label_slices=more if label else case.label_slices)


def brighter(case: Laid, hu: int) -> Laid:
    return replace(case, disk=replace(case.disk, image_ijk=case.disk.image_ijk + np.int16(hu)))


def other_label(case: Laid) -> Laid:
    """Another patient's label on this grid, where the livers overlap by a Dice just under 0.7."""
    shape, label = case.disk.label_ijk.shape, on_disk(small(1), FOOT_FIRST).label_ijk
    places = [
        np.minimum(np.arange(wanted) * size // wanted, size - 1)
        for wanted, size in zip(shape, label.shape, strict=True)
    ]
    fitted, own = label[np.ix_(*places)], case.disk.label_ijk == 1
    moved = [np.roll(fitted, (i, 0, k), (0, 1, 2)) for k in range(-4, 5) for i in range(-12, 13, 2)]
    found = [one for one in moved if dice(one == 1, own) < 0.7]
    return with_label(case, max(found, key=lambda one: dice(one == 1, own)))


def turned_round(case: Laid) -> Laid:
    """Image and label together mirrored front to back: they fit each other, and no patient."""
    image, label = (
        np.ascontiguousarray(a[:, ::-1]) for a in (case.disk.image_ijk, case.disk.label_ijk)
    )
    return replace(case, disk=replace(case.disk, image_ijk=image, label_ijk=label))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


FAULTS: dict[str, Callable[[Laid], Laid]] = {
    "label mirrored left to right": lambda c: with_label(c, c.disk.label_ijk[::-1]),
    "label turned upside down (z)": lambda c: with_label(c, c.disk.label_ijk[:, :, ::-1]),
    "patient mirrored front to back": turned_round,
    "image slice missing, inside": lambda c: without_slice(c, 8, image=True, label=False),
    "image slice missing, last": lambda c: without_slice(c, -1, image=True, label=False),
    "label slice missing, inside": lambda c: without_slice(c, 8, image=False, label=True),
    "slice missing in both, inside": lambda c: without_slice(c, 8, image=True, label=True),
    "slice missing in both, last": lambda c: without_slice(c, -1, image=True, label=True),
    "image slice twice": lambda c: twice(c, label=False),
    "slice twice in both": lambda c: twice(c, label=True),
    "label of another case (liver Dice < 0.7)": other_label,
    "intercept 100 HU too high": lambda c: brighter(c, 100),
    "intercept 100 HU too low": lambda c: brighter(c, -100),
    "none": lambda c: c,
}
NOTES = {
    "patient mirrored front to back": "where only the liver is labelled, nothing tells",
    "slice missing in both, inside": "a NIfTI file does not say where its slices lay: the rest is "
    "a shorter patient whose anatomy agrees",
    "slice missing in both, last": "a shorter scan is a right one",
}


def arrays(case: Laid) -> tuple[np.ndarray, np.ndarray]:
    """Image and label as files without positions hold them."""
    image = case.disk.image_ijk[:, :, list(case.image_slices)]
    return image, case.disk.label_ijk[:, :, list(case.label_slices)]


def slices(case: Laid, values: np.ndarray, chosen: tuple[int, ...], positions: bool = True):
    header = Header(intercept=-1500.0, positions=positions)
    return dicom_files(values, case.disk.affine, header=header, order=chosen)


def ircadb(folder: Path, cases: list[Laid], positions: bool) -> Reader:
    for number, case in enumerate(cases, start=1):
        home = f"3Dircadb1.{number}"
        image = slices(case, case.disk.image_ijk, case.image_slices)
        save(folder, {f"{home}/PATIENT_DICOM/{name}": data for name, data in image.items()})
        for position, name in enumerate(("liver", "leftkidney", "rightkidney"), start=1):
            mask = (case.disk.label_ijk == position).astype(np.uint8)
            found = slices(case, mask, case.label_slices, positions)
            save(folder, {f"{home}/MASKS_DICOM/{name}/{n}": data for n, data in found.items()})
    return Ircadb(folder)


def multi_organ(folder: Path, cases: list[Laid], source: str) -> Reader:
    rows = [HEAD]
    for number, case in enumerate(cases, start=1):
        image, label = arrays(case)
        table = np.array([0, *(IDS[organ] for organ in ORGANS)], np.uint8)
        content = nifti_bytes(table[label], case.disk.affine)
        save(folder / f"labels/label_{source}_multiorgan", {f"label{number:04d}.nii.gz": content})
        if source == "btcv":
            content = nifti_bytes(image, case.disk.affine)
            save(folder / "images", {f"img{number:04d}.nii.gz": content})
        else:
            found = slices(case, case.disk.image_ijk, case.image_slices)
            save(folder / f"images/PANCREAS_{number:04d}", found)
        member = Member(volume=small(number - 1), source=source, number=number)
        rows.append(crop_row(number, member, crop_box(member.volume, 20)))
    save(folder / "labels", {"cropping.csv": "\n".join(rows).encode()})
    return MultiOrgan(folder / "labels", {source: folder / "images"})


def nnunet(folder: Path, cases: list[Laid]) -> Reader:
    labels = {"background": 0, **{organ: n for n, organ in enumerate(ORGANS, start=1)}}
    save(folder, {"dataset.json": json.dumps({"labels": labels}).encode()})
    for number, case in enumerate(cases, start=1):
        image, label = (nifti_bytes(array, case.disk.affine) for array in arrays(case))
        save(folder / "imagesTr", {f"c{number}_0000.nii.gz": image})
        save(folder / "labelsTr", {f"c{number}.nii.gz": label})
    return NnUNetRaw(folder)


def pairs(folder: Path, cases: list[Laid]) -> Reader:
    for number, case in enumerate(cases, start=1):
        image, label = (nifti_bytes(array, case.disk.affine) for array in arrays(case))
        save(folder / "images", {f"c{number}.nii.gz": image})
        save(folder / "labels", {f"c{number}.nii.gz": label})
    ids = {organ: n for n, organ in enumerate(ORGANS, start=1)}
    return Pairs(folder / "images", folder / "labels", ids)


def stacks(folder: Path, cases: list[Laid]) -> Reader:
    for number, case in enumerate(cases, start=1):
        save(folder / f"c{number}" / "DICOM", slices(case, case.disk.image_ijk, case.image_slices))
        (folder / f"c{number}" / "Ground").mkdir()
        for n, k in enumerate(case.label_slices):
            mask = (case.disk.label_ijk[:, :, k].T == 1).astype(np.uint8)
            path = folder / f"c{number}" / "Ground" / f"mask_{n:03d}.png"
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask), str(path))
    return Stacks(folder, "liver")


LAYOUTS: dict[str, Callable[[Path, list[Laid]], Reader]] = {
    "ircadb, masks without a position": lambda f, c: ircadb(f, c, False),
    "ircadb, masks with positions": lambda f, c: ircadb(f, c, True),
    "multi-organ, DICOM (tcia)": lambda f, c: multi_organ(f, c, "tcia"),
    "multi-organ, NIfTI (btcv)": lambda f, c: multi_organ(f, c, "btcv"),
    "folder, DICOM with PNG (liver only)": stacks,
    "folder, nnU-Net": nnunet,
    "pair": pairs,
}


def found_by(layout: str, fault: str) -> tuple[str, ...]:
    """What a planted fault meets: the checks that fail, () where nothing does."""
    with tempfile.TemporaryDirectory() as name:
        reader = LAYOUTS[layout](Path(name) / "raw", [FAULTS[fault](laid(small(0)))])
        (case,) = reader.cases
        examined = judged(reader.read_case(case), reader.organs, frozenset(), anatomy=True)
    failed = tuple(check.name for check in examined.checks if not check.ok)
    assert bool(examined.bad) == bool(failed)
    if any("came twice" in line for line in examined.raw.warnings):
        return (*failed, "used once, and said")
    return failed


def table() -> dict[str, dict[str, tuple[str, ...]]]:
    return {fault: {layout: found_by(layout, fault) for layout in LAYOUTS} for fault in FAULTS}


def page(found: dict[str, dict[str, tuple[str, ...]]]) -> str:
    """The page as Markdown."""
    lines = [
        "# What catches which fault",
        "",
        "Made by `python tests/helpers/faults.py`, which plants every fault in every layout on",
        "disk and reads it; a test fails where this page is out of date. A cell names the checks",
        "that refuse the case (`data.md` says what they measure). **no** = not detectable, see",
        "below.",
        "",
        "| fault | " + " | ".join(LAYOUTS) + " |",
        "|---" * (len(LAYOUTS) + 1) + "|",
    ]
    for fault, cells in found.items():
        if fault == "none":
            shown = ["added" if not names else "REFUSED" for names in cells.values()]
        else:
            shown = [", ".join(names) or "**no**" for names in cells.values()]
        lines.append(f"| {fault} | " + " | ".join(shown) + " |")
    lines += ["", "Not detectable:", ""]
    for fault, note in NOTES.items():
        lines.append(f"- *{fault}*: {note}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(table()), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
