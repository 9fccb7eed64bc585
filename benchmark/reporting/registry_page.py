"""The rows of the registry as a Markdown page: docs/rows.md is written by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from benchmark.plan.budget import budget
from benchmark.plan.nodes import Row, Train, in_order, probes_of, stages_of
from benchmark.plan.presets import PRESETS, scale_method
from benchmark.settings.registry import GROUPS, grouped

HEAD = """# The rows

Written by `bench methods --markdown`; a test fails when it is stale. Epochs are those of the
default values (`paper`), steps those of the preset `quick`; both on CT / on ground truth. A
training that several rows share is done once. `NAME@stage2` is a row scored before its stage 3.
"""


def rows_page(rows: Mapping[str, Row]) -> str:
    """Return the page, ending in a newline."""
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
    lines = [f"### {name}", "", f"{row.about} Source: {row.source}.", ""]
    nodes = in_order(row.method.plan().node)
    lines += [f"{number}. {stage_line(node)}" for number, node in enumerate(nodes, start=1)]
    lines += ["", "| | field | default | meaning |", "|---|---|---|---|"]
    for item in fields(row.method):  # type: ignore[arg-type]
        mark, about = item.metadata.get("mark", ""), _cell(item.metadata.get("about", ""))
        lines.append(f"| {mark} | `{item.name}` | `{value_text(_of(row, item.name))}` | {about} |")
    extra = [f"scored too: {', '.join(f'{name}@{stage}' for stage in stages_of(row.method))}"]
    extra.append(f"probes: {', '.join(probe.name for probe in probes_of(row.method))}")
    lines += ["", *[f"{line}." for line in extra if not line.endswith(": ")], ""]
    return "\n".join(lines)


def _of(row: Row, name: str) -> Any:
    return getattr(row.method, name)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
