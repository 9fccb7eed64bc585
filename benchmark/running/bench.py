"""The bench: a workspace with its stores, the hardware, and whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmark.files.code import Difference
from benchmark.running.stop import Stop
from benchmark.store.codes import Codes
from benchmark.store.ledger import Ledger
from benchmark.store.objects import Objects
from benchmark.store.results import Results
from benchmark.store.workspace import open_workspace
from benchmark.training.meter import Epoch
from benchmark.training.precision import Hardware


class Watcher(Protocol):
    """Who is told what happens. Every call returns at once."""

    def cell(self, label: str, fold: int, seed: int, number: int, total: int) -> None:
        """A cell starts: the `number`-th of `total`, counted from 1."""

    def node(
        self, title: str, key: str, number: int, total: int, steps: int, resumed: int | None
    ) -> None:
        """A training starts, or is taken up again at step `resumed`."""

    def progress(self, step: int, steps: int, terms: Mapping[str, float]) -> None:
        """A training has done `step` of its steps; `terms` are its latest."""

    def epoch(self, title: str, epoch: Epoch) -> None:
        """An epoch ended."""

    def warn(self, text: str) -> None:
        """Something is not as it should be, and the run goes on."""


class Silent:
    """A watcher that watches nothing."""

    def cell(self, label: str, fold: int, seed: int, number: int, total: int) -> None:
        """Ignore it."""

    def node(
        self, title: str, key: str, number: int, total: int, steps: int, resumed: int | None
    ) -> None:
        """Ignore it."""

    def progress(self, step: int, steps: int, terms: Mapping[str, float]) -> None:
        """Ignore it."""

    def epoch(self, title: str, epoch: Epoch) -> None:
        """Ignore it."""

    def warn(self, text: str) -> None:
        """Ignore it."""


class Warns(Silent):
    """A watcher that passes warnings on to `say` and watches nothing else."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._say(text)


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """A training that went on from a checkpoint."""

    key: str
    step: int


@dataclass(kw_only=True)
class Tally:
    """What a command did: trainings done, found, and taken up again; `fitted` are those that only
    a probe needed, `old` the results that other code made and that were used all the same."""

    trained: list[str] = field(default_factory=list)
    fitted: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    resumed: list[Resumed] = field(default_factory=list)
    old: dict[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Everything that a cell needs beside its plan and its data. `reuse` keeps what other people's
    code made before it changed."""

    root: Path
    objects: Objects
    results: Results
    ledger: Ledger
    codes: Codes
    hardware: Hardware
    watcher: Watcher
    checkpoint_seconds: float = 30.0
    fresh: bool = False
    reuse: bool = False
    tally: Tally = field(default_factory=Tally)
    stop: Stop = field(default_factory=Stop)


def open_bench(
    root: Path,
    hardware: Hardware,
    watcher: Watcher,
    *,
    checkpoint_seconds: float = 30.0,
    fresh: bool = False,
    reuse: bool = False,
    reading: bool = False,
) -> Bench:
    """Open the workspace at `root`, or, `reading`, one that perhaps cannot be written; raises
    `BadInput` where it cannot be used."""
    open_workspace(root, reading=reading)
    return Bench(
        root=root,
        objects=Objects(root / "objects", watcher.warn),
        results=Results(root / "results", watcher.warn),
        ledger=Ledger(root / "ledger", watcher.warn),
        codes=Codes(root / "code"),
        hardware=hardware,
        watcher=watcher,
        checkpoint_seconds=checkpoint_seconds,
        fresh=fresh,
        reuse=reuse,
    )
