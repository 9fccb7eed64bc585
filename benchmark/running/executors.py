"""Who runs the tasks of a suite: an interface, and what its workers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from benchmark.files.code import Difference
from benchmark.running.bench import Resumed
from benchmark.running.tasks import Task
from benchmark.store.ledger import Entry
from benchmark.training.meter import Epoch

STOPPED = "stopped between two trainings"
EndsAll = Literal["", "bad input", "disk full"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training starts, or is taken up again at step `resumed`. It is the `number`-th of `total`
    of what it was given for."""

    title: str
    key: str
    number: int
    total: int
    steps: int
    resumed: int | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A training has done `step` of its steps; `terms` are its latest."""

    step: int
    steps: int
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EpochEnded:
    """An epoch of a training ended."""

    title: str
    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something is not as it should be, and the work goes on."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A task ended: done, or failed with `error`, or `stopped` because the worker was asked to.

    `trained` are the keys trained for it, `old` what other code made, `entry` a scored cell's.
    `ends_all`: all cells would meet the error, since the input is bad or the disk is full.
    """

    error: str = ""
    ends_all: EndsAll = ""
    stopped: str = ""
    trained: tuple[str, ...] = ()
    resumed: tuple[Resumed, ...] = ()
    old: Mapping[str, Difference] = field(default_factory=dict)
    entry: Entry | None = None


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The worker died under the task; `cause` says of what."""

    cause: str


Message = Training | Progress | EpochEnded | Warned | Ended | Lost


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a worker said of a task. After `Ended` and `Lost` it is free again."""

    worker: int
    task: Task
    message: Message


class Executor(Protocol):
    """Runs tasks in parallel. A task may be run twice, here and elsewhere: the store's lock a key
    makes the second wait and then find the result."""

    def free(self) -> int:
        """Return how many more tasks it takes now."""

    def submit(self, task: Task) -> int:
        """Start a task on a free worker; return the worker's number."""

    def wait(self, seconds: float) -> list[Event]:
        """Return what was said, at once where something was, else within `seconds`."""

    def stop(self, seconds: float) -> list[Event]:
        """Ask all workers to save and end; those that have not within `seconds` are killed.
        Return how their tasks ended."""

    def close(self) -> None:
        """End all workers at once and wait for them."""
