"""`bench suite`: rows x data sets x folds x seeds, trained once each, by several workers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.executors import SLURM, add_executor, wanted_of
from benchmark.cli.options import (
    add_common,
    add_folds,
    add_preset,
    add_sets,
    add_split,
    add_training,
    option,
    options_of,
    say_refused,
)
from benchmark.cli.out import say
from benchmark.cli.session import keep_references
from benchmark.cli.suite_file import SuiteOrder, orders_of
from benchmark.cli.which import split_for
from benchmark.errors import BadInput
from benchmark.plan.wording import counted, duration

if TYPE_CHECKING:
    from benchmark.cli.view import SuiteView
    from benchmark.data.feeding.folds import Split
    from benchmark.data.library import DataSet
    from benchmark.running.bench import Bench
    from benchmark.running.cells import Cell
    from benchmark.running.executors import Executor
    from benchmark.running.tasks import Work
    from benchmark.settings.resolve import Setting
    from benchmark.store.ledger import Entry

HELP = "compare rows over data sets, folds and seeds: bench suite --rows table1"

WORKERS = "processes (default: one a GPU; on a CPU as many as cores allow, at most 8)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    option(parser, "--name", "NAME", "the suite (default: main; with --config: all of the file)")
    about = "suites in a file, with their plans of analysis; all are planned before any is run"
    option(parser, "--config", "FILE", about, type=Path)
    about = "see bench methods; also NAME[FIELD=VALUE,...] (default: table1)"
    option(parser, "--rows", "table1|controls|all|NAME,...", about)
    option(parser, "--datasets", "NAME,...", "default: phantom")
    add_preset(parser, default=None)
    add_split(parser)
    add_folds(parser, "default: 0,1,2 for a preset that may give a verdict, else 0")
    add_sets(parser, "ground.NAME, or a hyper-parameter for every row that has it")
    add_training(parser, WORKERS)
    add_executor(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0, or 1 where a cell failed. Raises `BadInput`."""
    orders = orders_of(args)
    if len(orders) > 1:
        if args.json:
            raise BadInput("--json prints one suite: give its --name")
        _plan_all(args, orders)
    return max(_run(args, order) for order in orders)


def _run(args: argparse.Namespace, order: SuiteOrder) -> int:
    """Run one suite and print its rows."""
    from benchmark.cli.slurm import array_of
    from benchmark.cli.view import SuiteView, shown
    from benchmark.running.following import follow
    from benchmark.running.renewal import renew

    settings = _settings(order)
    with ExitStack() as stack:
        view = stack.enter_context(shown(SuiteView))
        bench = options_of(args).open(view)
        executor = _executor(args, order.name, settings)
        stack.callback(executor.close)
        cells = _recorded(args, bench, order, settings)
        array = array_of(args, cells, bench, order.name, "--name", order.name)
        if array and args.detach:
            return array.left()
        with follow(args.mlflow, bench, order.name, view.warn):
            ready, failed = array.ended(view.print) if array else (cells, [])
            entries = [*_conducted(bench, order.name, ready, executor, view), *failed]
            renew(cells, bench, everything=True)
            keep_references(bench, entries, args.mlflow, view)
    if not args.of_array:
        _show(args, bench, order.name)
    return 0 if all(entry.state == "done" for entry in entries) else 1


def _show(args: argparse.Namespace, bench: Bench, name: str) -> None:
    from benchmark.analysis.suites import standing
    from benchmark.cli.show import show_suite

    show_suite(bench, standing(bench, name), as_json=args.json)


def _conducted(
    bench: Bench, name: str, cells: list[Cell], executor: Executor, view: SuiteView
) -> list[Entry]:
    """Run what is left of the cells; return all their entries."""
    from benchmark.running.conduct import Conductor

    work = _plan(bench, name, cells, executor)
    workers = executor.free()
    _say_plan(work, workers, view)
    view.expect(work, workers)
    with bench.stop.listening():
        return Conductor(work=work, executor=executor, bench=bench).run()


def _plan_all(args: argparse.Namespace, orders: list[SuiteOrder]) -> None:
    """Write down the plans of several suites: none may be made after another's results."""
    from benchmark.cli.view import SuiteView, shown

    with shown(SuiteView) as view:
        bench = options_of(args).open(view)
        for order in orders:
            _recorded(args, bench, order, _settings(order))


def _settings(order: SuiteOrder) -> list[Setting]:
    """Read rows and values; touches no disk, so that what is wrong leaves nothing behind."""
    from benchmark.running.suites import check_suite_name
    from benchmark.settings.registry import load_registry
    from benchmark.settings.resolve import rows_named, settings_of

    check_suite_name(order.name)
    registry = load_registry()
    rows = rows_named(registry, order.rows)
    say_refused(registry, (row.partition("[")[0] for row in rows))
    return settings_of(registry, rows, order.preset, order.set)


def _datasets(args: argparse.Namespace, order: SuiteOrder) -> list[DataSet]:
    from benchmark.data.library import open_dataset

    names = list(dict.fromkeys(name.strip() for name in order.datasets.split(",")))
    if not all(names):
        raise BadInput("--datasets: no data set; give names with commas (bench data list)")
    return [open_dataset(args.root, name, say=say) for name in names]


def _executor(args: argparse.Namespace, name: str, settings: list[Setting]) -> Executor:
    """The workers that the options ask for: a cluster, or one a GPU, or N on the CPU with their
    share of the cores."""
    from benchmark.running.crew import crew, default_workers, executor_on_ray, threads_for
    from benchmark.running.executors.local import Local

    log = None if args.of_array else args.root / "logs" / f"suite-{name}"  # its own is SLURM's
    options = replace(options_of(args), log=log)
    if wanted := wanted_of(args):
        return executor_on_ray(options, wanted, settings)
    size = settings[0].ground.size
    workers = args.workers or default_workers(args.device, threads_for(size))
    workers = 1 if args.executor == SLURM else workers  # what it left is shown here
    return Local(options=crew(options, size, workers))


def _recorded(
    args: argparse.Namespace, bench: Bench, order: SuiteOrder, settings: list[Setting]
) -> list[Cell]:
    """Return the suite's cells, with its plan written down before its first result."""
    from benchmark.running.suites import count_results, suite_cells, suite_plan

    planned, sets = bench.plans.latest(order.name), _datasets(args, order)
    folds = None if order.folds is None else list(order.folds)
    splits = _splits(order, sets, planned.splits if planned else {})
    cells = suite_cells(settings, sets, folds, _seeds(order), splits)
    analysis = order.analysis or (planned.analysis if planned else None)
    plan = suite_plan(settings, cells, order.preset, order.set, analysis)
    bench.plans.record(
        order.name, plan, lambda whole: count_results(bench, cells, whole, order.name)
    )
    return cells


def _plan(bench: Bench, name: str, cells: list[Cell], executor: Executor) -> Work:
    """Return what is to be done."""
    from benchmark.running.renewal import renew
    from benchmark.running.tasks import Graph, Work

    executor.start()  # the workers load while the costs are counted
    renew(cells, bench)
    work = Work(graph=Graph())
    work.add(cells, bench, name, _seconds(cells, bench), as_suite=True)
    return work


def _seconds(cells: list[Cell], bench: Bench) -> dict[str, float]:
    """What trainings will take, by key. A row whose cost cannot be counted is for its worker to
    fail with, not for the whole suite."""
    from benchmark.errors import one_line
    from benchmark.running.cost import planned

    try:
        nodes, probes = planned(cells, bench)
    except BadInput:
        raise
    except (Exception, SystemExit) as error:
        bench.warn(f"the costs cannot be estimated ({one_line(error)})")
        return {}
    return {node.key: node.seconds or 0.0 for node in (*nodes, *probes)}


def _splits(order: SuiteOrder, sets: list[DataSet], planned: Mapping[str, str]) -> dict[str, Split]:
    """The folds of each data set: what `--split` or the file names, what the suite was planned
    with, or its own."""
    if order.split and len(sets) > 1:
        raise BadInput("--split is of one data set: give a suite for each with --datasets, --name")
    return {each.name: split_for(order.split, each, planned.get(each.name, "")) for each in sets}


def _seeds(order: SuiteOrder) -> list[int]:
    """Three seeds are the fewest that give a p; a demonstration has no verdict to give."""
    from benchmark.plan.analysis import AnalysisPlan
    from benchmark.plan.presets import preset_named

    usual = order.analysis or AnalysisPlan()
    chosen = list(usual.seeds) if preset_named(order.preset).verdict else [0]
    return chosen if order.seeds is None else list(order.seeds)


def _say_plan(work: Work, workers: int, view: SuiteView) -> None:
    """Print what is stored, what is left, and how long it will take."""
    left = work.graph.left
    trainings = [task for task in left if not task.scores]
    seconds = sum(task.seconds for task in left) / workers
    view.print(
        f"{counted(len(work.entries), 'cell')}, {len(work.cached)} of them done; "
        f"{counted(len(trainings), 'training')} "
        f"to do, {len(work.reused)} in the store; about {duration(seconds)} with {workers} "
        f"worker{'s' if workers > 1 else ''}"
    )
