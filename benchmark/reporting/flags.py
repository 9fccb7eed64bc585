"""The flags of a row over its cells: which warning holds in which folds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.store.ledger import Entry


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One warning of a row: its name, what the first cell says, and the cells it holds in."""

    row: str
    name: str
    text: str
    cells: tuple[tuple[int, int], ...]
    of: int

    def line(self) -> str:
        """Return it as a line for a person."""
        if len(self.cells) == self.of:
            where = "in all cells"
        else:
            where = "in " + ", ".join(f"fold {fold} seed {seed}" for fold, seed in self.cells)
        return f"{self.text} ({where})"


def flags_of(entries: Iterable[Entry]) -> list[Flag]:
    """Return the flags of all rows, each name once a row, in the order in which they appear."""
    known = list(entries)
    found: dict[tuple[str, str], list[tuple[Entry, str]]] = {}
    for entry in known:
        for text in entry.flags:
            found.setdefault((entry.label, text.partition(":")[0]), []).append((entry, text))
    return [
        Flag(
            row=row,
            name=name,
            text=members[0][1],
            cells=tuple((entry.fold, entry.seed) for entry, _ in members),
            of=sum(1 for entry in known if entry.label == row),
        )
        for (row, name), members in found.items()
    ]
