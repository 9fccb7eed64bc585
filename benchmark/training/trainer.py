"""The one trainer. It knows no method: it sums the objective's named terms and steps one Adam.

Every random draw is a function of (seed, stream, step), so a killed training that is resumed is the
same training: bit for bit for the same kind of processor, thread count and torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from benchmark.errors import Diverged, Stopped
from benchmark.parts.batch import Batch, generator_of
from benchmark.parts.measures import bottom_of, pulls_at
from benchmark.plan.keys import draw_seed
from benchmark.plan.nodes import Train
from benchmark.training.meter import Epoch, Meter
from benchmark.training.nets import freeze
from benchmark.training.precision import Hardware

SHOW_EVERY_SECONDS = 0.5


class Draw(Protocol):
    """Where batches come from: a pure function of the step."""

    steps_in_one_pass: float
    case_names: tuple[str, ...]

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step, on the training's device."""
        ...


@dataclass(frozen=True, kw_only=True)
class State:
    """A training in mid-way: the steps done, all tensors by name, and the curves so far."""

    step: int
    tensors: Mapping[str, Tensor]
    epochs: tuple[Epoch, ...]


@dataclass(kw_only=True)
class Control:
    """What surrounds a training: where it resumes, how it is saved, who watches it.

    `save` is called at most every `every_seconds`; `watch(step, steps, terms)` about twice a
    second with the latest terms; `epoch` at the end of each epoch. Once `stop()` is true the
    training saves itself between two steps and raises `Stopped`.
    """

    state: State | None = None
    save: Callable[[State], None] = lambda state: None
    every_seconds: float = 30.0
    watch: Callable[[int, int, Mapping[str, float]], None] = lambda step, steps, terms: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, kw_only=True)
class History:
    """What a training leaves behind beside its weights: one entry an epoch, and its length."""

    steps: int
    epochs: tuple[Epoch, ...] = field(default_factory=tuple)


def fit(
    node: Train,
    nets: Mapping[str, nn.Module],
    draw: Draw,
    *,
    seed: int,
    hardware: Hardware,
    control: Control,
) -> History:
    """Train the node's networks in place and return the history.

    `nets` lie on the device with their start weights. Zero epochs is legal and trains nothing.
    Raises `Diverged` with step, term and cases at the first loss that is not finite, and where the
    last step leaves weights that are not.
    """
    steps = node.schedule.steps(draw.steps_in_one_pass)
    parameters = freeze(node, nets)
    if steps == 0 or not parameters:
        return History(steps=0)
    optimiser = torch.optim.Adam(parameters, lr=node.schedule.lr, fused=True)
    meter = Meter(per_epoch=node.schedule.steps_per_epoch or max(1, round(draw.steps_in_one_pass)))
    saved = shown = time.monotonic()
    for step in range(_restore(control.state, nets, optimiser, meter), steps):
        with bottom_of(nets) if _looks(meter, step, steps) else nullcontext() as caught:
            terms, loss = _forward(node, nets, draw, seed=seed, step=step, hardware=hardware)
        meter.pulls = pulls_at(terms, caught) if caught else {}
        _backward(loss, optimiser, node.schedule.rate(step, steps))
        meter.add(step, {name: term.detach() for name, term in terms.items()})
        now = time.monotonic()
        last = step + 1 == steps
        stopping = control.stop() and not last  # a finished training is worth more than a state
        save_due = stopping or (not last and now - saved >= control.every_seconds)
        show_due = last or now - shown >= SHOW_EVERY_SECONDS
        if save_due or show_due or meter.is_full(hardware.device.type) or meter.ends_epoch(step):
            _settle(meter, draw, control)
        if last:
            _finish(parameters, steps, meter, control)
        if show_due:
            control.watch(step + 1, steps, meter.latest)
            shown = now
        if save_due:
            control.save(_state(step + 1, nets, optimiser, meter))
            saved = time.monotonic()
        if stopping:
            raise Stopped(f"stopped after step {step + 1} of {steps}")
    return History(steps=steps, epochs=tuple(meter.epochs))


def _looks(meter: Meter, step: int, steps: int) -> bool:
    """Whether the pulls are measured: at the end of each epoch in the middle third."""
    return steps <= 3 * (step + 1) <= 2 * steps and meter.ends_epoch(step)


def _forward(
    node: Train,
    nets: Mapping[str, nn.Module],
    draw: Draw,
    *,
    seed: int,
    step: int,
    hardware: Hardware,
) -> tuple[Mapping[str, Tensor], Tensor]:
    """Return a step's terms and their sum, with their graph, on the device."""
    stream = node.schedule.stream
    batch = draw(step)
    for place, view in enumerate(node.views):
        batch = view(batch, generator_of(hardware.device, seed, stream, "view", place, step))
    torch.manual_seed(draw_seed(seed, stream, "dropout", step))
    with hardware.autocast():
        terms = node.objective(nets, batch)
    return terms, torch.stack([term.float() for term in terms.values()]).sum()


def _backward(loss: Tensor, optimiser: torch.optim.Adam, rate: float) -> None:
    """Take the optimiser's step."""
    optimiser.param_groups[0]["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimiser.step()


def _settle(meter: Meter, draw: Draw, control: Control) -> None:
    """Bring the terms to the host, stop at one that is not finite, report finished epochs."""
    bad = meter.settle()
    if bad is not None:
        step, term, value = bad
        cases = [draw.case_names[int(case)] for case in draw(step).case_B]
        names = ", ".join(sorted(set(cases)))
        raise Diverged(
            f"step {step + 1}: the term {term!r} is {value}; cases of that batch: {names}"
        )
    _report(meter, control)


def _report(meter: Meter, control: Control) -> None:
    for epoch in meter.take_finished():
        control.epoch(epoch)


def _finish(parameters: list[nn.Parameter], steps: int, meter: Meter, control: Control) -> None:
    """Close the curves. A gradient that is not finite shows in the next step's loss; the last step
    has no next: raise `Diverged` where it left such weights."""
    finite = torch.stack([parameter.detach().isfinite().all() for parameter in parameters])
    if not finite.all():
        raise Diverged(f"step {steps}: it left weights that are not finite")
    meter.close(steps)
    _report(meter, control)


def _state(
    step: int, nets: Mapping[str, nn.Module], optimiser: torch.optim.Adam, meter: Meter
) -> State:
    tensors = {
        f"net/{name}/{path}": tensor
        for name, module in nets.items()
        for path, tensor in module.state_dict().items()
    }
    for index, entry in optimiser.state_dict()["state"].items():
        tensors |= {f"adam/{index}/{name}": tensor for name, tensor in entry.items()}
    tensors["meter/sums"] = meter.sums_tensor()
    return State(step=step, tensors=tensors, epochs=tuple(meter.epochs))


def _restore(
    state: State | None,
    nets: Mapping[str, nn.Module],
    optimiser: torch.optim.Adam,
    meter: Meter,
) -> int:
    """Put a saved state back; return the step to go on from."""
    if state is None:
        return 0
    for name, module in nets.items():
        prefix = f"net/{name}/"
        own = {
            path.removeprefix(prefix): tensor
            for path, tensor in state.tensors.items()
            if path.startswith(prefix)
        }
        module.load_state_dict(own)
    groups = optimiser.state_dict()
    parameters = optimiser.param_groups[0]["params"]
    groups["state"] = {
        index: _moments(state.tensors, index, parameter)
        for index, parameter in enumerate(parameters)
        if f"adam/{index}/step" in state.tensors  # not where no gradient has come yet
    }
    optimiser.load_state_dict(groups)
    meter.resume(state.epochs, state.tensors["meter/sums"], state.step)
    return state.step


def _moments(tensors: Mapping[str, Tensor], index: int, like: nn.Parameter) -> dict[str, Tensor]:
    """Adam's state of one parameter, in the parameter's own memory layout: the fused kernel walks
    both by address, so a contiguous moment beside a channels_last parameter would be scrambled."""
    prefix = f"adam/{index}/"
    moments = {}
    for name in ("exp_avg", "exp_avg_sq"):
        moments[name] = torch.empty_like(like, memory_format=torch.preserve_format)
        moments[name].copy_(tensors[prefix + name])
    moments["step"] = tensors[prefix + "step"].clone()
    return moments
