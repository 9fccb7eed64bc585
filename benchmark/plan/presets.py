"""Presets: one function of a method's values, so that every row is scaled alike.

A preset may change only width, norm, epochs, rate and its decay, and of the ground size, batch, the
target on the grid and the loss's share of cross-entropy and squares. The resolved values are
hashed, the preset's name is not. `quick` also fixes the length of an epoch, so that its cost does
not grow with the data set (docs/decisions/0004); why the demonstrations add cross-entropy stands in
docs/decisions/0006, how `quick` and `study` were chosen in 0022 and 0027.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

from benchmark.errors import BadInput, near
from benchmark.plan.ground import Ground
from benchmark.plan.keys import canonical, digest
from benchmark.plan.nodes import Arch, Method, Schedule

LABELS = ("about", "verdict", "scope")  # what changes no number, hence no hash


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
    squared: bool | None = None
    labels: str | None = None
    decay: str | None = None
    verdict: bool = False
    scope: str = ""  # what its verdicts are about, where not about the claim itself

    @cached_property
    def hash(self) -> str:
        """The hash of what changes numbers. A value at its default is left out, so that a field
        which is added later changes no hash."""
        return digest(
            {
                item.name: canonical(value)
                for item in fields(self)
                if item.name not in LABELS and (value := getattr(self, item.name)) != item.default
            }
        )


# To change a preset's values: keep those of before as `NAME-1` (then `NAME-2`), with `verdict`
# off. What was trained with them is then shown, and can be run, under that name.
PRESETS = {
    "quick": Preset(
        about="demonstration: minutes on two cores, no verdict",
        epochs=0.3,
        lr=4e-3,
        steps_per_epoch=20,
        width=8,
        norm="instance",
        size=64,
        ce=0.1,
        squared=True,
        labels="area",
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
    "study": Preset(
        about="the phantom's own grid: a verdict about the phantom, where a plan names it",
        epochs=0.2,
        lr=4e-3,
        steps_per_epoch=20,
        width=8,
        norm="instance",
        size=128,
        batch=8,
        ce=0.1,
        squared=True,
        labels="area",
        decay="cosine",
        verdict=True,
        scope="its verdicts are about the phantom, and say nothing of patients",
    ),
    "paper": Preset(about="the paper's network, epochs and rate; needs a GPU", verdict=True),
    "quick-1": Preset(
        about="what quick was: FSM does not act in it; no verdict",
        epochs=0.1,
        lr=8e-3,
        steps_per_epoch=20,
        width=8,
        norm="instance",
        size=64,
        ce=0.1,
    ),
    "study-1": Preset(
        about="what study was: one training in thirty fails in it; no verdict",
        epochs=0.3,
        lr=4e-3,
        steps_per_epoch=20,
        width=8,
        norm="instance",
        size=128,
        batch=4,
        ce=0.1,
        squared=True,
        labels="area",
        decay="cosine",
    ),
}

# The values with which hashes began. What was written before holds no hash, and had these.
# Never changed: file names, plans' fingerprints and MLflow's runs are made of these names.
FIRST = {
    "5153d8019a99982bf432": "quick",
    "dbdb1384bd559475e984": "lite",
    "44136fa355b3678a1146": "paper",
}
VERSION = re.compile(r"-(\d+|[0-9a-f]{6})$")  # what `known_as` may put behind a name


def preset_named(name: str) -> Preset:
    """Return a preset; raises `BadInput` with the known names."""
    if name not in PRESETS:
        raise BadInput(
            f"no preset {name!r}: {near(name, PRESETS)}choose one of {', '.join(PRESETS)}"
        )
    return PRESETS[name]


def known_as(name: str, preset_hash: str) -> tuple[str, str]:
    """Return the name under which stored values are known now, and their hash.

    `name` is what they were called when they were stored, `preset_hash` is "" for what was stored
    before hashes were. Values that no preset has any more are called `NAME-` and six digits.
    """
    values = preset_hash or next((h for h, first in FIRST.items() if first == name), "")
    names = [known for known, preset in PRESETS.items() if preset.hash == values]
    if name in names or not values:
        return name, values
    return next(iter(names), f"{VERSION.sub('', name)}-{values[:6]}"), values


def lasting_name(name: str, preset_hash: str) -> str:
    """Return what values are called in file names and identities, whatever they are shown as: the
    first name of the first values, of all later ones their hash."""
    return FIRST.get(preset_hash, preset_hash or name)


def other_values(stored: str, asked: str, *, instead: str, more: str = "") -> str:
    """Return what to do where `asked` has other values than those stored, which are known as
    `stored`: give that name (and `more`) or `instead`; "" where they are not of one preset."""
    base = VERSION.sub("", stored)
    if base != VERSION.sub("", asked):
        return ""
    if stored in PRESETS:
        now = f"they are known as {stored} now: give --preset {stored}{more}, or {instead}"
    else:
        now = f"no preset has them now: give {instead}"
    return f"other values of preset {base}: {now}"


def demonstration(name: str) -> str:
    """Return a note for a preset that gives no verdict, "" for one that may."""
    preset = PRESETS.get(name)
    if preset and preset.verdict:
        return ""
    return f"preset {name}: {preset.about if preset else 'no preset has its values now'}"


def scope_note(name: str) -> str:
    """Return what a preset's verdicts are about, "" where about the claim itself."""
    preset = PRESETS.get(name)
    return f"preset {name}: {preset.scope}" if preset and preset.scope else ""


def scale_ground(preset: Preset, ground: Ground) -> Ground:
    """Return the ground with the preset's size (pixels), batch (slices), target and loss; what the
    preset leaves open stays."""
    loss = ground.loss if preset.ce is None else replace(ground.loss, ce=preset.ce)
    loss = loss if preset.squared is None else replace(loss, squared=preset.squared)
    size, batch = preset.size or ground.size, preset.batch or ground.batch
    labels = preset.labels or ground.labels
    return replace(ground, size=size, batch=batch, loss=loss, labels=labels)


def scale_method(preset: Preset, method: Method) -> Method:
    """Return the method with every schedule and architecture in it scaled: epochs by the preset's
    factor, rate, steps, width and norm by its values. Raises as the method's own checks do."""
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
        changes["decay"] = preset.decay or value.decay
    return replace(value, **changes)
