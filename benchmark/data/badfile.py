"""One bad file among many, and the guard that makes of whatever a library raises such a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.data.judging.checks import Check
from benchmark.errors import BadInput


class BadFile(Exception):  # noqa: N818 - like BadInput, for one case among many
    """A file that cannot be used; `check` is the failed check that says why."""

    def __init__(self, name: str, value: float | str, limit: str, message: str) -> None:
        super().__init__(message)
        self.check = Check(name=name, ok=False, value=value, limit=limit, message=message)


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Make BadFile, with the library's sentence on one line, of all that is raised inside.

    `name` is the file (or case) that was in work. BadFile and BadInput, which say already what
    is wrong, go on as they are.
    """
    try:
        yield
    except (BadFile, BadInput):
        raise
    except Exception as error:  # no library lists what a broken file makes it raise
        raise unreadable(name, error) from None


def unreadable(name: str, error: Exception) -> BadFile:
    """Return the refusal of a file that made a library raise `error`."""
    told = (error.strerror if isinstance(error, OSError) else None) or str(error)
    reason = " ".join(told.split()) or type(error).__name__
    return BadFile("readable", type(error).__name__, "whole", f"{name} cannot be read: {reason}")


def refused(error: BadFile | BadInput) -> Check:
    """Return the failed check that says what a case is refused for."""
    if isinstance(error, BadFile):
        return error.check
    message = " ".join(str(error).split())
    return Check(name="readable", ok=False, value="not read", limit="whole", message=message)
