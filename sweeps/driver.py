"""`bench sweep run`: from plans to studies with all their trials, repeats, and a summary.

One driver asks a study for trials, has the engine evaluate them and tells their values.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import Trial
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import BadInput
from benchmark.plan.wording import counted
from benchmark.running.bench import Bench
from benchmark.running.crew import crew, executor_on_ray
from benchmark.running.events import Event, Lost, Warned
from benchmark.running.executors import Executor
from benchmark.running.executors.local import Local
from benchmark.running.tasks import Work
from benchmark.settings.resolve import GROUND, Setting, leaves
from sweeps import studies
from sweeps.figures import write_figures
from sweeps.mlflow_runs import follow
from sweeps.objective import Evaluation, Evaluations, Job, WorkerFailed, death, suite
from sweeps.patience import OUTAGE_SECONDS, is_lost
from sweeps.planning import StudyPlan, SweepOptions, plan_studies
from sweeps.samplers import make_sampler
from sweeps.spaces import at_the_edge
from sweeps.storage import open_storage, shown
from sweeps.summary import DEFAULT, EDGES, SAME, ScoredTrial, Summary, fresh_seeds, summarise

SETTINGS = 2  # the fewest of which a response can exceed run noise
POLL_SECONDS = 1.0
END_SECONDS = 10.0  # for a worker to save its training when the sweep is stopped

Say = Callable[[str], None]


def run_sweep(options: SweepOptions) -> list[Summary] | None:
    """Run the sweep; return what its studies say, None where a worker failed. Raises `BadInput`."""
    say = options.say
    plans = plan_studies(options)
    for line in dict.fromkeys(line for plan in plans for line in plan.organs.lines()):
        say(line)
    if options.elsewhere:
        return _driven_elsewhere(options, plans, options.elsewhere)
    storage = open_storage(options.storage, heartbeat_seconds=options.heartbeat_seconds)
    opened = [(plan, studies.open_study(storage, plan.name, plan.about)) for plan in plans]
    for plan, study in opened:
        study.sampler = make_sampler(
            options.sampler, options.sampler_seed, plan.distributions, plan.trials
        )
    studied = [study for _, study in opened]
    bench = options.training.open(Notices(say=say))
    with (
        bench.stop.listening(),
        follow(options.mlflow, studied, options.root, options.mlflow_cells, say),
        _workers(options, plans[0]) as executor,
    ):
        try:
            for plan, study in opened:
                _drive(options, plan, study, bench, executor)
        except WorkerFailed as error:
            say(f"{error}; the same command goes on from there")
            return None
        except (StorageInternalError, SQLAlchemyError) as error:
            if not is_lost(error):
                raise
            where = shown(options.storage)
            raise BadInput(
                f"the storage {where} was gone for {OUTAGE_SECONDS / 60:.0f} minutes: what was "
                "trained is kept, and the same command goes on from there"
            ) from error
    return [summarise(study) for _, study in opened]


def _driven_elsewhere(
    options: SweepOptions, plans: list[StudyPlan], drive: Callable[[Callable[[], str]], bool]
) -> list[Summary] | None:
    """Have other processes drive the studies; return what these say then, None where the others
    did not come through. No storage is open meanwhile: a SQLite file is of one machine at a time.
    """
    bench, names = options.training.open(), [suite(plan.name) for plan in plans]

    def opened() -> tuple[RDBStorage, list[Study]]:
        storage = open_storage(options.storage, heartbeat_seconds=options.heartbeat_seconds)
        return storage, [studies.open_study(storage, plan.name, plan.about) for plan in plans]

    def progress() -> str:
        entries = [entry for name in names for entry in bench.ledger.entries(name)]
        return f"{counted(sum(e.state == 'done' for e in entries), 'cell')} of its trials scored"

    storage, _ = opened()
    storage.remove_session()
    storage.engine.dispose()
    if not drive(progress):
        return None
    _, studied = opened()
    with follow(options.mlflow, studied, options.root, options.mlflow_cells, options.say):
        return [summarise(study) for study in studied]


@dataclass(frozen=True, kw_only=True)
class Notices:
    """A listener that says what a person may want to know."""

    say: Say

    def hear(self, event: Event) -> None:
        """Say warnings, and which worker died between two tasks."""
        if isinstance(event, Warned):
            print(f"warning: {event.text}", file=sys.stderr, flush=True)
        elif isinstance(event, Lost):
            self.say(f"{death(event)}: replaced")


@contextmanager
def _workers(options: SweepOptions, plan: StudyPlan) -> Iterator[Executor]:
    """Yield the workers; they end with the block, whatever ends it: a training saves itself first,
    if it takes no longer than seconds."""
    executor = _executor(options, plan.to({}))
    try:
        executor.start()
        yield executor
    except BaseException:
        executor.stop(END_SECONDS)
        raise
    finally:
        executor.close()


def _executor(options: SweepOptions, setting: Setting) -> Executor:
    if options.wanted:
        return executor_on_ray(options.training, options.wanted, [setting])
    # as many threads for any number of workers: the bits of a value rest on them
    size = setting.ground.size
    return Local(options=crew(options.training, size, options.workers, sharing=1))


@dataclass(kw_only=True)
class Drive:
    """One study with all that driving it takes."""

    options: SweepOptions
    study: Study
    plan: StudyPlan
    evaluations: Evaluations
    _next_beat: float = 0.0

    def run(self) -> None:
        """Return when the study has its trials, our own and those of other drivers.

        Whatever ends it earlier, our trials under way are queued again, for whoever goes on.
        """
        studies.reclaim_here(self.study, platform.node(), psutil.pid_exists)
        ours: dict[str, Trial] = {}
        try:
            while self._open_trials(ours):
                for found in self.evaluations.finished(
                    min(POLL_SECONDS, self.options.heartbeat_seconds)
                ):
                    self._finish(ours, *found)
        finally:
            for trial in ours.values():
                studies.release(self.study, studies.stored(self.study, trial))

    def repeat(self, settings: Iterable[Mapping[str, Any]], seeds: Iterable[int]) -> None:
        """Evaluate settings once for each seed, as far as the study lacks it. Whoever else does it
        at the same time gets the same values: they belong to the content."""
        wanted = {studies.repeat_name(o, seed): (o, seed) for o in settings for seed in seeds}
        for name, (overrides, seed) in wanted.items():
            if name not in self.study.user_attrs:
                self.evaluations.give(name, self._job(overrides, (seed,)))
        while self.evaluations.busy:
            for name, evaluation in self.evaluations.finished(POLL_SECONDS):
                self.study.set_user_attr(name, evaluation.record())

    def _open_trials(self, ours: dict[str, Trial]) -> bool:
        """Take on as many trials as workers are free; return whether anything is left to do."""
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + self.options.heartbeat_seconds / 2
            for trial in ours.values():
                studies.beat(self.study, trial)
            studies.reclaim(self.study, self.options.heartbeat_seconds)
        driver, trials = f"{platform.node()} {os.getpid()}", self.plan.trials
        while self.evaluations.vacant > 0:
            new = studies.next_trial(self.study, self.plan.sweep, trials, driver)
            if new is None:
                break
            name = f"trial {new.number}"
            ours[name] = new
            self.evaluations.give(name, self._job(new.user_attrs[studies.OVERRIDES]))
        return bool(ours) or len(studies.counted(self.study)) < trials

    def _finish(self, ours: dict[str, Trial], name: str, evaluation: Evaluation) -> None:
        trial = ours[name]
        told = studies.finish(self.study, trial, evaluation.record())
        del ours[name]
        if told:
            self.options.say(_progress(summarise(self.study), self.plan, trial.number))
        else:
            self.options.say(f"{name} was taken up by another driver: its value counts there")

    def _job(self, overrides: Mapping[str, Any], seeds: tuple[int, ...] | None = None) -> Job:
        about = self.plan.about
        return Job(
            setting=self.plan.to(overrides),
            folds=self.plan.folds,
            seeds=seeds or about.seeds,
            organs=about.organs,
            suite=suite(self.study.study_name),
        )


def _drive(
    options: SweepOptions, plan: StudyPlan, study: Study, bench: Bench, executor: Executor
) -> None:
    evaluations = Evaluations(
        work=Work(), executor=executor, bench=bench, workers=options.workers, say=options.say
    )
    drive = Drive(options=options, study=study, plan=plan, evaluations=evaluations)
    drive.run()
    best = summarise(study).best
    if best is None:
        options.say(f"{study.study_name}: no setting keeps its constraints, so there is no best")
    else:
        _repeat_best(options, drive, best)
    write_figures(study, summarise(study), options.root / "reports" / "sweeps")


def _repeat_best(options: SweepOptions, drive: Drive, best: ScoredTrial) -> None:
    """Train the best and the default again with fresh seeds, as many as were asked for; of one
    setting run noise says nothing."""
    same = _note_best(drive.plan, drive.study, best)
    name, points = drive.study.study_name, summarise(drive.study).points
    tried = {studies.repeat_name(point.overrides, 0) for point in points if not point.diverged}
    if len(tried) < SETTINGS and options.repeats:
        options.say(
            f"{name}: one setting alone was tried, so nothing is trained again for run noise"
        )
    elif fresh := fresh_seeds(drive.plan.about.seeds, options.repeats):
        options.say(f"{name}: the best and the default again with seeds {list(fresh)}")
        drive.repeat([{}] if same else [best.overrides, {}], fresh)
        drive.repeat([{}], drive.plan.about.seeds)


def _note_best(plan: StudyPlan, study: Study, best: ScoredTrial) -> bool:
    """Note what only the space and the row know about the best setting; return whether it is the
    default."""
    chosen, default = plan.to(best.overrides), plan.to({})
    same = (chosen.method, chosen.ground) == (default.method, default.ground)
    values = {**leaves(default.method), **leaves(default.ground, GROUND)}
    study.set_user_attr(SAME, same)
    study.set_user_attr(DEFAULT, {name: values.get(name) for name in best.overrides})
    study.set_user_attr(EDGES, at_the_edge(plan.sweep, best.params, plan.distributions, plan.to))
    return same


def _progress(summary: Summary, plan: StudyPlan, number: int) -> str:
    last = next(point for point in summary.points if point.number == number)
    values = ", ".join(f"{name}={value}" for name, value in last.overrides.items())
    folds = ", ".join(f"{value:.1f}" for value in last.folds.values())
    found = last.diverged or f"DSC {last.value:.2f} % (folds {folds})"
    return f"{summary.study}: {len(summary.points)} of {plan.trials}: {values}: {found}"
