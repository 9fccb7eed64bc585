"""`bench status`: which cells are done, running, stopped or failed, and how far suites are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import add_common
from benchmark.cli.out import put, put_json, warn
from benchmark.cli.session import stored
from benchmark.errors import BadInput
from benchmark.plan.wording import early_text

if TYPE_CHECKING:
    from benchmark.analysis.flags import Flag
    from benchmark.store.ledger import Entry
    from benchmark.store.workspace import Workspace

HELP = "what is done, running, stopped and failed"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print a line for each row and one for each cell that is not done. Raises `BadInput`."""
    from benchmark.analysis.commands import row_command
    from benchmark.analysis.flag_guide import how_to_read
    from benchmark.analysis.flags import flags_of_rows
    from benchmark.analysis.suites import older_line
    from benchmark.store.ledger import compared

    workspace = stored(args)
    entries = workspace.ledger.entries()
    cells = [_cell(workspace, entry) for entry in entries]
    both = list(zip(entries, cells, strict=True))
    suites = _suites(workspace, workspace.plans.suites(), both)
    if older := older_line(workspace, compared(entries)):
        warn(older)
    if args.json:
        put_json({"cells": cells, "suites": suites, "damaged": workspace.ledger.damaged()})
        return 0
    for suite in suites:
        _print_suite(suite)
    rows: dict[tuple[str, ...], list[tuple[Entry, dict[str, Any]]]] = {}
    for entry, cell in both:
        rows.setdefault(_row(entry), []).append((entry, cell))
    several = len({entry.suite for entry in entries}) > 1
    planned = set(workspace.plans.suites())  # their commands stand with them, above
    names: list[str] = []
    commands: list[str] = []
    for row, members in rows.items():
        flags = flags_of_rows(entry for entry, _ in members)
        names += [flag.name for flag in flags]
        _print_row(_row_title(row, several), [cell for _, cell in members], flags)
        left = [entry for entry, cell in members if cell["state"] not in ("done", "running")]
        if left and left[0].suite not in planned:
            commands.append(row_command(left))
    for command in dict.fromkeys(commands):
        put(f"go on with: {command}")
    if more := how_to_read(names):
        put(more)
    if not cells:
        put("nothing has been run in this workspace yet: bench run --method fsm")
    return 0


def _suites(
    workspace: Workspace, names: list[str], both: list[tuple[Entry, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Count what is planned; a suite whose plan is damaged or mixed up is named and left out."""
    found = []
    for name in names:
        try:
            found.append(_suite(workspace, name, both))
        except BadInput as error:
            warn(f"suite {name}: {error}")
    return found


def _suite(
    workspace: Workspace, name: str, both: list[tuple[Entry, dict[str, Any]]]
) -> dict[str, Any]:
    """Count the planned cells of a suite by their state."""
    from benchmark.analysis.suites import fill_command, on_plan, standing

    suite = standing(workspace, name)
    assert suite.plan
    planned = {(m.dataset, m.row, m.fold, m.seed) for m in suite.missing}
    states = [
        cell["state"]
        for entry, cell in both
        if entry.suite == name
        and on_plan(entry, suite.plan)
        and (entry.dataset, entry.label, entry.fold, entry.seed) in planned
    ]
    found = {state: states.count(state) for state in ("running", "failed", "stopped")}
    labels = [*(entry.label for entry in suite.done), *(cell.row for cell in suite.missing)]
    return {
        "name": name,
        "planned": len(suite.done) + len(suite.missing),
        "earlier_stages": sum("@" in label for label in labels),
        "done": len(suite.done),
        **found,
        "not_run": len(suite.missing) - sum(found.values()),
        "post_hoc": suite.post_hoc,
        "command": fill_command(name, suite.plan) if suite.missing else "",
    }


def _print_suite(suite: dict[str, Any]) -> None:
    from benchmark.store.ledger import shown_suite

    states = ("running", "failed", "stopped", "not_run")
    counts = ", ".join(f"{suite[s]} {s.replace('_', ' ')}" for s in states if suite[s])
    rest = f", {counts}" if counts else ""
    name, early = shown_suite(suite["name"]), early_text(suite["earlier_stages"])
    put(f"suite {name}: {suite['done']} of {suite['planned']} cells done{early}{rest}")
    if suite["command"]:
        put(f"  INCOMPLETE; go on with: {suite['command']}")
    if suite["post_hoc"]:
        put(f"  {suite['post_hoc']}")


def _row(entry: Entry) -> tuple[str, ...]:
    split = f", own split {entry.split[:8]}" if entry.own_split else ""
    return (entry.suite, entry.dataset, entry.label, entry.preset, entry.part, split)


def _row_title(row: tuple[str, ...], several_suites: bool) -> str:
    from benchmark.store.ledger import shown_suite

    suite, dataset, label, preset, part, split = row
    of = f" of suite {shown_suite(suite)}" if several_suites else ""
    return f"{label}{of} on {dataset}, preset {preset}, {part}{split}"


def _print_row(name: str, cells: list[dict[str, Any]], flags: list[Flag]) -> None:
    states = [cell["state"] for cell in cells]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    put(f"{name}: {counts}")
    for flag in flags:
        put(f"  flag: {flag.line()}")
    for cell in cells:
        if cell["state"] != "done":
            at = f", saved at step {cell['step']}" if cell["step"] is not None else ""
            why = f": {cell['error']}" if cell["error"] else ""
            put(f"  fold {cell['fold']} seed {cell['seed']} {cell['state']}{at}{why}")


def _cell(workspace: Workspace, entry: Entry) -> dict[str, Any]:
    from benchmark.analysis.flags import flag_texts

    step = next(
        (s for key in entry.nodes if (s := workspace.objects.checkpoint_step(key)) is not None),
        None,
    )
    names = ("suite", "dataset", "label", "preset", "part", "fold", "seed", "key")
    return {
        **{name: getattr(entry, name) for name in names},
        "state": _state(workspace, entry),
        "step": step,
        "error": entry.error,
        "flags": list(flag_texts(entry)),
    }


def _state(workspace: Workspace, entry: Entry) -> str:
    """Derived from the disk: the ledger only knows that a cell was started."""
    if entry.state == "failed":
        return "failed"
    if workspace.results.has(entry.key, entry.evaluation):
        return "done"
    if any(workspace.objects.is_training(key) for key in entry.nodes):
        return "running"
    return "lost: run it again" if entry.state == "done" else "stopped"
