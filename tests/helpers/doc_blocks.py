"""For tests: the fenced blocks of README and docs/, and the commands in them made short.

A block of `bash` is run line by line, `python` as it stands, `toml` and `json` are parsed; `text`
is shown, `pycon` is a doctest of the code. `<!-- not run: why -->` before a block says why it is
not run. What makes a command short is said in `shortened`: nothing else of it is changed.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_process import REPOSITORY, SMALL, SMALL_GT

DOCS = REPOSITORY / "docs"
KINDS = ("bash", "python", "toml", "json", "text", "pycon")
ELSEWHERE = ("docs/cluster.md",)  # run by tests of their own, which read the page
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
REASON = re.compile(r"<!-- not run: (.+?) -->\s*\Z", re.DOTALL)
EPOCHS = f"schedule.epochs={SMALL['schedule.epochs']}"
ONE_NETWORK = ("unet", "unet-200", "my-loss")  # rows without N_GT


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its page, the line where it begins, its language and text; `reason` says
    why it is not run, "" where it is."""

    page: str
    line: int
    kind: str
    text: str
    reason: str

    @property
    def place(self) -> str:
        return f"{self.page}, line {self.line}"


def pages() -> list[Path]:
    """README and every page of the site."""
    return [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*/*.md"))]


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(REPOSITORY).as_posix()
    for found in FENCE.finditer(text):
        reason = REASON.search(text[: found.start()])
        yield Block(
            page=name,
            line=text.count("\n", 0, found.start()) + 1,
            kind="bash" if found[2] == "sh" else found[2],
            text=re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE),
            reason=reason[1] if reason else "",
        )


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, without comments; a backslash goes on in the next line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [argv for line in lines if (argv := shlex.split(line, comments=True))]


def shortened(argv: list[str], dataset: str) -> list[str]:
    """The command on a tiny data set where it names none, with tiny networks and few steps, in
    this process and without MLflow. What the command itself sets stays as it says, but the
    epochs: with the same few everywhere, a page's try of a minute is not a row of its own."""
    name = argv[0] if argv[0] != "sweep" else " ".join(argv[:2])
    if name not in ("run", "suite", "plan", "predict", "sweep run"):
        return argv
    option = "--datasets" if name == "suite" else "--dataset"
    argv = _with(argv, option, dataset, replace=False)
    argv = [EPOCHS if word.startswith("schedule.epochs=") else word for word in argv]
    argv = [*argv, *_small(argv, name)]
    if name in ("run", "suite", "sweep run"):
        argv = _with(_with(argv, "--workers", "1"), "--mlflow", "none")
    return argv if name == "plan" else _with(argv, "--threads", "1")


def _with(argv: list[str], option: str, value: str, *, replace: bool = True) -> list[str]:
    """The command with a value of an option."""
    if option not in argv:
        return [*argv, option, value]
    place = argv.index(option) + 1
    return [*argv[:place], value, *argv[place + 1 :]] if replace else argv


def _small(argv: list[str], name: str) -> list[str]:
    """`--set` of all that makes trainings short, but what the command sets itself."""
    row = argv[argv.index("--method") + 1] if "--method" in argv else ""
    both = row not in ONE_NETWORK or name == "suite"
    values = {**SMALL, **(SMALL_GT if both else {})}
    given = [argv[n + 1] for n, word in enumerate(argv) if word == "--set"]
    taken = tuple(one.partition("=")[0] for one in given)
    mine = {
        field: value
        for field, value in values.items()
        if field not in taken and field.partition(".")[0] not in taken
    }
    return [part for n, v in mine.items() for part in ("--set", f"{n}={json.dumps(v)}")]
