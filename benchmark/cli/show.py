"""Results on standard output: a table for people, or JSON for programs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmark.plan.presets import demonstration
from benchmark.reporting.flags import flags_of
from benchmark.reporting.mixtures import mixtures
from benchmark.reporting.tables import Line, table

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.store.ledger import Entry

SHOWN = {"dsc": "DSC %", "assd": "ASSD mm", "hd95": "HD95 mm"}


def show_run(bench: Bench, entries: list[Entry], *, as_json: bool) -> None:
    """Print the table of a run's cells and what was trained, reused and resumed."""
    lines, missing = table(entries, lambda e: bench.results.rows(e.key, e.evaluation))
    keys = dict.fromkeys(key for entry in entries for key in entry.nodes)
    for line in mixtures(bench.objects.record(key) for key in keys if bench.objects.has(key)):
        print(f"warning: {line}", file=sys.stderr)
    tally = bench.tally
    if as_json:
        value: dict[str, Any] = {
            "table": [asdict(line) for line in lines],
            "incomplete": [asdict(cell) for cell in missing],
            "trained": len(tally.trained),
            "reused": len(set(tally.reused) - set(tally.trained)),
            "resumed": [asdict(item) for item in tally.resumed],
        }
        print(json.dumps(value, indent=1))
        return
    print_table(lines)
    if missing:
        cells = ", ".join(f"fold {cell.fold} seed {cell.seed}" for cell in missing)
        print(f"INCOMPLETE: {cells} failed")
    _print_notes(bench, entries)


def print_table(lines: list[Line]) -> None:
    """Print one line an organ, with DSC, ASSD and HD95, each with its n."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    for row, dataset, preset in dict.fromkeys((x.row, x.dataset, x.preset) for x in lines):
        chosen = [x for x in lines if (x.row, x.dataset, x.preset) == (row, dataset, preset)]
        title = escape(f"{row} on {dataset}, preset {preset}")  # else [xi=1] would be markup
        shown = Table(title=title, title_justify="left")
        for heading in ("organ", *SHOWN.values(), "patients", "missed"):
            shown.add_column(heading, justify="left" if heading == "organ" else "right")
        for organ in dict.fromkeys(line.organ for line in chosen):
            by_metric = {line.metric: line for line in chosen if line.organ == organ}
            values = [number_text(by_metric.get(metric), metric) for metric in SHOWN]
            dsc = by_metric["dsc"]
            shown.add_row(organ, *values, str(dsc.n), str(dsc.n_missed))
        # a pipe has no width: give the table what it needs instead of cutting numbers off
        width = None if sys.stdout.isatty() else 120
        Console(width=width, highlight=False).print(shown)


def number_text(line: Line | None, metric: str) -> str:
    """Return a mean with its sd as a table shows it, "-" where there is none."""
    if line is None or line.mean is None:
        return "-"
    digits = 1 if metric == "dsc" else 2
    sd = "" if line.sd is None else f" +- {line.sd:.{digits}f}"
    return f"{line.mean:.{digits}f}{sd}"


def _print_notes(bench: Bench, entries: list[Entry]) -> None:
    tally = bench.tally
    reused = len(set(tally.reused) - set(tally.trained))
    fitted = len(set(tally.fitted))
    probes = f"; {fitted} more for probes alone" if fitted else ""
    print(f"trainings: {len(tally.trained)} done now, {reused} reused from the store{probes}")
    for item in tally.resumed:
        print(f"training {item.key} was resumed from step {item.step}")
    first = entries[0]
    folds = sorted({entry.fold for entry in entries})
    seeds = sorted({entry.seed for entry in entries})
    part = "inner validation patients (tuning)" if first.part == "inner" else "test patients"
    print(f"folds {folds}, seeds {seeds}, {part}; means over patients, +- sd over patients")
    for flag in flags_of(entries):
        print(f"flag: {flag.row}: {flag.line()}")
    if note := demonstration(first.preset):
        print(note)
