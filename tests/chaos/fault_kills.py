"""kill -9 of each process of a command, once, in mid-training (many kills at random moments:
`random_kills.py`), and signals with 30 s of grace."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

from bench_process import Process, Ran, finish, package
from chaos import ALONE, BY_TWO, PATIENCE, Command, Place, Seen, fault, training, wait_until
from killed_process import killed
from others_rows import HANGING
from suite_process import progress, workers

KILLS, SIGNALS = "kill -9", "a signal with 30 s of grace"
GRACE = 30.0  # that SLURM gives before it kills


def started(command: Command, root: Path) -> Process:
    """A command that has saved a training's first steps."""
    process = command.start(root)
    wait_until(lambda: progress(root) != (0, 0), process)
    return process


@fault(KILLS, "the process of `bench run --workers 1`")
def one_process(place: Place) -> Seen:
    root = place.root()
    process = started(ALONE, root)
    process.kill()
    ran = finish(process)
    assert ran.code == -signal.SIGKILL
    return place.again(ran, root, "")


@fault(KILLS, "a worker of `bench run --workers 2`")
def worker(place: Place) -> Seen:
    root = place.root()
    process = started(BY_TWO, root)
    workers(process)[0].kill()
    return place.again(finish(process, PATIENCE), root, "the worker was killed", BY_TWO)


@fault(KILLS, "the command above two workers")
def driver(place: Place) -> Seen:
    root = place.root()
    ran = killed(started(BY_TWO, root))
    assert ran.code == -signal.SIGKILL
    return place.again(ran, root, "", BY_TWO)


def graced(process: Process) -> Ran:
    """It ends by itself before the grace is over."""
    asked = time.monotonic()
    ran = finish(process, GRACE)  # kills it
    assert time.monotonic() - asked < GRACE
    return ran


def signalled(place: Place, number: signal.Signals, command: Command) -> Seen:
    root = place.root()
    process = started(command, root)
    process.send_signal(number)
    return place.again(graced(process), root, "the same command", command)


@fault(SIGNALS, "SIGTERM to one process")
def term(place: Place) -> Seen:
    return signalled(place, signal.SIGTERM, ALONE)


@fault(SIGNALS, "SIGTERM to a command with two workers")
def term_of_two(place: Place) -> Seen:
    return signalled(place, signal.SIGTERM, BY_TWO)


@fault(SIGNALS, "SIGUSR1 to one process")
def usr1(place: Place) -> Seen:
    return signalled(place, signal.SIGUSR1, ALONE)


@fault(SIGNALS, "SIGUSR1 to a command with two workers")
def usr1_of_two(place: Place) -> Seen:
    return signalled(place, signal.SIGUSR1, BY_TWO)


@fault(SIGNALS, "SIGTERM while a step hangs in a library")
def in_a_library(place: Place) -> Seen:
    site = package(place.site(), "hanging", HANGING, "beyond_loss.methods", "hanging")
    calm = Command(argv=hanging_argv, site=site, environment={"HANGS": "no"})
    root = place.root()
    process = replace(calm, environment={"HANGS": "yes"}).start(root)
    wait_until(lambda: progress(root)[1] >= 3, process)
    time.sleep(2.0)  # into the step that hangs
    process.send_signal(signal.SIGTERM)
    return place.again(graced(process), root, "the same command", calm, calm)


def hanging_argv(root: Path) -> list[str]:
    argv = training(root, "1", "--set", "how=library")
    argv[argv.index("unet")] = "hangs"
    return argv
