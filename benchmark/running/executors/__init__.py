"""Who runs the tasks: an interface, and one file for each of those who do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # this package loads no torch: `remote` says why
    from benchmark.running.events import Ended, Hear, Said
    from benchmark.running.tasks import Task

STOPPED = "stopped between two trainings"


class Executor(Protocol):
    """Runs tasks, several at a time where it can. A task may be run twice, here and elsewhere: the
    store's lock a key makes the second wait and then find the result."""

    @property
    def apart(self) -> bool:
        """Whether other processes run the tasks, which must be asked to save before an end."""

    def start(self) -> None:
        """Get ready while the caller still plans."""

    def free(self) -> int:
        """Return how many more tasks it takes now."""

    def submit(self, task: Task) -> int:
        """Start a task on a free worker; return the worker's number."""

    def wait(self, seconds: float, hear: Hear) -> None:
        """Pass on what is said: at once where something was, else within `seconds`. Where tasks
        are run in this process it is here that they are, and that `KeyboardInterrupt` is raised."""

    def stop(self, seconds: float) -> list[tuple[Said, Ended]]:
        """Ask all workers to save and end; those that have not within `seconds` are killed.
        Return how their tasks ended."""

    def close(self) -> None:
        """End all workers at once and wait for them."""
