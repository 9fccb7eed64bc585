"""kill -9 on a Ray cluster of three nodes: a worker, the driver, a raylet, a whole node."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from bench_process import Process, Ran, finish
from chaos import ALONE, PATIENCE, Place, Seen, fault, wait_until
from ray_nodes import Node, Nodes

RAY = "kill -9 on a Ray cluster"


def missing() -> str:
    return "" if importlib.util.find_spec("ray") else "ray is not installed"


def argv(nodes: Nodes, root: Path) -> list[str]:
    """The run, by the cluster."""
    words = ALONE.argv(root)
    at = words.index("--workers")
    return [*words[:at], *words[at + 2 :], "--executor", "ray", "--address", nodes.address]


def busy(nodes: Nodes, process: Process) -> Node:
    """A node beside the head that runs a task."""
    found: list[Node] = []

    def works() -> bool:
        found[:] = [node for node in nodes.running[1:] if node.tasks]
        return bool(found)

    wait_until(works, process)
    return found[0]


def on_ray(place: Place, said: str, kill: Callable[[Node, Process], bool]) -> Seen:
    """Kill somebody in mid-training, who says whether the node is gone; the same command goes on
    where another one was put in its place."""
    root, nodes = place.root(), place.nodes
    process = nodes.spawn(*argv(nodes, root))
    wait_until(lambda: any(root.glob("objects/*.partial/[0-9]*")), process)
    node = busy(nodes, process)
    gone = kill(node, process)
    ran = finish(process, PATIENCE)
    if gone:
        nodes.replace(node)
    last: Ran = finish(nodes.spawn(*argv(nodes, root)), PATIENCE)
    return place.seen(ran, root, said, last)


@fault(RAY, "a worker", missing=missing)
def worker(place: Place) -> Seen:
    def kill(node: Node, process: Process) -> bool:
        node.tasks[0].kill()
        return False

    return on_ray(place, "trying once more", kill)


@fault(RAY, "the command itself, the driver", missing=missing)
def driver(place: Place) -> Seen:
    def kill(node: Node, process: Process) -> bool:
        process.kill()
        return False

    return on_ray(place, "", kill)


@fault(RAY, "a raylet, the daemon of a node", missing=missing)
def raylet(place: Place) -> Seen:
    def kill(node: Node, process: Process) -> bool:
        node.lose()
        return True

    return on_ray(place, "trying once more", kill)


@fault(RAY, "all processes of a node", missing=missing)
def node(place: Place) -> Seen:
    def kill(node: Node, process: Process) -> bool:
        node.die()
        return True

    return on_ray(place, "trying once more", kill)
