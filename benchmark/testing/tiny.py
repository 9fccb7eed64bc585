"""A tiny data set that a tiny network learns in seconds, and whole plans trained on it in memory,
as `benchmark.running` does on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from benchmark.data.feeding.draw import SliceDraw, draw_for
from benchmark.data.feeding.slices import CaseSlices, on_training_grid
from benchmark.data.volume import Geometry, Image, Label, Volume
from benchmark.parts.networks import stride_of
from benchmark.plan.folds import nested
from benchmark.plan.given import ATLAS
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Train, Weights, in_order
from benchmark.training.nets import build, place, start
from benchmark.training.precision import Hardware
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
        """The identity of the set: its number of patients."""
        return f"tiny-{self.patients}"

    def volumes(self) -> Iterator[Volume]:
        """Yield the patients."""
        for number in range(self.patients):
            yield tiny_volume(number)


def tiny_volume(number: int) -> Volume:
    """Return patient `number` of the tiny set, always the same."""
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


class MemoryTrainer:
    """Trains on `patients` cases of the tiny set; `partly` are annotated in the liver alone."""

    def __init__(
        self, ground: Ground, hardware: Hardware, patients: int = 4, partly: tuple[int, ...] = ()
    ) -> None:
        self.ground, self.hardware = ground, hardware
        self.cases = [
            on_training_grid(
                tiny_volume(number), ORGANS, ground.size, f"{number}", areas=ground.asks_areas
            )
            for number in range(patients)
        ]
        liver_alone = torch.tensor([organ == "liver" for organ in ORGANS])
        for number in partly:
            self.cases[number] = replace(self.cases[number], annotated_K=liver_alone)
        self.histories: dict[Train, History] = {}

    def nets(self, node: Train, seed: int = 0) -> dict[str, nn.Module]:
        """Return the node's untrained networks by name, on the CPU."""
        return build(node, organs=ORGANS, size=self.ground.size, seed=seed)

    def cases_of(self, node: Train) -> list[CaseSlices]:
        """Return the cases that a training is given, as `FoldData` does."""
        if node.cases == ATLAS:
            return [case.without_ct() for case in self.cases]
        return self.with_ct

    @property
    def with_ct(self) -> list[CaseSlices]:
        """The cases whose CT is there."""
        content = {case.name: case.sha256 for case in self.cases}
        chosen = nested(content, self.ground.train_cases)
        return [case for case in self.cases if case.name in chosen]

    def draw(self, node: Train, nets: Mapping[str, nn.Module], seed: int = 0) -> SliceDraw:
        """Return the draw of the node's batches: of the tiny set, on the hardware's device."""
        cases, stride, device = self.cases_of(node), stride_of(nets), self.hardware.device
        return draw_for(node, cases, self.ground, seed=seed, stride=stride, device=device)

    def ready(
        self, node: Train, done: Mapping[Train, Mapping[str, nn.Module]], seed: int = 0
    ) -> dict[str, nn.Module]:
        """Return the node's networks with their start weights, on the device."""
        nets = self.nets(node, seed)
        inits = [weights for net in node.nets.values() for weights in net.init]
        start(node, nets, {w: done[w.node][w.net].state_dict() for w in inits})
        place(nets, self.hardware)
        return nets

    def fit(self, node: Train, nets: Mapping[str, nn.Module], seed: int = 0) -> History:
        """Train one node's networks in place and return the history. Raises as
        `training.trainer.fit`."""
        draw = self.draw(node, nets, seed)
        return fit(node, nets, draw, seed=seed, hardware=self.hardware, control=Control())

    def train(
        self,
        final: Weights,
        seed: int = 0,
        before: Mapping[Train, dict[str, nn.Module]] | None = None,
    ) -> dict[Train, dict[str, nn.Module]]:
        """Train all that is behind `final`, in order; return the networks as they are after. What
        is trained in `before` is used again."""
        done: dict[Train, dict[str, nn.Module]] = dict(before or {})
        self.histories = {}
        for node in in_order(final.node):
            if node in done:
                continue
            nets = self.ready(node, done, seed)
            self.histories[node] = self.fit(node, nets, seed)
            done[node] = nets
        return done
