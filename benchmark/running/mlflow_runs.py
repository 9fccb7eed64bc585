"""What the MLflow mirror is told, made from ledger, rows and records alone: live logging and
`bench sync` tell it the same."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from benchmark.analysis.ceiling_sources import KnownCeilings
from benchmark.analysis.ceilings import NAMES, Ceilings, ceilings_of, scored_in
from benchmark.analysis.differences import BASELINE, minus_plain, plain_row
from benchmark.analysis.flags import flag_texts, flags_of_rows
from benchmark.analysis.own import own_of
from benchmark.analysis.suites import with_rows
from benchmark.analysis.tables import MEAN, MEAN3, ScoreLine, per_patient, probe_means, table
from benchmark.data.feeding.splits import count_of
from benchmark.plan.wording import counted
from benchmark.store.ledger import ON, SCRATCH, Entry
from benchmark.store.results import ResultRow
from benchmark.store.workspace import Workspace
from benchmark.tracking.follower import send
from benchmark.tracking.report import AnyReport, CellReport, CurvePoint, RowReport, SuiteReport

REPORTS = "reports"  # ROOT/reports/SUITE: the page, tables and figures of a suite
SHORT = 250  # characters of a hyper-parameter that MLflow's tables can show


def row_reports(
    workspace: Workspace, entries: Iterable[Entry]
) -> Iterator[tuple[RowReport, Iterable[CellReport]]]:
    """Yield each row with its cells, the cells that have a result only."""
    done = with_rows(workspace, entries)
    known = KnownCeilings(workspace, lambda _: None, measuring=False)
    for _, group in groupby(sorted(done, key=row_key), key=row_key):
        members = list(group)
        row = row_report(workspace, members, known)
        yield row, (cell_report(workspace, entry, row) for entry in members)


def row_report(
    workspace: Workspace, entries: list[Entry], known: KnownCeilings | None = None
) -> RowReport:
    """Return the parent run of one row: its means over all its cells, named `cv/...`, and the
    reference lines beside them, `reference/...`, as far as they are kept. `known` holds what other
    rows opened."""
    own = own_of(workspace, entries)
    rows = {entry.name: own.rows(workspace, entry) for entry in entries}
    lines, _ = table(entries, lambda entry: rows[entry.name])
    bare = replace(_bare_row(entries[0]), patients=_patients(workspace, entries, lines))
    if bare.apart:
        where = f"apart/{bare.apart}"
        return replace(bare, metrics=_means(where, lines))
    beside = ceilings_of(
        workspace,
        entries,
        scored=lambda entry: scored_in(rows[entry.name]),
        known=known or KnownCeilings(workspace, lambda _: None, measuring=False),
    )
    more = {**_references(beside), **_difference(workspace, entries)}
    return replace(
        bare,
        metrics={**_means("cv", lines), **more},
        flags=tuple(flag.line() for flag in flags_of_rows(entries)),
    )


def _means(where: str, lines: Iterable[ScoreLine]) -> dict[str, float]:
    return {f"{where}/{x.metric}/{x.organ}": x.mean for x in lines if x.mean is not None}


def _patients(workspace: Workspace, entries: list[Entry], lines: Iterable[ScoreLine]) -> str:
    """Over how many patients a row's means are, and which part of its split is missing."""
    n = max((line.n for line in lines), default=0)
    seeds, folds = {entry.seed for entry in entries}, {entry.fold for entry in entries}
    count = count_of(workspace.root, entries[0].dataset, entries[0].split)
    if len(folds) < count:
        return f"{n}, INCOMPLETE: {len(folds)} of {counted(count, 'fold')}"
    cells = count * len(seeds)
    return f"{n}, INCOMPLETE: {len(entries)} of {cells} cells" if len(entries) < cells else str(n)


def _references(beside: Ceilings) -> dict[str, float]:
    return {
        f"reference/{_slug(name)}/{line.organ}": value
        for line in beside.lines
        if line.organ != MEAN3
        for name, value in zip(NAMES, line.mean.values, strict=True)
        if value is not None
    }


def suite_reports(workspace: Workspace, entries: Iterable[Entry]) -> Iterator[SuiteReport]:
    """Yield the named suites, once for each of their data sets, with the report on disk."""
    done = [entry for entry in with_rows(workspace, entries) if entry.suite != SCRATCH]
    for (dataset, suite), group in groupby(sorted(done, key=_suite_key), key=_suite_key):
        members = list(group)
        folder = workspace.root / REPORTS / members[0].suite
        there = folder.is_dir() and members[0].part == "test"
        yield SuiteReport(
            dataset=dataset,
            suite=suite,
            metrics={
                "suite/rows": float(len({row_key(entry) for entry in members})),
                "suite/cells": float(len(members)),
            },
            folders={"report": folder} if there else {},
        )


def attach_report(workspace: Workspace, suite: str, uri: str, say: Callable[[str], None]) -> bool:
    """Attach ROOT/reports/SUITE to the suite's run in each data set of the MLflow at `uri`.

    For whoever has written a report. Returns whether MLflow took it; `say` gets one line if not.
    """
    reports = suite_reports(workspace, workspace.ledger.entries(suite))
    return send(reports, uri, artifacts=workspace.root / "mlartifacts", warn=say)


def mirror_again(
    workspace: Workspace, entries: Iterable[Entry], uri: str, say: Callable[[str], None]
) -> bool:
    """Send cells that were scored again to the MLflow at `uri`, with their rows and suites.

    Returns whether MLflow took all; `say` gets one line if not.
    """
    chosen = {(entry.suite, entry.name) for entry in entries}
    found: list[AnyReport] = []
    for suite in sorted({suite for suite, _ in chosen}):
        everything = workspace.ledger.entries(suite)
        again = [e for e in with_rows(workspace, everything) if (suite, e.name) in chosen]
        found += [cell_report(workspace, entry) for entry in again]
        found += [row for row, _ in row_reports(workspace, everything)]
        found += suite_reports(workspace, everything)
    return send(found, uri, artifacts=workspace.root / "mlartifacts", warn=say)


def cell_report(workspace: Workspace, entry: Entry, row: RowReport | None = None) -> CellReport:
    """Return the child run of one cell, whole or as far as its trainings are."""
    records = [workspace.objects.record(key) for key in entry.nodes if workspace.objects.has(key)]
    points: list[CurvePoint] = []
    times: dict[str, float] = {}
    for record in [*records, *_probe_records(workspace, entry)]:
        points += list(_points(record["title"], record["epochs"]))
        times[f"time/{_slug(record['title'])}_seconds"] = record["seconds"]
    finished, bare = entry.state == "done", row or _bare_row(entry)
    if bare.apart:  # its trainings are shown below the row itself
        points, times, records = [], {}, []
    scored = own_of(workspace, [entry]).rows(workspace, entry) if finished else []
    metrics = _cell_metrics(scored, f"fold-apart/{bare.apart}" if bare.apart else "test")
    probed = probe_means(workspace, entry) if finished else {}
    metrics |= {f"probe/{name}": value for name, value in probed.items()}
    rows_file = workspace.results.path(entry.key, entry.evaluation) / "rows.parquet"
    files = (rows_file, *workspace.objects.weight_files(entry.key))
    return CellReport(
        row=bare,
        fold=entry.fold,
        seed=entry.seed,
        key=entry.key,
        done=finished,
        params=_params(entry),
        metrics={**metrics, **times},
        points=tuple(points),
        spec={"nodes": [{"key": r["key"], **r["spec"]} for r in records]},
        dataset_digest=entry.split,
        flags=flag_texts(entry),
        artifacts=files if finished else (),
    )


def stage_points(
    title: str, index: int, terms: dict[str, float], at_ms: int
) -> tuple[CurvePoint, ...]:
    """Return the points of one epoch of one training."""
    stage = _slug(title)
    return tuple(
        CurvePoint(name=f"train/{stage}/{term}", epoch=index, value=value, at_ms=at_ms)
        for term, value in terms.items()
    )


def _points(title: str, epochs: list[dict[str, object]]) -> Iterator[CurvePoint]:
    for epoch in epochs:
        terms = epoch["terms"]
        assert isinstance(terms, dict)
        yield from stage_points(title, int(str(epoch["index"])), terms, int(str(epoch["at_ms"])))


def _cell_metrics(rows: list[ResultRow], where: str) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        values = per_patient(row for row in rows if row.metric == metric)
        means = {organ: statistics.fmean(cases.values()) for organ, cases in values.items()}
        metrics |= {f"{where}/{metric}/{organ}": mean for organ, mean in means.items()}
        if means:
            metrics[f"{where}/{metric}/{MEAN}"] = statistics.fmean(means.values())
    return metrics


def _probe_records(workspace: Workspace, entry: Entry) -> list[dict[str, Any]]:
    """The records of the trainings that only the probes needed, parents first: live logging shows
    their curves too."""
    found: dict[str, dict[str, Any]] = {}

    def visit(key: str) -> None:
        if key not in found and key not in entry.nodes and workspace.objects.has(key):
            record = workspace.objects.record(key)
            for parent in record["parents"]:
                visit(parent)
            found[key] = record

    for _, node_key, _ in entry.probes:
        visit(node_key)
    return list(found.values())


def _difference(workspace: Workspace, entries: list[Entry]) -> dict[str, float]:
    """The paired difference to the plain row, where that has the very same cells."""
    if entries[0].row == BASELINE:
        return {}
    plain = plain_row(entries, with_rows(workspace, workspace.ledger.entries(entries[0].suite)))
    ours, theirs = (
        [row for e in group for row in _rows(workspace, e)] for group in (entries, plain)
    )
    return minus_plain(ours, theirs) if plain else {}


def _rows(workspace: Workspace, entry: Entry) -> list[ResultRow]:
    return workspace.results.rows(entry.key, entry.evaluation)


def _suite_key(entry: Entry) -> tuple[str, str]:
    return entry.dataset, _suite(entry)


def row_key(entry: Entry) -> tuple[str, ...]:
    """Return what the cells of one row share."""
    return (entry.suite, entry.dataset, entry.part, entry.label, entry.preset, entry.split)


def _bare_row(entry: Entry) -> RowReport:
    return RowReport(
        dataset=entry.dataset,
        suite=_suite(entry),
        label=entry.label,
        method=entry.row,
        preset=entry.preset,
        params=_params(entry),
        in_suite=entry.suite != SCRATCH,
        preset_hash=entry.preset_hash,
        split=entry.split if entry.own_split else "",
        apart=entry.tested_on if entry.part.startswith(ON) else "",
    )


def _suite(entry: Entry) -> str:
    """The inner patients' scores never stand beside the test patients'."""
    return entry.suite if entry.part == "test" else f"{entry.suite} ({entry.part})"


def _params(entry: Entry) -> dict[str, str]:
    short = {name: value for name, value in entry.params.items() if len(value) <= SHORT}
    source = {"source": entry.outside[:SHORT]} if entry.outside else {}
    return {"method": entry.row, "preset": entry.preset, **source, **short}


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
