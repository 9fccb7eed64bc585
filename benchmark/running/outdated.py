"""What of a table was made by other code than that of now: for commands that only read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmark.errors import BadInput
from benchmark.files.code import Code
from benchmark.plan.nodes import Method, Row, in_order, probes_of, stages_of
from benchmark.plan.wording import named
from benchmark.running.cells import scoring_code
from benchmark.running.execute import training_code
from benchmark.running.probing import probe_code
from benchmark.settings.registry import Registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace


def outdated_line(workspace: Workspace, entries: Iterable[Entry], rows: Mapping[str, Row]) -> str:
    """Return the line on the trainings and rows of these cells that other code made, "" where all
    are of the code of now. A row that is not known here any more is not asked about."""
    known = [entry for entry in entries if entry.row.partition("@")[0] in rows]
    now = code_now(known, rows)
    changed: dict[str, tuple[str, ...]] = {}
    for what, fingerprint in _made_by(workspace, known).items():
        if names := workspace.codes.outdated(fingerprint, now):
            changed[what] = names
    if not changed:
        return ""
    all_names = sorted({name for found in changed.values() for name in found})
    return (
        f"{len(changed)} of the stored results here were made by other code than this bench's "
        f"({named(all_names)}): bench run --fresh makes a row again"
    )


def code_now(entries: Iterable[Entry], rows: Mapping[str, Row]) -> Code:
    """Return the code of now behind all rows of these cells."""
    registry, code = Registry(rows=dict(rows)), Code()
    seen = set()
    for entry in entries:
        row = entry.row.partition("@")[0]
        place = row, entry.preset, entry.label
        if place not in seen:
            seen.add(place)
            try:
                method = resolve(registry, row, entry.preset, dict(entry.overrides)).method
            except BadInput:  # a value that does not hold any more
                continue
            code |= code_behind(method)
    return code


def code_behind(method: Method) -> Code:
    """Return the code behind everything that a method trains, scores and measures."""
    code = Code()
    for final in (method.plan(), *stages_of(method).values()):
        code |= scoring_code(final)
        for node in in_order(final.node):
            code |= training_code(node)
    for probe in probes_of(method):
        code |= probe_code(probe) | training_code(probe.node)
    return code


def _made_by(workspace: Workspace, entries: Iterable[Entry]) -> dict[str, str]:
    """The fingerprint of the code behind each stored training and evaluation of the cells."""
    found: dict[str, str] = {}
    for entry in entries:
        for key in entry.nodes:
            if key not in found and workspace.objects.has(key):
                found[key] = str(workspace.objects.record(key).get("code"))
        places = [(entry.key, entry.evaluation), *((k, e) for _, k, e in entry.probes)]
        for place in places:
            if workspace.results.intact(*place):
                found["/".join(place)] = workspace.results.code(*place)
    return found
