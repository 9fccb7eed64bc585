"""What `bench predict` writes and says of one image, and where it writes it."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.out import put
from benchmark.errors import BadInput
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.data.scan import Scan
    from benchmark.data.volume import Label
    from benchmark.running.trained import Trained

NO_PICTURE = "none"
CHANNEL = "_0000"
LARGEST = "the largest part of each organ alone"


@dataclass(frozen=True, kw_only=True)
class Job:
    """An image, where its label map goes and in which form, and where its picture goes, if any."""

    image: Path
    out: Path
    ending: str
    picture: Path | None


def jobs_of(args: argparse.Namespace) -> tuple[list[Job], bool]:
    """Return what is to be done, known to be possible before any work is, and whether `-o` is a
    folder. Raises `BadInput`."""
    from benchmark.data.scan import scans_in
    from benchmark.data.written import ending_of

    images: list[Path] = [*args.image]
    ending = ending_of(args.out)
    many = len(images) > 1 or (not ending and (images[0].is_dir() or args.out.is_dir()))
    found = [scan for image in images for scan in scans_in(image)] if many or ending else images
    if not many and found in (images, []):
        return [_single(args, images[0], args.out, ending)], False
    images = found
    if ending and not args.out.is_dir():
        count = counted(len(images), "image")
        raise BadInput(f"{count}: give a folder for -o, {args.out} is a file's name")
    if args.overlay not in (None, NO_PICTURE):
        raise BadInput("--overlay FILE is for one image; with a folder each has its own, or none")
    return _several(args, images), True


def _several(args: argparse.Namespace, images: list[Path]) -> list[Job]:
    from benchmark.data.readers.names import stem

    out: Path = args.out
    # a case of nnU-Net's folders is called without its channel
    names = [stem(image.resolve().name).removesuffix(CHANNEL) for image in images]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"two images are called {twice[0]}: predict them into folders of their own")
    if not out.parent.is_dir():
        raise BadInput(f"cannot write {out}: there is no folder {out.parent}: make it first")
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror or error}") from None
    ending = f".{args.format}"
    return [
        _single(args, image, out / f"{name}{ending}", ending)
        for image, name in zip(images, names, strict=True)
    ]


def _single(args: argparse.Namespace, image: Path, out: Path, ending: str) -> Job:
    from benchmark.data.written import check_form

    if not ending:
        told = "let its name end in .nii.gz (.nii, .nrrd, .dcm)"
        raise BadInput(f"{out}: the label map is a NIfTI, NRRD or DICOM file: {told}")
    named = args.overlay or str(out.with_name(out.name[: -len(ending)] + ".png"))
    picture = None if named == NO_PICTURE else Path(named)
    if picture is not None and picture.suffix.lower() != ".png":
        raise BadInput(f"{picture}: the picture is a PNG: let its name end in .png")
    for path in (out, picture):
        if path is not None:
            _check_writable(path, image)
    check_form(ending, image)
    return Job(image=image, out=out, ending=ending, picture=picture)


def _check_writable(path: Path, image: Path) -> None:
    import tempfile

    if path.is_dir():
        raise BadInput(f"{path} is a folder: give the name of a file")
    if path.resolve() == image.resolve():
        raise BadInput(f"{path} is the image itself: choose another name")
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {path.parent}: make it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None


def value_of(
    trained: Trained, scan: Scan, label: Label, job: Job, dropped: tuple[int, ...] | None
) -> dict[str, Any]:
    """Return what is said of an image, as plain values; `dropped` are the voxels of each organ
    that `--largest-component` took away, None without it."""
    import numpy as np

    counts = np.bincount(label.ravel(), minlength=len(trained.organs) + 1)
    first = trained.entries[0]
    organs = {
        organ: {
            "label": number,
            "voxels": int(counts[number]),
            "ml": round(float(counts[number]) * scan.voxel_ml, 3),
        }
        for number, organ in enumerate(trained.organs, start=1)
    }
    for found, voxels in zip(organs.values(), dropped or (), strict=False):
        found["dropped_ml"] = round(voxels * scan.voxel_ml, 3)
    return {
        "out": str(job.out),
        "overlay": str(job.picture) if job.picture else None,
        "row": first.label,
        "dataset": first.dataset,
        "preset": first.preset,
        "seed": first.seed,
        "folds": [entry.fold for entry in trained.entries],
        "keys": list(trained.keys),
        "organs": organs,
        **({} if dropped is None else {"largest_component": True}),
    }


def write(
    label: Label, scan: Scan, value: dict[str, Any], job: Job, organs: tuple[str, ...]
) -> None:
    """Write label map and picture, both or none. Raises `BadInput` where the disk does not take
    them."""
    from benchmark.data.written import label_file
    from benchmark.files.atomic import commit_file
    from benchmark.reporting.overlay import draw_overlay

    more = f" and {len(value['keys']) - 1} more" if len(value["keys"]) > 1 else ""
    largest = ", largest-component" if "largest_component" in value else ""
    note = f"bench {value['keys'][0]}{more}{largest}"
    content = label_file(label, scan, job.image, job.ending, organs=organs, note=note)
    try:
        with ExitStack() as stack:  # both files get their names at the end, or neither
            stack.enter_context(commit_file(job.out)).write_bytes(content)
            if job.picture is not None:
                draw_overlay(
                    stack.enter_context(commit_file(job.picture)),
                    scan.image,
                    label,
                    spacing_mm=scan.geometry.spacing_mm,
                    volumes_ml={o: found["ml"] for o, found in value["organs"].items()},
                    title=f"{value['row']} on {scan.name}: {_who(value)}",
                )
    except OSError as error:
        raise BadInput(f"cannot write {job.out}: {error.strerror or error}") from None


def _who(value: dict[str, Any]) -> str:
    folds = value["folds"]
    largest = f"; {LARGEST}" if "largest_component" in value else ""
    if len(folds) == 1:
        return f"network of fold {folds[0]}, {value['keys'][0]}{largest}"
    return f"mean of {len(folds)} networks, folds {', '.join(map(str, folds))}{largest}"


def show(value: dict[str, Any], *, many: bool) -> None:
    """Print what was found in an image; of `many` it is named first."""
    if many:
        put(f"{Path(value['out']).name}:")
    put(f"{value['row']} trained on {value['dataset']}, preset {value['preset']}: {_who(value)}")
    for organ, found in value["organs"].items():
        dropped = found.get("dropped_ml")
        apart = f"  ({dropped:.1f} ml apart from it left out)" if dropped else ""
        put(f"{found['label']:3d}  {organ:20s} {found['ml']:10.1f} ml{apart}")
    put(f"label map: {value['out']}")
    if value["overlay"]:
        put(f"picture: {value['overlay']}")
