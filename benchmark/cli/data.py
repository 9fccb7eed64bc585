"""`bench data`: add, list and audit data sets."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import add_common
from benchmark.errors import BadInput

if TYPE_CHECKING:
    from benchmark.data.library import DataSet
    from benchmark.data.volume import Volume

HELP = "add, list and audit data sets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their options; each sets `args.action`, the function to run."""
    commands = parser.add_subparsers(required=True, metavar="add|list|audit|phantom")
    _configure_add(commands.add_parser("add", help="add CT volumes with labels"))
    listing = commands.add_parser("list", help="all known data sets")
    listing.set_defaults(action=_list)
    add_common(listing, json=True)
    audit = commands.add_parser("audit", help="volumes, HU and checks of every case of a set")
    audit.add_argument("name", metavar="NAME")
    audit.set_defaults(action=_audit)
    add_common(audit, json=True)
    phantom = commands.add_parser("phantom", help="make a synthetic data set")
    phantom.add_argument("--patients", type=int, required=True, metavar="N")
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--shapeless", action="store_true", help="shapes that say nothing")
    phantom.add_argument("--name", help="default: phantom-N, with -shapeless and -SEED")
    phantom.set_defaults(action=_phantom)
    add_common(phantom, json=False)


def _configure_add(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(required=True, metavar="folder")
    folder = kinds.add_parser("folder", help="a folder in nnU-Net's raw layout")
    folder.add_argument("path", type=Path, metavar="PATH")
    folder.add_argument("--name", help="default: the folder's, without DatasetNNN_")
    folder.add_argument("--skip-bad", action="store_true", help="leave bad cases out")
    folder.add_argument(
        "--force", nargs="+", action="extend", default=[], metavar="CASE",
        help="cases to add although their HU look implausible",
    )  # fmt: skip
    folder.set_defaults(action=_add_folder)
    add_common(folder, json=False)


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand; returns the exit code. Raises BadInput."""
    code: int = args.action(args)
    return code


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _add_folder(args: argparse.Namespace) -> int:
    from benchmark.data import library
    from benchmark.data.checks import check_name
    from benchmark.data.readers.nnunet import NnUNetRaw, default_name

    name = args.name or default_name(args.path)
    check_name(name)  # before a long read
    options = [" --skip-bad"] if args.skip_bad else []
    options += [f" --force {case}" for case in args.force]
    added = library.add(
        args.root,
        name,
        NnUNetRaw(args.path),
        skip_bad=args.skip_bad,
        force=args.force,
        command=f"bench data add folder PATH --name {name}{''.join(options)}",
        say=_say,
    )
    _report(added)
    return 0


def _phantom(args: argparse.Namespace) -> int:
    from benchmark.data import library
    from benchmark.data.phantom import Phantom

    source = Phantom(patients=args.patients, seed=args.seed, shape_informative=not args.shapeless)
    shapeless = " --shapeless" if args.shapeless else ""
    name = args.name or f"phantom-{args.patients}{shapeless[2:]}"
    if not args.name and args.seed:
        name += f"-{args.seed}"
    command = f"bench data phantom --patients {args.patients} --seed {args.seed}{shapeless}"
    command += f" --name {name}"
    _report(library.add(args.root, name, source, command=command, say=_say))
    return 0


def _report(added: DataSet) -> None:
    organs = ", ".join(added.organs)
    count = len(added.cases)
    print(f"data set {added.name}: {count} case{'s' * (count != 1)}, {organs}")


def _list(args: argparse.Namespace) -> int:
    from benchmark.data import library

    rows: dict[str, dict[str, Any]] = {}
    for stored in library.list_datasets(args.root, say=_say):
        rows[stored.name] = _row(stored.name, len(stored.cases), stored.organs)
    for name, point in library.embedded().items():
        if name in rows:
            continue
        try:
            source = library.load_embedded(point)
            count = getattr(source, "patients", None)
            cases = count if isinstance(count, int) else sum(1 for _ in source.volumes())
            rows[name] = _row(name, cases, source.organs)
        except BadInput as error:  # another package's fault breaks nothing
            _say(str(error))
    listed = [rows[name] for name in sorted(rows)]
    if args.json:
        print(json.dumps(listed))
        return 0
    table = [[row["name"], str(row["cases"]), ", ".join(row["organs"])] for row in listed]
    _print_table([["name", "cases", "organs"], *table])
    return 0


def _row(name: str, cases: int, organs: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "cases": cases, "organs": list(organs)}


def _audit(args: argparse.Namespace) -> int:
    from benchmark.data import library

    dataset = library.open_dataset(args.root, args.name, say=_say)
    audited = [audit_case(dataset, case.name) for case in dataset.cases]
    if args.json:
        print(json.dumps(audited))
        return 0
    _print_table(_audit_table(audited))
    for row in audited:
        for check in row["checks"]:
            if not check["ok"]:
                print(f"{row['case']}: {check['name']} = {check['value']}, not {check['limit']}")
    return 0


def audit_case(dataset: DataSet, case: str) -> dict[str, Any]:
    """Returns what `bench data audit --json` says of a case; the arrays are read and verified.

    `shape` and `spacing_mm` belong to the canonical axes (z, y, x), `orientation` to the array on
    disk. An annotated organ without a voxel has 0 ml and a median HU of null. The checks are
    those made on adding, with those of the volume made again.
    """
    from benchmark.data.checks import check_volume

    volume = dataset.load(case)
    stored = {check["name"]: check for check in dataset.record(case)["checks"]}
    again = {check.name: check.to_dict() for check in check_volume(volume, dataset.organs)}
    return {
        "case": case,
        "shape": list(volume.image.shape),
        "spacing_mm": list(volume.geometry.spacing_mm),
        "orientation": volume.geometry.orientation,
        "organs": _organs(volume, dataset.organs),
        "not_annotated": [organ for organ in dataset.organs if organ not in volume.annotated],
        "checks": list((stored | again).values()),
    }


def _organs(volume: Volume, organs: Sequence[str]) -> dict[str, dict[str, float | None]]:
    import numpy as np

    z, y, x = volume.geometry.spacing_mm
    result: dict[str, dict[str, float | None]] = {}
    for number, organ in enumerate(organs, start=1):
        if organ not in volume.annotated:
            continue
        hu = volume.image[volume.label == number]
        median = float(np.median(hu)) if hu.size else None
        result[organ] = {"ml": round(hu.size * z * y * x / 1000, 3), "hu_median": median}
    return result


def _audit_table(audited: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    table = [["case", "shape", "spacing (mm)", "axes", "organ", "ml", "HU", "checks"]]
    for row in audited:
        failed = [check["name"] for check in row["checks"] if not check["ok"]]
        start = [
            row["case"],
            " x ".join(str(size) for size in row["shape"]),
            " x ".join(f"{mm:.4g}" for mm in row["spacing_mm"]),
            row["orientation"],
        ]
        verdict = "failed: " + ", ".join(failed) if failed else "ok"
        for organ, found in row["organs"].items():
            hu = "-" if found["hu_median"] is None else f"{found['hu_median']:.0f}"
            table.append([*start, organ, f"{found['ml']:.1f}", hu, verdict])
            start, verdict = ["", "", "", ""], ""
        for organ in row["not_annotated"]:
            table.append(["", "", "", "", organ, "-", "-", "not annotated"])
    return table


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
