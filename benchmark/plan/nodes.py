"""What a method is made of: trainings, networks and weights, as frozen plain values.

A method is a frozen dataclass with `plan()`, which returns the `Weights` to predict with; the
`Train` node behind them, and its parents, are all that must be trained before. Nothing here
trains, and nothing here knows folds, paths, devices or optimisers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from benchmark.errors import BadInput
from benchmark.plan.fields import check_choice, check_range, field_from, later
from benchmark.plan.given import ATLAS, CASES, CT, SeenLabels

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from benchmark.parts.batch import Batch, Patient


__all__ = [  # what a file of methods needs, from one place
    "Arch", "BatchSource", "Build", "Measure", "Method", "Net", "Objective", "Probe", "Row",
    "Schedule", "SeenLabels", "Train", "View", "Weights", "check_choice", "check_range",
    "field_from", "flags_of", "in_order", "later", "probes_of", "stages_of",
]  # fmt: skip

DECAYS = ("none", "cosine")


@dataclass(frozen=True, kw_only=True)
class Build:
    """What an `Arch` may know when it is built: the data set's organs, the grid, and the
    networks of the same node that were built before it."""

    organs: tuple[str, ...]
    size: int | None
    built: Mapping[str, nn.Module]

    def channels(self, reads: str) -> int:
        """Return the input channels of a role: 1 for an image, a mask and a plane an organ."""
        return {"image": 1, "masks": 2 * len(self.organs)}[reads]


@runtime_checkable
class Arch(Protocol):
    """An architecture: a frozen dataclass that says roles, never numbers of channels."""

    kind: ClassVar[str]

    def build(self, to: Build) -> nn.Module:
        """Return the untrained network: (B, `to.channels(reads)`, H, W) to logits (B, 1 + K, H, W).

        What stands between networks (FSM) takes what its objective hands it. Raises `BadInput`
        where it cannot be built here."""
        ...


class Objective(Protocol):
    """What is minimised: a frozen dataclass of weights and readings."""

    kind: ClassVar[str]

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the weighted scalar terms by name; the trainer minimises their sum."""
        ...


class View(Protocol):
    """A change of the batch before the objective sees it: a frozen dataclass."""

    kind: ClassVar[str]

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Return the changed batch; all randomness comes from `generator`."""
        ...


class BatchSource(Protocol):
    """What the draw adds to a batch from this fold's training cases alone: a frozen dataclass
    of `benchmark.plan.ground`."""

    kind: ClassVar[str]


class Measure(Protocol):
    """A diagnostic of a trained node on the fold's test patients: a frozen dataclass.

    Where its class says `shares_features = True`, encoders answer an input that one with the same
    weights has seen in this cell from memory. It must leave weights and feature maps as they are.
    """

    kind: ClassVar[str]

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return the values of one patient by metric; one that is undefined is left out."""
        ...

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return the warnings that follow from the means over patients, by a fixed rule, as `NAME:
        why` each. A mean may be missing: no patient had a value."""
        ...


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast one training goes.

    `steps_per_epoch` None is one pass over the fold's training slices. Trainings with the same
    `stream` and seed see the same batches and the same random initial weights. `decay` says what
    becomes of the rate: `none`, it stays (the paper); `cosine`, it falls to 0 along half a cosine
    (Loshchilov & Hutter, ICLR 2017, eq. 5 without restarts).
    """

    kind: ClassVar[str] = "schedule"
    epochs: float = 100.0
    lr: float = 3e-4
    steps_per_epoch: int | None = None
    stream: str = "ct"
    decay: str = later("none")

    def __post_init__(self) -> None:
        check_choice("schedule.decay", self.decay, DECAYS)
        check_range("schedule.epochs", self.epochs, low=0)
        check_range("schedule.lr", self.lr, low=0, high=1)
        if self.steps_per_epoch is not None:
            check_range("schedule.steps_per_epoch", self.steps_per_epoch, low=1)

    def steps(self, steps_in_one_pass: float) -> int:
        """Return the optimiser steps, given how many make one pass over the slices.

        At least one for any epochs but 0: a training never becomes an untrained network silently.
        """
        steps = self.epochs * (self.steps_per_epoch or steps_in_one_pass)
        return max(1, round(steps)) if steps else 0

    def rate(self, step: int, steps: int) -> float:
        """Return the rate of a step, from 0, of a training of so many."""
        falling = (1 + math.cos(math.pi * step / steps)) / 2
        return self.lr * falling if self.decay == "cosine" else self.lr


@dataclass(frozen=True, kw_only=True)
class Net:
    """One network of a training: what it is, what it starts from, what of it is trained.

    `trainable` lists prefixes of parameter names; () freezes all of it and puts it in eval.
    """

    kind: ClassVar[str] = "net"
    arch: Arch
    init: tuple[Weights, ...] = ()
    trainable: tuple[str, ...] = ("",)


@dataclass(frozen=True, kw_only=True, eq=False)
class Train:
    """One training: a node of the plan. `node["ct"]` are the weights it leaves behind.

    `sources` are what the draw adds to every batch, as the entry of that name. `cases` "atlas"
    gives it the masks of all the fold's training patients, also of those whose CT is left out
    (`Ground.train_cases`), and no CT at all: refused where a network reads one.
    """

    kind: ClassVar[str] = "train"
    nets: Mapping[str, Net]
    objective: Objective
    schedule: Schedule
    views: tuple[View, ...] = ()
    sources: Mapping[str, BatchSource] = later(dict)
    labels: SeenLabels = later(SeenLabels)
    cases: str = later(CT)
    title: str = field(default="", metadata={"label": True})

    def __post_init__(self) -> None:
        check_choice("cases", self.cases, CASES)
        if self.cases == ATLAS and self.reads_image:
            raise BadInput(
                f"training {self.title!r} reads a CT, and an atlas is masks alone: leave out "
                "cases=atlas"
            )

    def __getitem__(self, net: str) -> Weights:
        if net not in self.nets:
            raise KeyError(f"no network {net!r} in this training; it has {sorted(self.nets)}")
        return Weights(node=self, net=net)

    @property
    def reads_image(self) -> bool:
        """Whether any of its networks reads the CT: its loss then sees what is labelled."""
        return any(getattr(net.arch, "reads", "image") == "image" for net in self.nets.values())

    def parents(self) -> tuple[Train, ...]:
        """Return the trainings that must be done before, each once, in order of use."""
        used = [weights.node for net in self.nets.values() for weights in net.init]
        return tuple(dict.fromkeys(used))


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """The weights of one network after a training, or of a part of it.

    `part` is a prefix of parameter names ("encoder"); `into` is the prefix that they take in the
    network they start ("" = the same one). What lies under a prefix in `without`, and with
    `where_equal` what has another shape there, keeps the weights it was built with.
    """

    kind: ClassVar[str] = "weights"
    node: Train
    net: str
    part: str = ""
    into: str = ""
    without: tuple[str, ...] = later(())
    where_equal: bool = later(False)

    def only(self, part: str, into: str = "") -> Weights:
        """Return the weights under the prefix `part` alone."""
        return replace(self, part=part, into=into)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What to measure afterwards on the test patients: `measure` on the networks of `node`.

    `node` may be a training of its own that no prediction needs (an adapter, say); neither it
    nor the measure is part of any other training's key.
    """

    kind: ClassVar[str] = "probe"
    name: str
    node: Train
    measure: Measure


class Method(Protocol):
    """A row's method: a frozen, keyword-only dataclass of plain values.

    It may also have `stages() -> Mapping[str, Weights]`, which are scored beside it under the
    name ROW@STAGE; `probes() -> tuple[Probe, ...]`, what to measure afterwards; and `flags() ->
    tuple[str, ...]`, what a reader of a table must know about this setting.
    """

    def plan(self) -> Weights:
        """Return the weights to predict with, hence all that must be trained before."""
        ...


def stages_of(method: Method) -> Mapping[str, Weights]:
    """Return a method's earlier stages that are scored too, by name; none where it has none."""
    stages = getattr(method, "stages", None)
    return dict(stages()) if stages else {}


def probes_of(method: Method) -> tuple[Probe, ...]:
    """Return what a method wants measured afterwards; () where it has no `probes`."""
    probes = getattr(method, "probes", None)
    return tuple(probes()) if probes else ()


def flags_of(method: Method) -> tuple[str, ...]:
    """Return what a reader of a table must know about a method's setting, as `NAME: why` each; ()
    where it has no `flags`."""
    flags = getattr(method, "flags", None)
    return tuple(flags()) if flags else ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A registry entry: a method and what people need to know about it.

    `group` is paper, beyond, controls, spikes, atlas or own; `table1` the row's name in the paper's
    Table 1.
    """

    method: Method
    group: str
    title: str
    about: str
    source: str
    table1: str = ""


def in_order(final: Train) -> Iterator[Train]:
    """Yield all trainings that `final` needs, parents first, each once, `final` last."""
    seen: set[Train] = set()

    def visit(node: Train) -> Iterator[Train]:
        if node in seen:
            return
        seen.add(node)
        for parent in node.parents():
            yield from visit(parent)
        yield node

    yield from visit(final)
