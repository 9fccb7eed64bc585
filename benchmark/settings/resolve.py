"""From what a person typed to plain values: a method, the ground, and a label for both.

Order of values: field default, preset, `--config`, `--set`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

from benchmark.errors import BadInput, near, one_line
from benchmark.files.source import is_ours, uses
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.ground import Ground, LossForm
from benchmark.plan.nodes import (
    Method,
    Probe,
    Weights,
    flags_of,
    in_order,
    probes_of,
    stages_of,
)
from benchmark.plan.presets import preset_named, scale_ground, scale_method
from benchmark.settings.overrides import UnknownField, did_you_mean, override, parse, pieces
from benchmark.settings.registry import Registry, kinds_of

GROUND = "ground."
TUNED = "tuned"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A row with every value resolved. `label` is its name in tables: `fsm`, `fsm[xi=1]`, or
    `fsm[tuned=xi]` for values that a tuning chose for each fold."""

    row: str
    preset: str
    overrides: Mapping[str, Any]
    method: Method
    ground: Ground
    tuned: str = ""
    preset_hash: str = ""

    @property
    def label(self) -> str:
        """The row's name with its overrides, or with what tuned them."""
        return label(self.row, {TUNED: self.tuned} if self.tuned else self.overrides)

    @cached_property  # every cell of the setting asks
    def flags(self) -> tuple[str, ...]:
        """What a reader of a table must know about this setting."""
        return (*flags_of(self.method), *own_loss_flags(self.method, self.ground.loss))

    @cached_property  # all cells then share its trainings, and `key` knows them again
    def plan(self) -> Weights:
        """The weights that are scored at the end."""
        return self.method.plan()

    @cached_property
    def stages(self) -> Mapping[str, Weights]:
        """The weights of earlier stages that are scored too, by name."""
        return stages_of(self.method)

    @cached_property
    def probes(self) -> tuple[Probe, ...]:
        """What is measured afterwards."""
        return probes_of(self.method)

    def __getstate__(self) -> dict[str, Any]:
        """Send the values alone to another process: it plans by itself."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def params(self) -> dict[str, str]:
        """Return all hyper-parameters by dotted name, as short texts."""
        return dict(self._params)

    @cached_property
    def _params(self) -> dict[str, str]:
        values = {**leaves(self.method), **leaves(self.ground, GROUND)}
        return {name: _short(value) for name, value in values.items()}


def resolve(
    registry: Registry, row: str, preset: str = "quick", overrides: Mapping[str, Any] | None = None
) -> Setting:
    """Return a row's setting. Raises `BadInput` for any name or value that does not hold."""
    scale = preset_named(preset)
    method: Method = scale_method(scale, registry.row(row).method)
    ground = scale_ground(scale, Ground())
    chosen = dict(overrides or {})
    shared = {n.removeprefix(GROUND): v for n, v in chosen.items() if n.startswith(GROUND)}
    own = {n: v for n, v in chosen.items() if not n.startswith(GROUND)}
    try:
        method, ground = override(method, own), override(ground, shared, root=GROUND)
    except UnknownField as error:
        raise error.among(all_names(method, ground)) from None
    if row in registry.theirs:  # which values it is made of may depend on its fields
        kinds_of(method, registry.kinds)
    setting = Setting(
        row=row,
        preset=preset,
        overrides=chosen,
        method=method,
        ground=ground,
        preset_hash=scale.hash,
    )
    try:
        _ = setting.flags
    except (Exception, SystemExit) as error:
        raise BadInput(f"the flags of the row {row!r} fail: {one_line(error)}") from error
    return setting


def rows_named(registry: Registry, text: str) -> list[str]:
    """Return the rows of `table1`, `controls`, `all`, or of names with commas, each once. A name
    may bring overrides of its own: `fsm[gt=smp:unet/resnet18]`.

    `controls` brings the rows that the verdict compares, the subject too. Raises `BadInput`.
    """
    chosen: list[str] = []
    for part in pieces(text):
        chosen += _rows_of(registry, part)
    return list(dict.fromkeys(chosen))


def _rows_of(registry: Registry, name: str) -> list[str]:
    rows, plan = registry.rows, AnalysisPlan()
    if name == "all":
        return list(rows)
    if name == "table1":
        return [row for row in rows if rows[row].table1]
    if name == "controls":
        compared = (plan.subject, *plan.controls)
        return [row for row in rows if row in compared or rows[row].group == "controls"]
    if not name:
        raise BadInput("--rows: no rows; give table1, controls, all, or names with commas")
    row, own = _named(name)
    if row not in registry.rows and (hint := near(row, ("all", "controls", "table1"))):
        raise BadInput(f"no rows {row!r}: {hint}give table1, controls, all, or names with commas")
    registry.row(row)
    return [label(row, own)]


def _named(text: str) -> tuple[str, dict[str, Any]]:
    """Return the row and the overrides of its own that `NAME` or `NAME[FIELD=VALUE,...]` means."""
    row, bracket, inside = text.partition("[")
    if bracket and not inside.endswith("]"):
        raise BadInput(f"--rows {text!r}: write NAME or NAME[FIELD=VALUE,...]")
    return row, parse(pieces(inside[:-1])) if bracket else {}


def settings_of(
    registry: Registry, rows: Iterable[str], preset: str, overrides: Mapping[str, Any]
) -> list[Setting]:
    """Return the rows' settings; each row takes the overrides of the fields that it has, its own
    first.

    Raises `BadInput` for a field that no row has, and for a value that does not hold.
    """
    known = {text: _fields(registry, _named(text)[0]) for text in rows}
    for name in overrides:
        if not any(_has(names, name) for names in known.values()):
            raise BadInput(
                f"--set {name}: {_near(registry, known, name)}none of the rows {', '.join(known)} "
                "has such a field"
            )
    settings = []
    for text, names in known.items():
        row, own = _named(text)
        shared = {n: v for n, v in overrides.items() if _has(names, n)}
        settings.append(resolve(registry, row, preset, {**shared, **own}))
    return list({setting.label: setting for setting in settings}.values())


def _near(registry: Registry, rows: Iterable[str], name: str) -> str:
    """The nearest names that any of the rows has, as a question."""
    methods = [registry.row(_named(text)[0]).method for text in rows]
    names = [known for method in methods for known in all_names(method, Ground())]
    return did_you_mean(name, dict.fromkeys(names))


def _fields(registry: Registry, row: str) -> set[str]:
    method = registry.row(row).method
    return {item.name for item in fields(method)} if is_dataclass(method) else set()


def _has(names: set[str], name: str) -> bool:
    return f"{name}.".startswith(GROUND) or name.partition(".")[0] in names


def all_names(method: Method, ground: Ground) -> list[str]:
    """Return the dotted names of all values that `--set` takes for a row."""
    return [*leaves(method), *leaves(ground, GROUND)]


def own_loss_flags(method: Method, loss: LossForm) -> tuple[str, ...]:
    """Return a flag for each loss of somebody's own that the values of `ground.loss` never reach:
    beside rows that they do reach, it is trained on another footing."""
    changed = {n: v for n, v in leaves(loss).items() if v != getattr(LossForm(), n)}
    if not changed:
        return ()
    values = ", ".join(f"ground.loss.{name}={_short(value)}" for name, value in changed.items())
    losses = {type(node.objective): node.title for node in in_order(method.plan().node)}
    return tuple(
        f"own_loss: {one.__name__} ({title}) does not read {values}, which the other rows get"
        for one, title in losses.items()
        if not is_ours(one.__module__) and not uses(one, "loss_form")
    )


def label(row: str, overrides: Mapping[str, Any]) -> str:
    """Return a row's name with its overrides, in a fixed order."""
    if not overrides:
        return row
    inside = ",".join(f"{name}={_short(value)}" for name, value in sorted(overrides.items()))
    return f"{row}[{inside}]"


def without(label: str, shared: Mapping[str, Any]) -> str:
    """Return a label without the overrides `shared`, where it has them."""
    for name, value in shared.items():
        text = re.escape(f"{name}={_short(value)}")
        label = re.sub(rf"(?<=\[){text},|,{text}(?=[,\]])|\[{text}\]", "", label, count=1)
    return label


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the plain values of a dataclass and of those in it, by dotted name."""
    found: dict[str, Any] = {}
    for item in fields(value):
        inner = getattr(value, item.name)
        if is_dataclass(inner):
            if hasattr(inner, "build"):
                found[prefix + item.name] = getattr(inner, "kind", "")
            found |= leaves(inner, f"{prefix}{item.name}.")
        else:
            found[prefix + item.name] = inner
    return found


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, separators=(",", ":"))
