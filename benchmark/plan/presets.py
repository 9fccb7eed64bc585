"""Presets: one function of a method's values, so that every row is scaled alike.

A preset may change only width, norm, epochs, rate, and of the ground size, batch and the loss's
share of cross-entropy. The resolved values are hashed, the preset's name is not. `quick` also
fixes the length of an epoch, so that its cost does not grow with the data set
(docs/decisions/0004); why both demonstrations add cross-entropy stands in docs/decisions/0006.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from benchmark.errors import BadInput
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Arch, Method, Schedule


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a preset changes. None leaves the method's own value."""

    about: str
    epochs: float = 1.0  # factor on the epochs of all stages
    lr: float | None = None
    steps_per_epoch: int | None = None
    width: int | None = None
    norm: str | None = None
    size: int | None = None
    batch: int | None = None
    ce: float | None = None
    verdict: bool = False


PRESETS = {
    "quick": Preset(
        about="demonstration: minutes on two cores, no verdict",
        epochs=0.1,
        lr=8e-3,
        steps_per_epoch=20,
        width=8,
        norm="instance",
        size=64,
        ce=0.1,
    ),
    "lite": Preset(
        about="demonstration: hours on a CPU, minutes on a GPU, no verdict",
        epochs=0.3,
        lr=1e-3,
        width=16,
        norm="instance",
        size=128,
        ce=0.1,
    ),
    "paper": Preset(about="the paper's network, epochs and rate; needs a GPU", verdict=True),
}


def preset_named(name: str) -> Preset:
    """Return a preset; raises `BadInput` with the known names."""
    if name not in PRESETS:
        raise BadInput(f"no preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def scale_ground(preset: Preset, ground: Ground) -> Ground:
    """Return the ground with the preset's size, batch and loss reading."""
    loss = ground.loss if preset.ce is None else replace(ground.loss, ce=preset.ce)
    size, batch = preset.size or ground.size, preset.batch or ground.batch
    return replace(ground, size=size, batch=batch, loss=loss)


def scale_method(preset: Preset, method: Method) -> Method:
    """Return the method with every schedule and architecture in it scaled."""
    scaled: Method = _walk(preset, method)
    return scaled


def _walk(preset: Preset, value: Any) -> Any:
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changes = {item.name: _walk(preset, getattr(value, item.name)) for item in fields(value)}
    for name in ("width", "norm") if isinstance(value, Arch) else ():
        if name in changes and getattr(preset, name) is not None:
            changes[name] = getattr(preset, name)
    if isinstance(value, Schedule):
        changes["epochs"] = value.epochs * preset.epochs
        changes["lr"] = preset.lr or value.lr
        changes["steps_per_epoch"] = preset.steps_per_epoch or value.steps_per_epoch
    return replace(value, **changes)
