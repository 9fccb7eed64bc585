"""Somebody else's method that fails, and memory that does not suffice: its cells fail, all others
are done, and once it is mended the same command fills the gap."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import suite_process
from bench_process import finish, package
from chaos import PATIENCE, Command, Place, Seen, fault, training, wait_until
from others_rows import BREAKING
from suite_process import workers

MEMORY, METHODS = "out of memory", "somebody else's method"
SMALL = {"schedule__epochs": 1, "schedule__steps_per_epoch": 4}


def command(place: Place, argv: Callable[[Path], list[str]], **environment: str) -> Command:
    """A command that finds the package, which does what `environment` asks for."""
    site = package(place.site(), "breaking", BREAKING, "beyond_loss.methods", "breaking")
    return Command(argv=argv, site=site, environment=environment)


def run_argv(root: Path) -> list[str]:
    """Two folds, one after the other, in one process."""
    return ["breaks" if word == "unet" else word for word in training(root, "1", "--json")]


def suite_argv(root: Path) -> list[str]:
    """A good row and the other one, by a worker."""
    one = ("--workers", "1", "--folds", "0", "--json")
    return suite_process.suite_argv(root, "unet,breaks", *one, **SMALL)


def breaks(place: Place, how: str, said: str, **more: str) -> Seen:
    """The first fold fails, the second one is done."""
    root = place.root()
    calm = command(place, run_argv)
    asked = {"BREAKS": how, "ONCE": str(place.site() / "once"), **more}
    ran = replace(calm, environment=asked).run(root)
    assert [one["fold"] for one in ran.json["incomplete"]] == [0], ran
    assert len(list((root / "results").glob("*/*/rows.parquet"))) == 1
    return place.again(ran, root, said, calm, calm)


def breaks_a_suite(place: Place, how: str, said: str) -> Seen:
    """The row fails, the other one is done."""
    root, calm = place.root(), command(place, suite_argv)
    ran = replace(calm, environment={"BREAKS": how}).run(root)
    assert [one["row"].partition("[")[0] for one in ran.json["incomplete"]] == ["breaks"], ran
    assert len(list((root / "results").glob("*/*/rows.parquet"))) == 1
    return place.again(ran, root, said, calm, calm)


@fault(MEMORY, "in a step of a training", short=True)
def in_training(place: Place) -> Seen:
    return breaks(place, "room", "fold 0.*ground.batch")


@fault(MEMORY, "while a CT is scored", short=True)
def in_scoring(place: Place) -> Seen:
    return breaks(place, "scoring", "fold 0.*ground.batch")


@fault(MEMORY, "of the machine: the system kills the worker, twice")
def killed_twice(place: Place) -> Seen:
    """As the system does it: SIGKILL to whoever has most."""
    root, calm = place.root(), command(place, suite_argv)
    process = replace(calm, environment={"BREAKS": "slow", "BEGAN": str(root)}).start(root)
    for number in (1, 2):
        wait_until(lambda n=number: len(list(root.glob("began-*"))) == n, process)
        (one,) = workers(process)
        one.kill()
        one.wait(10)
    ran = finish(process, PATIENCE)
    return place.again(ran, root, "2 times", calm, calm)


@fault(METHODS, "raises")
def raises(place: Place) -> Seen:
    return breaks(place, "runtime", "cannot be multiplied")


@fault(METHODS, "returns NaN")
def nan(place: Place) -> Seen:
    return breaks(place, "nan", "fold 0.*(nan|finite)")


@fault(METHODS, "prints in each step", short=True)
def prints(place: Place) -> Seen:
    """What it prints is not among the results."""
    root, calm = place.root(), command(place, run_argv)
    ran = replace(calm, environment={"BREAKS": "prints"}).run(root)
    assert ran.json["table"] and "said in a step" in ran.err
    return place.again(ran, root, "said in a step", calm, calm)


@fault(METHODS, "leaves by `sys.exit`")
def leaves(place: Place) -> Seen:
    return breaks(place, "leaves", "sys.exit")


@fault(METHODS, "ends its process by `os._exit`", short=True)
def exits(place: Place) -> Seen:
    return breaks_a_suite(place, "exits", "exit code 7, 2 times")


@fault(METHODS, "ends its process by `os._exit`, in `bench run --workers 1`")
def exits_alone(place: Place) -> Seen:
    """Nobody is left to say anything."""
    root, calm = place.root(), command(place, run_argv)
    ran = replace(calm, environment={"BREAKS": "exits"}).run(root)
    return place.again(ran, root, "", calm, calm)


@fault(METHODS, "hangs in a step; Ctrl-C")
def hangs(place: Place) -> Seen:
    root, calm = place.root(), command(place, run_argv)
    process = replace(calm, environment={"BREAKS": "slow", "BEGAN": str(root)}).start(root)
    wait_until(lambda: any(root.glob("began-*")), process)
    process.send_signal(signal.SIGINT)
    return place.again(finish(process, 60), root, "the same command", calm, calm)
