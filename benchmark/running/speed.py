"""How fast a machine trains: the real loop beside the least that trains the same network.

Nothing is read from a disk: slices are made, and lie in memory as those of a data set do. It needs
the engine's packages alone, so that a machine lent for its GPU can run it (`docs/gpu.py`).
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmark.data.feeding.draw import SliceDraw, draw_for
from benchmark.data.feeding.slices import WHOLE, CaseSlices
from benchmark.parts.batch import Batch, onehot
from benchmark.parts.networks import UNet, stride_of
from benchmark.parts.stages import plain
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Schedule, Train, in_order
from benchmark.plan.presets import preset_named, scale_ground
from benchmark.training.nets import build, place, start
from benchmark.training.precision import FORMATS, Hardware, hardware
from benchmark.training.trainer import Control, Draw, fit

ORGANS = ("liver", "left_kidney", "right_kidney")
PATIENTS, SLICES = 2, 32  # made patients, and slices of each
WARM = 2  # steps of every block before its clock starts: Adam's state is made in the first
RATE = 1e-4  # no time depends on it, and no training with it leaves the finite numbers

Clock = Callable[[], float]
Way = Callable[[int], float]
"""Takes so many steps and returns seconds a step."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is timed: a training, what all rows share, and the side of a slice in pixels."""

    node: Train
    ground: Ground
    pixels: int


def work_of(preset_name: str) -> Workload:
    """Return the training of the plain U-Net of a preset, on its grid or on 512 pixels; raises
    `BadInput` for a preset that is not known."""
    preset = preset_named(preset_name)
    arch = UNet(width=preset.width or UNet.width, norm=preset.norm or UNet.norm)
    ground = scale_ground(preset, Ground())
    return plain_work(arch, ground, ground.size or 512)


def plain_work(arch: UNet, ground: Ground, pixels: int) -> Workload:
    """Return the training of one network on the segmentation loss alone."""
    return Workload(node=plain(arch, Schedule(lr=RATE)), ground=ground, pixels=pixels)


def clock_of(hardware: Hardware) -> Clock:
    """Return what reads seconds: of the process on a CPU, so that other work on the machine does
    not count; on CUDA of the wall, once the device has done all that it was given."""
    if hardware.device.type != "cuda":
        return time.process_time

    def settled() -> float:
        torch.cuda.synchronize(hardware.device)
        return time.perf_counter()

    return settled


def made_cases(pixels: int) -> list[CaseSlices]:
    """Return patients of noise with three square organs, always the same."""
    cases = []
    for number in range(PATIENTS):
        random = torch.Generator().manual_seed(number)
        label = torch.zeros(SLICES, pixels, pixels, dtype=torch.uint8)
        for organ in range(len(ORGANS)):
            low = (1 + 2 * organ) * pixels // 8
            label[:, low : low + pixels // 4, low : low + pixels // 4] = organ + 1
        noise = torch.randint(-150, 150, label.shape, generator=random, dtype=torch.int16)
        cases.append(
            CaseSlices(
                name=f"made-{number}",
                sha256=f"{number}",
                hu_ZHW=noise + 50 * label.to(torch.int16),
                label_ZHW=label,
                annotated_K=torch.ones(len(ORGANS), dtype=torch.bool),
                range_Z=(0, SLICES - 1),
                ends_Z=(0, SLICES - 1),
                area_ZKHW=(WHOLE * onehot(label, len(ORGANS))).to(torch.uint8),
            )
        )
    return cases


def networks(work: Workload, hardware: Hardware) -> tuple[dict[str, nn.Module], Hardware]:
    """Return the training's networks on the device and the hardware with their layout. Those that
    it starts from are not trained: no time depends on their values."""
    done: dict[Train, dict[str, nn.Module]] = {}
    for node in in_order(work.node):
        nets = build(node, organs=ORGANS, size=work.pixels, seed=0)
        inits = [weights for net in node.nets.values() for weights in net.init]
        start(node, nets, {w: done[w.node][w.net].state_dict() for w in inits})
        done[node] = nets
    return done[work.node], place(done[work.node], hardware)


def draw_of(work: Workload, nets: Mapping[str, nn.Module], hardware: Hardware) -> SliceDraw:
    """Return the draw of the training from the made patients."""
    cases, stride = made_cases(work.pixels), stride_of(nets)
    return draw_for(work.node, cases, work.ground, seed=0, stride=stride, device=hardware.device)


class Timed:
    """A draw that reads the clock when step `warm` begins."""

    def __init__(self, draw: Draw, clock: Clock, warm: int = WARM) -> None:
        self.steps_in_one_pass, self.case_names = draw.steps_in_one_pass, draw.case_names
        self._draw, self._clock, self._warm = draw, clock, warm
        self.began = 0.0

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        if step == self._warm:
            self.began = self._clock()
        return self._draw(step)


class Loop:
    """The real training: `fit` with draw, augmentation, views, loss and meter."""

    def __init__(self, work: Workload, hardware: Hardware) -> None:
        self.work = work
        self.nets, self.hardware = networks(work, hardware)
        self.draw = draw_of(work, self.nets, self.hardware)
        self._clock = clock_of(hardware)

    def __call__(self, steps: int) -> float:
        """Train on for `steps` after the warm ones; return seconds a step."""
        timed = Timed(self.draw, self._clock)
        self.fit(timed, WARM + steps)
        return (self._clock() - timed.began) / steps

    def fit(self, draw: Draw, steps: int, control: Control | None = None) -> None:
        """Run the trainer with a fresh Adam over `steps`, one epoch."""
        schedule = replace(self.work.node.schedule, epochs=1.0, steps_per_epoch=steps)
        node = replace(self.work.node, schedule=schedule)
        fit(node, self.nets, draw, seed=0, hardware=self.hardware, control=control or Control())


class Bare:
    """The least that trains the plain network: forward, cross-entropy, backward and Adam, over and
    over on one batch that lies on the device. `forward` is the network, or what stands for it."""

    def __init__(self, work: Workload, hardware: Hardware, *, capturable: bool = False) -> None:
        nets, self.hardware = networks(work, hardware)
        batch = draw_of(work, nets, self.hardware)(0)
        self.image_B1HW, self.label_BHW = batch.image_B1HW, batch.label_BHW
        self.forward: Callable[[Tensor], Tensor] = nets["ct"]
        self._optimiser = torch.optim.Adam(
            nets["ct"].parameters(), lr=RATE, fused=True, capturable=capturable
        )
        self._clock = clock_of(hardware)

    def step(self) -> None:
        """Take one step."""
        device = self.hardware.device.type
        # no cache of casted weights: each is used once, and a CUDA graph must not hold an old one
        with torch.autocast(
            device, dtype=torch.bfloat16, enabled=self.hardware.bf16, cache_enabled=False
        ):
            logits_BCHW = self.forward(self.image_B1HW)
        loss = F.cross_entropy(logits_BCHW.float(), self.label_BHW)
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._optimiser.step()

    def __call__(self, steps: int) -> float:
        """Take `steps` after the warm ones; return seconds a step."""
        for _ in range(WARM):
            self.step()
        began = self._clock()
        for _ in range(steps):
            self.step()
        return (self._clock() - began) / steps


def operations(work: Workload) -> tuple[float, float]:
    """Return the floating-point operations of one batch through the plain network, forward, and
    forward and backward, counted on shapes alone."""
    side, batch = work.pixels, work.ground.batch
    with torch.device("meta"):
        net = build(work.node, organs=ORGANS, size=side, seed=0)["ct"]
        image_B1HW = torch.empty(batch, 1, side, side)
    with FlopCounterMode(display=False) as counter:
        logits_BCHW = net(image_B1HW)
        forward = float(counter.get_total_flops())
        torch.autograd.backward(logits_BCHW.sum())
    return forward, float(counter.get_total_flops())


def alternated(ways: Mapping[str, Way], steps: int, rounds: int) -> dict[str, list[float]]:
    """Return each way's seconds a step, one value a round. A round takes every way once, in turn,
    every second round backwards, so that a machine that slows down counts for none of them."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            taken[name].append(ways[name](steps))
    return taken


@dataclass(frozen=True, kw_only=True)
class SpeedLine:
    """One form of one preset's training on a processor, one value a round for `times`.

    `times` is the loop as a multiple of the bare step, `of_fastest` the fastest form's bare step as
    a share of this one's (1 is the fastest). `taken` marks the form that `bench run` takes.
    """

    preset: str
    precision: str
    layout: str
    taken: bool
    bare_ms: float
    loop_ms: float
    times: tuple[float, ...]
    of_fastest: float


def processor_lines(preset_name: str, *, rounds: int, steps: int) -> list[SpeedLine]:
    """Return every precision and layout of a preset's training, timed in turn in this process."""
    work = work_of(preset_name)
    forms = list(itertools.product(("fp32", "bf16"), FORMATS))
    ways: dict[str, Way] = {}
    for precision, layout in forms:
        given = replace(hardware("cpu", precision), layout=layout)
        ways[f"bare {precision} {layout}"] = Bare(work, given)
        ways[f"loop {precision} {layout}"] = Loop(work, given)
    taken = networks(work, hardware("cpu"))[1]
    times = alternated(ways, steps, rounds)
    bare = {form: times[f"bare {form[0]} {form[1]}"] for form in forms}
    fastest = min(bare.values(), key=statistics.median)
    return [
        SpeedLine(
            preset=preset_name,
            precision=precision,
            layout=layout,
            taken=(precision == "bf16") == taken.bf16 and layout == taken.layout,
            bare_ms=1e3 * statistics.median(own),
            loop_ms=1e3 * statistics.median(loop),
            times=tuple(a / b for a, b in zip(loop, own, strict=True)),
            of_fastest=ratio(fastest, own),
        )
        for (precision, layout), own in bare.items()
        for loop in [times[f"loop {precision} {layout}"]]
    ]


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the median over rounds of one way's time as a multiple of the other's."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))
