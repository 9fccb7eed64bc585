"""The stages of the paper, trained: they learn, share what they should, and keep what is frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.unet import Plain
from benchmark.parts.networks import UNet
from benchmark.plan.nodes import Schedule, in_order
from benchmark.training.trainer import History
from methods.fsm import Fsm

SHORT = Schedule(epochs=1.5, steps_per_epoch=4, lr=3e-3)
CT = UNet(width=2, levels=3, norm="batch")
GT = replace(CT, reads="masks")
SMALL = Fsm(ct=CT, gt=GT, schedule=SHORT, teacher_input="noisy")


def weights(nets: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}/{path}": tensor.clone()
        for name, net in nets.items()
        for path, tensor in net.state_dict().items()
    }


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[path], other[path]) for path in one)


def losses(history: History) -> list[float]:
    return [epoch.terms["dsc"] for epoch in history.epochs]


def test_a_network_learns_the_tiny_set(cpu_trainer: Any) -> None:
    arch = UNet(width=4, levels=3, norm="instance", dropout=0.0)
    final = Plain(ct=arch, schedule=Schedule(epochs=4, steps_per_epoch=15, lr=1e-2)).plan()
    cpu_trainer.train(final)
    falling = losses(cpu_trainer.histories[final.node])
    assert falling == sorted(falling, reverse=True) and falling[-1] < 0.7 * falling[0]


def test_the_loss_falls_in_every_stage_of_fsm(cpu_trainer: Any) -> None:
    ct = UNet(width=2, levels=3, norm="instance", dropout=0.1)
    schedule = Schedule(epochs=2, steps_per_epoch=12, lr=1e-2)
    final = Fsm(ct=ct, gt=replace(ct, reads="masks"), schedule=schedule).plan()
    cpu_trainer.train(final)
    for node, history in cpu_trainer.histories.items():
        first, last = losses(history)
        assert last < first, node.title
    assert len(cpu_trainer.histories) == 3


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_without_xi_and_refine_fsm_is_the_plain_network_bit_for_bit(
    norm: str, cpu_trainer: Any
) -> None:
    ct, gt = replace(CT, norm=norm), replace(GT, norm=norm)
    plain_node = Plain(ct=ct, schedule=SHORT).plan()
    plain = cpu_trainer.train(plain_node)[plain_node.node]["ct"].state_dict()

    def student(method: Fsm) -> dict[str, Tensor]:
        final = replace(method, ct=ct, gt=gt, refine=False).plan()
        state: dict[str, Tensor] = cpu_trainer.train(final)[final.node]["ct"].state_dict()
        return state

    for reading in (SMALL, replace(SMALL, norm="raw", gradient="no_input", taps=((0, 1),))):
        assert same(student(replace(reading, xi=0.0)), plain)
    assert not same(student(replace(SMALL, xi=0.3)), plain)


def test_rows_see_the_same_start_and_the_same_batches(cpu_trainer: Any) -> None:
    unet, fsm = (m.plan() for m in (Plain(ct=CT, schedule=SHORT), replace(SMALL, refine=False)))
    teacher = next(iter(in_order(fsm.node)))
    starts = {node: cpu_trainer.nets(node) for node in (unet.node, fsm.node, teacher)}
    one, other = (starts[node]["ct"].state_dict() for node in (unet.node, fsm.node))
    assert same(one, other)
    draws = [cpu_trainer.draw(node, nets) for node, nets in starts.items()]
    for step in (0, 1, 7, 100):
        of_unet, of_fsm, of_teacher = (draw(step) for draw in draws)
        assert torch.equal(of_unet.image_B1HW, of_fsm.image_B1HW)
        assert torch.equal(of_unet.label_BHW, of_fsm.label_BHW)
        assert not torch.equal(of_unet.image_B1HW, of_teacher.image_B1HW)
    seeds = [cpu_trainer.draw(unet.node, starts[unet.node], seed)(3).image_B1HW for seed in (0, 1)]
    assert not torch.equal(*seeds)


def test_frozen_parts_do_not_move(cpu_trainer: Any) -> None:
    done = cpu_trainer.train(SMALL.plan())
    stage1, stage2, stage3 = (weights(nets) for nets in done.values())
    teacher = {path: tensor for path, tensor in stage2.items() if path.startswith("gt/")}
    assert any("running_mean" in path for path in teacher)
    assert same(teacher, stage1)  # weights, running statistics, counts of batches
    before = {path: tensor for path, tensor in stage2.items() if "ct/encoder" in path}
    before |= {path.replace("gt/", "ct/"): t for path, t in stage1.items() if "/decoder" in path}
    moved = {path for path in stage3 if not torch.equal(stage3[path], before[path])}
    assert moved == {path for path in stage3 if path.startswith("ct/decoder")}
    started = weights({"ct": cpu_trainer.nets(list(done)[1])["ct"]})
    assert not any(
        torch.equal(stage2[path], started[path]) for path in started if "running" in path
    )
