"""The memory layout of a training: by a rule, recorded, and kept when it goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from baselines.unet import Plain
from benchmark.errors import BadInput
from benchmark.parts.networks import NORMS, UNet
from benchmark.plan.nodes import Build, Schedule
from benchmark.training.nets import place
from benchmark.training.precision import hardware
from benchmark.training.trainer import Control, State, fit

TO = Build(organs=("a", "b"), size=32, built={})


def network(norm: str) -> nn.Module:
    return UNet(width=4, levels=2, norm=norm).build(TO)


@pytest.mark.parametrize("norm", NORMS)
def test_on_a_cpu_group_and_instance_norm_are_laid_out_nchw(norm: str) -> None:
    net = network(norm)
    chosen = place({"ct": net}, hardware("cpu", "fp32"))
    seen: list[torch.Size | tuple[int, ...]] = []
    net.encoder.blocks[0][0].register_forward_pre_hook(lambda _, x: seen.append(x[0].stride()))
    image = torch.zeros(2, 1, 8, 8).contiguous(memory_format=torch.channels_last)
    out = net(image)
    if norm in ("group", "instance"):
        assert chosen.layout == "nchw" and out.is_contiguous()
        assert seen == [(64, 64, 8, 1)], "of one channel the strides alone tell the layout"
    else:
        assert chosen.layout == "channels_last"
        assert out.is_contiguous(memory_format=torch.channels_last)
    assert chosen.record()["layout"] == chosen.layout


def test_one_normed_network_decides_for_all_of_a_training() -> None:
    nets = {"ct": network("none"), "gt": network("instance")}
    assert place(nets, hardware("cpu", "fp32")).layout == "nchw"


def test_it_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_LAYOUT", "channels_last")
    assert place({"ct": network("instance")}, hardware("cpu")).layout == "channels_last"
    monkeypatch.setenv("BENCH_LAYOUT", "nhwc")
    with pytest.raises(BadInput, match="BENCH_LAYOUT=nhwc is not known: choose channels_last or"):
        hardware("cpu")


@pytest.mark.parametrize("layout", ["channels_last", "nchw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_goes_on_as_it_began(cpu_trainer: Any, layout: str, precision: str) -> None:
    """Bit for bit, in either layout, though the rule or the option says otherwise now."""
    method = Plain(ct=UNet(width=4, levels=2, norm="instance"),
                   schedule=Schedule(epochs=1, steps_per_epoch=4, lr=3e-3))  # fmt: skip
    node = method.plan().node
    begun = replace(hardware("cpu", precision), layout=layout)

    def trained(hw: Any, state: State | None, saved: list[State]) -> dict[str, torch.Tensor]:
        cpu_trainer.hardware = hw
        nets = cpu_trainer.ready(node, {})

        def save(at: State) -> None:
            saved.append(replace(at, tensors={n: t.clone() for n, t in at.tensors.items()}))

        fit(node, nets, cpu_trainer.draw(node, nets), seed=0, hardware=hw,
            control=Control(state=state, save=save, every_seconds=0.0))  # fmt: skip
        return nets["ct"].state_dict()

    saved: list[State] = []
    whole = trained(begun, None, saved)
    now = hardware("cpu", "fp32").as_begun(begun.record())
    assert (now.layout, now.bf16) == (layout, precision == "bf16")
    again = trained(now, saved[1], [])
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_record_without_a_layout_is_of_channels_last() -> None:
    assert hardware("cpu").as_begun({"precision": "fp32"}).layout == "channels_last"
