"""`bench data`: add, list and audit data sets."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli import data_add
from benchmark.cli.options import add_common, flag, option
from benchmark.cli.out import note, put, put_json
from benchmark.errors import BadInput
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.phantom.recipe import Phantom

HELP = "add, list and audit data sets"
AUDIT = "volumes, HU, checks and pictures of every case of a set"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their options; each sets `args.action`, the function to run."""
    commands = parser.add_subparsers(required=True, metavar="add|list|audit|phantom")
    data_add.configure(commands.add_parser("add", help="add CT volumes with labels"))
    listing = commands.add_parser("list", help="all known data sets")
    listing.set_defaults(action=_list)
    add_common(listing, json=True)
    _configure_audit(commands.add_parser("audit", help=AUDIT))
    phantom = commands.add_parser("phantom", help="make a synthetic data set")
    option(phantom, "--patients", "N", type=int, required=True)
    option(phantom, "--seed", "SEED", type=int, default=0)
    flag(phantom, "--shapeless", "shapes that say nothing")
    option(phantom, "--name", "NAME", "default: phantom-N, with -shapeless and -SEED")
    about = "write it to --out as that set lies on a disk, instead of adding it"
    phantom.add_argument("--layout", choices=("ircadb", "multi-organ"), help=about)
    option(phantom, "--out", "DIR", "a new folder, with --layout", type=Path)
    phantom.set_defaults(action=_phantom)
    add_common(phantom, json=False)


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand; returns the exit code. Raises BadInput."""
    code: int = args.action(args)
    return code


def _configure_audit(parser: argparse.ArgumentParser) -> None:
    option(parser, "name", "NAME")
    about = (
        "write a page with every case's middle slices (default: reports/audit-NAME.html in the "
        "workspace)"
    )
    option(parser, "--html", "FILE", about, type=Path)
    flag(parser, "--no-html", "write no page")
    parser.set_defaults(action=_audit)
    add_common(parser, json=True)


def _phantom(args: argparse.Namespace) -> int:
    from benchmark.data import library
    from benchmark.phantom.recipe import Phantom

    source = Phantom(patients=args.patients, seed=args.seed, shape_informative=not args.shapeless)
    if args.layout or args.out:
        return _write_layout(args, source)
    shapeless = " --shapeless" if args.shapeless else ""
    name = args.name or f"phantom-{args.patients}{shapeless[2:]}"
    if not args.name and args.seed:
        name += f"-{args.seed}"
    command = f"bench data phantom --patients {args.patients} --seed {args.seed}{shapeless}"
    command += f" --name {name}"
    data_add.report(library.add(args.root, name, source, command=command, say=note))
    return 0


def _write_layout(args: argparse.Namespace, source: Phantom) -> int:
    from benchmark.phantom import recipe

    if not args.layout or not args.out:
        raise BadInput("--layout and --out belong together: --layout ircadb --out DIR")
    recipe.write(args.out, args.layout, source)
    put(f"{counted(source.patients, 'patient')} in {args.out}; add them with")
    for line in recipe.commands(args.out, args.layout):
        put(f"  {line}")
    return 0


def _list(args: argparse.Namespace) -> int:
    from benchmark.data import embedded, library

    rows: dict[str, dict[str, Any]] = {}
    for stored in library.list_datasets(args.root, say=note):
        rows[stored.name] = _row(stored.name, len(stored.cases), stored.organs)
    for name, point in embedded.embedded().items():
        if name in rows:
            continue
        try:
            source = embedded.load_embedded(point)
            count = getattr(source, "patients", None)
            cases = count if isinstance(count, int) else sum(1 for _ in source.volumes())
            rows[name] = _row(name, cases, source.organs)
        except BadInput as error:  # another package's fault breaks nothing
            note(str(error))
    for line in embedded.refused_names().values():
        note(line)
    listed = [rows[name] for name in sorted(rows)]
    if args.json:
        put_json(listed, indent=None)
        return 0
    table = [[row["name"], str(row["cases"]), ", ".join(row["organs"])] for row in listed]
    _print_table([["name", "cases", "organs"], *table])
    return 0


def _row(name: str, cases: int, organs: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "cases": cases, "organs": list(organs)}


def _audit(args: argparse.Namespace) -> int:
    from benchmark.data import library
    from benchmark.data.audit import Page, audited

    dataset = library.open_dataset(args.root, args.name, say=note)
    page, rows = Page(dataset), []
    for case in dataset.cases:
        volume = dataset.load(case.name)
        rows.append(audited(dataset, volume))
        if not args.no_html:
            page.add(volume, rows[-1])
    if not args.no_html:
        path = args.html or args.root / "reports" / f"audit-{dataset.name}.html"
        page.write(path)
        note(f"pictures: {path}")
    if args.json:
        put_json(rows, indent=None)
        return 0
    _print_table(_audit_table(rows))
    for row in rows:
        for check in row["checks"]:
            if not check["ok"]:
                forced = ", forced" if check["name"] in row["forced"] else ""
                found = f"{check['name']} = {check['value']}, not {check['limit']}{forced}"
                put(f"{row['case']}: {found}")
        for line in row["warnings"]:
            put(f"{row['case']}: {line}")
    return 0


def _audit_table(audited: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    table = [["case", "shape (z, y, x)", "spacing (mm)", "axes", "organ", "ml", "HU", "checks"]]
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
    """Print rows in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        put("  ".join(cells).rstrip())
