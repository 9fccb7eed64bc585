"""A lease: who makes something just now, among machines that share a bucket.

It saves a training that would be made twice, and nothing rests on it: a machine that was cut off
works on after its lease was taken over, and the commit takes one of the two. It is renewed by its
tag, so that nobody renews what another took; it is old by the clock of the store, not by ours.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from benchmark.files.bucket import Away, Bucket

RENEW_SECONDS = 20.0
STALE_SECONDS = 90.0
LOOK_SECONDS = 2.0


@contextmanager
def leased(bucket: Bucket, name: str, what: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lease of a name; whoever waits for it tells, once, who does `what`."""
    key, told = f"leases/{name}", False
    text = f"process {os.getpid()} on {platform.node()} ({uuid4().hex[:8]})"
    while (tag := _taken(bucket, key, text)) is None:
        if not told:
            told = True
            with suppress(ValueError):
                found = bucket.get(key)
                tell(
                    f"{what} is being made by {found.text if found else 'another'}: waiting for it"
                )
        time.sleep(LOOK_SECONDS)
    over = threading.Event()
    held = [tag]
    renewing = threading.Thread(target=_renew, args=(bucket, key, text, held, over), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        with suppress(Away, FileNotFoundError):  # it grows old by itself
            state = bucket.state(key)
            if state and state[0].tag == held[0]:
                bucket.delete([key])


def is_leased(bucket: Bucket, name: str) -> bool:
    """Return whether somebody holds the lease of a name."""
    found = bucket.state(f"leases/{name}")
    return found is not None and found[1] < STALE_SECONDS


def _taken(bucket: Bucket, key: str, text: str) -> str | None:
    """Take a lease that is free or old; return its tag, None where another has it."""
    found = bucket.state(key)
    with suppress(FileExistsError, FileNotFoundError):
        if found is None:
            return bucket.put(key, text, new=True)
        if found[1] >= STALE_SECONDS:
            return bucket.put(key, text, instead=found[0].tag)
    return None


def _renew(bucket: Bucket, key: str, text: str, held: list[str], over: threading.Event) -> None:
    while not over.wait(RENEW_SECONDS):
        try:
            held[0] = bucket.put(key, text, instead=held[0])
        except (FileExistsError, FileNotFoundError):  # another took it over: let it
            return
        except Away:  # the next time
            continue
