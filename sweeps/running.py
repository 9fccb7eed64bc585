"""`bench sweep run`: from options to studies with all their trials, repeats, and a summary."""

from __future__ import annotations

import argparse
import copy
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from optuna.study import Study

from benchmark.running.stop import SIGNALS
from benchmark.settings.resolve import GROUND, leaves
from sweeps.checking import at_the_edge
from sweeps.driver import Drive
from sweeps.figures import write_figures
from sweeps.planning import Plan, plan_studies
from sweeps.reports import follow
from sweeps.samplers import make_sampler
from sweeps.showing import print_json, print_summary
from sweeps.storage import default_url, open_storage
from sweeps.studies import open_study
from sweeps.summary import DEFAULT, EDGES, SAME, Summary, fresh_seeds, summarise
from sweeps.workers import Pool, WorkerFailed


def say(text: str) -> None:
    """Print a notice to standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run_sweep(args: argparse.Namespace) -> int:
    """Run the sweep; returns 0, or 1 where a worker failed. Raises `BadInput`."""
    plans = plan_studies(args)
    for line in dict.fromkeys(line for plan in plans for line in plan.organs.lines()):
        say(line)
    url = args.storage or default_url(args.root)
    storage = open_storage(url, heartbeat_seconds=args.heartbeat_seconds)
    opened = [(plan, open_study(storage, plan.name, plan.about)) for plan in plans]
    for plan, study in opened:
        study.sampler = make_sampler(
            args.sampler, args.sampler_seed, plan.distributions, plan.trials
        )
    studied = [study for _, study in opened]
    mirror = follow(args.mlflow, studied, args.root, args.mlflow_cells, say)
    with _stoppable(), mirror, _pool(args) as pool:
        try:
            for plan, study in opened:
                _drive(args, plan, study, pool)
        except WorkerFailed as error:
            say(f"{error}; the same command goes on from there")
            return 1
    summaries = [summarise(study) for _, study in opened]
    if args.json:
        print_json(summaries)
        return 0
    for summary in summaries:
        print_summary(summary)
    return 0


def _drive(args: argparse.Namespace, plan: Plan, study: Study, pool: Pool) -> None:
    def tell(study: Study, number: int) -> None:
        _say_progress(summarise(study), plan, number)

    drive = Drive(
        study=study, about=plan.about, sweep=plan.sweep, trials=plan.trials, pool=pool, say=say,
        heartbeat_seconds=args.heartbeat_seconds, told=tell,
    )  # fmt: skip
    drive.run()
    same = _note_best(plan, study)
    fresh = fresh_seeds(plan.about.seeds, args.repeats)
    if fresh:
        best = summarise(study).best
        assert best is not None
        say(f"{study.study_name}: the best and the default again with seeds {list(fresh)}")
        drive.repeat([{}] if same else [best.overrides, {}], fresh)
        drive.repeat([{}], plan.about.seeds)
    write_figures(study, summarise(study), args.root / "reports" / "sweeps")


def _note_best(plan: Plan, study: Study) -> bool:
    """Note what only the space and the row know about the best setting; return whether it is the
    default."""
    best = summarise(study).best
    assert best is not None  # there is at least one trial
    chosen, default = plan.to(best.overrides), plan.to({})
    same = (chosen.method, chosen.ground) == (default.method, default.ground)
    values = {**leaves(default.method), **leaves(default.ground, GROUND)}
    study.set_user_attr(SAME, same)
    study.set_user_attr(DEFAULT, {name: values.get(name) for name in best.overrides})
    study.set_user_attr(EDGES, at_the_edge(plan.sweep, best.params, plan.distributions, plan.to))
    return same


def _say_progress(summary: Summary, plan: Plan, number: int) -> None:
    last = next(point for point in summary.points if point.number == number)
    values = ", ".join(f"{name}={value}" for name, value in last.overrides.items())
    folds = ", ".join(f"{value:.1f}" for value in last.folds.values())
    found = last.diverged or f"DSC {last.value:.2f} % (folds {folds})"
    say(f"{summary.study}: {len(summary.points)} of {plan.trials}: {values}: {found}")


@contextmanager
def _pool(args: argparse.Namespace) -> Iterator[Pool]:
    """Yield the workers; they end with the block, whatever ends it."""
    options = copy.copy(args)
    options.folds = list(range(5)) if args.folds is None else args.folds
    for name in ("action", "module"):  # functions and modules do not travel
        options.__dict__.pop(name, None)
    pool = Pool(options, args.workers, say)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def _stoppable() -> Iterator[None]:
    """End on SIGTERM and SIGUSR1 as on Ctrl-C: trials under way are queued again, trainings save
    themselves."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
