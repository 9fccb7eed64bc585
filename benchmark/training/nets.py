"""From a node's networks to modules: build, start from parents' weights, freeze."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.plan.keys import draw_seed
from benchmark.plan.nodes import Build, Net, Train, Weights
from benchmark.training.precision import BEFORE, FORMATS, Hardware

Tensors = Mapping[str, Tensor]
StartWeights = Mapping[Weights, Tensors]  # the whole network's state of each `init` entry of a node


def build(
    node: Train, *, organs: tuple[str, ...], size: int | None, seed: int
) -> dict[str, nn.Module]:
    """Return the node's untrained networks.

    Random weights are a function of (seed, stream, network's name): two rows whose trainings
    share a stream start from the same N_CT.
    """
    built: dict[str, nn.Module] = {}
    for name, net in node.nets.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw_seed(seed, node.schedule.stream, "init", name))
            built[name] = net.arch.build(Build(organs=organs, size=size, built=built))
    return built


def start(node: Train, nets: Mapping[str, nn.Module], loaded: StartWeights) -> None:
    """Copy the parents' weights into the networks that start from them.

    Raises `ValueError` where a part has no counterpart of the same shape.
    """
    for name, net in node.nets.items():
        for weights in net.init:
            _copy(nets[name], weights, loaded[weights])


def place(nets: Mapping[str, nn.Module], hardware: Hardware) -> Hardware:
    """Move the networks to the device, in the layout that the hardware's rule has for them; return
    the hardware with that layout."""
    normed = any(isinstance(m, nn.GroupNorm) for net in nets.values() for m in net.modules())
    chosen = hardware.laid_out(normed=normed)
    for module in nets.values():
        to_layout(module, hardware.device, chosen.layout)
    return chosen


def on_meta(nets: Mapping[str, nn.Module]) -> None:
    """Move the networks to the meta device in place: they keep shapes, and take no memory."""
    for module in nets.values():
        to_layout(module, torch.device("meta"), BEFORE)


def to_layout(module: nn.Module, device: torch.device, layout: str) -> None:
    """Move a network to the device, in a layout that its first input is brought into."""
    module.to(device=device, memory_format=FORMATS[layout])  # type: ignore[call-overload]
    if layout == "nchw":
        getattr(module, "encoder", module).register_forward_pre_hook(_in_nchw)


def _in_nchw(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_nchw(x) if isinstance(x, Tensor) and x.dim() == 4 else x for x in inputs)


def _nchw(x_BCHW: Tensor) -> Tensor:
    """The strides too: of one channel both layouts have the same bytes, and the strides alone say
    which of them a convolution takes."""
    channels, height, width = x_BCHW.shape[1:]
    if x_BCHW.stride() == (channels * height * width, height * width, width, 1):
        return x_BCHW
    return x_BCHW.clone(memory_format=torch.contiguous_format)


def freeze(node: Train, nets: Mapping[str, nn.Module]) -> list[nn.Parameter]:
    """Set what is trained and what is frozen; return the trained parameters in a fixed order.

    Modules outside a trainable prefix are in eval: norm layers keep their running
    statistics there, and dropout is off.
    """
    trained: list[nn.Parameter] = []
    for name, net in node.nets.items():
        for path, module in nets[name].named_modules():
            module.training = _under(path, net)
        for path, parameter in nets[name].named_parameters():
            parameter.requires_grad_(_under(path, net))
            if parameter.requires_grad:
                trained.append(parameter)
    return trained


def _under(path: str, net: Net) -> bool:
    return any(
        not prefix or path == prefix or path.startswith(prefix + ".") for prefix in net.trainable
    )


def _copy(module: nn.Module, weights: Weights, state: Tensors) -> None:
    into = weights.into or weights.part
    own = {path: part for path, part in module.state_dict().items() if _in(path, into, weights)}
    chosen = {
        moved: tensor
        for path, tensor in state.items()
        if not weights.part or path.startswith(weights.part + ".")
        if _in(moved := _moved(path, weights.part, into), into, weights)
    }
    if weights.where_equal:
        other = {p for p in chosen.keys() & own.keys() if own[p].shape != chosen[p].shape}
        own = {path: part for path, part in own.items() if path not in other}
        chosen = {path: part for path, part in chosen.items() if path not in other}
    wrong = [path for path in chosen if path not in own or own[path].shape != chosen[path].shape]
    if wrong or not chosen or own.keys() - chosen.keys():
        odd = sorted(wrong or own.keys() - chosen.keys())[:3]
        raise ValueError(f"weights of {weights.net!r} do not fit here: {odd}")
    with torch.no_grad():
        for path, tensor in chosen.items():
            own[path].copy_(tensor)


def _in(path: str, into: str, weights: Weights) -> bool:
    """Whether a parameter of the started network is one that these weights must fill."""
    inside = not into or path.startswith(into + ".")
    return inside and not any(path.startswith(prefix + ".") for prefix in weights.without)


def _moved(path: str, part: str, into: str) -> str:
    if part:
        return into + path[len(part) :]
    return f"{into}.{path}" if into else path
