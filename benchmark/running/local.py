"""The local executor: N worker processes on this machine, one a GPU or several on the CPU."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from benchmark.running.executors import Ended, Event, Lost, Message
from benchmark.running.tasks import Task
from benchmark.running.worker import Settings, work

CLOSE_SECONDS = 5.0


@dataclass(kw_only=True)
class Worker:
    """A process, the pipe to it, and the task that it runs."""

    number: int
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


@dataclass(kw_only=True)
class Local:
    """Runs tasks in `len(settings)` processes, each with its own settings. One that dies is
    replaced when there is a task for it.

    A fresh process a worker, never a fork of this one: CUDA, threads and database connections do
    not survive a fork.
    """

    settings: list[Settings]
    _workers: dict[int, Worker] = field(default_factory=dict)

    def start(self) -> None:
        """Start the processes, so that they load while the parent still plans."""
        for number in range(len(self.settings)):
            self._worker(number)

    def free(self) -> int:
        """Return how many more tasks it takes now."""
        busy = sum(1 for worker in self._workers.values() if worker.task)
        return len(self.settings) - busy

    def submit(self, task: Task) -> int:
        """Start a task on a free worker, in a new process where its own died."""
        taken = {number for number, worker in self._workers.items() if worker.task}
        number = next(n for n in range(len(self.settings)) if n not in taken)
        worker = self._workers.get(number)
        if worker and not worker.process.is_alive():  # it died between two tasks
            self._bury(worker)
        worker = self._worker(number)
        worker.task = task
        with suppress(OSError):  # it died just now: `wait` finds out
            worker.pipe.send(task)
        return number

    def wait(self, seconds: float) -> list[Event]:
        """Return what was said and who died, at once where something was, else in `seconds`."""
        living = {worker.pipe: worker for worker in self._workers.values()}
        if not living:
            time.sleep(seconds)
            return []
        return [
            event
            for pipe in wait(list(living), timeout=seconds)
            if isinstance(pipe, Connection) and (event := self._heard(living[pipe]))
        ]

    def stop(self, seconds: float) -> list[Event]:
        """Ask all workers to save and end, kill those that have not within `seconds`; return how
        their tasks ended. An interrupt meanwhile kills them at once."""
        ended: list[Event] = []
        try:
            self._each(lambda worker: worker.pipe.send(None))
            until = time.monotonic() + seconds
            while self._workers and time.monotonic() < until:
                ended += [e for e in self.wait(0.1) if isinstance(e.message, Ended)]
        finally:
            self._kill()
        return ended

    def close(self) -> None:
        """End all workers: idle ones by asking, the others at once."""
        self._each(lambda worker: worker.pipe.send(None))
        until = time.monotonic() + CLOSE_SECONDS
        for worker in self._workers.values():
            worker.process.join(0 if worker.task else max(0.0, until - time.monotonic()))
        self._kill()

    def _worker(self, number: int) -> Worker:
        if number not in self._workers:
            context = _context()
            ours, theirs = context.Pipe()
            process = context.Process(
                target=work, args=(theirs, self.settings[number]), name=f"bench-worker-{number}"
            )
            process.start()
            theirs.close()
            self._workers[number] = Worker(number=number, process=process, pipe=ours)
        return self._workers[number]

    def _heard(self, worker: Worker) -> Event | None:
        """Read one message; the end of the pipe is the end of the worker."""
        try:
            message: Message = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            message = Lost(cause=_cause(worker.process.exitcode))
        task = worker.task
        if isinstance(message, Ended | Lost):
            worker.task = None
        if isinstance(message, Ended) and message.stopped:
            self._bury(worker)
        return Event(worker=worker.number, task=task, message=message) if task else None

    def _bury(self, worker: Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        del self._workers[worker.number]

    def _each(self, do: Callable[[Worker], None]) -> None:
        for worker in self._workers.values():
            with suppress(OSError):
                do(worker)

    def _kill(self) -> None:
        self._each(lambda worker: worker.process.kill())
        for worker in self._workers.values():
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()


def _context() -> SpawnContext | ForkServerContext:
    """Fresh processes; on Linux from a server that has loaded torch once."""
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["benchmark.running.worker"])
        return context
    return multiprocessing.get_context("spawn")


def settings_for(shared: Settings, workers: int, devices: list[str]) -> list[Settings]:
    """Return each worker's settings: devices are dealt out in turn, logs are named by number."""
    return [
        replace(
            shared,
            device=devices[number % len(devices)],
            log=shared.log and shared.log.with_name(f"{shared.log.name}-worker{number}.log"),
        )
        for number in range(workers)
    ]


def _cause(code: int | None) -> str:
    """What an exit code says to a person."""
    if code is not None and code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            memory = ", perhaps by the system for want of memory" if name == "SIGKILL" else ""
            return f"the worker was killed ({name}{memory})"
    return f"the worker ended with exit code {code}"
