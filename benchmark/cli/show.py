"""Results on standard output, of a run and of a suite: a table for people, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmark.analysis.ceiling_sources import Scored
from benchmark.analysis.ceilings import (
    NAMES,
    Ceilings,
    ceiling_texts,
    ceilings_of,
    scored_in,
)
from benchmark.analysis.flag_guide import how_to_read
from benchmark.analysis.flags import flags_by_set, flags_of_rows, mixtures, value_mixtures
from benchmark.analysis.groups import common_overrides, no_verdict
from benchmark.analysis.own import not_scored, own_of
from benchmark.analysis.seen import seen_of
from benchmark.analysis.seen_row import next_of
from benchmark.analysis.shown import text_of
from benchmark.analysis.sight import Sight, suite_sights
from benchmark.analysis.suites import Missing, Standing, fill_command
from benchmark.analysis.tables import ScoreLine, number_text, table
from benchmark.cli.options import default_root
from benchmark.cli.out import note, print_rows, put, put_json, say
from benchmark.cli.show_rows import (
    apart_cells,
    apart_headings,
    apart_text,
    folds_text,
    own_titles,
    print_suite,
    row_name,
    words_of,
)
from benchmark.files.roots import shown
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.presets import scope_note
from benchmark.running.code import old_line
from benchmark.scoring.surface import described
from benchmark.settings.resolve import without
from benchmark.store.ledger import shown_suite

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.running.held_out import Apart
    from benchmark.store.ledger import Entry
    from benchmark.store.results import ResultRow

SHOWN = {"dsc": "DSC %", "assd": "ASSD mm", "hd95": "HD95 mm"}
NAMED = 5  # missing cells named one by one


def show_run(
    bench: Bench, entries: list[Entry], *, as_json: bool, apart: Apart | None = None
) -> None:
    """Print the table of a run's cells, beside them the scores on a set that was kept `apart`, what
    was trained, reused and resumed, and what a reader must know of them; with JSON the last goes to
    standard error too."""
    lines, missing, ceilings = _table(bench, entries)
    entries = list(ceilings.entries)
    shows, first, why_not = _shows(bench, entries), entries[0], _no_verdict_of_run(entries)
    told = [*_flag_lines(entries, {}), *filter(None, [why_not, not_scored(bench, entries)])]
    if as_json:
        about = {
            "shows": shows,
            "flags": [flag.as_json() for flag in flags_of_rows(entries)],
            "folds": sorted({entry.fold for entry in entries}),
            "seeds": sorted({entry.seed for entry in entries}),
            "preset": first.preset,
            "part": first.part,
            "verdict_possible": not why_not,
            **({"test_on": asdict(apart)} if apart else {}),
        }
        _put_json({**_results(bench, lines, missing, ceilings), **about}, ceilings, told)
        return
    _print_run(lines, ceilings, apart)
    put(f"this run shows: {shows['text']}")
    put(f"next: {shows['next']}")
    put(described(["assd", "hd95"]))
    for text in (*ceilings.words, *words_of(lines)):
        put(text)
    if missing:
        cells = ", ".join(f"fold {cell.fold} seed {cell.seed}" for cell in missing)
        put(f"INCOMPLETE: {cells} failed")
    _print_notes(bench, entries, told)


def show_suite(bench: Bench, suite: Standing, *, as_json: bool) -> None:
    """Print the rows that lack no planned cell, what is missing, and what was trained."""
    lines, _, ceilings = _table(bench, suite.complete())
    shown, plan = list(ceilings.entries), suite.plan
    told = [*_flag_lines(shown, plan.overrides if plan else {}), *_notes(suite)]
    sights = _sights(bench, suite, shown)
    if as_json:
        about = {  # as for `bench run`, but that a flag has its data set
            "flags": [{"dataset": name, **flag.as_json()} for name, flag in flags_by_set(shown)],
            "folds": sorted(plan.folds if plan else {entry.fold for entry in shown}),
            "seeds": sorted(plan.seeds if plan else {entry.seed for entry in shown}),
            "preset": plan.preset if plan else "",
            "part": "test",
            "verdict_possible": bool(plan) and not _no_verdict(suite),
            "could_show": [{"dataset": name, **each.as_json()} for name, each in sights.items()],
        }
        _put_json({**_results(bench, lines, suite.missing, ceilings), **about}, ceilings, told)
        return
    print_suite(lines, suite, ceilings)
    for text in (*ceilings.words, *words_of(lines)):
        put(text)
    for name, each in sights.items():
        put(f"{name}: {each.text}" if len(sights) > 1 else each.text)
    tally = bench.tally
    put(
        f"trainings: {len(set(tally.trained))} done now, {tally.untouched} reused from the store; "
        f"{len(set(tally.fitted))} more for probes alone"
    )
    for text in told:
        put(text)


def _sights(bench: Bench, suite: Standing, shown: list[Entry]) -> dict[str, Sight]:
    """What size of difference each table could have shown, by data set."""
    plan = suite.plan.analysis if suite.plan else AnalysisPlan()
    return suite_sights(bench, shown, plan, lambda label: row_name(label, suite))


def _table(bench: Bench, entries: list[Entry]) -> tuple[list[ScoreLine], list[Missing], Ceilings]:
    """The lines of cells, those without rows, and the ceilings; what they mix is said. Each cell's
    rows are read once."""
    known: dict[tuple[str, str], list[Scored]] = {}
    own = own_of(bench, entries)

    def rows(entry: Entry) -> list[ResultRow]:
        found = own.rows(bench, entry)
        known[entry.key, entry.evaluation] = scored_in(found)
        return found

    def scored(entry: Entry) -> list[Scored]:
        return known[entry.key, entry.evaluation] if entry.state == "done" else []

    lines, missing = table(entries, rows)
    _warn_of_mixtures(bench, entries, own.lines)
    return lines, missing, ceilings_of(bench, entries, say=say, scored=scored)


def _warn_of_mixtures(bench: Bench, entries: list[Entry], more: Iterable[str]) -> None:
    """Say on standard error where the trainings of one table are not of one kind, how many results
    of other code the command used, and `more`."""
    keys = dict.fromkeys(key for entry in entries for key in entry.nodes)
    records = [bench.objects.record(key) for key in keys if bench.objects.has(key)]
    lines = (
        *mixtures(records, bench.codes),
        *value_mixtures(entries),
        old_line(bench.tally.old),
        *more,
    )
    for line in filter(None, lines):
        note(f"warning: {line}")


def _results(
    bench: Bench, lines: Iterable[ScoreLine], missing: Iterable[Missing], ceilings: Ceilings
) -> dict[str, Any]:
    """A table, what it lacks, what was trained for it, and its ceilings, as plain values."""
    tally = bench.tally
    return {
        "table": [asdict(line) for line in lines],
        "incomplete": [asdict(cell) for cell in missing],
        "trained": len(set(tally.trained)),
        "reused": tally.untouched,
        "resumed": [asdict(item) for item in tally.resumed],
        "ceilings": ceilings.as_json(),
    }


def _put_json(found: dict[str, Any], ceilings: Ceilings, told: Iterable[str]) -> None:
    """Print JSON, and on standard error what a person must know of it."""
    put_json(found)
    for text in (*ceilings.why_not, *told):
        note(text)


def _shows(bench: Bench, entries: list[Entry]) -> dict[str, str]:
    """What the run shows, in plain words, and the command to type next."""
    root = (
        "" if bench.root == default_root() else shown(bench.root).replace("\\", "/")
    )  # any shell takes it
    seen = seen_of(bench, entries, root=root)
    return {"text": text_of(seen), "next": next_of(seen)}


def _no_verdict_of_run(entries: list[Entry]) -> str:
    """Why the run carries no verdict; "" where it may."""
    first = entries[0]
    inner = "" if first.part == "test" else "inner validation patients: for tuning, no verdict"
    return no_verdict(first.preset, common_overrides(entries, {})) or inner


def _print_run(lines: list[ScoreLine], ceilings: Ceilings, apart: Apart | None) -> None:
    """Print one line an organ, with DSC, its reference lines where they are known, ASSD and HD95,
    each with its n, and the DSC on a set that was kept apart."""
    for row, dataset, preset in dict.fromkeys((x.row, x.dataset, x.preset) for x in lines):
        chosen = [x for x in lines if (x.row, x.dataset, x.preset) == (row, dataset, preset)]
        beside = ceilings.of(row, dataset)
        titled, body = SHOWN | own_titles(chosen), []
        for organ in dict.fromkeys(line.organ for line in chosen):
            by_metric = {line.metric: line for line in chosen if line.organ == organ}
            dsc_text, *others = (number_text(by_metric.get(metric), metric) for metric in titled)
            values = (dsc_text, *(ceiling_texts(beside.get(organ)) if beside else ()), *others)
            dsc = by_metric["dsc"]
            body.append(
                (organ, *values, str(dsc.n), str(dsc.n_missed), *apart_cells(row, organ, apart))
            )
        dsc_title, *titles = titled.values()
        references = NAMES if beside else ()
        beside_it = apart_headings(apart)
        headings = (
            "organ or mean",
            dsc_title,
            *references,
            *titles,
            "patients",
            "missed",
            *beside_it,
        )
        title = f"{row} on {dataset}, preset {preset}{folds_text(ceilings.entries)}"
        print_rows(title, headings, body, width=160 + 20 * len(beside_it))
    if apart:
        put(apart_text(apart))


def _print_notes(bench: Bench, entries: list[Entry], told: list[str]) -> None:
    tally = bench.tally
    fitted = len(set(tally.fitted))
    probes = f"; {fitted} more for probes alone" if fitted else ""
    put(
        f"trainings: {len(tally.trained)} done now, {tally.untouched} reused from the store{probes}"
    )
    for item in tally.resumed:
        put(f"training {item.key} was resumed from step {item.step}")
    first = entries[0]
    folds = sorted({entry.fold for entry in entries})
    seeds = sorted({entry.seed for entry in entries})
    part = "inner validation patients (tuning)" if first.part == "inner" else "test patients"
    put(f"folds {folds}, seeds {seeds}, {part}; means over patients, +- sd over patients")
    for text in told:
        put(text)


def _flag_lines(entries: list[Entry], shared: Mapping[str, Any]) -> list[str]:
    """The flags of rows, named without the values that all of them share."""
    several = len({entry.dataset for entry in entries}) > 1
    flags = flags_by_set(entries)
    told = [
        f"flag: {without(flag.row, shared)}{f' on {dataset}' if several else ''}: {flag.line()}"
        for dataset, flag in flags
    ]
    return [*told, *filter(None, [how_to_read(flag.name for _, flag in flags)])]


def _no_verdict(suite: Standing) -> str:
    """Why the suite carries no verdict; "" where it may, and without a plan."""
    if suite.plan is None:
        return ""
    shared, preset = suite.plan.overrides, suite.plan.preset
    if why := no_verdict(preset, {**shared, **common_overrides(suite.done, shared)}):
        return why
    named = preset in suite.plan.analysis.presets
    return "" if named else f"preset {preset}: no verdict, the plan of analysis does not name it"


def incomplete_text(
    suite: Standing, missing: tuple[Missing, ...], commands: Sequence[str] = ()
) -> str:
    """Return what is missing, and the command that runs it: the suite's, else those given."""
    named = [
        f"{cell.row} on {cell.dataset} fold {cell.fold} seed {cell.seed} ({cell.state})"
        for cell in missing[:NAMED]
    ]
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    fill = [fill_command(suite.name, suite.plan)] if suite.plan else [*filter(None, commands)]
    command = f"; fill it with: {'; '.join(fill)}" if fill else ""
    return f"INCOMPLETE: no result of {', '.join(named)}{more}{command}"


def _notes(suite: Standing) -> list[str]:
    notes = [incomplete_text(suite, suite.missing)] if suite.missing else []
    notes += [f"suite {shown_suite(suite.name)}: {suite.post_hoc}"] if suite.post_hoc else []
    if suite.plan and suite.plan.overrides:
        values = " ".join(f"{name}={json.dumps(v)}" for name, v in suite.plan.overrides.items())
        notes.append(f"every row that has the field: {values}")
    scope = scope_note(suite.plan.preset) if suite.plan else ""
    return [*notes, *filter(None, [_no_verdict(suite) or scope])]
