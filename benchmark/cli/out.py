"""Standard output belongs to the result of a command: what else is printed there, by packages that
are imported or by C libraries, goes to standard error."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from benchmark.errors import BadInput

OUT, ERR = 1, 2  # the numbers of the two streams


@dataclass(kw_only=True)
class _Result:
    stream: TextIO | None = None  # None: whatever `sys.stdout` is
    quiet: bool = False  # --quiet: results, warnings and errors alone
    log: TextIO | None = None  # --log-file


_result = _Result()


def put(text: str = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print a line of the result to standard output."""
    print(text, end=end, flush=flush, file=result())
    to_log(text)


def put_json(value: Any, *, indent: int | None = 1) -> None:
    """Print plain values to standard output as JSON."""
    put(json.dumps(value, indent=indent))


def note(text: str) -> None:
    """Print a line beside the result, to standard error; not where `--quiet` asks for silence."""
    to_log(text)
    if not _result.quiet:
        print(text, file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Print a notice in the bench's name to standard error, as `note` does."""
    note(f"bench: {text}")


def warn(text: str) -> None:
    """Print a warning to standard error."""
    complain(f"warning: {text}")


def complain(text: str) -> None:
    """Print what a person must know, `--quiet` or not, to standard error."""
    to_log(f"bench: {text}")
    print(f"bench: {text}", file=sys.stderr, flush=True)


def is_quiet() -> bool:
    """Return whether `--quiet` was given."""
    return _result.quiet


def to_log(text: str) -> None:
    """Write what is printed to the file of `--log-file`, if there is one, each line with its
    time (UTC). A file that takes no more, of a full disk, is given up: no command ends for it."""
    if _result.log is None:
        return
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    try:
        _result.log.writelines(f"{now} {line}\n" for line in text.rstrip("\n").split("\n"))
        _result.log.flush()
    except OSError:
        _result.log = None


@contextmanager
def told(*, quiet: bool, log: Path | None, command: Sequence[str]) -> Iterator[None]:
    """While the block runs, print as `--quiet` and `--log-file` ask. Raises `BadInput` for a file
    that cannot be written."""
    before = _result.quiet, _result.log
    with ExitStack() as opened:
        if log is not None:
            try:
                file = opened.enter_context(log.open("a", encoding="utf-8", errors="replace"))
            except OSError as error:
                raise BadInput(f"--log-file {log}: {error.strerror or error}") from None
            _result.log = file
            hidden = re.sub(r"(://[^:/@\s]*):[^@\s]+@", r"\1:***@", shlex.join(command))
            to_log(f"$ bench {hidden}")
        _result.quiet = quiet
        try:
            yield
        except BaseException as error:
            to_log(f"ended by {type(error).__name__}")
            raise
        finally:
            _result.quiet, _result.log = before


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
    `width` letters, so that no number is cut off. On a terminal that is too narrow for it each row
    is a block of lines instead."""
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement
    from rich.table import Table

    rows = [*rows]
    shown = Table(title=escape(title), title_justify="left")  # else [xi=1] would be markup
    for place, heading in enumerate(headings):
        shown.add_column(heading, justify="left" if place < left else "right")
    for row in rows:
        shown.add_row(*map(escape, row))
    console = Console(file=result(), width=None if result().isatty() else width, highlight=False)
    if Measurement.get(console, console.options.update(max_width=10_000), shown).maximum > (
        console.width if result().isatty() else 10_000
    ):
        _blocks(title, headings, rows, left)
        return
    with console.capture() as drawn:
        console.print(shown)
    print(drawn.get(), end="", file=result())
    to_log(re.sub(r"\x1b\[[0-9;]*m", "", drawn.get()))


def _blocks(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> None:
    """Print each row of a table as its words, and below them a line a column."""
    put(title)
    longest = max(map(len, headings[left:]), default=0)
    for row in rows:
        put(" ".join(filter(None, row[:left])))
        for heading, value in zip(headings[left:], row[left:], strict=False):
            put(f"  {heading:{longest}s}  {value}")


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
