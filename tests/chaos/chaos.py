"""What the faults of the matrix share: a table of them, a place to run them in, and what was seen.

A fault is a function that disturbs a real `bench` process on the tiny set, gives the same command
again, and returns what the user saw and whether rows and weights are those of an undisturbed run.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_process import (
    Process,
    Ran,
    finish,
    run_argv,
    spawn,
    spawn_warm,
    tiny_workspace,
    weights,
)
from ray_nodes import Nodes, cluster
from suite_process import rows

SILENT = "(nothing)"
PATIENCE = 600.0  # for a command on a busy machine


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command by the workspace; `cold`: in a Python that starts anew, which reads the
    `sitecustomize` of its `site`."""

    argv: Callable[[Path], list[str]]
    site: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    cold: bool = False

    def start(self, root: Path) -> Process:
        begin = spawn if self.cold else spawn_warm
        return begin(*self.argv(root), site=self.site, **self.environment)

    def run(self, root: Path) -> Ran:
        return finish(self.start(root), PATIENCE)


def training(root: Path, workers: str, *more: str, **values: Any) -> list[str]:
    """Two trainings that save themselves after each step."""
    small: dict[str, Any] = {"schedule__epochs": 1, "schedule__steps_per_epoch": 10, **values}
    often = ("--folds", "0,1", "--workers", workers, "--checkpoint-seconds", "0")
    return run_argv(root, "unet", *often, *more, **small)


ALONE = Command(argv=lambda root: training(root, "1"))
BY_TWO = Command(argv=lambda root: training(root, "2"))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the user saw: a line that `bench` printed, exit codes of the command and of the same one
    again, and whether rows and weights are those of an undisturbed run."""

    said: str
    code: int
    again: int
    same: bool


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`short`: in CI too, for no other test there does the same. `missing` says what is not here to
    run it, or ""."""

    group: str
    name: str
    do: Callable[[Place], Seen]
    short: bool
    missing: Callable[[], str]


FAULTS: dict[tuple[str, str], Fault] = {}


def fault(
    group: str, name: str, *, short: bool = False, missing: Callable[[], str] = lambda: ""
) -> Callable[[Callable[[Place], Seen]], Callable[[Place], Seen]]:
    """Put a function into the table."""

    def put(do: Callable[[Place], Seen]) -> Callable[[Place], Seen]:
        assert (group, name) not in FAULTS
        FAULTS[group, name] = Fault(group=group, name=name, do=do, short=short, missing=missing)
        return do

    return put


Result = tuple[dict[str, list[dict[str, Any]]], dict[str, bytes]]


def result(root: Path) -> Result:
    """All rows and all weights of a workspace."""
    return rows(root), weights(root)


@dataclass(kw_only=True)
class Place:
    """A folder for workspaces; what an undisturbed command stores is computed once for all, and
    one Ray cluster serves all."""

    folder: Path
    known: dict[str, Result] = field(default_factory=dict)
    held: ExitStack = field(default_factory=ExitStack)
    found: Nodes | None = None
    span: float = 0.0  # seconds of a run, once it was measured

    @property
    def nodes(self) -> Nodes:
        """A cluster of three nodes."""
        if self.found is None:
            self.found = self.held.enter_context(cluster(3))
        return self.found

    def root(self, patients: int = 6) -> Path:
        """A fresh workspace with the tiny set."""
        if not (ready := self.folder / f"ready-{patients}").exists():
            tiny_workspace(ready, patients)
        root = Path(tempfile.mkdtemp(dir=self.folder))
        return Path(shutil.copytree(ready, root, dirs_exist_ok=True))

    def site(self) -> Path:
        """An empty folder for packages."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def undisturbed(self, command: Command) -> Result:
        """Rows and weights that a command stores which nothing disturbs."""
        name = json.dumps(command.argv(Path("ROOT")))
        if name not in self.known:
            root = self.root()
            ran = command.run(root)
            assert ran.code == 0, ran.err
            self.known[name] = result(root)
            assert all(self.known[name])
            shutil.rmtree(root)
        return self.known[name]

    def again(
        self, ran: Ran, root: Path, said: str, command: Command = ALONE, calm: Command = ALONE
    ) -> Seen:
        """Give the command again after `ran`, in which a line matches `said` ("": none was left to
        say); compare with what `calm` stores undisturbed."""
        return self.seen(ran, root, said, command.run(root), calm)

    def seen(self, ran: Ran, root: Path, said: str, last: Ran, calm: Command = ALONE) -> Seen:
        """What was seen in `ran`, where `last` is the same command again."""
        assert "Traceback" not in ran.err + last.err, (ran.err, last.err)
        line = shown(ran, said, root) if said else SILENT
        same = result(root) == self.undisturbed(calm)
        return Seen(said=line, code=ran.code, again=last.code, same=same)


@contextmanager
def place() -> Iterator[Place]:
    """Yield a place that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        one = Place(folder=Path(folder).resolve())
        with one.held:
            yield one


def shown(ran: Ran, pattern: str, root: Path) -> str:
    """The first line on standard error that matches, without what differs from run to run."""
    found = [line for line in ran.err.splitlines() if re.search(pattern, line)]
    assert found, f"no line matches {pattern!r}: {ran}"
    line = found[0].replace(str(root), "WORKSPACE").replace(platform.node(), "HOST")
    for differs, word in (
        (r"\b[0-9a-f]{20}\b", "KEY"),
        (r"\b[0-9a-f]{12}\b", "NUMBER"),
        (r"process \d+", "process N"),
        (r"(127\.0\.0\.\d+):\d+", r"\1:PORT"),
        (r"port=\d+", "port=PORT"),
        (r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    ):
        line = re.sub(differs, word, line)
    return line.strip()


def wait_until(holds: Callable[[], bool], process: Process, seconds: float = PATIENCE) -> None:
    """Wait for something that a living command does."""
    end = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < end, "it does not come so far"
        time.sleep(0.005)
