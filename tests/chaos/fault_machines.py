"""Two machines on one key, and clocks that jump. A machine is told by its name, and has a Python of
its own that starts with a `sitecustomize`."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

from bench_process import bench, finish
from chaos import ALONE, PATIENCE, Command, Place, Seen, fault, training, wait_until
from suite_process import progress
from two_writers import MEETING, NO_LOCKS

MACHINES, CLOCK = "two machines on one key", "a clock that jumps"
NAMED = "import platform\nplatform.node = lambda: {name!r}\n"
# every half second to the other side; `datetime` reads the clock in C, so ours have another class
# (where all get it, libraries in C crash)
JUMPS = """
import builtins, datetime, sys, time
now, began, find = time.time, time.monotonic(), builtins.__import__
def jumping():
    return now() + (DAY if int(2 * (time.monotonic() - began)) % 2 else -DAY)
DAY = 86400.0
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(jumping(), tz)
def importing(name, *args, **named):
    found = find(name, *args, **named)
    if name.startswith(("benchmark", "sweeps")):
        for known, one in list(sys.modules.items()):
            ours = known.startswith(("benchmark", "sweeps"))
            if ours and getattr(one, "datetime", None) is datetime.datetime:
                one.datetime = Jumping
    return found
builtins.__import__ = importing
time.time, time.time_ns = jumping, lambda: int(1e9 * jumping())
"""


def machine(place: Place, start: str, command: Command = ALONE, **environment: str) -> Command:
    """A machine whose Python begins with these lines."""
    site = place.site()
    (site / "sitecustomize.py").write_text(start)
    return replace(command, site=site, environment=environment, cold=True)


@fault(MACHINES, "both give the same command, on a shared folder", short=True)
def shared_folder(place: Place) -> Seen:
    """The first one stands still for a while: the second waits for it, and takes what it stores."""
    root, one = place.root(), Command(argv=lambda root: training(root, "1", "--folds", "0"))
    first = machine(place, NAMED.format(name="first-machine"), one).start(root)
    wait_until(lambda: progress(root) != (0, 0), first)
    first.send_signal(signal.SIGSTOP)
    noted = written(root)
    second = machine(place, NAMED.format(name="second-machine"), one).start(root)
    wait_until(lambda: written(root) != noted, second)  # it begins with the first one's cell
    time.sleep(5)
    first.send_signal(signal.SIGCONT)
    other, ran = finish(first, PATIENCE), finish(second, PATIENCE)
    assert (ran.code, other.code) == (0, 0), (ran, other)
    assert "trained twice" not in ran.err + other.err
    return place.again(ran, root, "on first-machine.*waiting for it", one, one)


def written(root: Path) -> list[int]:
    """When the ledger was written to."""
    return [path.stat().st_mtime_ns for path in root.glob("ledger/*/*.json")]


@fault(MACHINES, "both, on a folder without locks")
def no_locks(place: Place) -> Seen:
    root, meeting = place.root(), place.site()
    both = [
        machine(place, NAMED.format(name=name) + NO_LOCKS + MEETING, MEETING=str(meeting))
        for name in ("first-machine", "second-machine")
    ]
    ended = [finish(process, PATIENCE) for process in [one.start(root) for one in both]]
    assert [ran.code for ran in ended] == [0, 0], ended
    told = [ran for ran in ended if "trained twice at the same time" in ran.err]
    assert told, ended
    return place.again(told[0], root, "trained twice at the same time")


@fault(CLOCK, "a day ahead and a day back, every half second of a run")
def jumps(place: Place) -> Seen:
    root = place.root()
    ran = machine(place, JUMPS).run(root)
    assert ran.code == 0, ran
    return place.again(ran, root, ", key")


@fault(CLOCK, "the same, and the run is killed in between and goes on", short=True)
def jumps_and_kill(place: Place) -> Seen:
    root = place.root()
    one = machine(place, JUMPS)
    process = one.start(root)
    wait_until(lambda: progress(root) != (0, 0), process)
    process.kill()
    ran = finish(process)
    seen = place.again(ran, root, "", one)
    verified = bench("store", "verify", "--root", str(root))
    status = bench("status", "--root", str(root))
    assert (verified.code, status.code) == (0, 0), (verified, status)
    return seen
