"""The identity of a training: a hash of its content, never of its names.

A key covers all field values of the node and of what it holds (defaults included), its parents'
keys, the fold's fingerprint (source bytes of the cases that it is given, and `Ground`), and the
seed. It covers no class name, module, row name, preset name, device, precision or path: each
dataclass that counts carries a `kind` string and, once its meaning changes, a hand-kept `version`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

from benchmark.plan.given import ATLAS
from benchmark.plan.nodes import Train

REMEMBERED = 16384  # keys: all rows in five folds with 16 seeds have 10,000
NODES = 1024  # trainings whose content is remembered
DIGITS = 20  # 80 bits: a clash among a million keys has a chance of 1e-12


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where a plan is trained: a fold's fingerprint and a seed. `atlas` is the fingerprint of the
    masks of all the fold's training patients, where CTs are left out; "" where none are."""

    fold: str
    seed: int
    atlas: str = ""

    def of(self, node: Train) -> str:
        """Return the fingerprint of the cases that a training is given."""
        return self.atlas or self.fold if node.cases == ATLAS else self.fold


Parent = Callable[[Train], Any]
"""What stands for a parent training."""


def canonical(value: Any) -> Any:
    """Return `value` as JSON-able data in which equal content is equal: 1 and 1.0 are one number.
    Raises `TypeError` for what has no canonical form, `ValueError` for NaN and inf."""
    return _canonical(value, None)


def content_hash(value: Any) -> str:
    """Return the SHA-256 in hex of a JSON value, whatever the order of its keys; raises
    `ValueError` for NaN and inf."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest(value: Any) -> str:
    """Return the hash of a JSON-able value as `DIGITS` hexadecimal digits."""
    return content_hash(value)[:DIGITS]


@lru_cache(maxsize=REMEMBERED)
def key(node: Train, context: Context) -> str:
    """Return the key of one training in one fold with one seed. A plan asks for a parent's key
    once for each child and each use, hence the memory; trainings are told apart by identity."""
    train = _with_parents(_content(node), _keyed(context))
    return digest({"fold": context.of(node), "seed": context.seed, "train": train})


def spec(node: Train, context: Context) -> dict[str, Any]:
    """Return what `key` hashes of one node, as JSON-able values, for the record and for people; a
    parent appears as its key. Raises as `canonical`."""
    return dict(_dataclass(node, _keyed(context)))


def values_in(value: Any) -> Iterator[Any]:
    """Yield every dataclass value in `value`, itself first. Another training that it starts from
    is not entered: it has a key of its own."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from values_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from values_in(item)
    elif is_dataclass(value) and not isinstance(value, type):
        yield value
        for item in fields(value):
            inner = getattr(value, item.name)
            if not isinstance(inner, Train):
                yield from values_in(inner)


def draw_seed(*parts: str | int) -> int:
    """Return a 63-bit seed that is a function of `parts` alone (run seed, stream, step)."""
    text = json.dumps(parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _keyed(context: Context) -> Parent:
    return lambda node: {"kind": "key", "key": key(node, context)}


@lru_cache(maxsize=NODES)
def _content(node: Train) -> dict[str, Any]:
    """What all folds and seeds of a training share: its canonical form, in which each parent is
    itself. Nobody may change it."""
    return _dataclass(node, lambda parent: parent)


def _with_parents(content: Any, parent: Parent) -> Any:
    """Return a copy of `_content` with what stands for each parent."""
    if isinstance(content, dict):
        return {name: _with_parents(item, parent) for name, item in content.items()}
    if isinstance(content, list):
        return [_with_parents(item, parent) for item in content]
    return parent(content) if isinstance(content, Train) else content


def _canonical(value: Any, parent: Parent | None) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        return {str(name): _canonical(item, parent) for name, item in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [_canonical(item, parent) for item in value]
    if isinstance(value, Train) and parent is not None:
        return parent(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _dataclass(value, parent)
    raise TypeError(f"{type(value).__name__} has no canonical form: use plain values")


def _number(value: float) -> float | int:
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("NaN and infinity have no place in a plan")
    return int(value) if float(value).is_integer() else value


def _is_default(item: Field[Any], current: Any) -> bool:
    factory = item.default_factory
    return bool(current == (item.default if factory is MISSING else factory()))


def _dataclass(value: Any, parent: Parent | None) -> dict[str, Any]:
    if not hasattr(value, "kind"):
        raise TypeError(f"{type(value).__name__} needs a `kind` string to be part of a key")
    content: dict[str, Any] = {"kind": value.kind}
    if getattr(value, "version", 1) != 1:
        content["version"] = value.version
    for item in fields(value):
        current = getattr(value, item.name)
        if item.metadata.get("label") or (
            item.metadata.get("later") and _is_default(item, current)
        ):
            continue
        content[item.name] = _canonical(current, parent)
    return content
