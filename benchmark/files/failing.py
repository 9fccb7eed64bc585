"""What is told of a cell or a training that failed: one line, and the traceback in a log file."""

from __future__ import annotations

import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from benchmark.errors import BadInput, Diverged

LOG = "failures.log"
LONGEST = 400  # letters of a line
KNOWN = (Diverged, BadInput)  # their message says all
MEMORY = "out of memory"  # how torch says it for a GPU
CPU_MEMORY = "can't allocate memory"
LESS_MEMORY = "fewer slices at a time need less: --set ground.batch=N"


def failure(error: BaseException, where: str, root: Path) -> str:
    """Return an error as one line. The traceback of one that does not speak for itself is appended
    to `logs/failures.log` in the workspace `root`, under `where` (row, fold, seed)."""
    line = one_line(error)
    if isinstance(error, KNOWN):
        return line
    path = root / "logs" / LOG
    with suppress(OSError):  # a full disk: the line has to do
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, {where}\n")
            log.write("".join(traceback.format_exception(error)) + "\n")
        return f"{line} (more in logs/{LOG})"
    return line


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line of bounded length, with its kind."""
    if isinstance(error, SystemExit):
        return f"its code called sys.exit({error.code!r})"
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, KNOWN):
        return text
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} ..."
    hint = f"; {LESS_MEMORY}" if memory_short(error) else ""
    return f"{type(error).__name__}: {text}{hint}"


def memory_short(error: BaseException) -> bool:
    """Return whether an error says that memory, of the machine or of a GPU, did not suffice."""
    said = str(error).lower()
    torchs = isinstance(error, RuntimeError) and (MEMORY in said or CPU_MEMORY in said)
    return isinstance(error, MemoryError) or torchs
