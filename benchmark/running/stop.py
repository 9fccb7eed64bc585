"""Ctrl-C, SIGTERM and SIGUSR1 (which SLURM sends ahead of time): a training saves itself between
two steps; everything else ends at once. Each ends the process with exit code 130."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
HANG_SECONDS = 15.0  # a step that takes longer is broken off: SLURM kills 30 s after SIGTERM
LEAVE_SECONDS = 5.0  # for a broken-off step to come out of a library; then the process ends
INTERRUPTED = 130
_came: set[int] = set()


@dataclass(kw_only=True)
class Stop:
    """Whether the process was asked to end. The second request ends it without saving; a step that
    hangs is broken off, and the next run goes on from the last checkpoint."""

    say: Callable[[str], None] = lambda text: None
    requested: bool = False
    _training: bool = False
    _seen: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def training(self) -> Iterator[Callable[[], bool]]:
        """Mark a block that looks at the yielded function itself and ends in good order."""
        self._training = True
        try:
            yield self._look
        finally:
            self._training = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over while the block runs (main thread only)."""
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            with _woken(self._watch):
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _look(self) -> bool:
        if self.requested:
            self._seen.set()
        return self.requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        _came.add(number)
        if self.requested or not self._training:
            raise KeyboardInterrupt
        self.requested = True
        self.say("stopping after this step (once more: at once)")

    def _watch(self, left: threading.Event) -> None:
        """In a thread, from the first signal on: end a step that does not."""
        if _either(self._seen, left, HANG_SECONDS):
            return
        self.say(f"the step does not end in {HANG_SECONDS:g} s: breaking it off")
        _thread.interrupt_main(signal.SIGTERM)
        if not left.wait(LEAVE_SECONDS):
            self.say("interrupted: the same command goes on from the last checkpoint")
            os._exit(INTERRUPTED)


def _either(one: threading.Event, other: threading.Event, seconds: float) -> bool:
    """Wait until one of two events is set; return whether one was."""
    return any(one.is_set() or other.wait(0.05) for _ in range(max(1, round(seconds * 20))))


@contextmanager
def _woken(watch: Callable[[threading.Event], None]) -> Iterator[None]:
    """Have `watch` run in a thread from the first signal on, also while a library holds the main
    thread and no handler of Python's runs."""
    left = threading.Event()
    listen, wake = os.pipe()
    os.set_blocking(wake, False)

    def wait() -> None:
        if os.read(listen, 1) and not left.is_set():
            watch(left)

    thread = threading.Thread(target=wait, name="bench-signals", daemon=True)
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.write(wake, b"\0")
        thread.join()
        os.close(wake)
        os.close(listen)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGUSR1 interrupt the block as Ctrl-C does, where nobody else handles them
    (main thread only, else nothing happens)."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        _came.add(number)
        raise KeyboardInterrupt(f"by {signal.Signals(number).name}")

    ours = threading.current_thread() is threading.main_thread()
    free = [n for n in SIGNALS if ours and signal.getsignal(n) is signal.SIG_DFL]
    for number in free:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in free:
            signal.signal(number, signal.SIG_DFL)


def came(number: int) -> bool:
    """Return whether a signal came to this process while one of these blocks ran."""
    return number in _came
