"""Worker processes that evaluate settings. They never see the study: a setting goes in, its value
comes out. One that dies is replaced, and the setting it had is evaluated by another."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
from argparse import Namespace
from collections import Counter, deque
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from benchmark.errors import BadInput
from benchmark.files.failing import failure
from benchmark.running.stop import SIGNALS
from sweeps.objective import Evaluation, Evaluator, Job

MOST_DEATHS = 10  # of workers with one setting: then it is the setting's fault
END_SECONDS = 10.0  # for a worker to save its training when the sweep is stopped


class WorkerFailed(Exception):  # noqa: N818 - what happened, not an error of the caller
    """A worker cannot evaluate a setting; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished job, by the name it was given under."""

    name: Hashable
    evaluation: Evaluation


class Worker:
    """One process and what it works on."""

    def __init__(self, options: Namespace) -> None:
        context = multiprocessing.get_context("spawn")  # torch has threads: a fork may hang
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=serve, args=(options, theirs), name="bench-sweep-worker", daemon=True
        )
        # Ctrl-C and SIGUSR1 are for the driver, who then closes the pipes; the process inherits
        # that it is deaf
        asked = [number for number in SIGNALS if number != signal.SIGTERM]
        before = {number: signal.signal(number, signal.SIG_IGN) for number in asked}
        try:
            self.process.start()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        theirs.close()
        self.job: tuple[Hashable, Job] | None = None

    def take(self, name: Hashable, job: Job) -> None:
        """Start on a job."""
        self.job = name, job
        with suppress(OSError):  # it has just died, and `wait` will notice
            self.pipe.send(job)


class Pool:
    """`workers` processes. Jobs wait in order until one is free; `say` is told of deaths."""

    def __init__(self, options: Namespace, workers: int, say: Any) -> None:
        self._options, self._say = options, say
        self._waiting: deque[tuple[Hashable, Job]] = deque()
        self._deaths: Counter[Hashable] = Counter()
        self._workers = [Worker(options) for _ in range(workers)]

    @property
    def free(self) -> int:
        """How many more jobs would start at once."""
        return sum(worker.job is None for worker in self._workers) - len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether any job is not finished."""
        return bool(self._waiting) or any(worker.job for worker in self._workers)

    def give(self, name: Hashable, job: Job) -> None:
        """Take a job on."""
        self._waiting.append((name, job))
        self._hand_out()

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what was finished, after `seconds` at the latest.

        Raises `BadInput` and `WorkerFailed` for what a worker could not do.
        """
        pipes = {worker.pipe: worker for worker in self._workers}
        ready = [pipes[pipe] for pipe in wait(list(pipes), seconds) if isinstance(pipe, Connection)]
        outcomes = [found for worker in ready if (found := self._hear(worker)) is not None]
        self._hand_out()
        return outcomes

    def close(self) -> None:
        """End all workers: a training saves itself first, if it takes no longer than seconds."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(END_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _hear(self, worker: Worker) -> Outcome | None:
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker)
            return None
        job, worker.job = worker.job, None
        if kind == "bad input":
            raise BadInput(value)
        if kind == "failed" or job is None:
            raise WorkerFailed(value)
        return Outcome(name=job[0], evaluation=value)

    def _replace(self, dead: Worker) -> None:
        """A new worker for a dead one; its job goes first."""
        dead.pipe.close()
        dead.process.join()
        how = f"worker {dead.process.pid} died (exit code {dead.process.exitcode})"
        self._workers[self._workers.index(dead)] = Worker(self._options)
        if dead.job is None:
            self._say(f"{how}: replaced")
            return
        name = dead.job[0]
        self._deaths[name] += 1
        if self._deaths[name] >= MOST_DEATHS:
            raise WorkerFailed(f"{how}, the {MOST_DEATHS}th with {name}: is there memory enough?")
        self._say(f"{how} in {name}: another goes on with it")
        self._waiting.appendleft(dead.job)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.job is None and self._waiting:
                worker.take(*self._waiting.popleft())


def serve(options: Namespace, pipe: Connection) -> None:
    """Evaluate what comes through `pipe` until it is closed. Runs in the worker's process."""
    evaluator = Evaluator(options)
    jobs: queue.Queue[Job | None] = queue.Queue()
    threading.Thread(target=_listen, args=(pipe, jobs, evaluator), daemon=True).start()
    while (job := jobs.get()) is not None:
        try:
            answer: tuple[str, Any] = ("done", evaluator.evaluate(job))
        except BadInput as error:
            answer = ("bad input", str(error))
        except KeyboardInterrupt:
            return
        except (Exception, SystemExit) as error:
            answer = ("failed", failure(error, f"{job.row} in a sweep", options.root))
        try:
            pipe.send(answer)
        except OSError:
            return  # nobody listens any more


def _listen(pipe: Connection, jobs: queue.Queue[Job | None], evaluator: Evaluator) -> None:
    """Pass jobs on. When the driver is gone, for whatever reason, the training is asked to save
    itself and the process ends: no worker outlives its driver."""
    while True:
        try:
            jobs.put(pipe.recv())
        except (EOFError, OSError):
            evaluator.stop()
            jobs.put(None)
            return
