"""`--set a.b=v`: walks a dataclass with `replace`, and refuses what is unknown or mistyped."""

from __future__ import annotations

import json
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from benchmark.errors import BadInput
from benchmark.files.values import DEEP, check_depth, json_of
from benchmark.parts.smp import arch_named
from benchmark.plan.nodes import Arch

LARGEST = 1e15
MOST_HINTS = 3
NEAR = 0.75  # from 0 to 1, as difflib has it


class UnknownField(BadInput):
    """A value was given for a field that is not there; the message lists those that are. `typed`
    is the whole name that was given, of which the field is a part."""

    def __init__(self, name: str, known: Iterable[str], typed: str, hint: str = "") -> None:
        self.name, self.known, self.typed = name, tuple(known), typed
        super().__init__(f"no field {name!r}: {hint}the fields here are {', '.join(self.known)}")

    def among(self, names: Iterable[str]) -> UnknownField:
        """Return it with the nearest of all dotted names that a row has."""
        hint = did_you_mean(self.typed, names)
        return UnknownField(self.name, self.known, self.typed, hint)


def did_you_mean(typed: str, names: Iterable[str]) -> str:
    """Return "did you mean schedule.epochs? " for `epochs`: the dotted name that is near to a
    dotted one, else those with its last part, else with one near to that; "" where none is."""
    known = list(names)
    last = typed.rpartition(".")[2]
    lasts = [name.rpartition(".")[2] for name in known]
    near = ([last] if last in lasts else []) or get_close_matches(last, lasts, cutoff=NEAR)
    whole = get_close_matches(typed, known, 1, NEAR) if typed != last else []
    found = whole or [name for name, end in zip(known, lasts, strict=True) if end in near]
    return f"did you mean {' or '.join(found[:MOST_HINTS])}? " if found else ""


def parse(texts: list[str]) -> dict[str, Any]:
    """Return `a.b=v` texts as a mapping; v is read as JSON, else as a string."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, raw = text.partition("=")
        if not equals or not name:
            raise BadInput(f"--set {text!r}: write NAME=VALUE, such as --set xi=0.3")
        try:
            values[name.strip()] = json_of(raw)
        except json.JSONDecodeError:
            values[name.strip()] = raw
        except ValueError as error:
            raise BadInput(f"--set {name.strip()}: {error}") from None
    return values


def pieces(text: str) -> list[str]:
    """Return the parts of a text between its commas; one in brackets parts nothing:
    `fsm[taps=[[-1,-1]],xi=1],unet` has two."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def read_config(path: Path) -> dict[str, Any]:
    """Return the overrides of a file (JSON or TOML): dotted names or nested tables."""
    return _flat(read_table(path))


def read_table(path: Path) -> dict[str, Any]:
    """Return the table that a file holds (JSON or TOML), as it is; raises `BadInput`."""
    try:
        text = path.read_text(encoding="utf-8")
        loaded = _toml(text) if path.suffix == ".toml" else json_of(text)
    except OSError as error:
        raise BadInput(f"--config {path}: {error.strerror or error}") from error
    except ValueError as error:  # of JSON, of TOML, and of bytes that are no text
        raise BadInput(f"--config {path}: not valid JSON or TOML: {error}") from error
    if not isinstance(loaded, dict):
        raise BadInput(f"--config {path}: write a table of NAME: VALUE")
    return loaded


def _toml(text: str) -> Any:
    try:
        return check_depth(tomllib.loads(text))
    except RecursionError:
        raise ValueError(DEEP) from None


def override(target: Any, values: Mapping[str, Any], *, root: str = "") -> Any:
    """Return `target` with all `values` (by dotted name) set at once.

    So their order counts for nothing, and ranges that depend on each other are checked on the
    whole. A field that is set itself is set before what lies in it. Raises `BadInput` for an
    unknown name, a value of another type, or one out of range.
    """
    grouped: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        name, _, rest = path.partition(".")
        grouped.setdefault(name, {})[rest] = value
    return replace(target, **{n: _changed(target, n, inner, root) for n, inner in grouped.items()})


def _changed(target: Any, name: str, values: Mapping[str, Any], root: str) -> Any:
    """The field `name` of `target` with the values for itself ("") and for what lies in it."""
    full = f"{root}{name}"
    if not is_dataclass(target) or isinstance(target, type):
        raise BadInput(f"{root.rstrip('.')} has no field {name!r}: it is a plain value")
    known = [item.name for item in fields(target)]
    if name not in known:
        rest = next(iter(values))
        raise UnknownField(full, known, typed=f"{full}.{rest}" if rest else full)
    changed = getattr(target, name)
    if "" in values:
        hint = typing.get_type_hints(type(target))[name]
        changed = _coerced(values[""], hint, changed, full)
    inner = {path: value for path, value in values.items() if path}
    return override(changed, inner, root=f"{full}.") if inner else changed


def _coerced(value: Any, hint: Any, current: Any, name: str) -> Any:
    """Return `value` as the field's type, or raise `BadInput`."""
    if hint is Arch:
        if not isinstance(value, str):
            raise _mistyped(name, value, "an architecture's name, such as smp:unet/resnet34")
        if value == getattr(current, "kind", None) == "unet":
            return current  # naming what is there keeps the preset's width
        return arch_named(value, getattr(current, "reads", "image"))
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _coerced_union(value, hint, current, name)
    if origin is tuple:
        return _coerced_tuple(value, hint, name)
    if is_dataclass(hint):
        inner = ", ".join(f"{name}.{item.name}" for item in fields(hint))
        raise BadInput(f"{name} is a group of fields: set one of {inner}")
    return _coerced_plain(value, hint, name)


def _coerced_plain(value: Any, hint: Any, name: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not abs(value) < LARGEST:  # also catches NaN
        raise BadInput(f"{name} = {str(value)[:20]} is not a number to compute with")
    if hint is bool and isinstance(value, bool):
        return value
    if hint is float and number:
        return float(value)
    if hint is int and number and float(value).is_integer():
        return int(value)
    if hint is str:
        return value if isinstance(value, str) else json.dumps(value, default=str)
    raise _mistyped(name, value, {"bool": "true or false"}.get(hint.__name__, hint.__name__))


def _coerced_union(value: Any, hint: Any, current: Any, name: str) -> Any:
    members = typing.get_args(hint)
    if value is None and type(None) in members:
        return None
    for member in members:
        if member is not type(None):
            try:
                return _coerced(value, member, current, name)
            except BadInput:
                continue
    wanted = " or ".join("null" if m is type(None) else m.__name__ for m in members)
    raise _mistyped(name, value, wanted)


def _coerced_tuple(value: Any, hint: Any, name: str) -> Any:
    members = typing.get_args(hint)
    if not isinstance(value, list | tuple):
        raise _mistyped(name, value, "a list, such as [[-1,-1]]")
    if len(members) == 2 and members[1] is Ellipsis:
        members = (members[0],) * len(value)
    if len(members) != len(value):
        raise _mistyped(name, value, f"a list of {len(members)}")
    return tuple(_coerced(v, m, None, name) for v, m in zip(value, members, strict=True))


def _mistyped(name: str, value: Any, wanted: str) -> BadInput:
    shown = json.dumps(value, default=str)
    return BadInput(f"{name} = {shown} is not of its type: it takes {wanted}")


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
