"""A worker process of a suite: runs the tasks that come through its pipe, until it is told to stop
or the process that started it is gone."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

import torch

from benchmark.data.library import DataSet, open_dataset
from benchmark.errors import BadInput, Stopped
from benchmark.files.atomic import disk_full
from benchmark.plan.keys import Context, key
from benchmark.plan.nodes import Train, in_order
from benchmark.running.bench import Bench, Tally, open_bench
from benchmark.running.cells import Cell, fold_at, run_cells
from benchmark.running.execute import execute
from benchmark.running.executors import (
    STOPPED,
    Ended,
    EndsAll,
    EpochEnded,
    Message,
    Progress,
    Training,
    Warned,
)
from benchmark.running.failing import failure
from benchmark.running.folds import FoldData, GridCache, Split, folds_of
from benchmark.running.stop import Stop
from benchmark.running.tasks import CellName, Task
from benchmark.training.meter import Epoch
from benchmark.training.precision import hardware

ORPHAN_SECONDS = 10.0  # how long a worker whose parent is gone may take to save


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all tasks of a worker share. Without a `log` what is printed goes to the standard error
    of the process that started it."""

    root: Path
    suite: str
    device: str
    precision: str
    threads: int
    checkpoint_seconds: float
    log: Path | None
    reuse: bool = False


@dataclass(kw_only=True)
class AskedOnce(Stop):
    """A stop that takes the second request for the first: who asks twice may be the parent and the
    system, and the parent kills a worker that does not listen."""

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            super()._handle(number, frame)


class Telling:
    """A watcher that sends what it is told through the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, message: Message) -> None:
        """Send a message; a parent that is gone ends the worker."""
        try:
            self._pipe.send(message)
        except OSError:
            raise KeyboardInterrupt from None

    def cell(self, label: str, fold: int, seed: int, number: int, total: int) -> None:
        """Nothing: the parent gave the cell."""

    def node(
        self, title: str, key: str, number: int, total: int, steps: int, resumed: int | None
    ) -> None:
        """Send it."""
        self.send(
            Training(title=title, key=key, number=number, total=total, steps=steps, resumed=resumed)
        )

    def progress(self, step: int, steps: int, terms: Mapping[str, float]) -> None:
        """Send it."""
        self.send(Progress(step=step, steps=steps, terms=dict(terms)))

    def epoch(self, title: str, epoch: Epoch) -> None:
        """Send it."""
        self.send(EpochEnded(title=title, epoch=epoch))

    def warn(self, text: str) -> None:
        """Send it."""
        self.send(Warned(text=text))


@dataclass(kw_only=True)
class Cells:
    """Cells from their names; a data set's cases are put on the training grid once a worker."""

    root: Path
    _folds: dict[str, tuple[DataSet, Split]] = field(default_factory=dict)
    _grids: dict[tuple[str, int | None, str], GridCache] = field(default_factory=dict)

    def cell(self, name: CellName) -> Cell:
        """Return the cell of a name; raises `BadInput` for a set that is not there."""
        if name.dataset not in self._folds:
            dataset = open_dataset(self.root, name.dataset)
            self._folds[name.dataset] = (dataset, folds_of(dataset))
        dataset, split = self._folds[name.dataset]
        ground = name.setting.ground
        grid = self._grids.setdefault(
            (name.dataset, ground.size, ground.labels), GridCache(dataset=dataset, ground=ground)
        )
        data = FoldData(
            fold=fold_at(split.folds, name.fold, name.part),
            dataset=dataset,
            ground=name.setting.ground,
            cache=grid,
        )
        return Cell(
            setting=name.setting, data=data, seed=name.seed, part=name.part,
            split=split.fingerprint, stage=name.stage,
        )  # fmt: skip


def work(pipe: Connection, settings: Settings) -> None:
    """Run tasks until the pipe says None or ends."""
    _print_to(settings.log)
    telling = Telling(pipe)
    stop = AskedOnce()
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    with stop.listening():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it asks by pipe
        threading.Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
        try:
            bench = _bench(settings, telling, stop)
            cells = Cells(root=settings.root)
            while (task := tasks.get()) is not None:
                ended = _run(task, cells, bench, settings)
                telling.send(ended)
                if ended.stopped:
                    return
        except KeyboardInterrupt:
            return


def _print_to(log: Path | None) -> None:
    """Point both streams, also those of libraries and of a crash, to the log; without one, standard
    output to standard error, for the result alone is printed there."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if log is None:
        os.dup2(2, 1)
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(handle, number)
    os.close(handle)


def _receive(pipe: Connection, tasks: SimpleQueue[Task | None]) -> None:
    """In a thread: pass tasks on. None, the parent's death, or a task that cannot be read ends the
    worker: a training saves itself, everything else ends at once."""
    try:
        while (task := pipe.recv()) is not None:
            tasks.put(task)
    except (EOFError, OSError):
        killer = threading.Timer(ORPHAN_SECONDS, os._exit, args=(1,))
        killer.daemon = True
        killer.start()
    except Exception:  # a class that is not there in this process
        traceback.print_exc()
        sys.stderr.flush()
    tasks.put(None)
    _thread.interrupt_main(signal.SIGTERM)


def _bench(settings: Settings, telling: Telling, stop: Stop) -> Bench:
    torch.set_num_threads(settings.threads)
    bench = open_bench(
        settings.root,
        hardware(settings.device, settings.precision),
        telling,
        checkpoint_seconds=settings.checkpoint_seconds,
        reuse=settings.reuse,
    )
    return replace(bench, stop=stop)


def _run(task: Task, cells: Cells, bench: Bench, settings: Settings) -> Ended:
    """Run one task. Whatever it raises fails it alone, with one line here and the rest in the
    log; only a request to stop ends the worker."""
    bench = replace(bench, tally=Tally(), fresh=task.fresh)
    entry, error, stopped = None, "", ""
    ends_all: EndsAll = ""
    try:
        cell = cells.cell(task.cell)
        if task.scores:
            (entry,) = run_cells([cell], bench, suite=settings.suite)
            error = entry.error
        else:
            _train(task, cell, bench)
    except Stopped as reason:
        stopped = str(reason)
    except KeyboardInterrupt:
        stopped = STOPPED
    except (Exception, SystemExit) as reason:
        if settings.log:
            traceback.print_exc()
            sys.stderr.flush()
        error, ends_all = failure(reason, task.where, settings.root), _ends_all(reason)
    return Ended(
        error=error,
        ends_all=ends_all,
        stopped=stopped,
        trained=(*bench.tally.trained, *bench.tally.fitted),
        resumed=tuple(bench.tally.resumed),
        old=bench.tally.old,
        entry=entry,
    )


def _train(task: Task, cell: Cell, bench: Bench) -> None:
    node = _training(task.name, cell)
    if task.fresh:  # the parents are of this command already
        context = Context(fold=cell.data.fingerprint, seed=cell.seed)
        bench.tally.reused += [key(n, context) for n in in_order(node) if n is not node]
    execute(node, cell.data, cell.seed, bench)


def _ends_all(reason: BaseException) -> EndsAll:
    if disk_full(reason):
        return "disk full"
    return "bad input" if isinstance(reason, BadInput) else ""


def _training(node_key: str, cell: Cell) -> Train:
    """The training of a key among those of a cell and of its probes."""
    context = Context(fold=cell.data.fingerprint, seed=cell.seed)
    finals = [cell.final.node, *(probe.node for probe in cell.setting.probes)]
    for final in finals:
        for node in in_order(final):
            if key(node, context) == node_key:
                return node
    raise LookupError(
        f"training {node_key} is not part of {cell.setting.label}: the worker runs other code or "
        "reads other data than the process that planned it"
    )
