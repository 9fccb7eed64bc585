"""The code behind a number, as a value: definitions of this distribution, and of other people's
packages. Recorded with every result, never keyed.

Is the code of now the code that made a result? Its definitions tell, and a kept list of changes
that were proven to move no number. `equal_code.json` holds `snapshots` (fingerprints from before
single definitions were noted, and all definitions of that time) and `steps`, oldest first: what a
change that was proven equal took away (`from`) and what it put there (`to`). `tests/equal_code.py`
adds a step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.files.atomic import read_json

Definition = tuple[str, str]  # a qualified name and the hash of its syntax tree
DIGITS = 12
KEPT = Path(__file__).with_name("equal_code.json")
NOT_NOTED = "not noted then"


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
    """Return definitions as JSON-able values: a name's hashes, sorted, by name."""
    found: dict[str, list[str]] = {}
    for name, digest in sorted(definitions):
        found.setdefault(name, []).append(digest)
    return found


def definitions_from(value: Mapping[str, Iterable[str]]) -> frozenset[Definition]:
    """Return the definitions that `by_name` made values of. Raises `AttributeError` or `TypeError`
    for what is none."""
    return frozenset((name, digest) for name, digests in value.items() for digest in digests)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The names of the definitions in which two codes differ: of this distribution, and of other
    people's packages. Empty: the same numbers."""

    ours: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ours or self.others)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change that moved no number."""

    before: frozenset[Definition]
    after: frozenset[Definition]


@dataclass(frozen=True, kw_only=True)
class KeptList:
    """What is known to be equal."""

    snapshots: Mapping[str, Code]
    steps: tuple[Step, ...]

    def difference(self, fingerprint: str, stored: Code | None, now: Code) -> Difference:
        """Return in which definitions the code behind `fingerprint` differs from that of now.

        `stored` is None where its definitions are not known: then only a snapshot can tell.
        """
        if fingerprint == now.fingerprint:
            return Difference()
        whole = stored is None  # a snapshot holds the definitions of all results of its time
        stored = self.snapshots.get(fingerprint) if stored is None else stored
        if stored is None:
            return Difference(ours=(NOT_NOTED,))
        had, added = self._rewritten(stored.ours)
        gone = frozenset() if whole else had - now.ours - added
        ours = gone | (now.ours - had)
        if stored.others is None:
            missing = now.others or frozenset()
            return Difference(ours=(*_names(ours), *([NOT_NOTED] if missing else [])))
        return Difference(ours=_names(ours), others=_names(stored.others ^ (now.others or set())))

    def versions(self, codes: Mapping[str, Code | None]) -> tuple[str, ...]:
        """Return the definitions of which several versions made results, by the codes behind their
        fingerprints: none where all are equal, whatever else each of them reaches."""
        known = {name: self._known(name, code) for name, code in codes.items()}
        told = [code for code in known.values() if code is not None]
        names = {NOT_NOTED} if len(told) < len(known) > 1 else set()
        each = [by_name(code.ours | (code.others or frozenset())) for code in told]
        for name in {name for one in each for name in one}:
            found = sorted((set(one[name]) for one in each if name in one), key=len)
            if any(not small <= found[-1] for small in found):
                names.add(name)
        return tuple(sorted(names))

    def outdated(self, fingerprint: str, stored: Code | None, now: Code) -> tuple[str, ...]:
        """Return the definitions behind a fingerprint that `now`, the code of all rows of a table,
        has no more in that version."""
        found = self._known(fingerprint, stored)
        if found is None:
            return (NOT_NOTED,)
        both = now.ours | (now.others or frozenset())
        if stored is None:  # a snapshot holds more than any table uses
            return _names(now.ours - found.ours)
        return _names((found.ours | (found.others or frozenset())) - both)

    def _known(self, fingerprint: str, stored: Code | None) -> Code | None:
        code = self.snapshots.get(fingerprint) if stored is None else stored
        return None if code is None else replace(code, ours=self._rewritten(code.ours)[0])

    def _rewritten(
        self, had: frozenset[Definition]
    ) -> tuple[frozenset[Definition], frozenset[Definition]]:
        """Take all steps in turn; return the definitions then, and those that steps brought."""
        added: frozenset[Definition] = frozenset()
        for step in self.steps:
            if had & step.before:
                had, added = (had - step.before) | step.after, (added - step.before) | step.after
        return had, added


@cache
def kept_list() -> KeptList:
    """Return the list that this distribution brings, read once. Raises as `kept_from`."""
    return kept_from(KEPT)


def kept_from(path: Path) -> KeptList:
    """Return the list in a file. Raises `OSError`, `ValueError` and `KeyError` for what is none."""
    value = read_json(path)
    return KeptList(
        snapshots={
            fingerprint: Code(ours=definitions_from(names), others=None)
            for fingerprint, names in value["snapshots"].items()
        },
        steps=tuple(
            Step(before=definitions_from(step["from"]), after=definitions_from(step["to"]))
            for step in value["steps"]
        ),
    )


def _names(definitions: frozenset[Definition]) -> tuple[str, ...]:
    return tuple(sorted({name for name, _ in definitions}))
