"""The code behind a number, as a value: definitions of this distribution, and of other people's
packages. Recorded with every result, never keyed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Definition = tuple[str, str]  # a qualified name and the hash of its syntax tree
DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Code:
    """Definitions by name and hash. `others` lie outside of this distribution; it is None where
    that was not recorded yet."""

    ours: frozenset[Definition] = frozenset()
    others: frozenset[Definition] | None = frozenset()

    def __or__(self, other: Code) -> Code:
        """Return the definitions of both."""
        others = None if None in (self.others, other.others) else _both(self.others, other.others)
        return Code(ours=self.ours | other.ours, others=others)

    @property
    def fingerprint(self) -> str:
        """The hash of all of it, in 12 digits."""
        text = json.dumps(self.plain(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able values; `code_from` makes it again."""
        return {"ours": by_name(self.ours), "others": by_name(self.others or ())}


def code_from(value: Mapping[str, Any]) -> Code:
    """Return the code that `plain` made values of. Raises `KeyError`, `TypeError` and
    `AttributeError` for what is none."""
    return Code(ours=definitions_from(value["ours"]), others=definitions_from(value["others"]))


def _both(
    one: frozenset[Definition] | None, other: frozenset[Definition] | None
) -> frozenset[Definition]:
    return (one or frozenset()) | (other or frozenset())


def by_name(definitions: Iterable[Definition]) -> dict[str, list[str]]:
    """Return definitions as JSON-able values."""
    found: dict[str, list[str]] = {}
    for name, digest in sorted(definitions):
        found.setdefault(name, []).append(digest)
    return found


def definitions_from(value: Mapping[str, Iterable[str]]) -> frozenset[Definition]:
    """Return the definitions that `by_name` made values of."""
    return frozenset((name, digest) for name, digests in value.items() for digest in digests)
