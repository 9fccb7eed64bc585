"""A suite on standard output: a table for people, or JSON for programs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmark.cli.show import number_text
from benchmark.plan.presets import demonstration
from benchmark.reporting.flags import flags_of
from benchmark.reporting.mixtures import mixtures
from benchmark.reporting.tables import MEAN, Line, Missing, table
from benchmark.running.resolve import without
from benchmark.running.standing import fill_command

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.running.standing import Standing

NAMED = 5  # missing cells named one by one


def show_suite(bench: Bench, suite: Standing, *, as_json: bool) -> None:
    """Print the rows that lack no planned cell, what is missing, and what was trained."""
    shown = suite.complete()
    lines, _ = table(shown, lambda entry: bench.results.rows(entry.key, entry.evaluation))
    keys = dict.fromkeys(key for entry in shown for key in entry.nodes)
    for text in mixtures(bench.objects.record(key) for key in keys if bench.objects.has(key)):
        print(f"warning: {text}", file=sys.stderr)
    tally = bench.tally
    if as_json:
        value: dict[str, Any] = {
            "table": [asdict(line) for line in lines],
            "incomplete": [asdict(cell) for cell in suite.missing],
            "trained": len(set(tally.trained)),
            "reused": len(set(tally.reused) - set(tally.trained)),
            "resumed": [asdict(item) for item in tally.resumed],
        }
        print(json.dumps(value, indent=1))
        for text in _notes(suite):
            print(text, file=sys.stderr)
        return
    _print_tables(lines, suite)
    print(
        f"trainings: {len(set(tally.trained))} done now, "
        f"{len(set(tally.reused) - set(tally.trained))} reused from the store; "
        f"{len(set(tally.fitted))} more for probes alone"
    )
    datasets = list(dict.fromkeys(entry.dataset for entry in shown))
    for dataset in datasets:
        where = f" on {dataset}" if len(datasets) > 1 else ""
        for flag in flags_of(entry for entry in shown if entry.dataset == dataset):
            print(f"flag: {_name(flag.row, suite)}{where}: {flag.line()}")
    for text in _notes(suite):
        print(text)


def incomplete_text(suite: Standing, missing: tuple[Missing, ...]) -> str:
    """Return what is missing, and the command that runs it."""
    named = [
        f"{cell.row} on {cell.dataset} fold {cell.fold} seed {cell.seed} ({cell.state})"
        for cell in missing[:NAMED]
    ]
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    command = f"; fill it with: {fill_command(suite.name, suite.plan)}" if suite.plan else ""
    return f"INCOMPLETE: no result of {', '.join(named)}{more}{command}"


def _notes(suite: Standing) -> list[str]:
    notes = [incomplete_text(suite, suite.missing)] if suite.missing else []
    notes += [f"suite {suite.name}: {suite.post_hoc}"] if suite.post_hoc else []
    if suite.plan and suite.plan.overrides:
        values = " ".join(f"{name}={json.dumps(v)}" for name, v in suite.plan.overrides.items())
        notes.append(f"every row that has the field: {values}")
    if suite.plan and (note := demonstration(suite.plan.preset)):
        notes.append(note)
    return notes


def _print_tables(lines: list[Line], suite: Standing) -> None:
    """Print a table a data set: one line a row; a row that lacks a cell has no number."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    missing = suite.missing
    datasets = dict.fromkeys([*(x.dataset for x in lines), *(x.dataset for x in missing)])
    for dataset in datasets:
        chosen = [line for line in lines if line.dataset == dataset]
        organs = list(dict.fromkeys(x.organ for x in chosen if x.metric == "dsc"))
        shown = Table(title=f"{dataset}: DSC %, mean +- sd over patients", title_justify="left")
        shown.add_column("row")
        for heading in (*organs, "ASSD mm (mean)", "patients", "missed"):
            shown.add_column(heading, justify="right")
        for row in dict.fromkeys(line.row for line in chosen):
            shown.add_row(
                escape(_name(row, suite)), *_cells([x for x in chosen if x.row == row], organs)
            )
        for row in dict.fromkeys(x.row for x in missing if x.dataset == dataset):
            shown.add_row(escape(_name(row, suite)), *["-"] * (len(organs) + 2), "INCOMPLETE")
        width = None if sys.stdout.isatty() else 140  # a pipe has no width: cut nothing off
        Console(width=width, highlight=False).print(shown)


def _name(label: str, suite: Standing) -> str:
    """The row in its suite, without the overrides that all its rows share."""
    return without(label, suite.plan.overrides) if suite.plan else label


def _cells(lines: list[Line], organs: list[str]) -> list[str]:
    found = {(line.metric, line.organ): line for line in lines}
    whole = found["dsc", MEAN]
    values = [number_text(found.get(("dsc", organ)), "dsc") for organ in organs]
    return [*values, number_text(found.get(("assd", MEAN)), "assd"), str(whole.n),
            str(whole.n_missed)]  # fmt: skip
