"""Building, starting from parents, and freezing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from benchmark.errors import BadInput
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.nodes import Build, Net, Schedule, Train, Weights
from benchmark.training.nets import build, freeze, start
from benchmark.training.precision import hardware

SCHEDULE = Schedule(epochs=1)
ARCH = UNet(width=2, levels=3, norm="batch")


def node(**nets: Net) -> Train:
    return Train(nets=nets, objective=Segmentation(), schedule=SCHEDULE)


def built(of: Train, seed: int = 0) -> dict[str, nn.Module]:
    return build(of, organs=("a", "b"), size=None, seed=seed)


def states(nets: Mapping[str, nn.Module], *weights: Weights) -> dict[Weights, Any]:
    return {w: nets[w.net].state_dict() for w in weights}


def test_random_weights_belong_to_seed_stream_and_name() -> None:
    one = built(node(ct=Net(arch=ARCH)))["ct"].state_dict()

    def equals(nets: dict[str, nn.Module], name: str = "ct") -> bool:
        other = nets[name].state_dict()
        return all(torch.equal(one[path], other[path]) for path in one)

    state = torch.get_rng_state()
    assert equals(built(node(ct=Net(arch=ARCH))))
    assert equals(built(node(aa=Net(arch=UNet(width=3)), ct=Net(arch=ARCH))))
    assert not equals(built(node(other=Net(arch=ARCH))), "other")
    assert not equals(built(node(ct=Net(arch=ARCH)), seed=1))
    stream = Train(nets={"ct": Net(arch=ARCH)}, objective=Segmentation(),
                   schedule=Schedule(stream="x"))  # fmt: skip
    assert not equals(built(stream))
    assert torch.equal(state, torch.get_rng_state())  # the caller's randomness is untouched


def test_parts_start_from_their_parents() -> None:
    first, second = node(ct=Net(arch=ARCH)), node(gt=Net(arch=UNet(width=2, levels=3, norm="batch",
                                                                   reads="masks")))  # fmt: skip
    parents = {**built(first, 1), **built(second, 2)}
    init = (first["ct"].only("encoder"), second["gt"].only("decoder"))
    child = node(ct=Net(arch=ARCH, init=init))
    nets = built(child, 3)
    start(child, nets, states(parents, *init))
    for path, tensor in nets["ct"].state_dict().items():
        source = parents["ct" if path.startswith("encoder.") else "gt"]
        assert torch.equal(tensor, source.state_dict()[path])
    assert nets["ct"].state_dict()["encoder.blocks.0.0.weight"].data_ptr() != (
        parents["ct"].state_dict()["encoder.blocks.0.0.weight"].data_ptr()
    )


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two networks in one, as a post-processing stack would be."""

    kind: ClassVar[str] = "pair"

    def build(self, to: Build) -> nn.Module:
        return nn.ModuleDict({"first": ARCH.build(to), "second": ARCH.build(to)})


def test_whole_networks_and_parts_move_under_another_name() -> None:
    parent = node(ct=Net(arch=ARCH))
    trained = built(parent, 1)
    init = (
        Weights(node=parent, net="ct", into="first"),
        parent["ct"].only("encoder", "second.encoder"),
    )
    child = node(both=Net(arch=Pair(), init=init))
    nets = built(child, 2)
    start(child, nets, states(trained, *init))
    for path, tensor in trained["ct"].state_dict().items():
        assert torch.equal(nets["both"].state_dict()[f"first.{path}"], tensor)
        alike = torch.equal(nets["both"].state_dict()[f"second.{path}"], tensor)
        assert alike or path.startswith("decoder.")


@pytest.mark.parametrize(
    "arch, part",
    [
        (UNet(width=4, levels=3, norm="batch"), ""),  # other shapes
        (UNet(width=2, levels=2, norm="batch"), "encoder"),  # a part is missing
        (UNet(width=2, levels=4, norm="batch"), "encoder"),  # a part is too many
        (ARCH, "nothing"),
        (ARCH, "encod"),  # a prefix of a name is no module
    ],
)
def test_weights_that_do_not_fit_are_refused(arch: UNet, part: str) -> None:
    parent = node(ct=Net(arch=arch))
    init = (parent["ct"].only(part),)
    child = node(ct=Net(arch=ARCH, init=init))
    with pytest.raises(ValueError, match="do not fit"):
        start(child, built(child), states(built(parent), *init))


def test_what_is_frozen_is_in_eval_and_has_no_gradient() -> None:
    of = node(ct=Net(arch=ARCH, trainable=("decoder",)), gt=Net(arch=ARCH, trainable=()),
              fsm=Net(arch=ARCH))  # fmt: skip
    nets = built(of)
    trained = freeze(of, nets)
    expected = [*nets["ct"].get_submodule("decoder").parameters(), *nets["fsm"].parameters()]
    assert [id(p) for p in trained] == [id(p) for p in expected]
    for net, prefixes in (("ct", ("decoder",)), ("gt", ()), ("fsm", ("",))):
        for path, module in nets[net].named_modules():
            assert module.training is any(path.startswith(p) for p in prefixes), (net, path)
        for path, parameter in nets[net].named_parameters():
            assert parameter.requires_grad is any(path.startswith(p) for p in prefixes)


def test_hardware_that_is_not_there_is_named() -> None:
    assert hardware("cpu", "fp32").record()["precision"] == "fp32"
    assert hardware("cpu", "bf16").bf16 and not hardware("cpu", "fp32").bf16
    for device in ("tpu!", "meta", "cuda:99"):
        with pytest.raises(BadInput, match="device"):
            hardware(device)
    with pytest.raises(BadInput, match="fp32 or bf16"):
        hardware("cpu", "fp16")
