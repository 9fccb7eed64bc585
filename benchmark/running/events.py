"""What happens while cells are run: one union of events, and whoever hears them.

An event is the same in whichever process it happened. What belongs to a task comes within `Said`,
which names the task and the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from benchmark.files.code import Difference
    from benchmark.running.tasks import Task
    from benchmark.store.ledger import Entry
    from benchmark.training.meter import Epoch

Cause = Literal["", "diverged", "bad input", "disk full", "failed"]


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """A training that went on from a checkpoint."""

    key: str
    step: int


@dataclass(frozen=True, kw_only=True)
class CellEnded:
    """A cell is done, or failed."""

    entry: Entry


@dataclass(frozen=True, kw_only=True)
class TaskBegun:
    """A worker takes a task."""

    worker: int
    task: Task


@dataclass(frozen=True, kw_only=True)
class TrainingBegun:
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

    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something is not as it should be, and the work goes on."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A task ended: done, or failed with `error`, or `stopped` because the worker was asked to.

    `cause` says of which kind the error is, `trained` are the keys trained for the task, `old` what
    other code made, `read` the cases that were asked for (inner patients alone are watched),
    `entry` is a scored cell's, and `seconds` is what it all took.
    """

    error: str = ""
    cause: Cause = ""
    stopped: str = ""
    trained: tuple[str, ...] = ()
    resumed: tuple[Resumed, ...] = ()
    old: Mapping[str, Difference] = field(default_factory=dict)
    read: frozenset[str] = frozenset()
    entry: Entry | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The worker, a process of number `process`, died with an exit code; `cause` says of what.
    Without a task (`Said`) it died between two, and another takes its place. `node`: its whole
    machine was lost, which is no task's fault."""

    cause: str
    process: int | None
    code: int | None
    node: bool = False


@dataclass(frozen=True, kw_only=True)
class Ticked:
    """Time passes."""


OfTask = TrainingBegun | Progress | EpochEnded | Warned | Ended | Lost


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a worker said of its task. After `Ended` and `Lost` it is free again."""

    worker: int
    task: Task
    event: OfTask


Event = CellEnded | TaskBegun | Said | OfTask | Ticked
Hear = Callable[[Event], None]


class Listener(Protocol):
    """Who is told what happens."""

    def hear(self, event: Event) -> None:
        """Take an event; returns at once."""


class Warnings:
    """Hears warnings alone and passes their text to `say`; without it nobody hears anything."""

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self._say = say

    def hear(self, event: Event) -> None:
        """Pass a warning on."""
        if isinstance(event, Warned):
            self._say(event.text)
