"""Standard output belongs to the result of a command: what else is printed there, by packages that
are imported or by C libraries, goes to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, TextIO

OUT, ERR = 1, 2  # the numbers of the two streams


@dataclass(kw_only=True)
class _Result:
    stream: TextIO | None = None  # None: whatever `sys.stdout` is


_result = _Result()


def put(text: str = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print a line of the result to standard output."""
    print(text, end=end, flush=flush, file=result())


def put_json(value: Any, *, indent: int | None = 1) -> None:
    """Print plain values to standard output as JSON."""
    put(json.dumps(value, indent=indent))


def note(text: str) -> None:
    """Print a line beside the result, to standard error."""
    print(text, file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Print a notice in the bench's name to standard error."""
    note(f"bench: {text}")


def warn(text: str) -> None:
    """Print a warning to standard error."""
    say(f"warning: {text}")


def result() -> TextIO:
    """Return the stream that results are printed to."""
    return _result.stream or sys.stdout


def print_rows(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    width: int = 120,
) -> None:
    """Print a table whose first `left` columns are words. A pipe has no width: there it gets
    `width` letters, so that no number is cut off."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(title), title_justify="left")  # else [xi=1] would be markup
    for place, heading in enumerate(headings):
        shown.add_column(heading, justify="left" if place < left else "right")
    for row in rows:
        shown.add_row(*map(escape, row))
    console = Console(file=result(), width=None if result().isatty() else width, highlight=False)
    console.print(shown)


@contextmanager
def results_only() -> Iterator[None]:
    """While the block runs, `put` alone reaches standard output."""
    before = _result.stream
    with _apart(sys.stdout) as stream, redirect_stdout(sys.stderr):
        _result.stream = stream
        try:
            yield
        finally:
            _result.stream = before
            stream.flush()


@contextmanager
def others_print() -> Iterator[None]:
    """While the block runs, a command of another package prints its result as it likes."""
    with redirect_stdout(result()):
        yield


@contextmanager
def _apart(stream: TextIO) -> Iterator[TextIO]:
    """Yield standard output under another number, its own being standard error's meanwhile.
    A stream that is no file of the system is yielded as it is."""
    kept = _second_number(stream)
    if kept is None:
        yield stream
        return
    with os.fdopen(kept, "w", encoding=stream.encoding, errors=stream.errors) as own:
        try:
            yield own
        finally:
            os.dup2(kept, OUT)


def _second_number(stream: TextIO) -> int | None:
    try:
        if stream.fileno() != OUT:
            return None
        stream.flush()
        kept = os.dup(OUT)
        os.dup2(ERR, OUT)
        return kept
    except (OSError, ValueError):  # closed, or no file at all
        return None
