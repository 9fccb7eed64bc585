"""Drives one study: asks for trials, has workers evaluate them, tells their values."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
from optuna.study import Study
from optuna.trial import Trial

from benchmark.store.ledger import SWEEPS
from sweeps import studies
from sweeps.objective import Job
from sweeps.spaces import Sweep
from sweeps.workers import Outcome, Pool

POLL_SECONDS = 1.0

Told = Callable[[Study, int], None]


@dataclass(kw_only=True)
class Drive:
    """One study with all that driving it takes. `base` are the overrides below a trial's."""

    study: Study
    about: studies.About
    sweep: Sweep
    trials: int
    heartbeat_seconds: int
    pool: Pool
    say: Callable[[str], None]
    told: Told = lambda study, number: None
    _next_beat: float = 0.0

    def run(self) -> None:
        """Return when the study has its trials, our own and those of other drivers.

        Whatever ends it earlier, our trials under way are queued again, for whoever goes on.
        """
        studies.reclaim_here(self.study, platform.node(), psutil.pid_exists)
        ours: dict[int, Trial] = {}
        try:
            while self._open_trials(ours):
                for outcome in self.pool.wait(min(POLL_SECONDS, self.heartbeat_seconds)):
                    self._finish(ours, outcome)
        finally:
            for trial in ours.values():
                studies.release(self.study, studies.stored(self.study, trial))

    def repeat(self, settings: Iterable[Mapping[str, Any]], seeds: Iterable[int]) -> None:
        """Evaluate settings once for each seed, as far as the study lacks it. Whoever else does it
        at the same time gets the same values: they belong to the content."""
        wanted = {studies.repeat_name(o, seed): (o, seed) for o in settings for seed in seeds}
        for name, (overrides, seed) in wanted.items():
            if name not in self.study.user_attrs:
                self.pool.give(name, self._job(overrides, (seed,)))
        while self.pool.busy:
            for outcome in self.pool.wait(POLL_SECONDS):
                self.study.set_user_attr(str(outcome.name), outcome.evaluation.record())

    def _open_trials(self, ours: dict[int, Trial]) -> bool:
        """Take on as many trials as workers are free; return whether anything is left to do."""
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + self.heartbeat_seconds / 2
            for trial in ours.values():
                studies.beat(self.study, trial)
            studies.reclaim(self.study, self.heartbeat_seconds)
        driver = f"{platform.node()} {os.getpid()}"
        while self.pool.free > 0:
            new = studies.next_trial(self.study, self.sweep, self.trials, driver)
            if new is None:
                break
            ours[new.number] = new
            self.pool.give(_name(new), self._job(new.user_attrs[studies.OVERRIDES]))
        return bool(ours) or len(studies.counted(self.study)) < self.trials

    def _finish(self, ours: dict[int, Trial], outcome: Outcome) -> None:
        trial = next(trial for trial in ours.values() if _name(trial) == outcome.name)
        told = studies.finish(self.study, trial, outcome.evaluation.record())
        del ours[trial.number]
        if told:
            self.told(self.study, trial.number)
        else:
            self.say(f"{outcome.name} was taken up by another driver: its value counts there")

    def _job(self, overrides: Mapping[str, Any], seeds: tuple[int, ...] | None = None) -> Job:
        return Job(
            row=self.about.method,
            overrides={**self.about.overrides, **overrides},
            folds=self.about.folds,
            seeds=seeds or self.about.seeds,
            organs=self.about.organs,
            suite=suite(self.study.study_name),
        )


def suite(study_name: str) -> str:
    """Return where the cells of a study stand in the ledger."""
    return f"{SWEEPS}{study_name}"


def _name(trial: Trial) -> str:
    return f"trial {trial.number}"
