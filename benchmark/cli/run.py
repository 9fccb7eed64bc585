"""`bench run`: one row through its trainings, folds and seeds, to rows, a table and MLflow."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benchmark.cli.executors import add_executor, wanted_of
from benchmark.cli.experiment import complete
from benchmark.cli.options import (
    add_common,
    add_setting,
    add_training,
    flag,
    option,
    options_of,
    part_of,
    setting_of,
)
from benchmark.cli.out import complain, say
from benchmark.cli.session import keep_references, open_session
from benchmark.cli.which import folds_of, split_for
from benchmark.errors import BadInput

if TYPE_CHECKING:
    from benchmark.cli.view import RunView
    from benchmark.data.library import DataSet
    from benchmark.running.bench import Bench
    from benchmark.running.cells import Cell
    from benchmark.running.crew import Left
    from benchmark.running.executors import Executor
    from benchmark.store.ledger import Entry

HELP = "train and score one row: bench run --method fsm"
TEST_ON = (
    "another data set, kept apart as a test: each network predicts all of its patients; looks are "
    "counted"
)
WORKERS = "processes that train; 1: this one (default: auto, what cores or GPUs and work allow)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_setting(parser)
    add_training(parser, WORKERS, auto=True)
    add_executor(parser)
    flag(parser, "--fresh", "train again what is stored")
    option(parser, "--test-on", "SET", TEST_ON)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0, or 1 where a cell failed. Raises `BadInput`."""
    from benchmark.cli.slurm import array_of
    from benchmark.cli.view import RunView, shown
    from benchmark.running.cells import plan_cells
    from benchmark.running.following import follow
    from benchmark.running.held_out import scored_on
    from benchmark.store.ledger import SCRATCH

    complete(args)
    setting = setting_of(args)
    with shown(RunView) as view:
        bench, dataset = open_session(args, setting, view, may_read=not args.fresh)
        split, apart = split_for(args.split, dataset), _apart(args, dataset)
        chosen, part = folds_of(args, split), part_of(args)
        cells = plan_cells(setting, dataset, folds=chosen, seeds=args.seeds, part=part, split=split)
        array = array_of(args, cells, bench, SCRATCH)
        if array and args.detach:
            return array.left()
        with follow(args.mlflow, bench, SCRATCH, view.warn):
            ready, failed = array.ended(view.print) if array else (cells, [])
            with bench.stop.listening():
                entries = [*(_entries(args, ready, bench, view) if ready else []), *failed]
                keep_references(bench, entries, args.mlflow, view)
                found = scored_on(cells, entries, apart, bench) if apart else None
    if args.of_array:
        return 0 if all(entry.state == "done" for entry in entries) else 1
    from benchmark.cli.show import show_run  # its tables load much that no training waits for

    show_run(bench, entries, as_json=args.json, apart=found)
    for entry in (entry for entry in entries if entry.state != "done"):
        complain(f"{entry.where} failed: {entry.error}")
    return 0 if all(entry.state == "done" for entry in entries) else 1


def _apart(args: argparse.Namespace, dataset: DataSet) -> DataSet | None:
    """The set that was kept apart; raises `BadInput` for one that is no test, before a training."""
    if args.test_on is None:
        return None
    from benchmark.data.library import open_dataset
    from benchmark.running.held_out import check_apart

    if args.inner:
        raise BadInput("--test-on is for rows that are trained on all: leave --inner out")
    other = open_dataset(args.root, args.test_on, say=say)
    check_apart(dataset, other)
    return other


def _entries(
    args: argparse.Namespace, cells: list[Cell], bench: Bench, view: RunView
) -> list[Entry]:
    """Run the cells, here or by several workers; of a workspace that is only read, take them."""
    from benchmark.running.cells import stored_cells
    from benchmark.running.conduct import Conductor
    from benchmark.running.crew import left_of
    from benchmark.running.renewal import renew
    from benchmark.running.tasks import Graph, Work
    from benchmark.store.ledger import SCRATCH
    from benchmark.store.workspace import is_read_only

    if is_read_only(args.root):
        return stored_cells(cells, bench)
    left = left_of(cells, bench)
    executor = _executor(args, cells, bench, left)
    try:
        executor.start()  # the workers load meanwhile
        if not bench.fresh:
            renew(cells, bench)
        work = Work(graph=Graph(in_turn=not executor.apart))
        work.add(cells, bench, SCRATCH, left.seconds)
        view.expect(work, executor.free())
        return Conductor(work=work, executor=executor, bench=bench, as_run=True).run()
    except BaseException:
        executor.stop(0)
        raise


def _executor(args: argparse.Namespace, cells: list[Cell], bench: Bench, left: Left) -> Executor:
    """Who runs the tasks: a cluster that was asked for, where something is left to train; else
    processes, as many as pay, or this one."""
    from benchmark.running.crew import (
        crew,
        executor_for,
        executor_on_ray,
        run_workers,
        why_not_sent,
    )
    from benchmark.store.ledger import SCRATCH

    setting, options = cells[0].setting, options_of(args)
    wanted = wanted_of(args)
    if wanted and left.seconds:
        return executor_on_ray(options, wanted, [setting])
    workers = run_workers(options, args.workers, setting.ground.size, left)
    if workers > 1 and (why := why_not_sent(setting)):
        say(f"one worker alone trains: another process cannot make {setting.row} ({why})")
        workers = 1
    return executor_for(bench, cells, SCRATCH, crew(options, setting.ground.size, workers))
