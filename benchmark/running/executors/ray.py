"""The Ray executor: tasks on the nodes of a cluster, or of an instance on this machine.

Ray repeats nothing: who was lost is told to the conductor, which counts. A task's end is a value.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.errors import BadInput, one_line
from benchmark.running.bench import Options
from benchmark.running.events import Ended, Hear, Lost, OfTask, Said, Warned
from benchmark.running.executors import STOPPED
from benchmark.running.executors.cluster import Joined, Wanted, join
from benchmark.running.executors.remote import Back, Call, run
from benchmark.running.stop import HANG_SECONDS, LEAVE_SECONDS
from benchmark.running.tasks import Task

NEWS_SECONDS = 0.5  # between two questions to the ear
NODES_SECONDS = 2.0  # and to the cluster
ANSWER_SECONDS = 5.0


@dataclass(kw_only=True)
class _Running:
    """A task that was sent, on which place of the window, and what Ray returned for it."""

    worker: int
    task: Task
    ref: Any


@dataclass(kw_only=True)
class OnRay:
    """Runs tasks in a Ray cluster, as many at a time as fit on its nodes. `options` are those of
    every worker; what one prints goes to a log of the workspace by its place in the window."""

    options: Options
    wanted: Wanted
    _joined: Joined | None = None
    _run: Any = None
    _running: dict[int, _Running] = field(default_factory=dict)
    _sent: int = 0
    _slots: int = 0
    _news_at: float = 0.0
    _nodes_at: float = 0.0
    _waits: bool = False

    apart = True

    def start(self) -> None:
        """Join the cluster. Raises `BadInput` where it cannot be used."""
        options = replace(self.options, root=self.options.root.absolute())
        self._joined = joined = join(self.wanted, options.root)
        # a task without a share of a GPU sees all that its node has
        device = self.wanted.device if joined.num_gpus else "cpu"
        self.options = replace(options, device=device)
        kind = joined.ray.remote(
            num_cpus=self.wanted.num_cpus, num_gpus=joined.num_gpus or None, max_retries=0
        )
        self._run = kind(run)

    def free(self) -> int:
        """Return how many more tasks it takes now: the window less those that were sent."""
        if self._joined and time.monotonic() >= self._nodes_at:
            self._slots = self._joined.slots()
            self._nodes_at = time.monotonic() + NODES_SECONDS
        return max(0, self._slots - len(self._running))

    def submit(self, task: Task) -> int:
        """Send a task; return its place in the window."""
        assert self._joined is not None
        taken = {running.worker for running in self._running.values()}
        worker = next(n for n in range(len(taken) + 1) if n not in taken)
        self._sent += 1
        log = self.options.log
        options = replace(self.options, log=log and log.with_name(f"{log.name}-worker{worker}.log"))
        call = Call(number=self._sent, task=task, options=options, sign=self._joined.sign)
        ref = self._run.remote(pickle.dumps(call), self._joined.ear)
        self._running[self._sent] = _Running(worker=worker, task=task, ref=ref)
        return worker

    def wait(self, seconds: float, hear: Hear) -> None:
        """Pass on what is said, and how tasks ended or were lost. Raises `BadInput` for a node
        that can run none, after the others have saved."""
        assert self._joined is not None
        by_ref = {running.ref: number for number, running in self._running.items()}
        if not by_ref:
            self._tell_if_none(hear)
            time.sleep(seconds)
            return
        wait = self._joined.ray.wait
        done, _ = wait(list(by_ref), num_returns=1, timeout=seconds)
        if done:  # and whoever else has
            done, _ = wait(list(by_ref), num_returns=len(by_ref), timeout=0)
        if time.monotonic() >= self._news_at:
            self._news(hear)
        for ref in done:
            self._end(by_ref[ref], hear)

    def stop(self, seconds: float) -> list[tuple[Said, Ended]]:
        """Ask all tasks to save and end; return how they ended. A cluster is slower than a pipe:
        where there is a grace, it is what a step and its saving may take."""
        said: list[object] = []
        try:
            self._cancel(force=False)
            until = time.monotonic() + (
                max(seconds, HANG_SECONDS + LEAVE_SECONDS) if seconds else 0
            )
            while self._running and time.monotonic() < until:
                with suppress(BadInput):
                    self.wait(0.1, said.append)
        finally:
            self.close()
        found = [each for each in said if isinstance(each, Said)]
        return [(each, each.event) for each in found if isinstance(each.event, Ended)]

    def close(self) -> None:
        """End all tasks at once and leave the cluster."""
        if self._joined:
            self._cancel(force=True)
            self._running.clear()
            joined, self._joined = self._joined, None
            joined.leave()

    def _cancel(self, *, force: bool) -> None:
        if self._joined is None:
            return
        for running in self._running.values():
            with suppress(self._joined.ray.exceptions.RayError, ValueError):
                self._joined.ray.cancel(running.ref, force=force)

    def _tell_if_none(self, hear: Hear) -> None:
        """Say once that no node is left."""
        gone = not self.free()
        if gone and not self._waits:
            hear(Warned(text="no node of the Ray cluster can run a task now: waiting for one"))
        self._waits = gone

    def _news(self, hear: Hear) -> None:
        """Pass on what the ear was told of tasks that still run."""
        assert self._joined is not None
        self._news_at = time.monotonic() + NEWS_SECONDS
        ray = self._joined.ray
        with suppress(ray.exceptions.RayError):  # it starts again by itself: lines are lost
            for lot in ray.get(self._joined.ear.heard.remote(), timeout=ANSWER_SECONDS):
                number, said = pickle.loads(lot)
                self._say(number, said, hear)

    def _say(self, number: int, said: Iterable[OfTask], hear: Hear) -> None:
        if running := self._running.get(number):
            for event in said:
                hear(Said(worker=running.worker, task=running.task, event=event))

    def _end(self, number: int, hear: Hear) -> None:
        """Pass on the rest of what a task said, and its end."""
        back = self._back(self._running[number].ref)
        if isinstance(back, Back):
            if back.heard:
                self._news(hear)
            self._say(number, back.said, hear)  # type: ignore[arg-type]
        running = self._running.pop(number)
        if isinstance(back, Back) and back.unfit:
            self.stop(HANG_SECONDS)
            raise BadInput(back.unfit)
        event: OfTask = back.ended if isinstance(back, Back) else back
        hear(Said(worker=running.worker, task=running.task, event=event))

    def _back(self, ref: Any) -> Back | Lost:
        """What came of a task."""
        assert self._joined is not None
        errors = self._joined.ray.exceptions
        try:
            back: Back = pickle.loads(self._joined.ray.get(ref))
            return back
        except errors.TaskCancelledError:
            return Back(ended=Ended(stopped=STOPPED))
        except errors.RayTaskError as error:
            return Back(ended=Ended(error=one_line(error), cause="failed"))
        except errors.RayError as error:
            return _lost(error, errors)


def _lost(error: Exception, errors: Any) -> Lost:
    """Who was lost: a worker, or its whole node."""
    node = isinstance(error, (errors.NodeDiedError, errors.LocalRayletDiedError))
    if isinstance(error, errors.OutOfMemoryError):
        cause = "the worker was killed by Ray for want of memory"
    elif isinstance(error, errors.WorkerCrashedError):
        cause = "the worker was killed"
    else:
        cause = "its node was lost" if node else one_line(error)
    return Lost(cause=cause, process=None, code=None, node=node)
