"""What must hold on a CUDA device: plain functions that raise `AssertionError`.

`tests/test_gpu.py` runs them, and `docs/gpu_parts.py` where there is no pytest. On a CPU the same
functions run with `device="cpu"`, so that what can be wrong in them shows without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from baselines.unet import Plain
from benchmark.data.feeding import draw
from benchmark.parts.networks import UNet
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Schedule
from benchmark.testing import MemoryTrainer
from benchmark.training.precision import hardware
from methods.fsm import Fsm

SCHEDULE = Schedule(epochs=3, steps_per_epoch=12, lr=1e-2)
CT = UNet(width=8, levels=3, norm="instance", dropout=0.1)
GT = UNet(width=8, levels=3, norm="instance", dropout=0.1, reads="masks")
METHODS = {
    "unet": Plain(ct=CT, schedule=SCHEDULE),
    "fsm": Fsm(ct=CT, gt=GT, schedule=SCHEDULE),
}
PARTS = ("image_B1HW", "label_BHW", "annotated_BK", "valid_BHW", "case_B")


def trainer_on(device: str, precision: str = "fp32") -> MemoryTrainer:
    """Return a trainer of the tiny set, batches of 4 slices on the native grid."""
    return MemoryTrainer(Ground(batch=4), hardware(device, precision))


def every_stage_learns(method: str, precision: str, device: str = "cuda") -> None:
    """The loss of every stage falls, and its weights are finite, in fp32, on the device."""
    trainer = trainer_on(device, precision)
    done = trainer.train(METHODS[method].plan())
    for node, history in trainer.histories.items():
        losses = [epoch.terms["dsc"] for epoch in history.epochs]
        assert len(losses) == 3 and losses[-1] < losses[0], (node.title, losses)
        for net in done[node].values():
            parameters = list(net.parameters())
            assert all(p.device.type == device for p in parameters), node.title
            assert all(p.dtype == torch.float32 for p in parameters), node.title
            assert all(p.isfinite().all() for p in parameters), node.title
    record = trainer.hardware.record()
    assert record["precision"] == precision and record["device"] == device, record


def resident_and_streamed_slices_give_the_same_batches(device: str = "cuda") -> None:
    """Where slices lie changes no batch: on the device, or pinned in the host's memory."""
    trainer = trainer_on(device)
    node = METHODS["unet"].plan().node
    resident = trainer.draw(node, trainer.nets(node))
    share, draw.RESIDENT_SHARE = draw.RESIDENT_SHARE, 0.0
    try:
        streamed = trainer.draw(node, trainer.nets(node))
    finally:
        draw.RESIDENT_SHARE = share
    if device == "cuda":
        assert resident._hu_NHW.is_cuda and streamed._hu_NHW.is_pinned()
    for step in range(12):
        one, other = resident(step), streamed(step)
        for name in PARTS:
            first, second = getattr(one, name), getattr(other, name)
            assert first.device.type == device and torch.equal(first, second), (step, name)


def geometry_is_the_same_as_on_a_cpu(device: str = "cuda") -> None:
    """Noise is drawn on the device; which slice, where and how turned, is not."""
    trainer, host = trainer_on(device), trainer_on("cpu")
    node = METHODS["unet"].plan().node
    here, there = trainer.draw(node, trainer.nets(node)), host.draw(node, host.nets(node))
    for step in range(6):
        one, other = here(step), there(step)
        assert torch.equal(one.case_B.cpu(), other.case_B), step
        assert (one.label_BHW.cpu() == other.label_BHW).float().mean() > 0.99, step


CHECKS: dict[str, Callable[..., None]] = {
    **{
        f"every stage of {method} learns in {precision}": partial(
            every_stage_learns, method, precision
        )
        for method in METHODS
        for precision in ("fp32", "bf16")
    },
    "resident and streamed slices": resident_and_streamed_slices_give_the_same_batches,
    "geometry as on a CPU": geometry_is_the_same_as_on_a_cpu,
}
