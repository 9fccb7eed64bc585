"""The bench: a workspace with its stores, the hardware, and whoever listens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmark.files.code import Difference
from benchmark.files.roots import root_of, shown
from benchmark.running.events import Listener, Resumed, Warned, Warnings
from benchmark.running.stop import Stop
from benchmark.store.workspace import Workspace, open_workspace
from benchmark.training.precision import Hardware, hardware


@dataclass(kw_only=True)
class Tally:
    """What a command did: trainings done, found, and taken up again; `fitted` are those that only
    a probe needed, `old` the results that other code made and that were used all the same."""

    trained: list[str] = field(default_factory=list)
    fitted: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    resumed: list[Resumed] = field(default_factory=list)
    old: dict[str, Difference] = field(default_factory=dict)

    @property
    def untouched(self) -> int:
        """How many trainings were found in the store, and not made by this command."""
        return len(set(self.reused) - set(self.trained))


@dataclass(frozen=True, kw_only=True)
class Bench(Workspace):
    """Everything that a cell needs beside its plan and its data. `reuse` keeps what other people's
    code made before it changed."""

    hardware: Hardware
    listener: Listener
    checkpoint_seconds: float = 30.0
    fresh: bool = False
    reuse: bool = False
    tally: Tally = field(default_factory=Tally)
    stop: Stop = field(default_factory=Stop)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a command says of how its trainings are run; it can be sent to another process.

    Without `threads` torch keeps its own number. Without a `log` what a worker prints goes to the
    standard error of the process that started it.
    """

    root: Path
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    checkpoint_seconds: float = 30.0
    fresh: bool = False
    reuse: bool = False
    log: Path | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Another machine has another folder for the copy of a bucket: it is sent the address, and
        where the log lies below it."""
        sent = {**vars(self), "root": shown(self.root)}
        if sent["root"] != str(self.root) and self.log and self.log.is_relative_to(self.root):
            sent["log"] = self.log.relative_to(self.root)
        return sent

    def __setstate__(self, sent: dict[str, Any]) -> None:
        root, log = root_of(sent["root"]), sent["log"]
        if log and sent["root"] != str(root):
            log = root / log
        for name, value in {**sent, "root": root, "log": log}.items():
            object.__setattr__(self, name, value)

    def open(self, listener: Listener | None = None, *, reading: bool = False) -> Bench:
        """Return the bench and set the threads; by default nobody listens. `reading`: of a
        workspace that perhaps cannot be written. Raises `BadInput` where it cannot be used."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        listener = listener or Warnings()
        workspace = open_workspace(
            self.root, reading=reading, warn=lambda text: listener.hear(Warned(text=text))
        )
        return Bench(
            **vars(workspace),
            hardware=hardware(self.device, self.precision),
            listener=listener,
            checkpoint_seconds=self.checkpoint_seconds,
            fresh=self.fresh,
            reuse=self.reuse,
        )
