"""`bench predict`: a trained row, or one training by its key, on CTs of your own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import (
    add_common,
    add_hardware,
    add_values,
    flag,
    numbers,
    option,
    options_of,
    say_refused,
    values_of,
)
from benchmark.cli.out import put_json, say, warn
from benchmark.cli.predicted import Job, jobs_of, show, value_of, write
from benchmark.cli.session import check_workspace
from benchmark.cli.which import add_which_split, which_split
from benchmark.errors import BadInput
from benchmark.plan.wording import named

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.running.trained import Trained

HELP = "segment a CT with what was trained: bench predict --method fsm CT.nii.gz -o OUT.nii.gz"
FORMATS = ("nii.gz", "nii", "nrrd", "dcm")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    about = (
        "a CT: a NIfTI, .mha or .nrrd file, or a folder of one DICOM series; several of them, or a "
        "folder of such, with a folder for -o"
    )
    option(parser, "image", "IMAGE", about, type=Path, nargs="+")
    about = (
        "the label map on the image's own grid: .nii.gz, .nii, .nrrd, or .dcm (DICOM SEG, of a "
        "DICOM series); of several images a folder"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help=about)
    about = "the form of label maps in a folder (default: nii.gz)"
    parser.add_argument("--format", choices=FORMATS, default="nii.gz", help=about)
    chosen = parser.add_mutually_exclusive_group(required=True)
    about = "a row, or a label as tables print it (quoted); see bench status"
    chosen.add_argument("--method", metavar="NAME", help=about)
    chosen.add_argument("--key", metavar="KEY", help="one training by its key, see bench plan")
    add_values(parser, stored=True)
    add_which_split(parser)
    about = "networks of one fold (or of several: 0,1); default: the ensemble of all"
    option(parser, "--fold", "N", about, type=numbers)
    option(parser, "--seed", "N", type=int, default=0)
    about = "the picture (default: the label map's name as .png), or none"
    option(parser, "--overlay", "FILE", about)
    flag(parser, "--largest-component", "keep the largest part of each organ alone; it is said")
    about = "slices in work at a time (default: as in training); fewer need less memory"
    option(parser, "--batch", "N", about, type=int)
    add_hardware(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Write label maps and pictures, both of an image or none, and print the volumes. Raises
    `BadInput`; of several images those that can be predicted are, first."""
    if args.batch is not None and args.batch < 1:
        raise BadInput(f"--batch {args.batch}: give at least 1")
    jobs, many = jobs_of(args)
    bench, trained = _open(args)
    from benchmark.running.predicted import training_reaches
    from benchmark.running.predicting import networks_of

    ready = networks_of(trained, bench), training_reaches(trained, bench)
    values: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for job in jobs:
        try:
            values.append(_one(job, trained, bench, ready, args))
        except BadInput as error:
            if not many:
                raise
            left_out[str(job.image)] = str(error)
            warn(f"{job.image.name} is left out: {error}")
            continue
        if not args.json:
            show(values[-1], many=many)
    if args.json:
        put_json({"images": values, "left_out": left_out} if many else values[0])
    if left_out:
        done = f"{len(values)} of {len(jobs)} images are predicted, in {args.out}"
        raise BadInput(f"{done}; left out, as said above: {named(Path(i).name for i in left_out)}")
    return 0


def _one(
    job: Job, trained: Trained, bench: Bench, ready: tuple[Any, Any], args: argparse.Namespace
) -> dict[str, Any]:
    """Predict one image and write what was found; return what there is to say of it. `ready` are
    the networks and the reaches of their training scans."""
    from benchmark.data.scan import read_scan
    from benchmark.running.predicted import beyond_training, largest_parts
    from benchmark.running.predicting import predict, seen_in_training
    from benchmark.running.renewal import outdated_line
    from benchmark.settings.registry import load_registry

    scan = read_scan(job.image)
    old = outdated_line(bench, trained.entries, load_registry().rows)
    for line in (*scan.warnings, seen_in_training(trained, scan, bench), old):
        if line:
            warn(line)
    networks, seen = ready
    label = predict(trained, scan, bench, args.batch, networks)
    if line := beyond_training(scan, label, trained.organs, seen):
        warn(line)
    dropped = None
    if args.largest_component:
        label, dropped = largest_parts(label, len(trained.organs))
    value = value_of(trained, scan, label, job, dropped)
    write(label, scan, value, job, trained.organs)
    return value


def _open(args: argparse.Namespace) -> tuple[Bench, Trained]:
    """The workspace and what was trained there; nothing is trained or added."""
    import torch

    from benchmark.running.crew import threads_for
    from benchmark.running.events import Warnings
    from benchmark.running.trained import Wanted, candidates, trained_key, trained_row
    from benchmark.settings.registry import load_registry

    check_workspace(args.root)
    bench = options_of(args).open(Warnings(say), reading=True)
    if args.key is not None:
        if args.fold is not None or args.overrides or args.config or args.split:
            raise BadInput("--key names one training: it goes with neither --fold nor values")
        found = trained_key(bench, load_registry(), args.key)
    else:
        registry = load_registry()
        say_refused(registry, [args.method])
        wanted = Wanted(name=args.method, values=values_of(args), folds=args.fold, seed=args.seed,
                        dataset=args.dataset, preset=args.preset)  # fmt: skip
        cells = candidates(bench, registry, wanted)
        digits = which_split(args, cells)
        chosen = [entry for entry in cells if entry.split.startswith(digits)]
        found = trained_row(bench, registry, chosen, wanted)
    torch.set_num_threads(args.threads or threads_for(found.setting.ground.size))
    return bench, found
