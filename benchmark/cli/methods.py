"""`bench methods`: the registry, and one row's graph, fields and open readings."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from benchmark.cli.out import put

if TYPE_CHECKING:
    from benchmark.plan.nodes import Row
    from benchmark.running.registry import Registry

HELP = "the rows of the benchmark; methods show NAME explains one"
MARKS = {
    "S": "stated in the paper",
    "R": "found in the cited source",
    "C": "our choice where the paper is silent",
    "D": "our deviation",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("action", nargs="?", choices=("list", "show"), default="list")
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument(
        "--markdown", action="store_true", help="print the page docs/rows.md and nothing else"
    )


def run(args: argparse.Namespace) -> int:
    """Print the list or one row. Raises `BadInput` for a name that is not there."""
    from benchmark.errors import BadInput
    from benchmark.running.registry import load_registry

    registry = load_registry()
    for problem in registry.problems:
        print(f"bench: left out: {problem}", file=sys.stderr)
    if args.markdown:
        from benchmark.reporting.registry_page import rows_page

        put(rows_page(registry.rows), end="")
    elif args.action == "list":
        _list(registry, as_json=args.json)
    elif args.name is None:
        raise BadInput("methods show: which row? the names are in bench methods")
    else:
        _show(args.name, registry.row(args.name), as_json=args.json)
    return 0


def _list(registry: Registry, *, as_json: bool) -> None:
    from benchmark.reporting.registry_page import grouped

    rows = registry.rows
    if as_json:
        shown = [
            {"name": name, "group": row.group, "title": row.title, "table1": row.table1}
            for name, row in rows.items()
        ]
        put(json.dumps(shown, indent=1))
        return
    for group, members in grouped(rows):
        put(f"{group}:")
        for name, row in members.items():
            put(f"  {name:24s} {row.table1 or '-':12s} {row.about}")


def _show(name: str, row: Row, *, as_json: bool) -> None:
    from benchmark.plan.ground import Ground
    from benchmark.plan.nodes import in_order
    from benchmark.reporting.registry_page import stage_line, value_text
    from benchmark.running.registry import kinds_of
    from benchmark.running.resolve import leaves

    kinds_of(row.method, {})  # or its own code raises
    graph = [stage_line(node) for node in in_order(row.method.plan().node)]
    values = [
        (item.name, value_text(getattr(row.method, item.name)), item.metadata)
        for item in fields(row.method)  # type: ignore[arg-type]
    ]
    if as_json:
        described = [
            {"name": n, "value": v, "mark": m.get("mark", ""), "about": m.get("about", "")}
            for n, v, m in values
        ]
        about = {"name": name, "title": row.title, "about": row.about, "source": row.source}
        put(json.dumps({**about, "graph": graph, "fields": described}, indent=1))
        return
    put(f"{name} ({row.title}): {row.about}\nsource: {row.source}\n\ntrainings, in order:")
    for number, line in enumerate(graph, start=1):
        put(f"  {number}. {line}")
    put("\nfields (--set NAME=VALUE), before a preset scales them:")
    for field_name, value, metadata in values:
        mark = metadata.get("mark", " ")
        put(f"  {mark} {field_name:14s} {value:34s} {metadata.get('about', '')}")
    put("\nshared by all rows (--set ground.NAME=VALUE), before a preset scales them; all C:")
    for ground_name, value in leaves(Ground(), "ground.").items():
        put(f"    {ground_name:38s} {json.dumps(value)}")
    put("\n" + "; ".join(f"{mark}: {meaning}" for mark, meaning in MARKS.items()))
