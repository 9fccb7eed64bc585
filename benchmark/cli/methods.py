"""`bench methods`: the registry, and one row's graph, fields and open readings."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.plan.nodes import Row, Train
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


def run(args: argparse.Namespace) -> int:
    """Print the list or one row. Raises `BadInput` for a name that is not there."""
    from benchmark.errors import BadInput
    from benchmark.running.registry import load_registry

    registry = load_registry()
    for problem in registry.problems:
        print(f"bench: left out: {problem}", file=sys.stderr)
    if args.action == "list":
        _list(registry, as_json=args.json)
    elif args.name is None:
        raise BadInput("methods show: which row? the names are in bench methods")
    else:
        _show(args.name, registry.row(args.name), as_json=args.json)
    return 0


def _list(registry: Registry, *, as_json: bool) -> None:
    rows = registry.rows
    if as_json:
        shown = [
            {"name": name, "group": row.group, "title": row.title, "table1": row.table1}
            for name, row in rows.items()
        ]
        print(json.dumps(shown, indent=1))
        return
    for group in dict.fromkeys(row.group for row in rows.values()):
        print(f"{group}:")
        for name, row in rows.items():
            if row.group == group:
                print(f"  {name:24s} {row.table1 or row.title:16s} {row.about}")


def _show(name: str, row: Row, *, as_json: bool) -> None:
    from benchmark.plan.nodes import in_order

    graph = [_stage(node) for node in in_order(row.method.plan().node)]
    values = [
        (item.name, _text(getattr(row.method, item.name)), item.metadata)
        for item in fields(row.method)  # type: ignore[arg-type]
    ]
    if as_json:
        described = [
            {"name": n, "value": v, "mark": m.get("mark", ""), "about": m.get("about", "")}
            for n, v, m in values
        ]
        about = {"name": name, "title": row.title, "about": row.about, "source": row.source}
        print(json.dumps({**about, "graph": graph, "fields": described}, indent=1))
        return
    print(f"{name} ({row.title}): {row.about}\nsource: {row.source}\n\ntrainings, in order:")
    for number, line in enumerate(graph, start=1):
        print(f"  {number}. {line}")
    print("\nfields (--set NAME=VALUE), before a preset scales them:")
    for field_name, value, metadata in values:
        mark = metadata.get("mark", " ")
        print(f"  {mark} {field_name:14s} {value:34s} {metadata.get('about', '')}")
    print("\n" + "; ".join(f"{mark}: {meaning}" for mark, meaning in MARKS.items()))


def _stage(node: Train) -> str:
    nets = []
    for name, net in node.nets.items():
        parts = [f"{w.part or 'all'} from {w.node.title}" for w in net.init]
        start = f" ({', '.join(parts)})" if parts else ""
        nets.append(name + start + ("" if net.trainable else ", frozen"))
    schedule = node.schedule
    return f"{node.title}: {'; '.join(nets)}; {schedule.epochs:g} epochs at {schedule.lr:g}"


def _text(value: object) -> str:
    kind = getattr(value, "kind", None)
    if kind is None:
        return json.dumps(value)
    inner = [f"{f.name}={getattr(value, f.name)}" for f in fields(value)]  # type: ignore[arg-type]
    return f"{kind}({', '.join(inner)})"
