"""`bench methods`: the registry, and one row's graph, fields and open readings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from benchmark.cli.options import add_json, flag, option
from benchmark.cli.out import put, put_json, say

if TYPE_CHECKING:
    from benchmark.plan.nodes import Row, Train
    from benchmark.settings.registry import Registry

HELP = "the rows of the benchmark; methods show NAME explains one"
MARKS = {
    "S": "stated in the paper",
    "R": "found in the cited source",
    "C": "our choice where the paper is silent",
    "D": "our deviation",
}

HEAD = """# The rows

Written by `bench methods --markdown`; a test fails when it is stale. Epochs are those of the
default values (`paper`), steps those of the preset `quick`; both on CT / on ground truth. A
training that several rows share is done once. `NAME@stage2` is a row scored before its stage 3.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("action", nargs="?", choices=("list", "show"), default="list")
    option(parser, "name", "NAME", nargs="?")
    add_json(parser)
    flag(parser, "--markdown", "print the page docs/rows.md and nothing else")


def run(args: argparse.Namespace) -> int:
    """Print the list or one row. Raises `BadInput` for a name that is not there."""
    from benchmark.errors import BadInput
    from benchmark.settings.registry import load_registry

    registry = load_registry()
    for problem in registry.problems:
        say(f"left out: {problem}")
    if args.markdown:
        put(rows_page(registry.rows), end="")
    elif args.action == "list":
        _list(registry, as_json=args.json)
    elif args.name is None:
        raise BadInput("methods show: which row? the names are in bench methods")
    else:
        _show(args.name, registry.row(args.name), as_json=args.json)
    return 0


def _list(registry: Registry, *, as_json: bool) -> None:
    from benchmark.settings.registry import grouped

    rows = registry.rows
    if as_json:
        shown = [
            {"name": name, "group": row.group, "title": row.title, "table1": row.table1}
            for name, row in rows.items()
        ]
        put_json(shown)
        return
    for group, members in grouped(rows):
        put(f"{group}:")
        for name, row in members.items():
            put(f"  {name:24s} {row.table1 or '-':12s} {row.about}")


def _show(name: str, row: Row, *, as_json: bool) -> None:
    from benchmark.plan.ground import Ground
    from benchmark.plan.nodes import in_order
    from benchmark.settings.registry import kinds_of
    from benchmark.settings.resolve import leaves

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
        put_json({**about, "graph": graph, "fields": described})
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


def rows_page(rows: Mapping[str, Row]) -> str:
    """Return the rows of the registry as the page docs/rows.md, ending in a newline."""
    from benchmark.settings.registry import GROUPS, grouped

    parts = [HEAD]
    for group, members in grouped(rows):
        parts.append(f"## {GROUPS.get(group, group)}\n\n{_table(members)}")
    parts.append("## In detail\n")
    parts += [_detail(name, row) for name, row in sorted(rows.items())]
    return "\n".join(parts)


def stage_line(node: Train) -> str:
    """Return one training of a graph as a line: networks, where they start, length."""
    nets = []
    for name, net in node.nets.items():
        parts = [f"{w.part or 'all'} from {w.node.title}" for w in net.init]
        start = f" ({', '.join(parts)})" if parts else ""
        trained = "" if net.trainable == ("",) else f", {'+'.join(net.trainable)} trained"
        nets.append(name + start + (trained if net.trainable else ", frozen"))
    seen = "".join(f"; {name}: {source.kind}" for name, source in node.sources.items())
    schedule = node.schedule
    return f"{node.title}: {'; '.join(nets)}{seen}; {schedule.epochs:g} epochs at {schedule.lr:g}"


def value_text(value: object) -> str:
    """Return a field's value as short text."""
    if not is_dataclass(value):
        return json.dumps(value)
    inner = [f"{f.name}={getattr(value, f.name)}" for f in fields(value)]
    return f"{getattr(value, 'kind', '')}({', '.join(inner)})"


def _table(rows: Mapping[str, Row]) -> str:
    from benchmark.plan.budget import budget
    from benchmark.plan.presets import PRESETS, scale_method

    lines = ["| row | in Table 1 | what it is | epochs CT / GT | steps CT / GT | source |"]
    lines.append("|---|---|---|---|---|---|")
    for name, row in rows.items():
        full = budget(row.method.plan().node)
        quick = budget(scale_method(PRESETS["quick"], row.method).plan().node)
        lines.append(
            f"| `{name}` | {row.table1 or '-'} | {row.about} "
            f"| {full.ct_epochs:g} / {full.gt_epochs:g} "
            f"| {quick.ct_steps} / {quick.gt_steps} | {row.source} |"
        )
    return "\n".join(lines) + "\n"


def _detail(name: str, row: Row) -> str:
    from benchmark.plan.nodes import in_order, probes_of, stages_of

    lines = [f"### {name}", "", f"{row.about} Source: {row.source}.", ""]
    nodes = in_order(row.method.plan().node)
    lines += [f"{number}. {stage_line(node)}" for number, node in enumerate(nodes, start=1)]
    lines += ["", "| | field | default | meaning |", "|---|---|---|---|"]
    for item in fields(row.method):  # type: ignore[arg-type]
        mark = item.metadata.get("mark", "")
        about = item.metadata.get("about", "").replace("|", "\\|")
        value = value_text(getattr(row.method, item.name))
        lines.append(f"| {mark} | `{item.name}` | `{value}` | {about} |")
    extra = [f"scored too: {', '.join(f'{name}@{stage}' for stage in stages_of(row.method))}"]
    extra.append(f"probes: {', '.join(probe.name for probe in probes_of(row.method))}")
    lines += ["", *[f"{line}." for line in extra if not line.endswith(": ")], ""]
    return "\n".join(lines)
