"""Work with an MLflow that may answer for ever, a byte at a time: bounded by the clock, since the
time limits of HTTP count from the last byte on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

CALL_SECONDS = 120.0  # for one call: a file of some hundred MB takes a while
ALL_SECONDS = 6 * 3600.0  # for everything


@dataclass(kw_only=True)
class Clock:
    """Since when a call is under way, on the monotonic clock; None between two calls."""

    since: float | None = None
    began: float = field(default_factory=time.monotonic)

    def over(self) -> str:
        """Return what takes too long, or ""."""
        now, since = time.monotonic(), self.since
        if since is not None and now - since > CALL_SECONDS:
            return f"no whole answer within {CALL_SECONDS:g} s"
        return f"not done within {ALL_SECONDS:g} s" if now - self.began > ALL_SECONDS else ""


class Timed:
    """A client whose calls a clock times."""

    def __init__(self, client: Any, clock: Clock) -> None:
        self._client, self._clock = client, clock

    def __getattr__(self, name: str) -> Any:
        """Return the client's attribute; its calls are timed."""
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            self._clock.since = time.monotonic()
            try:
                return found(*args, **named)
            finally:
                self._clock.since = None

        return call


def bounded(work: Callable[[], Any], clock: Clock) -> Any:
    """Return what `work` returns, which runs in a thread. Raises what it raises, and `TimeoutError`
    where the clock says that it takes too long; the thread is left behind then."""
    done: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="mlflow-sync", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)  # short, so that Ctrl-C is heard
        if thread.is_alive() and (why := clock.over()):
            raise TimeoutError(why)
    if failed:
        raise failed[0]
    return done[0]
