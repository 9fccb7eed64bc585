"""A suite on standard output: a table for people, or JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchmark.cli.out import put, result
from benchmark.cli.session import say
from benchmark.cli.show import (
    ceiling_texts,
    ceiling_words,
    number_text,
    results,
    warn_of_mixtures,
)
from benchmark.reporting.ceiling_lines import NAMES, Ceilings, alike, ceilings_of
from benchmark.reporting.flag_guide import how_to_read
from benchmark.reporting.flags import Flag, flags_of
from benchmark.reporting.reading.groups import common_overrides, no_verdict
from benchmark.reporting.tables import MEAN, Line, Missing, table
from benchmark.running.resolve import without
from benchmark.running.standing import fill_command
from benchmark.scoring.surface import described

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.running.standing import Standing
    from benchmark.store.ledger import Entry

NAMED = 5  # missing cells named one by one


def show_suite(bench: Bench, suite: Standing, *, as_json: bool) -> None:
    """Print the rows that lack no planned cell, what is missing, and what was trained."""
    shown = suite.complete()
    lines, _ = table(shown, lambda entry: bench.results.rows(entry.key, entry.evaluation))
    warn_of_mixtures(bench, shown)
    ceilings = ceilings_of(bench, shown, say=say)
    shown = list(ceilings.entries)
    told = [*_flag_lines(suite, shown), *_notes(suite)]
    if as_json:
        found = {**results(bench, lines, suite.missing), "ceilings": ceilings.as_json()}
        put(json.dumps({**found, **_about(suite, shown)}, indent=1))
        for text in (*ceilings.why_not, *told):
            print(text, file=sys.stderr)
        return
    tally = bench.tally
    _print_tables(lines, suite, ceilings)
    for text in ceiling_words(ceilings):
        put(text)
    put(
        f"trainings: {len(set(tally.trained))} done now, "
        f"{len(set(tally.reused) - set(tally.trained))} reused from the store; "
        f"{len(set(tally.fitted))} more for probes alone"
    )
    for text in told:
        put(text)


def _about(suite: Standing, shown: list[Entry]) -> dict[str, Any]:
    """What the numbers are of, and what a reader must know of them; as for `bench run`, but that a
    flag has its data set."""
    plan = suite.plan
    return {
        "flags": [{"dataset": name, **flag.as_json()} for name, flag in _flags(shown)],
        "folds": sorted(plan.folds if plan else {entry.fold for entry in shown}),
        "seeds": sorted(plan.seeds if plan else {entry.seed for entry in shown}),
        "preset": plan.preset if plan else "",
        "part": "test",
        "verdict_possible": bool(plan) and not _no_verdict(suite),
    }


def _flags(shown: list[Entry]) -> list[tuple[str, Flag]]:
    """The flags of all rows with their data set."""
    return [
        (dataset, flag)
        for dataset in dict.fromkeys(entry.dataset for entry in shown)
        for flag in flags_of(entry for entry in shown if entry.dataset == dataset)
    ]


def _flag_lines(suite: Standing, shown: list[Entry]) -> list[str]:
    several = len({entry.dataset for entry in shown}) > 1
    flags = _flags(shown)
    told = [
        f"flag: {_name(flag.row, suite)}{f' on {dataset}' if several else ''}: {flag.line()}"
        for dataset, flag in flags
    ]
    return [*told, *filter(None, [how_to_read(flag.name for _, flag in flags)])]


def _no_verdict(suite: Standing) -> str:
    """Why the suite carries no verdict; "" where it may, and without a plan."""
    if suite.plan is None:
        return ""
    shared = suite.plan.overrides
    return no_verdict(suite.plan.preset, {**shared, **common_overrides(suite.done, shared)})


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
    return [*notes, *filter(None, [_no_verdict(suite)])]


def _print_tables(lines: list[Line], suite: Standing, ceilings: Ceilings) -> None:
    """Print a table a data set: the ceilings, and one line a row; a row that lacks a cell has no
    number."""
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
        for name, cells in _ceiling_rows(chosen, organs, suite, ceilings):
            shown.add_row(escape(name), *cells, "-", "-", "-")
        for row in dict.fromkeys(line.row for line in chosen):
            shown.add_row(
                escape(_name(row, suite)), *_cells([x for x in chosen if x.row == row], organs)
            )
        for row in dict.fromkeys(x.row for x in missing if x.dataset == dataset):
            shown.add_row(escape(_name(row, suite)), *["-"] * (len(organs) + 2), "INCOMPLETE")
        width = None if result().isatty() else 140  # a pipe has no width: cut nothing off
        Console(file=result(), width=width, highlight=False).print(shown)
    put(described(["assd"]))


def _ceiling_rows(
    lines: list[Line], organs: list[str], suite: Standing, ceilings: Ceilings
) -> list[tuple[str, list[str]]]:
    """Target and grid ceiling of a data set's rows by organ; rows of another grid or of other
    patients have their own, with their names."""
    found = alike(
        (_name(row, suite), tuple(ceiling_texts(beside.get(organ)) for organ in organs))
        for row, dataset in dict.fromkeys((line.row, line.dataset) for line in lines)
        if (beside := ceilings.of(row, dataset))
    )
    return [
        (name + of, [pair[place] for pair in texts])
        for of, texts in found
        for place, name in enumerate(NAMES)
    ]


def _name(label: str, suite: Standing) -> str:
    """The row in its suite, without the overrides that all its rows share."""
    return without(label, suite.plan.overrides) if suite.plan else label


def _cells(lines: list[Line], organs: list[str]) -> list[str]:
    found = {(line.metric, line.organ): line for line in lines}
    whole = found["dsc", MEAN]
    values = [number_text(found.get(("dsc", organ)), "dsc") for organ in organs]
    return [*values, number_text(found.get(("assd", MEAN)), "assd"), str(whole.n),
            str(whole.n_missed)]  # fmt: skip
