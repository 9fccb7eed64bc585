"""`bench report`: a suite as one page, with its tables and figures as files."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import add_common, add_suite, flag, option
from benchmark.cli.out import note, put, put_json, say, warn
from benchmark.cli.session import mlflow_there, stored

if TYPE_CHECKING:
    from benchmark.reporting.report import Report

HELP = "one page with tables, figures and the verdict of a suite"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_suite(parser)
    option(parser, "--out", "DIR", "default: reports/SUITE in the workspace", type=Path)
    about = "measure nothing from images; what was measured before is shown"
    flag(parser, "--skip-hard-cases", about)
    about = "attach the report to the suite there, or none (default: local, where there is one)"
    option(parser, "--mlflow", "URI", about)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Write the report; returns 0. Raises `BadInput`."""
    from benchmark.analysis.suites import chosen_suite, older_line
    from benchmark.plan.analysis import AnalysisPlan
    from benchmark.reporting.chapter import Asked
    from benchmark.reporting.page import check_place, write_report
    from benchmark.reporting.report import make_report
    from benchmark.running.renewal import outdated_line
    from benchmark.settings.registry import load_registry
    from benchmark.store.plans import post_hoc
    from benchmark.store.workspace import is_read_only

    workspace = stored(args)
    chosen = chosen_suite(workspace, args.suite)
    suite = chosen.name
    out = args.out or args.root / "reports" / suite
    check_place(out)
    if is_read_only(args.root) and not args.skip_hard_cases:
        say("the workspace cannot be written: what was not measured from images before stays out")
    versions = workspace.plans.versions(suite)
    plan, rows = (versions[-1].plan if versions else None), load_registry().rows
    asked = Asked(
        workspace=workspace,
        registry=rows,
        ledger=workspace.ledger.entries(),
        plan=plan.analysis if plan else AnalysisPlan(),
        timing=post_hoc(versions),
        measuring=not args.skip_hard_cases and not is_read_only(args.root),
        say=say,
        outdated=lambda entries, codes: outdated_line(workspace, entries, rows, codes),
    )
    report = make_report(suite, plan, asked)
    write_report(report, out)
    if older := older_line(workspace, [e for e in asked.ledger if e.suite == suite]):
        warn(older)
    say(chosen.line)
    if not args.out and (uri := mlflow_there(args)):
        from benchmark.running.mlflow_runs import attach_report

        attach_report(workspace, suite, uri, say)
    if args.json:
        put_json(_value(report))
    else:
        _print(report, out)
    return 0


def _value(report: Report) -> dict[str, Any]:
    chapters = [part.chapter for part in report.parts]
    organs = {organ for chapter in chapters for organ in chapter.scores.organs}
    shown = {*organs, "mean", "headline"}
    return {
        "table": [
            {**asdict(x), "split": c.group.split}
            for c in chapters
            for x in c.lines
            if x.organ in shown
        ],
        "incomplete": [asdict(cell) for cell in report.missing],
        "trained": 0,
        "reused": len({key for chapter in chapters for key in chapter.trainings}),
        "resumed": [],
        "ceilings": [
            {**line, "split": c.group.split} for c in chapters for line in c.ceilings.as_json()
        ],
    }


def _print(report: Report, out: Path) -> None:
    for part in report.parts:
        for sentence in part.lead.answer:
            put(sentence)
        for line in part.incomplete:
            put(f"INCOMPLETE: {line}")
        for line in part.lead.missing:
            put(line)
    if report.overall:
        put(report.overall)
    note(f"the report is {out / 'index.html'}")
