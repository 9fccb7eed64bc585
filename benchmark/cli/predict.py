"""`bench predict`: a trained row, or one training by its key, on a CT of your own."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import (
    add_common,
    add_hardware,
    add_values,
    numbers,
    option,
    options_of,
    setting_of,
)
from benchmark.cli.out import put, put_json, say, warn
from benchmark.cli.session import check_workspace
from benchmark.errors import BadInput

if TYPE_CHECKING:
    from benchmark.data.scan import Scan
    from benchmark.data.volume import Label
    from benchmark.running.bench import Bench
    from benchmark.running.predicting import Trained

HELP = "segment a CT with what was trained: bench predict --method fsm CT.nii.gz -o OUT.nii.gz"
NO_PICTURE = "none"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    about = "a CT: a NIfTI file, or a folder of one DICOM series"
    option(parser, "image", "IMAGE", about, type=Path)
    about = "the label map: .nii.gz or .nii, on the image's own grid"
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help=about)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--method", metavar="NAME", help="a row, or ROW@STAGE; see bench status")
    chosen.add_argument("--key", metavar="KEY", help="one training by its key, see bench plan")
    add_values(parser)
    about = "networks of one fold (or of several: 0,1); default: the ensemble of all"
    option(parser, "--fold", "N", about, type=numbers)
    option(parser, "--seed", "N", type=int, default=0)
    about = f"the picture (default: the label map's name as .png), or {NO_PICTURE}"
    option(parser, "--overlay", "FILE", about)
    about = "slices in work at a time (default: as in training); fewer need less memory"
    option(parser, "--batch", "N", about, type=int)
    add_hardware(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Write label map and picture, both or none, and print the volumes. Raises `BadInput`."""
    out, picture = _outputs(args)
    bench, trained = _open(args)
    from benchmark.data.scan import read_scan
    from benchmark.running.predicting import predict, seen_in_training
    from benchmark.running.renewal import outdated_line
    from benchmark.settings.registry import load_registry

    scan = read_scan(args.image)
    old = outdated_line(bench, trained.entries, load_registry().rows)
    for line in (*scan.warnings, seen_in_training(trained, scan, bench), old):
        if line:
            warn(line)
    label = predict(trained, scan, bench, args.batch)
    value = _value(trained, scan, label, out, picture)
    _write(label, scan, value, out, picture)
    if args.json:
        put_json(value)
    else:
        _show(value)
    return 0


def _outputs(args: argparse.Namespace) -> tuple[Path, Path | None]:
    """Where to write, known to be possible before any work is done."""
    out: Path = args.out
    ending = next((e for e in (".nii.gz", ".nii") if out.name.endswith(e)), "")
    if not ending or out.name == ending:
        raise BadInput(f"{out}: the label map is a NIfTI file: let its name end in .nii.gz")
    named = args.overlay or str(out.with_name(out.name.removesuffix(ending) + ".png"))
    picture = None if named == NO_PICTURE else Path(named)
    if picture is not None and picture.suffix.lower() != ".png":
        raise BadInput(f"{picture}: the picture is a PNG: let its name end in .png")
    for path in (out, picture):
        if path is not None:
            _check_writable(path, args.image)
    if args.batch is not None and args.batch < 1:
        raise BadInput(f"--batch {args.batch}: give at least 1")
    return out, picture


def _check_writable(path: Path, image: Path) -> None:
    import tempfile

    if path.is_dir():
        raise BadInput(f"{path} is a folder: give the name of a file")
    if path.resolve() == image.resolve():
        raise BadInput(f"{path} is the image itself: choose another name")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None


def _open(args: argparse.Namespace) -> tuple[Bench, Trained]:
    """The workspace and what was trained there; nothing is trained or added."""
    import torch

    from benchmark.running.crew import threads_for
    from benchmark.running.events import Warnings
    from benchmark.running.predicting import trained_key, trained_row
    from benchmark.settings.registry import load_registry

    check_workspace(args.root)
    bench = options_of(args).open(Warnings(say), reading=True)
    if args.key is not None:
        if args.fold is not None or args.overrides or args.config:
            raise BadInput("--key names one training: it goes with neither --fold nor values")
        found = trained_key(bench, load_registry(), args.key)
    else:
        args.method, _, stage = args.method.partition("@")
        folds = args.fold if args.fold is not None else list(range(_fold_count(args)))
        found = trained_row(
            bench, setting_of(args), dataset=args.dataset, folds=folds, seed=args.seed, stage=stage
        )
    torch.set_num_threads(args.threads or threads_for(found.setting.ground.size))
    return bench, found


def _fold_count(args: argparse.Namespace) -> int:
    """How many folds the row's data set has; the usual number where it is not here any more."""
    from benchmark.data.library import fold_count, stored_dataset
    from benchmark.plan.folds import FOLDS

    try:
        return fold_count(stored_dataset(args.root, args.dataset))
    except BadInput:
        return FOLDS


def _value(
    trained: Trained, scan: Scan, label: Label, out: Path, picture: Path | None
) -> dict[str, Any]:
    import numpy as np

    counts = np.bincount(label.ravel(), minlength=len(trained.organs) + 1)
    first = trained.entries[0]
    return {
        "out": str(out),
        "overlay": str(picture) if picture else None,
        "row": first.label,
        "dataset": first.dataset,
        "preset": first.preset,
        "seed": first.seed,
        "folds": [entry.fold for entry in trained.entries],
        "keys": list(trained.keys),
        "organs": {
            organ: {
                "label": number,
                "voxels": int(counts[number]),
                "ml": round(float(counts[number]) * scan.voxel_ml, 3),
            }
            for number, organ in enumerate(trained.organs, start=1)
        },
    }


def _write(
    label: Label, scan: Scan, value: dict[str, Any], out: Path, picture: Path | None
) -> None:
    from benchmark.data.scan import label_bytes
    from benchmark.files.atomic import commit_file
    from benchmark.reporting.overlay import draw_overlay

    more = f" and {len(value['keys']) - 1} more" if len(value["keys"]) > 1 else ""
    note = f"bench {value['keys'][0]}{more}"
    content = label_bytes(label, scan, packed=out.name.endswith(".gz"), note=note)
    try:
        with ExitStack() as stack:  # both files get their names at the end, or neither
            stack.enter_context(commit_file(out)).write_bytes(content)
            if picture is not None:
                draw_overlay(
                    stack.enter_context(commit_file(picture)),
                    scan.image,
                    label,
                    spacing_mm=scan.geometry.spacing_mm,
                    volumes_ml={o: found["ml"] for o, found in value["organs"].items()},
                    title=f"{value['row']} on {scan.name}: {_who(value)}",
                )
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror or error}") from None


def _who(value: dict[str, Any]) -> str:
    folds = value["folds"]
    if len(folds) == 1:
        return f"network of fold {folds[0]}, {value['keys'][0]}"
    return f"mean of {len(folds)} networks, folds {', '.join(map(str, folds))}"


def _show(value: dict[str, Any]) -> None:
    put(f"{value['row']} trained on {value['dataset']}, preset {value['preset']}: {_who(value)}")
    for organ, found in value["organs"].items():
        put(f"{found['label']:3d}  {organ:20s} {found['ml']:10.1f} ml")
    put(f"label map: {value['out']}")
    if value["overlay"]:
        put(f"picture: {value['overlay']}")
