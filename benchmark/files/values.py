"""JSON from anywhere: what Python's parser cannot take is a `ValueError` like any other fault, and
what is stored comes back as the dataclass that it was, every value checked against its field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

DEEPEST = 100  # brackets within brackets: far beyond any table, far below Python's own limit
DEEP = f"its brackets are nested more than {DEEPEST} deep"
PLAIN: Mapping[type, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a text"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
}
"""What JSON may hold for a field of a type, and how that is called. A bool is not a number here."""

T = TypeVar("T")
Reader = Callable[[Any], Any]


class Unfit(ValueError):  # noqa: N818 - what the value is
    """A stored value does not fit its field; says where, as `analysis.metrics[0].margin`."""

    def __init__(self, what: str, at: str = "") -> None:
        super().__init__(f"{at} {what}" if at else what)
        self._what, self._at = what, at

    def under(self, place: str) -> Unfit:
        """Return the same fault as it is called one level up."""
        between = "." if self._at and not self._at.startswith("[") else ""
        return Unfit(self._what, f"{place}{between}{self._at}")


def json_of(text: str | bytes) -> Any:
    """Return the JSON value of a text.

    Raises `ValueError` for what is none, for numbers of thousands of digits and for brackets that
    are nested more than 100 deep.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(DEEP) from None
    return check_depth(value)


def check_depth(value: Any) -> Any:
    """Return a value of lists and mappings; raises `ValueError` where it is nested too deeply."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise ValueError(DEEP)


def _inside(value: Any) -> list[Any]:
    """What lies in a list or a mapping, without the plain values."""
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [one for one in inner if isinstance(one, dict | list)]


def read_as(kind: type[T], plain: Any, *, more: bool = False) -> T:
    """Return the dataclass `kind` that `asdict` (or `canonical`) and JSON made plain values of.

    Lists become tuples, tables mappings; an int may stand for a float and stays one. `kind`, the
    class's word in a key, is passed over, and with `more` so is every field that no class knows.
    Raises `ValueError`, which names the place, for a value of another type, a field that is missing
    without a default, and one that is not known; and what the class itself raises.
    """
    hint: Any = kind
    made: T = _reader(hint, more)(plain)
    return made


@cache
def _reader(hint: Any, more: bool) -> Reader:
    """Return what makes a value of an annotation. `TypeError` for one that has no plain form."""
    parts, origin = get_args(hint), get_origin(hint)
    if hint is Any:
        return lambda value: value
    if is_dataclass(hint):
        return partial(_instance, hint, _readers(hint, more), more)
    if hint in PLAIN:
        return partial(_plain, *PLAIN[hint])
    if origin in (Union, UnionType) and len(parts) == 2 and parts[1] is NoneType:
        return partial(_optional, _reader(parts[0], more))
    if origin is tuple and parts[-1] is Ellipsis:
        return partial(_items, _reader(parts[0], more))
    if origin is tuple:
        return partial(_each, tuple(_reader(part, more) for part in parts))
    if origin is Mapping:
        return partial(_table, _reader(parts[1], more))
    raise TypeError(f"{hint} has no plain form")


def _readers(kind: Any, more: bool) -> dict[str, tuple[Reader, bool]]:
    """Return what reads each field, and whether it must be there."""
    hints = get_type_hints(kind)
    return {
        item.name: (
            _reader(hints[item.name], more),
            item.default is MISSING and item.default_factory is MISSING,
        )
        for item in fields(kind)
    }


def _instance(kind: Any, readers: dict[str, tuple[Reader, bool]], more: bool, value: Any) -> Any:
    if not isinstance(value, dict):
        raise Unfit("is not a table of names and values")
    found, name = {}, ""
    try:
        for name, (read, needed) in readers.items():
            if name in value:
                found[name] = read(value[name])
            elif needed:
                raise Unfit("is missing")
    except Unfit as fault:
        raise fault.under(name) from None
    strange = [] if more else sorted(value.keys() - readers.keys() - {"kind"})
    if strange:
        raise Unfit("is not known here", strange[0])
    return kind(**found)


def _plain(kinds: tuple[type, ...], word: str, value: Any) -> Any:
    if type(value) not in kinds:
        raise Unfit(f"is not {word}")
    return value


def _optional(read: Reader, value: Any) -> Any:
    return None if value is None else read(value)


def _items(read: Reader, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise Unfit("is not a list")
    return _listed((read, item) for item in value)


def _each(reads: tuple[Reader, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) != len(reads):
        raise Unfit(f"is not a list of {len(reads)} values")
    return _listed(zip(reads, value, strict=True))


def _listed(pairs: Iterable[tuple[Reader, Any]]) -> tuple[Any, ...]:
    found: list[Any] = []
    try:
        for read, item in pairs:
            found.append(read(item))  # its length is the place of a fault
    except Unfit as fault:
        raise fault.under(f"[{len(found)}]") from None
    return tuple(found)


def _table(read: Reader, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit("is not a table of names and values")
    found, name = {}, ""
    try:
        for name, item in value.items():
            found[name] = read(item)
    except Unfit as fault:
        raise fault.under(name) from None
    return found
