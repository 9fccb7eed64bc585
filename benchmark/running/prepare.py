"""A training before its first step: networks with their start weights, and the draw."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmark.data.draw import SliceDraw
from benchmark.plan.nodes import Train, Weights
from benchmark.running.folds import FoldData
from benchmark.training.nets import build, place, start

Loaded = Mapping[Weights, Mapping[str, Tensor]]


def networks(node: Train, data: FoldData, seed: int) -> dict[str, nn.Module]:
    """Return the node's untrained networks for a fold's organs and grid."""
    return build(node, organs=data.dataset.organs, size=data.ground.size, seed=seed)


def prepared(
    node: Train, data: FoldData, seed: int, loaded: Loaded, device: torch.device
) -> tuple[dict[str, nn.Module], SliceDraw]:
    """Return the node's networks as they start, on the device, and the draw of its batches.

    `loaded` holds the whole networks' states of the weights that it starts from.
    """
    nets = networks(node, data, seed)
    start(node, nets, loaded)
    place(nets, device)
    draw = SliceDraw(
        data.training(),
        data.ground,
        seed=seed,
        stream=node.schedule.stream,
        stride=max(int(getattr(module, "stride", 1)) for module in nets.values()),
        device=device,
        sources=node.sources,
    )
    return nets, draw
