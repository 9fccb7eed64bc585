"""Ctrl-C and SIGTERM: a training saves itself between two steps; everything else ends at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(kw_only=True)
class Stop:
    """Whether the process was asked to end. The second request ends it without saving."""

    say: Callable[[str], None] = lambda text: None
    requested: bool = False
    _training: bool = False

    @contextmanager
    def training(self) -> Iterator[Callable[[], bool]]:
        """Mark a block that looks at the yielded function itself and ends in good order."""
        self._training = True
        try:
            yield lambda: self.requested
        finally:
            self._training = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM over while the block runs (main thread only)."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self._training:
            raise KeyboardInterrupt
        self.requested = True
        self.say("stopping after this step (once more: at once)")
