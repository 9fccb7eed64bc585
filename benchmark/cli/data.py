"""`bench data`: add, list and audit data sets."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli import data_add, data_audit
from benchmark.cli.options import add_common
from benchmark.cli.out import put
from benchmark.errors import BadInput

if TYPE_CHECKING:
    from benchmark.phantom.recipe import Phantom

HELP = "add, list and audit data sets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their options; each sets `args.action`, the function to run."""
    commands = parser.add_subparsers(required=True, metavar="add|list|audit|phantom")
    data_add.configure(commands.add_parser("add", help="add CT volumes with labels"))
    listing = commands.add_parser("list", help="all known data sets")
    listing.set_defaults(action=_list)
    add_common(listing, json=True)
    data_audit.configure(commands.add_parser("audit", help=data_audit.HELP))
    phantom = commands.add_parser("phantom", help="make a synthetic data set")
    phantom.add_argument("--patients", type=int, required=True, metavar="N")
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--shapeless", action="store_true", help="shapes that say nothing")
    phantom.add_argument("--name", help="default: phantom-N, with -shapeless and -SEED")
    phantom.add_argument(
        "--layout", choices=("ircadb", "multi-organ"),
        help="write it to --out as that set lies on a disk, instead of adding it",
    )  # fmt: skip
    phantom.add_argument("--out", type=Path, metavar="DIR", help="a new folder, with --layout")
    phantom.set_defaults(action=_phantom)
    add_common(phantom, json=False)


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand; returns the exit code. Raises BadInput."""
    code: int = args.action(args)
    return code


def _say(line: str) -> None:
    print(line, file=sys.stderr)


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
    data_add.report(library.add(args.root, name, source, command=command, say=_say))
    return 0


def _write_layout(args: argparse.Namespace, source: Phantom) -> int:
    from benchmark.phantom import recipe

    if not args.layout or not args.out:
        raise BadInput("--layout and --out belong together: --layout ircadb --out DIR")
    recipe.write(args.out, args.layout, source)
    put(f"{source.patients} patients in {args.out}; add them with")
    for line in recipe.commands(args.out, args.layout):
        put(f"  {line}")
    return 0


def _list(args: argparse.Namespace) -> int:
    from benchmark.data import embedded, library

    rows: dict[str, dict[str, Any]] = {}
    for stored in library.list_datasets(args.root, say=_say):
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
            _say(str(error))
    for line in embedded.refused_names().values():
        _say(line)
    listed = [rows[name] for name in sorted(rows)]
    if args.json:
        put(json.dumps(listed))
        return 0
    table = [[row["name"], str(row["cases"]), ", ".join(row["organs"])] for row in listed]
    data_audit.print_table([["name", "cases", "organs"], *table])
    return 0


def _row(name: str, cases: int, organs: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "cases": cases, "organs": list(organs)}
