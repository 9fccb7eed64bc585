"""What runs in a Ray cluster: a task on some worker, and the ear that hears of it meanwhile.

Importing this loads no torch: the ear needs none, and OpenMP reads its environment when it loads.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BadInput, one_line
from benchmark.running.events import Ended, Event, Progress
from benchmark.running.executors import STOPPED

if TYPE_CHECKING:
    from benchmark.running.bench import Bench, Options
    from benchmark.running.cells import Cells
    from benchmark.running.tasks import Task

SHIP_SECONDS = 0.5  # what a task says goes to the driver in lots: most tell of a single step
FLUSH_SECONDS = 5.0
# what Ray sets for its workers, and a driver would take for its own
OF_WORKERS = ("RAY_JOB", "RAY_RAYLET", "RAY_NODE", "CUDA_VISIBLE", "OMP_NUM")


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A file that the driver wrote into the workspace: who reads `text` at `path` sees the same
    folder."""

    path: Path
    text: str

    def write(self) -> None:
        """Make the file. Raises `OSError`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text, encoding="utf-8")

    def seen(self) -> bool:
        """Return whether it is seen from here."""
        try:
            return self.path.read_text(encoding="utf-8") == self.text
        except OSError:
            return False


@dataclass(frozen=True, kw_only=True)
class Call:
    """A task with all that a worker needs for it; `number` is the driver's for what is said."""

    number: int
    task: Task
    options: Options
    sign: Sign | None


@dataclass(frozen=True, kw_only=True)
class Back:
    """How a task ended, what it said and the ear was not told, and whether it was told anything.
    `unfit`: why this machine can run no task at all, else ""."""

    ended: Ended
    said: tuple[Event, ...] = ()
    heard: bool = False
    unfit: str = ""


class Ear:
    """An actor that keeps what tasks say until the driver asks."""

    def __init__(self) -> None:
        self._said: list[bytes] = []

    def hear(self, lot: bytes) -> None:
        """Keep a lot."""
        self._said.append(lot)

    def heard(self) -> list[bytes]:
        """Return all lots since the last time, in their order."""
        said, self._said = self._said, []
        return said


class Kept:
    """An actor that runs a command in a process of its own, on whichever node, and goes with it.
    Where its node is lost Ray starts it again elsewhere, and the command goes on from there."""

    def __init__(self, argv: list[str], folder: str, log: str) -> None:
        command = [sys.executable, "-m", "benchmark.cli.main", *argv]
        with Path(log).open("ab") as file:  # raises where the workspace is not seen
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=folder if Path(folder).is_dir() else None,
                env={name: v for name, v in os.environ.items() if not name.startswith(OF_WORKERS)},
            )
        threading.Thread(target=self._go_with_it, daemon=True).start()

    def where(self) -> str:
        """Return its process and node."""
        return f"process {self._process.pid} on {here()}"

    def _go_with_it(self) -> None:
        import ray

        self._process.wait()
        ray.kill(ray.get_runtime_context().current_actor)


@dataclass(kw_only=True)
class Telling:
    """A listener that keeps what it hears for the end of the task, or for the ear after a while. Of
    several steps in a row the last one counts."""

    number: int = 0
    ear: Any = None
    said: list[Event] = field(default_factory=list)
    heard: Any = None  # what Ray returns for the last lot
    _next: float = 0.0

    def begin(self, number: int, ear: Any) -> None:
        """Another task begins."""
        self.number, self.ear, self.heard = number, ear, None
        self.said, self._next = [], time.monotonic() + SHIP_SECONDS

    def hear(self, event: Event) -> None:
        """Keep an event; send a lot when it is time."""
        if self.said and isinstance(event, Progress) and isinstance(self.said[-1], Progress):
            self.said.pop()
        self.said.append(event)
        if time.monotonic() >= self._next:
            lot, self.said = (self.number, self.said), []
            self.heard = self.ear.hear.remote(pickle.dumps(lot))
            self._next = time.monotonic() + SHIP_SECONDS

    def flush(self) -> bool:
        """Wait until the ear has every lot; return whether there was one. An ear that is gone
        costs lines on a screen and nothing else."""
        if self.heard is None:
            return False
        import ray

        with suppress(ray.exceptions.RayError):
            ray.get(self.heard, timeout=FLUSH_SECONDS)
        return True


def run(sent: bytes, ear: Any) -> bytes:
    """Run the task of a pickled `Call`; return a pickled `Back`. Whatever happens in a task is a
    value: Ray repeats and hides what is raised, and a worker that ends looks as if it was killed.

    Signal handlers, environment, folder and both streams are left as they were found.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line has it
    try:
        with _as_found():
            call: Call = pickle.loads(sent)
            if call.sign and not call.sign.seen():
                raise BadInput(unseen(call.options.root))
            telling, ended = _run(call, ear)
        back = Back(ended=ended, heard=telling.flush(), said=tuple(telling.said))
    except KeyboardInterrupt:
        back = Back(ended=Ended(stopped=STOPPED))
    except (Exception, SystemExit) as error:  # e.g. a package that is missing on this machine
        why = f"{here()}: {one_line(error)}"
        back = Back(ended=Ended(error=why, cause="failed"), unfit=why)
    return pickle.dumps(back)


def unseen(root: Path) -> str:
    """Return what is said where a machine does not see the workspace."""
    return f"the workspace {root} is not seen: put it in a folder that all nodes share (--root)"


def look(sign: Sign | None) -> tuple[bool, str]:
    """Return whether this machine sees the workspace, and its name."""
    return sign is None or sign.seen(), here()


def here() -> str:
    """Return the address of this node of the cluster."""
    import ray

    return f"node {ray.util.get_node_ip_address()}"


@dataclass(kw_only=True)
class _Place:
    """What a worker keeps between two tasks of one command."""

    bench: Bench
    cells: Cells
    telling: Telling


_places: dict[Options, _Place] = {}


def _run(call: Call, ear: Any) -> tuple[Telling, Ended]:
    """Run a task as a worker of the local executor does."""
    import torch

    from benchmark.running.executors.inline import run_task
    from benchmark.running.executors.worker import AskedOnce

    options = call.options
    with _printing_to(options.log):
        stop = AskedOnce()
        with stop.listening():
            place = _place(replace(options, log=None))
            if options.threads is not None:  # Ray sets OpenMP's by the task before
                torch.set_num_threads(options.threads)
            place.telling.begin(call.number, ear)
            ended = run_task(
                call.task,
                lambda task: place.cells.of(task.cell),
                replace(place.bench, stop=stop),
                apart=True,
                traces=bool(options.log),
            )
    return place.telling, ended


def _place(options: Options) -> _Place:
    """Open the workspace, once a worker."""
    from benchmark.data.library import open_dataset
    from benchmark.running.cells import Cells

    if options not in _places:
        telling = Telling()
        _places[options] = _Place(
            bench=options.open(telling),
            cells=Cells(open=partial(open_dataset, options.root)),
            telling=telling,
        )
    return _places[options]


@contextmanager
def _as_found() -> Iterator[None]:
    """Put signal handlers, environment and folder back."""
    from benchmark.running.stop import SIGNALS

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    environment, folder = dict(os.environ), Path.cwd()
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        os.chdir(folder)


@contextmanager
def _printing_to(log: Path | None) -> Iterator[None]:
    """Point both streams, also those of libraries and of a crash, to the log."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        _flush()
        kept = {number: os.dup(number) for number in (1, 2)}
        try:
            for number in kept:
                os.dup2(file.fileno(), number)
            yield
        finally:
            _flush()
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
