"""On a CUDA device: every stage trains, bf16 runs, and where slices lie changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from baselines.unet import Plain
from benchmark.data import slices
from benchmark.parts.networks import UNet
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Schedule
from benchmark.training.precision import hardware
from methods.fsm import Fsm

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason=f"torch {torch.__version__} sees no CUDA device on this machine",
    ),
]
SCHEDULE = Schedule(epochs=3, steps_per_epoch=12, lr=1e-2)
CT = UNet(width=8, levels=3, norm="instance", dropout=0.1)
GT = UNet(width=8, levels=3, norm="instance", dropout=0.1, reads="masks")


@pytest.fixture
def gpu(cpu_trainer: Any) -> Any:
    cpu_trainer.ground = Ground(batch=4)
    cpu_trainer.hardware = hardware("cuda", "fp32")
    return cpu_trainer


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "method", [Plain(ct=CT, schedule=SCHEDULE), Fsm(ct=CT, gt=GT, schedule=SCHEDULE)]
)
def test_every_stage_learns(method: Any, precision: str, gpu: Any) -> None:
    gpu.hardware = hardware("cuda", precision)
    done = gpu.train(method.plan())
    for node, history in gpu.histories.items():
        losses = [epoch.terms["dsc"] for epoch in history.epochs]
        assert len(losses) == 3 and losses[-1] < losses[0], node.title
        for net in done[node].values():
            parameters = list(net.parameters())
            assert all(p.is_cuda and p.dtype == torch.float32 for p in parameters)
            assert all(p.isfinite().all() for p in parameters)
    if precision == "bf16" and hardware("cuda").bf16:
        record = hardware("cuda").record()
        assert record["precision"] == "bf16" and record["device"] == "cuda"


def test_resident_and_streamed_slices_give_the_same_batches(
    gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Plain(ct=CT, schedule=SCHEDULE).plan().node
    resident = gpu.draw(node, gpu.nets(node))
    monkeypatch.setattr(slices, "RESIDENT_SHARE", 0.0)
    streamed = gpu.draw(node, gpu.nets(node))
    assert resident._hu_NHW.is_cuda and streamed._hu_NHW.is_pinned()
    for step in range(12):
        one, other = resident(step), streamed(step)
        for name in ("image_B1HW", "label_BHW", "annotated_BK", "valid_BHW", "case_B"):
            first, second = getattr(one, name), getattr(other, name)
            assert first.is_cuda and torch.equal(first, second), name


def test_geometry_is_the_same_as_on_a_cpu(gpu: Any) -> None:
    """Noise is drawn on the device; which slice, where and how turned, is not."""
    node = Plain(ct=CT, schedule=SCHEDULE).plan().node
    on_gpu = gpu.draw(node, gpu.nets(node))
    gpu.hardware = hardware("cpu", "fp32")
    on_cpu = gpu.draw(node, gpu.nets(node))
    for step in range(6):
        one, other = on_gpu(step), on_cpu(step)
        assert torch.equal(one.case_B.cpu(), other.case_B)
        assert (one.label_BHW.cpu() == other.label_BHW).float().mean() > 0.99
