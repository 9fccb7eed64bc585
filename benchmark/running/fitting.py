"""Whether the networks of a plan can be built, start from each other and take the slices of a data
set: tried on shapes, before any training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from benchmark.data.feeding.slices import training_grid
from benchmark.data.library import DataSet
from benchmark.errors import BadInput, one_line
from benchmark.parts.networks import Network, UNet, stride_of
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Build, Net, Train, Weights, in_order
from benchmark.training.nets import build, on_meta, start

OTHERS = (64, 128, 192, 224, 256, 384, 512)  # sides to try where a network cannot take the grid
FEW = 2  # samples of a try with real numbers


@dataclass(frozen=True, kw_only=True)
class Try:
    """One pass through a network: so many slices of so many pixels, in training or not."""

    batch: int
    height: int
    width: int
    training: bool

    def __str__(self) -> str:
        return f"{self.batch} slices of {self.height} x {self.width} pixels"


def check_networks(final: Weights, dataset: DataSet, ground: Ground) -> None:
    """Build every network of a plan without memory, pass on the shapes of its weights, and pass
    slices as large as the data set's through it.

    Raises `BadInput` for what only this shows (a tap that is not there, weights that do not fit, a
    grid that a network cannot take), which a training must not find out after hours of its parents.
    """
    organs, size = dataset.organs, ground.size
    made: dict[Train, Mapping[str, nn.Module]] = {}
    with torch.device("meta"):
        for node in in_order(final.node):
            nets = _built(node, organs, size)
            parents = [weights for net in node.nets.values() for weights in net.init]
            loaded = {weights: made[weights.node][weights.net].state_dict() for weights in parents}
            try:
                start(node, nets, loaded)
            except ValueError as error:
                raise BadInput(f"training {node.title!r}: {error}") from error
            _check_fit(node, nets, dataset, ground)
            made[node] = nets


def _built(node: Train, organs: tuple[str, ...], size: int | None) -> Mapping[str, nn.Module]:
    try:
        nets = build(node, organs=organs, size=size, seed=0)
        on_meta(nets)  # some libraries make some weights elsewhere
    except BadInput:
        raise
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"the networks of training {node.title!r} cannot be built: {one_line(error)}"
        ) from error
    return nets


def _check_fit(
    node: Train, nets: Mapping[str, nn.Module], dataset: DataSet, ground: Ground
) -> None:
    """Pass a batch as large as the training's own, and a slice of every size that is predicted,
    through each segmentation network of a training but a U-Net; they lie on the meta device.

    Raises `BadInput` with the network, the slices, the reason, and slices that it can take. What
    fails on shapes alone is tried with numbers before it is refused.
    """
    sizes = _sizes(dataset, ground, stride_of(nets))
    for name, net in node.nets.items():
        if type(net.arch) is UNet:  # takes any slices, and what a try imports takes a second
            continue
        module, reads = nets[name], getattr(net.arch, "reads", "")
        if not isinstance(module, Network) or reads not in ("image", "masks"):
            continue
        to = Build(organs=dataset.organs, size=ground.size, built=nets)
        for one in _tries(net, sizes, ground.batch):
            if why_not(module, to, reads, one) and (why := _why_not_really(net, to, reads, one)):
                called = getattr(net.arch, "name", net.arch.kind)
                raise BadInput(
                    f"training {node.title!r}: network {name!r} ({called}) cannot take {one}: "
                    f"{why}{_hint(module, to, reads, one)}"
                )


def _sizes(dataset: DataSet, ground: Ground, stride: int) -> list[tuple[int, int]]:
    """Height and width, padded, of a training's batch and then of each case by itself."""
    grids = [training_grid(case.shape_inside[1:], ground.size) for case in dataset.cases]
    frame = max(height for height, _ in grids), max(width for _, width in grids)
    padded = [(h + -h % stride, w + -w % stride) for h, w in [frame, *grids]]
    return list(dict.fromkeys(padded))


def _tries(net: Net, sizes: list[tuple[int, int]], batch: int) -> Iterator[Try]:
    height, width = sizes[0]
    yield Try(batch=batch, height=height, width=width, training=bool(net.trainable))
    for height, width in sizes:
        yield Try(batch=1, height=height, width=width, training=False)


def why_not(module: Network, to: Build, reads: str, one: Try) -> str:
    """Return what is wrong with a pass, "" where nothing is. The network lies on the default
    device."""
    classes = len(to.organs) + 1
    before = module.training
    x_BCHW = torch.zeros(one.batch, to.channels(reads), one.height, one.width)
    try:
        with torch.no_grad():
            maps = module.train(one.training).encoder(x_BCHW)
            logits = module.decoder(maps)
        channels = tuple(part.shape[1] for part in maps)
    except Exception as error:  # anybody's architecture
        return one_line(error)
    finally:
        module.train(before)
    if channels != tuple(module.channels):
        return f"its maps have {channels} channels, and it says {tuple(module.channels)}"
    if logits.shape != (one.batch, classes, one.height, one.width):
        return f"it answers with {tuple(logits.shape[1:])} for {classes} classes"
    return ""


def _why_not_really(net: Net, to: Build, reads: str, one: Try) -> str:
    """The same with numbers, and few of them: not all of PyTorch knows the meta device."""
    few = Try(batch=min(one.batch, FEW), height=one.height, width=one.width, training=one.training)
    try:
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            module = net.arch.build(to)
            assert isinstance(module, Network)  # it was one on the meta device
            return why_not(module, to, reads, few)
    except BadInput:
        raise
    except Exception as error:  # anybody's architecture
        return one_line(error)


def _hint(module: Network, to: Build, reads: str, one: Try) -> str:
    for side in OTHERS:
        other = Try(batch=one.batch, height=side, width=side, training=one.training)
        if side % module.stride == 0 and not why_not(module, to, reads, other):
            return f"; it can take {side} x {side} (--set ground.size={side} for square slices)"
    return ""
