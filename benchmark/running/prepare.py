"""A training before its first step: networks with their start weights, and the draw."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from benchmark.data.feeding.draw import SliceDraw
from benchmark.parts.networks import stride_of
from benchmark.plan.nodes import Train, Weights
from benchmark.running.folds import FoldData
from benchmark.training.nets import build, place, start
from benchmark.training.precision import Hardware

Loaded = Mapping[Weights, Mapping[str, Tensor]]


def networks(node: Train, data: FoldData, seed: int) -> dict[str, nn.Module]:
    """Return the node's untrained networks for a fold's organs and grid."""
    return build(node, organs=data.dataset.organs, size=data.ground.size, seed=seed)


def prepared(
    node: Train, data: FoldData, seed: int, loaded: Loaded, hardware: Hardware
) -> tuple[dict[str, nn.Module], SliceDraw, Hardware]:
    """Return the node's networks as they start, on the device, the draw of its batches, and the
    hardware with the layout of this training.

    `loaded` holds the whole networks' states of the weights that it starts from.
    """
    nets = networks(node, data, seed)
    start(node, nets, loaded)
    chosen = place(nets, hardware)
    draw = SliceDraw(
        data.training(),
        data.ground,
        seed=seed,
        stream=node.schedule.stream,
        stride=stride_of(nets),
        device=hardware.device,
        sources=node.sources,
    )
    return nets, draw, chosen
