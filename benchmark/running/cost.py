"""What a plan will cost: the graph with its keys, steps, what is stored, and seconds.

Seconds of a training come from the pace of stored trainings with the same networks, grid, batch
and device; without one, from the floating-point operations of a step (counted on shapes alone)
divided by a speed that is measured on the spot, or by one that is given (`AtSpeed`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.data.feeding.order import epoch_length, near_and_far
from benchmark.data.feeding.slices import training_grid
from benchmark.parts.batch import Batch
from benchmark.parts.networks import stride_of
from benchmark.parts.views import CORRUPTED, EARLY, LEFT
from benchmark.plan.ground import Ground
from benchmark.plan.keys import NODES, Context, canonical, key, spec
from benchmark.plan.nodes import Train, in_order
from benchmark.running.bench import Bench
from benchmark.running.cells import Cell
from benchmark.running.probing import is_probed
from benchmark.running.renewal import Stored
from benchmark.training.nets import build, freeze, on_meta

PROBE = (8, 32, 64, 64)  # a convolution of middling size: batch, channels, height, width


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """One training of a plan in one fold with one seed. `seconds` is None where it is stored.
    `shape` is what decides its pace on one device."""

    key: str
    title: str
    parents: tuple[str, ...]
    steps: int
    cached: bool
    final: bool
    fold: int
    seed: int
    seconds: float | None
    shape: str


class Pace(Protocol):
    """Says how long a step takes."""

    def seconds_per_step(self, node: Train, cell: Cell) -> float:
        """Return the expected seconds of one optimiser step of a training."""


def planned(
    cells: list[Cell], bench: Bench, pace: Pace | None = None
) -> tuple[list[PlannedTraining], list[PlannedTraining]]:
    """Return every distinct training of the cells, parents first, and those that only their
    probes need. `pace` None: that of this machine."""
    planner = _Planner(bench, pace or _Paces(bench))
    rows = [node for cell in cells for node in planner.of(cell, cell.final.node)]
    tested = [cell for cell in cells if is_probed(cell)]
    probes = [
        node
        for cell in tested
        for probe in cell.setting.probes
        for node in planner.of(cell, probe.node)
    ]
    return rows, probes


class _Planner:
    """Plans trainings, each key once."""

    def __init__(self, bench: Bench, pace: Pace) -> None:
        self._stored, self._paces = Stored(bench), pace
        self._counted: dict[str, tuple[int, int]] = {}
        self._keys: set[str] = set()

    def of(self, cell: Cell, final: Train) -> Iterator[PlannedTraining]:
        """Yield the trainings behind `final` that were not yielded before."""
        context = cell.context
        for node in in_order(final):
            node_key = key(node, context)
            if node_key in self._keys:
                continue
            self._keys.add(node_key)
            steps = node.schedule.steps(_steps_in_one_pass(node, cell, self._counted))
            cached = self._stored.counts(cell, node, node_key)
            left = None if cached else steps * self._paces.seconds_per_step(node, cell)
            yield PlannedTraining(
                key=node_key,
                title=node.title,
                parents=tuple(key(parent, context) for parent in node.parents()),
                steps=steps,
                cached=cached,
                final=node is final,
                fold=cell.data.fold.index,
                seed=cell.seed,
                seconds=None if left is None else round(left, 1),
                shape=_shape_of(node, cell.data.ground),
            )


class _Paces:
    """Seconds a step: remembered from the store where possible, else estimated."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        device = str(bench.hardware.record()["name"])
        self._known = {shape: p for (_, name, shape), p in _stored_paces(bench) if name == device}
        self._speed: float | None = None
        self._estimated: dict[str, float] = {}

    def seconds_per_step(self, node: Train, cell: Cell) -> float:
        """Return the expected seconds of one optimiser step of a training."""
        shape = _shape_of(node, cell.data.ground)
        if shape in self._known:
            return self._known[shape]
        if shape not in self._estimated:
            self._speed = self._speed or measured_speed(self._bench.hardware.device)
            self._estimated[shape] = operations(node, cell) / self._speed
        return self._estimated[shape]


class AtSpeed:
    """Seconds a step on a device that does so many floating-point operations a second."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._seconds: dict[str, float] = {}

    def seconds_per_step(self, node: Train, cell: Cell) -> float:
        """Return the operations of one optimiser step, divided by the speed."""
        shape = _shape_of(node, cell.data.ground)
        if shape not in self._seconds:
            self._seconds[shape] = operations(node, cell) / self._speed
        return self._seconds[shape]


def _steps_in_one_pass(node: Train, cell: Cell, counted: dict[str, tuple[int, int]]) -> float:
    """How many batches one epoch of a training has, from the stored label maps; each is read
    once."""
    data = cell.data
    names = data.names_of(node)
    for name in names:
        if name not in counted:
            counted[name] = near_and_far(data.dataset.label(name), data.ground)
    counts = [counted[name] for name in names]
    return epoch_length(counts, data.ground) / data.ground.batch


def operations(node: Train, cell: Cell) -> float:
    """Return the floating-point operations of one training step, forward and backward."""
    nets, batch = on_shapes(node, cell)
    with FlopCounterMode(display=False) as counter:
        _step(node, nets, batch)
    return float(counter.get_total_flops())


def held_bytes(node: Train, cell: Cell) -> int:
    """Return the least memory of one training step in fp32, in bytes: the weights, of those that
    are trained the gradient and Adam's two means, and what the way forward keeps for the way back.
    What libraries take beside it is in no shape."""
    nets, batch = on_shapes(node, cell)
    weights = [weight for net in nets.values() for weight in net.parameters()]
    known = {weight.untyped_storage()._cdata: weight.untyped_storage() for weight in weights}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage  # held, so that no other storage takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _step(node, nets, batch)
    own = sum(weight.nbytes * (4 if weight.requires_grad else 1) for weight in weights)
    return own + sum(storage.nbytes() for storage in kept.values())


def on_shapes(node: Train, cell: Cell) -> tuple[dict[str, nn.Module], Batch]:
    """Return the networks of a training and a batch as large as its own, without any values."""
    data = cell.data
    native = max(
        (case.shape_inside[1:] for case in data.dataset.cases), key=lambda hw: hw[0] * hw[1]
    )
    height, width = training_grid(native, data.ground.size)
    with torch.device("meta"):
        nets = build(node, organs=data.dataset.organs, size=data.ground.size, seed=0)
        on_meta(nets)  # some libraries make some weights elsewhere
        freeze(node, nets)
        stride = stride_of(nets)
        shape = (data.ground.batch, height + -height % stride, width + -width % stride)
        return nets, _meta_batch(node, shape, len(data.dataset.organs), cell)


def _step(node: Train, nets: dict[str, nn.Module], batch: Batch) -> None:
    """One training step as far as shapes go."""
    total = torch.stack(list(node.objective(nets, batch).values())).sum()
    if total.requires_grad:  # a node of frozen networks alone is only put together
        torch.autograd.backward(total)


def _meta_batch(node: Train, shape: tuple[int, int, int], organs: int, cell: Cell) -> Batch:
    """A batch as far as shapes go, with what views and sources add."""
    samples = shape[0]
    masks = torch.empty(samples, 2 * organs, *shape[1:])
    return Batch(
        image_B1HW=torch.empty(samples, 1, *shape[1:]),
        label_BHW=torch.empty(shape, dtype=torch.long),
        annotated_BK=torch.ones(samples, organs, dtype=torch.bool),
        valid_BHW=torch.ones(shape, dtype=torch.bool),
        case_B=torch.empty(samples, dtype=torch.long),
        position_B=torch.empty(samples),
        loss_form=cell.data.ground.loss,
        entries={
            **dict.fromkeys(("masks", CORRUPTED, *node.sources), masks),
            LEFT: torch.ones(samples, organs, dtype=torch.bool),
            EARLY: torch.ones(samples, dtype=torch.bool),
        },
    )


def measured_speed(device: torch.device) -> float:
    """Return floating-point operations a second of a small convolution, both ways, in fp32."""
    conv = nn.Conv2d(PROBE[1], PROBE[1], 3, padding=1).to(device)
    x_BCHW = torch.rand(PROBE, device=device)
    operations_of_one = 3 * 2 * 9 * PROBE[1] ** 2 * PROBE[0] * PROBE[2] * PROBE[3]

    def run() -> float:
        began = time.perf_counter()
        for _ in range(5):
            torch.autograd.backward(conv(x_BCHW).sum())
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return 5 * operations_of_one / (time.perf_counter() - began)

    run()  # the first calls choose kernels
    return run()


def gpu_seconds(nodes: Iterable[PlannedTraining], bench: Bench) -> dict[str, float]:
    """Return what all trainings that are not stored would take on a GPU, by its name: of GPUs on
    which a training like each of them was made, as the store has it. Nothing is estimated."""
    paces: dict[str, dict[str, float]] = {}
    for (device, name, shape), pace in _stored_paces(bench):
        if device == "cuda":
            paces.setdefault(name, {})[shape] = pace
    left = [node for node in nodes if not node.cached]
    return {
        name: sum(node.steps * known[node.shape] for node in left)
        for name, known in paces.items()
        if all(node.shape in known for node in left)
    }


def _stored_paces(bench: Bench) -> Iterator[tuple[tuple[str, str, str], float]]:
    """The kind and name of the device and the shape of each stored training, with its seconds a
    step; the longest last, since a short one is mostly its start."""
    records = map(bench.objects.record, filter(bench.objects.has, bench.objects.stored()))
    for record in sorted(records, key=lambda record: int(record["steps"])):
        if record["steps"]:
            made = record["hardware"]
            shape = _shape(record["spec"], record["ground"])
            yield (made["device"], made["name"], shape), record["seconds"] / record["steps"]


@lru_cache(maxsize=NODES)
def _shape_of(node: Train, ground: Ground) -> str:
    return _shape(spec(node, Context(fold="", seed=0)), canonical(ground))


def _shape(node_spec: Mapping[str, Any], ground: Mapping[str, Any]) -> str:
    """What decides the pace of a training on one device: networks, objective, grid, batch."""
    nets = {
        name: [net["arch"], net["trainable"]] for name, net in sorted(node_spec["nets"].items())
    }
    values = [nets, node_spec["objective"]["kind"], ground["size"], ground["batch"]]
    return json.dumps(values, sort_keys=True)


def total_seconds(nodes: Iterable[PlannedTraining]) -> float:
    """Return the expected seconds of all trainings that are not stored."""
    return sum(node.seconds or 0.0 for node in nodes)
