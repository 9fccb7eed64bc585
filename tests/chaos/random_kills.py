"""kill -9 at random moments of a run, of whom chance chooses, again and again until it is done;
then rows and weights are those of an undisturbed run, and nothing that is stored is damaged."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
from bench_process import Process, bench, finish
from chaos import ALONE, BY_TWO, PATIENCE, Command, Place, result
from fault_ray import argv as ray_argv
from ray_nodes import Nodes
from suite_process import family, workers

MOST = 10  # kills of one workspace, then it is let end
COMMAND = 0.2  # how often chance takes it, where there are workers
Kills = Counter[str]  # by who was killed


def a_round(place: Place, number: int, *, on_ray: bool) -> Kills:
    """Kill a run of its own workspace up to `MOST` times; return who was killed how often. Raises
    `AssertionError` where anything is lost or changed."""
    chance = random.Random(f"kills {number} {on_ray}")
    root, kills, span = place.root(), Kills(), undisturbed_seconds(place)
    nodes = place.nodes if on_ray else None

    by_two = bool(number % 2)

    def command() -> Process:
        if nodes is not None:
            return nodes.spawn(*ray_argv(nodes, root))
        return (BY_TWO if by_two else ALONE).start(root)

    while sum(kills.values()) < MOST:
        if _killed(command(), chance, kills, span, nodes, by_two):
            break
    last = finish(command(), PATIENCE)
    assert last.code == 0 and "Traceback" not in last.err, (number, last)
    same(place, root, ALONE)
    shutil.rmtree(root, ignore_errors=True)
    return kills


def same(place: Place, root: Path, calm: Command) -> None:
    """Nothing is lost, nothing is changed, nothing is left over."""
    assert result(root) == place.undisturbed(calm)
    assert not list((root / "objects").glob("*.partial"))
    assert bench("store", "verify", "--root", str(root)).code == 0


def undisturbed_seconds(place: Place) -> float:
    """How long the run takes where nothing disturbs it: on a busy machine longer."""
    if not place.span:
        place.undisturbed(ALONE)
        root, began = place.root(), time.monotonic()
        assert ALONE.run(root).code == 0
        place.span = time.monotonic() - began
        shutil.rmtree(root)
    return place.span


def _killed(
    process: Process,
    chance: random.Random,
    kills: Kills,
    span: float,
    nodes: Nodes | None,
    by_two: bool,
) -> bool:
    """Kill somebody of a command now and then until the command is killed, or has ended: then
    return True."""
    # the workers load first, and a driver has to join its cluster; each kill leaves less to do
    span *= 2.0 if nodes else 0.6
    while sum(kills.values()) < MOST:
        until = time.monotonic() + chance.uniform(0, span)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        if process.poll() is not None:
            break
        whom = _of_the_cluster(chance, nodes) if nodes else _of_the_family(process, chance, by_two)
        if whom == "command":
            everybody = family(process)[1:]
            process.kill()
            assert finish(process).code == -signal.SIGKILL
            psutil.wait_procs(everybody, timeout=30)
            kills["the command" if not nodes else "the driver, on Ray"] += 1
            return False
        if whom:
            kills[whom] += 1
    ran = finish(process, PATIENCE)
    assert ran.code in (0, 1) and "Traceback" not in ran.err, ran
    return ran.code == 0


def _of_the_family(process: Process, chance: random.Random, by_two: bool) -> str:
    """Kill a worker where there are two, or say that it is the command's turn."""
    found = workers(process)
    if chance.random() < COMMAND or not by_two:
        return "command"
    if not found:  # they load
        return ""
    with suppress(psutil.Error):
        victim = chance.choice(found)
        victim.kill()
        victim.wait(10)
        return "a worker"
    return ""


def _of_the_cluster(chance: random.Random, nodes: Nodes) -> str:
    """Kill a worker, a raylet or a node beside the head, or say that it is the driver's turn."""
    whom = chance.choice(("worker", "worker", "command", "command", "raylet", "node"))
    if whom == "command":
        return whom
    found = [node for node in nodes.running[1:] if node.tasks]
    if not found:
        return ""
    node = chance.choice(found)
    with suppress(psutil.Error, IndexError, ValueError):
        if whom == "worker":
            node.tasks[0].kill()
            return "a worker, on Ray"
        node.lose() if whom == "raylet" else node.die()
        nodes.replace(node)
        return f"a {whom}, on Ray"
    return ""
