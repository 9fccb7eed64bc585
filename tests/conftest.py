"""What all tests share: one thread, and a tiny set that a tiny network learns in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.data.library import DataSet, add
from benchmark.data.slices import SliceDraw, on_training_grid
from benchmark.data.volume import Geometry, Image, Label, Volume
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Train, Weights, in_order
from benchmark.training.nets import build, place, start
from benchmark.training.precision import Hardware, hardware
from benchmark.training.trainer import Control, History, fit

ORGANS = ("liver", "left_kidney", "right_kidney")
SHAPE = (5, 24, 20)
HU = (-100, 110, 210, 190)  # fat, liver, left kidney, right kidney
CENTRES = ((10.0, 6.0), (16.0, 14.0), (17.0, 5.0))  # y, x of the organs
RADII = ((5.0, 4.0), (3.0, 2.5), (3.0, 2.5))


@dataclass(frozen=True, kw_only=True)
class TinySource:
    """`patients` volumes of 5x24x20 voxels, each with a liver and two kidneys as bright blobs.

    Every patient's blobs lie a little elsewhere. The kidneys are missing in the end slices.
    """

    patients: int = 6
    organs: tuple[str, ...] = ORGANS

    @property
    def fingerprint(self) -> str:
        return f"tiny-{self.patients}"

    def volumes(self) -> Iterator[Volume]:
        for number in range(self.patients):
            yield tiny_volume(number)


def tiny_volume(number: int) -> Volume:
    """Patient `number` of the tiny set, always the same."""
    rng = np.random.default_rng([7, number])
    label: Label = np.zeros(SHAPE, dtype=np.uint8)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for organ, (centre, radius) in enumerate(zip(CENTRES, RADII, strict=True), start=1):
        move_y, move_x = rng.uniform(-1, 1, 2)
        far = ((y - centre[0] - move_y) / radius[0]) ** 2 + (
            (x - centre[1] - move_x) / radius[1]
        ) ** 2
        label[0 if organ == 1 else 1 : 5 if organ == 1 else 4, far <= 1] = organ
    image: Image = (np.array(HU)[label] + rng.normal(0, 10, SHAPE)).astype(np.int16)
    image[:, :2] = -1000  # air in front of the patient
    affine = (
        (-1.0, 0.0, 0.0, 0.0),
        (0.0, -1.0, 0.0, 0.0),
        (0.0, 0.0, 2.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    )
    geometry = Geometry(
        spacing_mm=(2.0, 1.0, 1.0), affine=affine, shape=SHAPE[::-1], orientation="LPS"
    )
    return Volume(
        case=f"p{number:02d}", image=image, label=label, annotated=ORGANS, geometry=geometry
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Bit-identity holds for a thread count, and tests share the machine."""
    torch.set_num_threads(1)


@pytest.fixture
def tiny_source() -> TinySource:
    """Six patients; a `Source` as `benchmark.data.library.add` takes it."""
    return TinySource()


@pytest.fixture
def tiny_dataset(tmp_path: Path, tiny_source: TinySource) -> DataSet:
    """The tiny set, stored as "tiny" in the workspace `tmp_path`."""
    return add(tmp_path, "tiny", tiny_source)


@pytest.fixture
def tiny_overrides() -> dict[str, Any]:
    """For `resolve(..., overrides=)` or `--set NAME=json.dumps(VALUE)`, of any row with `ct`."""
    return {
        "ground.size": None,
        "ct.width": 4,
        "ct.levels": 3,
        "schedule.epochs": 2.0,
        "schedule.steps_per_epoch": 3,
    }


@pytest.fixture
def tiny_fsm_overrides(tiny_overrides: dict[str, Any]) -> dict[str, Any]:
    """The same for rows that have N_GT too."""
    return {**tiny_overrides, "gt.width": 4, "gt.levels": 3}


class Trainer:
    """Trains whole plans in memory, on the tiny set, as `benchmark.running` does on disk."""

    def __init__(self, ground: Ground, hardware: Hardware, patients: int = 4) -> None:
        self.ground, self.hardware = ground, hardware
        self.cases = [
            on_training_grid(tiny_volume(number), ORGANS, ground.size, sha256=f"{number}")
            for number in range(patients)
        ]

    def nets(self, node: Train, seed: int = 0) -> dict[str, nn.Module]:
        return build(node, organs=ORGANS, size=self.ground.size, seed=seed)

    def draw(self, node: Train, nets: Mapping[str, nn.Module], seed: int = 0) -> SliceDraw:
        stride = max(int(getattr(net, "stride", 1)) for net in nets.values())
        device = self.hardware.device
        return SliceDraw(
            self.cases,
            self.ground,
            seed=seed,
            stream=node.schedule.stream,
            stride=stride,
            device=device,
        )

    def ready(self, node: Train, done: Mapping[Train, Any], seed: int = 0) -> dict[str, nn.Module]:
        """The node's networks with their start weights, on the device."""
        nets = self.nets(node, seed)
        inits = [weights for net in node.nets.values() for weights in net.init]
        start(node, nets, {w: done[w.node][w.net].state_dict() for w in inits})
        place(nets, self.hardware.device)
        return nets

    def train(self, final: Weights, seed: int = 0) -> dict[Train, dict[str, nn.Module]]:
        """All trainings behind `final`, in order, with their networks as they are afterwards."""
        done: dict[Train, dict[str, nn.Module]] = {}
        self.histories: dict[Train, History] = {}
        for node in in_order(final.node):
            nets = self.ready(node, done, seed)
            draw = self.draw(node, nets, seed)
            self.histories[node] = fit(
                node, nets, draw, seed=seed, hardware=self.hardware, control=Control()
            )
            done[node] = nets
        return done


@pytest.fixture
def cpu_trainer() -> Trainer:
    """Batches of 4 slices on the native grid, fp32."""
    return Trainer(Ground(batch=4), hardware("cpu", "fp32"))
