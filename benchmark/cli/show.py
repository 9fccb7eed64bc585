"""Results on standard output: a table for people, or JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import default_root
from benchmark.cli.out import put, result
from benchmark.cli.session import say
from benchmark.reporting.ceiling_lines import NAMES, WHAT, CeilingLine, Ceilings, ceilings_of
from benchmark.reporting.flag_guide import how_to_read
from benchmark.reporting.flags import flags_of
from benchmark.reporting.mixtures import mixtures, value_mixtures
from benchmark.reporting.next_step import next_of
from benchmark.reporting.reading.groups import common_overrides, no_verdict
from benchmark.reporting.reading.seen import seen_of
from benchmark.reporting.shown import text_of
from benchmark.reporting.tables import HEADLINE, Line, Missing, table
from benchmark.running.code import old_line
from benchmark.scoring.surface import described

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.store.ledger import Entry

SHOWN = {"dsc": "DSC %", "assd": "ASSD mm", "hd95": "HD95 mm"}


def show_run(bench: Bench, entries: list[Entry], *, as_json: bool) -> None:
    """Print the table of a run's cells, what was trained, reused and resumed, and what a reader
    must know of them; with JSON the last goes to standard error too."""
    lines, missing = table(entries, lambda e: bench.results.rows(e.key, e.evaluation))
    warn_of_mixtures(bench, entries)
    ceilings = ceilings_of(bench, entries, say=say)
    entries = list(ceilings.entries)
    shows = _shows(bench, entries)
    if as_json:
        found = {**results(bench, lines, missing), "ceilings": ceilings.as_json()}
        put(json.dumps({**found, "shows": shows, **_about(entries)}, indent=1))
        for text in (*ceilings.why_not, *_warnings(entries)):
            print(text, file=sys.stderr)
        return
    print_table(lines, ceilings)
    put(f"this run shows: {shows['text']}")
    put(f"next: {shows['next']}")
    put(described(["assd", "hd95"]))
    for text in (*ceiling_words(ceilings), *_words(lines)):
        put(text)
    if missing:
        cells = ", ".join(f"fold {cell.fold} seed {cell.seed}" for cell in missing)
        put(f"INCOMPLETE: {cells} failed")
    _print_notes(bench, entries)


def warn_of_mixtures(bench: Bench, entries: Iterable[Entry]) -> None:
    """Say on standard error where the trainings of one table are not of one kind, and how many
    results of other code the command used."""
    entries = list(entries)
    keys = dict.fromkeys(key for entry in entries for key in entry.nodes)
    records = [bench.objects.record(key) for key in keys if bench.objects.has(key)]
    lines = (*mixtures(records, bench.codes), *value_mixtures(entries), old_line(bench.tally.old))
    for line in filter(None, lines):
        print(f"warning: {line}", file=sys.stderr)


def results(bench: Bench, lines: Iterable[Line], missing: Iterable[Missing]) -> dict[str, Any]:
    """Return a table, what it lacks and what was trained for it, as plain values."""
    tally = bench.tally
    return {
        "table": [asdict(line) for line in lines],
        "incomplete": [asdict(cell) for cell in missing],
        "trained": len(set(tally.trained)),
        "reused": len(set(tally.reused) - set(tally.trained)),
        "resumed": [asdict(item) for item in tally.resumed],
    }


def _shows(bench: Bench, entries: list[Entry]) -> dict[str, str]:
    """What the run shows, in plain words, and the command to type next."""
    root = "" if bench.root == default_root() else str(bench.root)
    seen = seen_of(bench, entries, root=root)
    return {"text": text_of(seen), "next": next_of(seen)}


def _about(entries: list[Entry]) -> dict[str, Any]:
    """What the numbers are of, and what a reader must know of them."""
    first = entries[0]
    return {
        "flags": [flag.as_json() for flag in flags_of(entries)],
        "folds": sorted({entry.fold for entry in entries}),
        "seeds": sorted({entry.seed for entry in entries}),
        "preset": first.preset,
        "part": first.part,
        "verdict_possible": not _no_verdict(entries),
    }


def _warnings(entries: list[Entry]) -> list[str]:
    flags = flags_of(entries)
    told = [f"flag: {flag.row}: {flag.line()}" for flag in flags]
    more = how_to_read(flag.name for flag in flags)
    return [*told, *filter(None, [more, _no_verdict(entries)])]


def _no_verdict(entries: list[Entry]) -> str:
    """Why the run carries no verdict; "" where it may."""
    first = entries[0]
    inner = "" if first.part == "test" else "inner validation patients: for tuning, no verdict"
    return no_verdict(first.preset, common_overrides(entries, {})) or inner


def print_table(lines: list[Line], ceilings: Ceilings) -> None:
    """Print one line an organ, with DSC, its ceilings where they are known, ASSD and HD95, each
    with its n."""
    for row, dataset, preset in dict.fromkeys((x.row, x.dataset, x.preset) for x in lines):
        chosen = [x for x in lines if (x.row, x.dataset, x.preset) == (row, dataset, preset)]
        beside = ceilings.of(row, dataset)
        body = []
        for organ in dict.fromkeys(line.organ for line in chosen):
            by_metric = {line.metric: line for line in chosen if line.organ == organ}
            dsc_text, *others = (number_text(by_metric.get(metric), metric) for metric in SHOWN)
            values = (dsc_text, *(ceiling_texts(beside.get(organ)) if beside else ()), *others)
            dsc = by_metric["dsc"]
            body.append((organ, *values, str(dsc.n), str(dsc.n_missed)))
        dsc_title, *titles = SHOWN.values()
        both = NAMES if beside else ()
        headings = ("organ", dsc_title, *both, *titles, "patients", "missed")
        print_rows(f"{row} on {dataset}, preset {preset}", headings, body)


def ceiling_texts(line: CeilingLine | None) -> tuple[str, str]:
    """Return target and grid ceiling as a table shows them, "-" where there is none."""
    return ("-", "-") if line is None else (f"{line.target:.1f}", f"{line.grid:.1f}")


def ceiling_words(ceilings: Ceilings) -> list[str]:
    """Return what the ceilings of a table are, and why rows have none."""
    return [*([WHAT] if ceilings.lines else []), *ceilings.why_not]


def _words(lines: list[Line]) -> list[str]:
    """What the words in a run's table mean that are neither organs nor metrics."""
    organs = {line.organ for line in lines}
    shared = " and ".join(organ for organ in HEADLINE if organ in organs)
    stages = dict.fromkeys(line.row.rpartition("@")[2] for line in lines if "@" in line.row)
    told = [f"headline: the mean over {shared}"] if "headline" in organs else []
    return [*told, *(f"NAME@{stage}: the row before its later trainings" for stage in stages)]


def print_rows(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    width: int = 120,
) -> None:
    """Print a table whose first `left` columns are words. A pipe has no width: there it gets
    `width` letters, so that no number is cut off."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(title), title_justify="left")  # else [xi=1] would be markup
    for place, heading in enumerate(headings):
        shown.add_column(heading, justify="left" if place < left else "right")
    for row in rows:
        shown.add_row(*map(escape, row))
    console = Console(file=result(), width=None if result().isatty() else width, highlight=False)
    console.print(shown)


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
    put(f"trainings: {len(tally.trained)} done now, {reused} reused from the store{probes}")
    for item in tally.resumed:
        put(f"training {item.key} was resumed from step {item.step}")
    first = entries[0]
    folds = sorted({entry.fold for entry in entries})
    seeds = sorted({entry.seed for entry in entries})
    part = "inner validation patients (tuning)" if first.part == "inner" else "test patients"
    put(f"folds {folds}, seeds {seeds}, {part}; means over patients, +- sd over patients")
    for text in _warnings(entries):
        put(text)
