"""Whole plans trained in memory on the tiny set, as `benchmark.running` does on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from benchmark.data.feeding.draw import SliceDraw
from benchmark.data.feeding.slices import on_training_grid
from benchmark.parts.networks import stride_of
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Train, Weights, in_order
from benchmark.testing.tiny import ORGANS, tiny_volume
from benchmark.training.nets import build, place, start
from benchmark.training.precision import Hardware
from benchmark.training.trainer import Control, History, fit


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
        """Return the node's untrained networks."""
        return build(node, organs=ORGANS, size=self.ground.size, seed=seed)

    def draw(self, node: Train, nets: Mapping[str, nn.Module], seed: int = 0) -> SliceDraw:
        """Return the node's draw."""
        return SliceDraw(
            self.cases,
            self.ground,
            seed=seed,
            stream=node.schedule.stream,
            stride=stride_of(nets),
            device=self.hardware.device,
            sources=node.sources,
        )

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
        """Train one node's networks in place."""
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
