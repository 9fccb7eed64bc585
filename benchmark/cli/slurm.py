"""A SLURM cluster: a job array of workers, each of which gives the same command on the same
workspace. They share its trainings by its locks, so nothing hands them out, and the workspace alone
says what is done."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.executors import SLURM
from benchmark.cli.out import put, say, warn
from benchmark.cli.sbatch import Mark, call, check, last_error, last_line, submit
from benchmark.errors import BadInput, Stopped
from benchmark.files.roots import shown
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.running.cells import Cell
    from benchmark.store.ledger import Entry

LOOK_SECONDS = 1.0
ASK_SECONDS = 20.0  # the controller serves everybody: it is asked seldom
TELL_SECONDS = 20.0
SAVE_SECONDS = 90.0  # for workers that were cancelled: SLURM kills them after its KillWait
MOST_WORKERS = 8  # by default
GONE = "Invalid job id"  # what squeue says of a job that ended some minutes ago


@dataclass(kw_only=True)
class Array:
    """A job array that was submitted: its job, its folder in the workspace `root`, and what SLURM
    said of its workers last: by number state, node and why it waits."""

    job: str
    folder: Path
    root: Path
    _asked: float = 0.0
    _seen: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def left(self) -> int:
        """Say how the array goes on without this process; return the exit code."""
        put(f"submitted: job {self.job}, whose workers write to {self.folder}")
        put(f"how far it is: bench status --root {shown(self.root)}; scancel {self.job} saves")
        return 0

    def follow(self, progress: Callable[[], str], say: Callable[[str], None]) -> None:
        """Wait until no worker is left, and say how far it is now and then. An interrupt cancels
        the array. Raises `Stopped` then, and where no worker came through with the command;
        `BadInput` where it was refused by each, or none has seen the workspace."""
        say(f"job {self.job} is submitted: its workers write to {self.folder}")
        told, next_line = "", 0.0
        try:
            while self._goes_on():
                if time.monotonic() >= next_line:
                    next_line = time.monotonic() + TELL_SECONDS
                    line = f"{progress()}; job {self.job}: {self._state()}"
                    if line != told:
                        told = line
                        say(line)
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            self._cancel(say)
            raise Stopped(f"job {self.job} is cancelled; {progress()}") from None
        self._check(progress)

    @property
    def is_through(self) -> bool:
        """Whether a worker came through with the whole command, and nothing failed."""
        return any(mark.code == 0 for mark in self.marks().values())

    def marks(self) -> dict[int, Mark]:
        """Return what the workers say of themselves, by number."""
        found = {}
        for path in sorted(self.folder.glob("worker-*.json")):
            with suppress(OSError, ValueError, TypeError):
                value = json.loads(path.read_text(encoding="utf-8"))
                found[int(path.stem.removeprefix("worker-"))] = Mark(**value)
        return found

    def log(self, number: int) -> Path:
        """Return where a worker prints."""
        return self.folder / f"worker-{number}.log"

    def _goes_on(self) -> bool:
        """Whether SLURM has any of the workers yet. It is asked more often when one of them has
        come through: then there is nothing left to do."""
        through = self.is_through
        if self._asked and time.monotonic() - self._asked < (2.0 if through else ASK_SECONDS):
            return True
        self._asked = time.monotonic()
        wanted = "--format=%K|%T|%N|%r"
        ran = call("squeue", "--noheader", "--array", f"--jobs={self.job}", wanted)
        if ran.returncode and GONE not in ran.stderr:
            self._warn(f"squeue does not answer ({last_error(ran.stderr)}): asking again")
            return True
        now = {}
        for line in ran.stdout.splitlines() if not ran.returncode else ():
            key, state, node, reason = line.strip().split("|", 3)
            now[int(key)] = state, node, reason
        for number in self._seen.keys() - now.keys():
            self._is_gone(number, through)
        self._seen = now
        return bool(now)

    def _is_gone(self, number: int, through: bool) -> None:
        """Say which worker SLURM has no more though it did not say that it ended."""
        mark = self.marks().get(number)
        if through or (mark and mark.code is not None):  # or it waits to be started again
            return
        if mark:
            self._warn(f"worker {number} on {mark.node} was lost: the others go on with its work")
        elif state := self._lost(number):
            self._warn(state)

    def _lost(self, number: int) -> str:
        """What is known of a worker that never began; "" for one that was cancelled before SLURM
        gave it a node."""
        ran = call("scontrol", "show", "job", f"{self.job}_{number}", "--oneliner")
        known = dict(word.split("=", 1) for word in ran.stdout.split() if "=" in word)
        node = known.get("NodeList", "(null)")
        if node == "(null)" or known["JobState"].startswith("CANCELLED"):
            return ""
        where = f"worker {number} on node {node}"
        if said := last_line(self.log(number)):
            return f"{where} could not begin: {said}"
        return (
            f"{where} could not begin: does it see the workspace {self.root}? Put it in a folder "
            "that all nodes share (--root)"
        )

    def _state(self) -> str:
        """How many workers run and wait."""
        running = sum(state == "RUNNING" for state, _, _ in self._seen.values())
        waiting = [why for state, _, why in self._seen.values() if state == "PENDING"]
        reason = f" ({waiting[0]})" if waiting and waiting[0] != "None" else ""
        why = f", {len(waiting)} waiting{reason}" if waiting else ""
        return f"{running} of its workers running{why}"

    def _cancel(self, say: Callable[[str], None]) -> None:
        """Have all workers save and end; a second interrupt leaves at once."""
        say(f"stopping: the workers of job {self.job} save (once more: at once)")
        call("scancel", self.job)
        until = time.monotonic() + SAVE_SECONDS
        while time.monotonic() < until:
            self._asked = 0.0
            if not self._goes_on():
                return
            time.sleep(LOOK_SECONDS)

    def _check(self, progress: Callable[[], str]) -> None:
        """Raise what follows from how the workers ended, where none came through."""
        marks = self.marks()
        codes = {mark.code for mark in marks.values() if not mark.again}
        if codes & {0, 1}:
            return
        if self._told and not marks:
            raise BadInput(sorted(self._told)[0])
        if refused := [number for number, mark in marks.items() if mark.code == 2]:
            first = refused[0]
            said = last_line(self.log(first)).removeprefix("bench: ")
            raise BadInput(f"worker {first} on node {marks[first].node}: {said}")
        raise Stopped(f"job {self.job} ended with work left, see {self.folder}; {progress()}")

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            warn(text)


@dataclass(kw_only=True)
class CellArray(Array):
    """An array that works at cells of a suite; `open` are those that lack something."""

    cells: list[Cell]
    bench: Bench
    suite: str
    open: list[Cell]

    def ended(self, say: Callable[[str], None]) -> tuple[list[Cell], list[Entry]]:
        """Wait until no worker is left; return the cells that are stored, for the ordinary way to
        show them, which trains nothing, and the entries of those that are not, as failed. Raises
        as `follow` does."""
        self.follow(self._progress, say)
        left = {cell.entry(self.suite).name for cell in lacking(self.cells, self.bench)}
        ready, failed = [], []
        for cell in self.cells:
            entry = cell.entry(self.suite)
            if entry.name not in left:
                ready.append(cell)
                continue
            stored = self.bench.ledger.stored(entry)
            error = (stored and stored.error) or f"not done: see {self.folder}"
            failed.append(replace(entry, state="failed", error=error))
        return ready, failed

    def _progress(self) -> str:
        self.open = [cell for cell in self.open if not _has_rows(cell, self.bench)]
        return f"{len(self.cells) - len(self.open)} of {counted(len(self.cells), 'cell')} scored"


def array_of(
    args: argparse.Namespace, cells: list[Cell], bench: Bench, suite: str, *more: str
) -> CellArray | None:
    """Submit an array for what cells lack, by the command of `args.argv` with `more` options; None
    where another executor is asked for, or nothing is lacking. Raises `BadInput`."""
    if args.executor != SLURM:
        return None
    from benchmark.running.renewal import renew

    check(args)
    renew(cells, bench)
    open_cells = lacking(cells, bench)
    if not open_cells:
        return None
    job, folder = submit(args, args.workers or min(MOST_WORKERS, len(open_cells)), *more)
    return CellArray(
        job=job,
        folder=folder,
        root=args.root,
        cells=cells,
        bench=bench,
        suite=suite,
        open=open_cells,
    )


def lacking(cells: list[Cell], bench: Bench) -> list[Cell]:
    """Return the cells that lack their rows, or a training."""
    from benchmark.running.crew import left_of
    from benchmark.running.tasks import trainings_of

    left = left_of(cells, bench).seconds
    return [
        cell
        for cell in cells
        if any(key in left for key, _, _ in trainings_of(cell)) or not _has_rows(cell, bench)
    ]


def _has_rows(cell: Cell, bench: Bench) -> bool:
    entry = cell.entry("")
    return bench.results.intact(entry.key, entry.evaluation)


def studies_elsewhere(
    args: argparse.Namespace, storage: str
) -> Callable[[Callable[[], str]], bool] | None:
    """Return what has the workers of an array drive the studies in `storage`, given what says how
    far they are, and returns whether they came through; None where another executor is asked for.
    Raises `BadInput` for what several workers cannot share."""
    if args.executor != SLURM:
        return None
    check(args)
    if args.workers > 1 and storage.startswith("sqlite:"):
        raise BadInput(
            f"--workers {args.workers}: a SQLite file is of one machine at a time: give --storage "
            "postgresql://... (docs/sweeps.md), or --workers 1"
        )

    def drive(progress: Callable[[], str]) -> bool:
        job, folder = submit(args, args.workers)
        array = Array(job=job, folder=folder, root=args.root)
        if args.detach:
            array.left()
            return False
        array.follow(progress, say)
        return array.is_through

    return drive
