"""`bench score`: score stored label maps again, by the definitions of now."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import add_common, option
from benchmark.cli.out import put, put_json, say, warn
from benchmark.cli.session import mlflow_there, stored
from benchmark.errors import BadInput, near
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.running.own_scores import OwnScored
    from benchmark.running.rescoring import Rescored
    from benchmark.scoring.own import OwnMetric
    from benchmark.store.ledger import Entry
    from benchmark.store.workspace import Workspace

HELP = "score stored label maps again, by the definitions of now and by metrics of your own; "
HELP += "trains and predicts nothing"
SCORED, CURRENT = "scored again", "already current"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    option(parser, "rows", "ROW", "a row, or a label as tables print it (default: all)", nargs="*")
    option(parser, "--suite", "NAME", "default: all suites")
    option(parser, "--dataset", "NAME", "default: all")
    about = "a metric of your own, by which to score beside ours; may be repeated (default: all "
    about += "that are installed, see docs/own.md)"
    option(parser, "--metric", "NAME", about, action="append", default=[])
    option(parser, "--mlflow", "URI", "send it there too, or none (default: local, if there)")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0, or 1 where a result is not of the definitions of now and could
    not be scored. Raises `BadInput`."""
    from benchmark.running.own_scores import score_own
    from benchmark.running.rescoring import rescore
    from benchmark.settings.registry import load_registry

    workspace, metrics = stored(args, writing=True), _metrics(args.metric)
    entries = _chosen(args, workspace)
    apart = [entry for entry in entries if _run_scores(entry)]
    ours = [entry for entry in entries if not _run_scores(entry)]
    found = rescore(ours, workspace, load_registry(), done=_say)
    own = score_own([*(one.entry for one in found), *apart], metrics, workspace)
    again = {one.entry.name: one.entry for one in found if one.state == SCORED}
    again |= {
        one.entry.name: one.entry
        for one in own
        if one.state == "scored" and not _run_scores(one.entry)
    }
    if again and (uri := mlflow_there(args)):  # `bench sync` would tell it the same
        from benchmark.running.mlflow_runs import mirror_again

        mirror_again(workspace, again.values(), uri, warn)
    if args.json:
        put_json({**_json(found), "own": [_own_json(one) for one in own]})
    else:
        _print(found)
        _print_own(own)
    return 1 if any(map(_lacks, found)) or any(x.state == "not scored" for x in own) else 0


def _run_scores(entry: Entry) -> bool:
    """Whether `bench run --test-on` scores a cell again; masks of other tools it does not have."""
    from benchmark.store.ledger import ON

    return entry.part.startswith(ON) and not entry.outside


def _metrics(names: list[str]) -> dict[str, OwnMetric]:
    """The metrics of one's own to score by; a package that failed is named. Raises `BadInput`."""
    from benchmark.settings.metrics import load_metrics

    installed = load_metrics()
    for problem in installed.problems:
        warn(f"a package of metrics failed: {problem}")
    return {name: installed.metric(name) for name in names or installed.metrics}


def _chosen(args: argparse.Namespace, workspace: Workspace) -> list[Entry]:
    """The cells that the options name; raises `BadInput` for a name that is not there."""
    from benchmark.analysis.naming import short
    from benchmark.analysis.suites import chosen_suite

    suite = chosen_suite(workspace, args.suite).name
    known = [e for e in workspace.ledger.compared() if not args.suite or e.suite == suite]
    datasets = list(dict.fromkeys(entry.dataset for entry in known))
    if args.dataset and args.dataset not in datasets:
        told = f"{near(args.dataset, datasets)}there is {', '.join(datasets)}"
        raise BadInput(f"no cell on data set {args.dataset!r}: {told}")
    known = [entry for entry in known if args.dataset in (None, entry.dataset)]
    names = {entry.name: {entry.label, short(entry.label), entry.row} for entry in known}
    there = set().union(*names.values())
    if lost := [row for row in args.rows if row not in there]:
        rows = dict.fromkeys(short(entry.label) for entry in known)
        told = f"{near(lost[0], rows)}there is {', '.join(rows) or 'nothing'}"
        raise BadInput(f"no row {lost[0]!r} among these cells: {told}")
    return [entry for entry in known if not args.rows or names[entry.name] & set(args.rows)]


def _say(one: Rescored) -> None:
    if one.state == SCORED:
        say(f"{_name(one.entry)}: {one.state}")


def _name(entry: Entry) -> str:
    from benchmark.store.ledger import shown_suite

    inner = "" if entry.part == "test" else f", {entry.part}"
    return (
        f"{entry.label} on {entry.dataset} fold {entry.fold} seed {entry.seed}, suite "
        f"{shown_suite(entry.suite)}, preset {entry.preset}{inner}"
    )


def _lacks(one: Rescored) -> bool:
    """Whether there is a result that could not be scored; a cell that never ended has none."""
    return one.state not in (SCORED, CURRENT) and one.entry.state == "done"


def _print(found: list[Rescored]) -> None:
    states = dict.fromkeys([SCORED, CURRENT, *(one.state for one in found)])
    counts = {state: sum(one.state == state for one in found) for state in states}
    put("; ".join(f"{state}: {counted(number, 'cell')}" for state, number in counts.items()))
    for one in found:
        if one.why:
            put(f"  {_name(one.entry)}: {one.state}, {one.why}")


def _print_own(own: list[OwnScored]) -> None:
    for metric in dict.fromkeys(one.metric for one in own):
        states = [one.state for one in own if one.metric == metric]
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        put(f"{metric}: " + "; ".join(f"{s}: {counted(n, 'cell')}" for s, n in counts.items()))
    for one in own:
        if one.why:
            put(f"  {one.metric}, {_name(one.entry)}: {one.state}, {one.why}")


def _own_json(one: OwnScored) -> dict[str, Any]:
    names = ("suite", "dataset", "label", "preset", "fold", "seed", "part", "key", "evaluation")
    of_cell = {name: getattr(one.entry, name) for name in names}
    return {"metric": one.metric, **of_cell, "state": one.state, "why": one.why}


def _json(found: list[Rescored]) -> dict[str, Any]:
    names = ("suite", "dataset", "label", "preset", "fold", "seed", "part", "key", "evaluation")
    return {
        "scored_again": sum(one.state == SCORED for one in found),
        "already_current": sum(one.state == CURRENT for one in found),
        "cells": [
            {
                **{name: getattr(one.entry, name) for name in names},
                "state": one.state,
                "why": one.why,
            }
            for one in found
        ],
    }
