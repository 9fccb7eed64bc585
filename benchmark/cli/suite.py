"""`bench suite`: rows x data sets x folds x seeds, trained once each, by several workers."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import (
    add_common,
    add_folds,
    add_preset,
    add_sets,
    add_training,
    folds_of,
    option,
    options_of,
    say_refused,
)
from benchmark.cli.out import say
from benchmark.cli.session import keep_references
from benchmark.errors import BadInput
from benchmark.plan.wording import duration

if TYPE_CHECKING:
    from benchmark.cli.view import SuiteView
    from benchmark.data.library import DataSet
    from benchmark.running.bench import Bench
    from benchmark.running.cells import Cell
    from benchmark.running.events import Listener
    from benchmark.running.executors.local import Local
    from benchmark.running.tasks import Work
    from benchmark.settings.resolve import Setting

HELP = "compare rows over data sets, folds and seeds: bench suite --rows table1"

WORKERS = "processes (default: one a GPU; on a CPU as many as cores allow, at most 8)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    option(parser, "--name", "NAME", "the suite (default: main)", default="main")
    about = "see bench methods; also NAME[FIELD=VALUE,...] (default: table1)"
    option(parser, "--rows", "table1|controls|all|NAME,...", about, default="table1")
    option(parser, "--datasets", "NAME,...", default="phantom")
    add_preset(parser)
    add_folds(parser, "default: 0,1,2 for a preset that may give a verdict, else 0")
    add_sets(parser, "ground.NAME, or a hyper-parameter for every row that has it")
    add_training(parser, WORKERS)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0, or 1 where a cell failed. Raises `BadInput`."""
    from benchmark.analysis.suites import standing
    from benchmark.cli.show import show_suite
    from benchmark.cli.view import SuiteView, shown
    from benchmark.running.conduct import Conductor
    from benchmark.running.following import follow
    from benchmark.running.renewal import renew
    from benchmark.running.suites import suite_cells

    settings, overrides = _settings(args)
    with ExitStack() as stack:
        view = stack.enter_context(shown(SuiteView))
        bench, datasets = _open(args, view)
        executor = _executor(args, settings)
        stack.callback(executor.close)
        cells = suite_cells(settings, datasets, folds_of(args), _seeds(args))
        work = _plan(args, bench, settings, cells, overrides, executor)
        workers = len(executor.options)
        _say_plan(work, workers, view)
        view.expect(work, workers)
        with follow(args.mlflow, bench, args.name, view.warn):
            with bench.stop.listening():
                entries = Conductor(work=work, executor=executor, bench=bench).run()
            renew(cells, bench, everything=True)
            keep_references(bench, entries, args.mlflow, view)
    show_suite(bench, standing(bench, args.name), as_json=args.json)
    return 0 if all(entry.state == "done" for entry in entries) else 1


def _settings(args: argparse.Namespace) -> tuple[list[Setting], dict[str, Any]]:
    """Read rows and values; touches no disk, so that what is wrong leaves nothing behind."""
    from benchmark.running.suites import check_suite_name
    from benchmark.settings.overrides import parse
    from benchmark.settings.registry import load_registry
    from benchmark.settings.resolve import rows_named, settings_of

    check_suite_name(args.name)
    registry, overrides = load_registry(), parse(args.overrides)
    rows = rows_named(registry, args.rows)
    say_refused(registry, (row.partition("[")[0] for row in rows))
    return settings_of(registry, rows, args.preset, overrides), overrides


def _open(args: argparse.Namespace, listener: Listener) -> tuple[Bench, list[DataSet]]:
    from benchmark.data.library import open_dataset

    names = list(dict.fromkeys(name.strip() for name in args.datasets.split(",")))
    if not all(names):
        raise BadInput("--datasets: no data set; give names with commas (bench data list)")
    bench = options_of(args).open(listener)
    return bench, [open_dataset(args.root, name, say=say) for name in names]


def _executor(args: argparse.Namespace, settings: list[Setting]) -> Local:
    """The workers that the options ask for: one a GPU, or N on the CPU with their share of the
    cores."""
    from benchmark.running.crew import crew, default_workers, threads_for
    from benchmark.running.executors.local import Local

    size = settings[0].ground.size
    workers = args.workers or default_workers(args.device, threads_for(size))
    log = args.root / "logs" / f"suite-{args.name}"
    return Local(options=crew(replace(options_of(args), log=log), size, workers))


def _plan(
    args: argparse.Namespace,
    bench: Bench,
    settings: list[Setting],
    cells: list[Cell],
    overrides: dict[str, Any],
    executor: Local,
) -> Work:
    """Write the suite's plan down, before its first result; then see what is to be done."""
    from benchmark.running.renewal import renew
    from benchmark.running.suites import count_results, suite_plan
    from benchmark.running.tasks import Graph, Work

    plan = suite_plan(settings, cells, args.preset, overrides)
    bench.plans.record(args.name, plan, lambda whole: count_results(bench, cells, whole, args.name))
    executor.start()  # the workers load while the costs are counted
    renew(cells, bench)
    work = Work(graph=Graph())
    work.add(cells, bench, args.name, _seconds(cells, bench), as_suite=True)
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


def _seeds(args: argparse.Namespace) -> list[int]:
    """Three seeds are the fewest that give a p; a demonstration has no verdict to give."""
    from benchmark.plan.analysis import AnalysisPlan
    from benchmark.plan.presets import preset_named

    plan = AnalysisPlan()
    chosen = list(plan.seeds) if preset_named(args.preset).verdict else [0]
    return chosen if args.seeds is None else list(args.seeds)


def _say_plan(work: Work, workers: int, view: SuiteView) -> None:
    """Print what is stored, what is left, and how long it will take."""
    left = work.graph.left
    trainings = [task for task in left if not task.scores]
    seconds = sum(task.seconds for task in left) / workers
    view.print(
        f"{len(work.entries)} cells, {len(work.cached)} of them done; {len(trainings)} trainings "
        f"to do, {len(work.reused)} in the store; about {duration(seconds)} with {workers} "
        f"worker{'s' if workers > 1 else ''}"
    )
