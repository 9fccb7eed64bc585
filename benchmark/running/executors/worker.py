"""A worker process: runs the tasks that come through its pipe, until it is told to stop or the
process that started it is gone."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from benchmark.data.library import open_dataset
from benchmark.running.bench import Options
from benchmark.running.cells import Cells
from benchmark.running.events import Event
from benchmark.running.executors.inline import run_task
from benchmark.running.stop import Stop
from benchmark.running.tasks import Task

ORPHAN_SECONDS = 10.0  # how long a worker whose parent is gone may take to save


@dataclass(kw_only=True)
class AskedOnce(Stop):
    """A stop that takes the second request for the first: who asks twice may be the parent and the
    system, and the parent kills a worker that does not listen."""

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            super()._handle(number, frame)


class Telling:
    """A listener that sends what it hears through the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def hear(self, event: Event) -> None:
        """Send an event; a parent that is gone ends the worker."""
        try:
            self._pipe.send(event)
        except OSError:
            raise KeyboardInterrupt from None


def work(pipe: Connection, options: Options) -> None:
    """Run tasks until the pipe says None or ends."""
    _print_to(options.log)
    with suppress(KeyboardInterrupt):  # whenever it comes: the parent may be gone at once
        _work(pipe, options)


def _work(pipe: Connection, options: Options) -> None:
    telling = Telling(pipe)
    stop = AskedOnce()
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    with stop.listening():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it asks by pipe
        threading.Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
        bench = replace(options.open(telling), stop=stop)
        cells = Cells(open=partial(open_dataset, options.root))
        while (task := tasks.get()) is not None:
            ended = run_task(
                task,
                lambda task: cells.of(task.cell),
                bench,
                apart=True,
                traces=bool(options.log),
            )
            telling.hear(ended)
            if ended.stopped:
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
