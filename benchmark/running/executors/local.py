"""The local executor: N worker processes on this machine, one a GPU or several on the CPU."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from benchmark.running.bench import Options
from benchmark.running.events import Ended, Hear, Lost, OfTask, Said
from benchmark.running.executors.worker import work
from benchmark.running.tasks import Task

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
    """Runs tasks in `len(options)` processes, each with its own options. One that dies is
    replaced when there is a task for it.

    A fresh process a worker, never a fork of this one: CUDA, threads and database connections do
    not survive a fork.
    """

    options: list[Options]
    _workers: dict[int, Worker] = field(default_factory=dict)

    apart = True

    def start(self) -> None:
        """Start the processes, so that they load while the parent still plans."""
        for number in range(len(self.options)):
            self._worker(number)

    def free(self) -> int:
        """Return how many more tasks it takes now."""
        busy = sum(1 for worker in self._workers.values() if worker.task)
        return len(self.options) - busy

    def submit(self, task: Task) -> int:
        """Start a task on a free worker, in a new process where its own died."""
        taken = {number for number, worker in self._workers.items() if worker.task}
        number = next(n for n in range(len(self.options)) if n not in taken)
        worker = self._workers.get(number)
        if worker and not worker.process.is_alive():  # it died between two tasks
            self._bury(worker)
        worker = self._worker(number)
        worker.task = task
        with suppress(OSError):  # it died just now: `wait` finds out
            worker.pipe.send(task)
        return number

    def wait(self, seconds: float, hear: Hear) -> None:
        """Pass on what is said and who died, at once where something was, else in `seconds`."""
        living = {worker.pipe: worker for worker in self._workers.values()}
        if not living:
            time.sleep(seconds)
        for pipe in wait(list(living), timeout=seconds) if living else ():
            if isinstance(pipe, Connection) and (event := self._heard(living[pipe])):
                hear(event)

    def stop(self, seconds: float) -> list[tuple[Said, Ended]]:
        """Ask all workers to save and end, kill those that have not within `seconds`; return how
        their tasks ended. An interrupt meanwhile kills them at once."""
        said: list[object] = []
        try:
            self._each(lambda worker: worker.pipe.send(None))
            until = time.monotonic() + seconds
            while self._workers and time.monotonic() < until:
                self.wait(0.1, said.append)
        finally:
            self._kill()
        found = [each for each in said if isinstance(each, Said)]
        return [(each, each.event) for each in found if isinstance(each.event, Ended)]

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
                target=work, args=(theirs, self.options[number]), name=f"bench-worker-{number}"
            )
            with _deaf_to_interrupts():
                process.start()
            theirs.close()
            self._workers[number] = Worker(number=number, process=process, pipe=ours)
        return self._workers[number]

    def _heard(self, worker: Worker) -> Said | Lost | None:
        """Read one event; the end of the pipe is the end of the worker."""
        try:
            event: OfTask = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            process, code = worker.process.pid, worker.process.exitcode
            event = Lost(cause=_cause(code), process=process, code=code)
            if worker.task is None:
                return event
        task = worker.task
        if isinstance(event, Ended | Lost):
            worker.task = None
        if isinstance(event, Ended) and event.stopped:
            self._bury(worker)
        return Said(worker=worker.number, task=task, event=event) if task else None

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
        context.set_forkserver_preload(["benchmark.running.executors.worker"])
        return context
    return multiprocessing.get_context("spawn")


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Have what is started in the block never take Ctrl-C, which a terminal sends to all processes:
    it is the parent's, and a server that is still loading would answer it with a traceback."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cause(code: int | None) -> str:
    """What an exit code says to a person."""
    if code is not None and code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            memory = ", perhaps by the system for want of memory" if name == "SIGKILL" else ""
            return f"the worker was killed ({name}{memory})"
    return f"the worker ended with exit code {code}"
