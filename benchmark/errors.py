"""The ways in which a command ends early. Every floor may raise them; only `cli` turns them into
exit codes: 2, 1 and 130. What is told of a cell or a training that failed is one line, and the
traceback in a log file."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

LONGEST_WORD, LONGEST_LINE = 300, 1000  # letters; a path of the usual length stays whole
LOG = "failures.log"
LONGEST = 400  # letters of a line
MEMORY = "out of memory"  # how torch says it for a GPU
CPU_MEMORY = "can't allocate memory"
LESS_MEMORY = (
    "half the slices at a time take less memory, and are another training: --set ground.batch={}"
)
PARTS = {  # what the engine runs without, by module: the extra in pyproject.toml that brings it
    "PIL": "files",
    "SimpleITK": "files",
    "highdicom": "dicom",
    "jinja2": "report",
    "matplotlib": "report",
    "mlflow": "mlflow",
    "nibabel": "files",
    "optuna": "sweeps",
    "optuna_dashboard": "sweeps",
    "psutil": "sweeps",
    "psycopg": "sweeps",
    "pydicom": "files",
    "segmentation_models_pytorch": "smp",
    "shtab": "completion",
    "sqlalchemy": "sweeps",
}


def shortened(text: str) -> str:
    """Return a message in which nothing that was typed or read is repeated at any length."""
    text = re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: _cut(word[0], 100, 50), text)
    lines = (
        line if len(line) <= LONGEST_LINE else _cut(line, 600, 300) for line in text.split("\n")
    )
    return "\n".join(lines)


def _cut(text: str, first: int, last: int) -> str:
    return f"{text[:first]}...({len(text) - first - last} letters more)...{text[-last:]}"


class BadInput(Exception):  # noqa: N818 - reads as what it is: the input, not we, is wrong
    """The user's input is wrong.

    The message is one or two lines for a person: what is wrong, where, and what to do. It is
    shown without a traceback and the command ends with exit code 2. What it quotes is cut short.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(shortened(str(message)))


def near(name: str, known: Iterable[str]) -> str:
    """Return "did you mean fsm? " with the nearest of the known names, "" where none is near."""
    from difflib import get_close_matches  # for who mistyped alone

    by_case = {str(one).casefold(): str(one) for one in known}
    found = [by_case[one] for one in get_close_matches(name.casefold(), by_case, n=3)]
    return f"did you mean {' or '.join(found)}? " if found else ""


class Diverged(Exception):  # noqa: N818 - the field's word for it
    """A training met a loss that is not finite; the message names step, term and cases."""


class Stopped(KeyboardInterrupt):
    """A training was asked to stop and saved a checkpoint; the message says at which step."""


KNOWN = (Diverged, BadInput)  # their message says all


def failure(error: BaseException, where: str, root: Path, hint: str = "") -> str:
    """Return an error as one line, with a `hint` at its end. The traceback of one that does not
    speak for itself is appended to `logs/failures.log` in the workspace `root`, under `where` (row,
    fold, seed)."""
    line = f"{one_line(error)}; {hint}" if hint else one_line(error)
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
    if (part := lacking(error)) is not None:
        return part
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, KNOWN):
        return text
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} ..."
    return f"{type(error).__name__}: {text}"


def less_memory(error: BaseException, batch: int) -> str:
    """Return what a person can do where memory did not suffice for `batch` slices at a time; "" for
    any other error, and where it is one slice already."""
    return LESS_MEMORY.format(batch // 2) if batch > 1 and memory_short(error) else ""


def lacking(error: BaseException) -> str | None:
    """Return the line for a part that is not installed here, None for any other error."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return install(name) if name in PARTS else None


def install(module: str) -> str:
    """Return which part is not here and how it comes here, for a module of `PARTS`."""
    return f"{module} is not installed: pip install 'beyond-loss[{PARTS[module]}]', or [all]"


def memory_short(error: BaseException) -> bool:
    """Return whether an error says that memory, of the machine or of a GPU, did not suffice."""
    said = str(error).lower()
    torchs = isinstance(error, RuntimeError) and (MEMORY in said or CPU_MEMORY in said)
    return isinstance(error, MemoryError) or torchs
