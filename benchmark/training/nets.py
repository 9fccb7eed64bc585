"""From a node's networks to modules: build, start from parents' weights, freeze."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmark.plan.keys import draw_seed
from benchmark.plan.nodes import Build, Net, Train, Weights

State = Mapping[str, Tensor]
Loaded = Mapping[Weights, State]  # the whole network's state of each `init` entry of a node


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


def start(node: Train, nets: Mapping[str, nn.Module], loaded: Loaded) -> None:
    """Copy the parents' weights into the networks that start from them.

    Raises `ValueError` where a part has no counterpart of the same shape.
    """
    for name, net in node.nets.items():
        for weights in net.init:
            _copy(nets[name], weights, loaded[weights])


def place(nets: Mapping[str, nn.Module], device: torch.device) -> None:
    """Move the networks to the device, in channels_last."""
    for module in nets.values():
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


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


def _copy(module: nn.Module, weights: Weights, state: State) -> None:
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
