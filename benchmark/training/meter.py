"""The curves of a training: the mean of each term over each epoch.

Terms stay on the device until they are needed, so that a GPU is not made to wait at every step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

HELD_ON_GPU = 32  # steps whose terms may wait on a GPU before they are looked at


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a training: the mean of each term, and when it ended (Unix milliseconds).

    `pulls` says how strongly each term beside the loss pulled at F in the epoch's last step
    (`parts/pulls.py`); it is measured in the middle third of a training alone.
    """

    index: int
    terms: Mapping[str, float]
    at_ms: int
    pulls: Mapping[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class Meter:
    """Collects terms by step and turns them into epochs. The last epoch may be shorter."""

    per_epoch: int
    epochs: list[Epoch] = field(default_factory=list)
    latest: dict[str, float] = field(default_factory=dict)
    pulls: Mapping[str, float] = field(default_factory=dict)  # of the epoch that ends next
    _names: tuple[str, ...] = ()
    _held: list[tuple[int, Tensor]] = field(default_factory=list)
    _sums: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    _count: int = 0
    _reported: int = 0

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Take the terms of one step (counted from 0), a scalar tensor each, on their own
        device."""
        self._names = tuple(terms)
        self._held.append((step, torch.stack([term.float() for term in terms.values()])))

    def is_full(self, device_type: str) -> bool:
        """Return whether the held terms should be looked at now."""
        return len(self._held) >= (HELD_ON_GPU if device_type == "cuda" else 1)

    def ends_epoch(self, step: int) -> bool:
        """Return whether this step is the last of its epoch."""
        return (step + 1) % self.per_epoch == 0

    def settle(self) -> tuple[int, str, float] | None:
        """Bring the held terms to the host; return (step, term, value) of the first that is not
        finite, else None."""
        if not self._held:
            return None
        steps = [step for step, _ in self._held]
        values = torch.stack([value for _, value in self._held]).cpu().double()
        self._held.clear()
        for step, row in zip(steps, values, strict=True):
            for name, value in zip(self._names, row.tolist(), strict=True):
                if not math.isfinite(value):
                    return step, name, value
            self._sums = row if self._count == 0 else self._sums + row
            self._count += 1
            if self.ends_epoch(step):
                self._finish(step // self.per_epoch)
        self.latest = dict(zip(self._names, values[-1].tolist(), strict=True))
        return None

    def take_finished(self) -> list[Epoch]:
        """Return the epochs that ended since the last call."""
        new = self.epochs[self._reported :]
        self._reported = len(self.epochs)
        return new

    def close(self, steps: int) -> None:
        """Turn what is left of an unfinished last epoch into one."""
        if self._count:
            self._finish((steps - 1) // self.per_epoch)

    def sums_tensor(self) -> Tensor:
        """Return the running sums of the unfinished epoch, (terms + 1,) float64 with their count
        last, for a saved state."""
        return torch.cat([self._sums, torch.tensor([float(self._count)], dtype=torch.float64)])

    def resume(self, epochs: tuple[Epoch, ...], sums: Tensor, step: int) -> None:
        """Put back what `sums_tensor` and `epochs` held; `step` is the number of steps done."""
        self.epochs = list(epochs)
        self._reported = len(epochs)
        self._sums, self._count = sums[:-1].clone(), int(sums[-1])

    def _finish(self, index: int) -> None:
        means = (self._sums / self._count).tolist()
        terms = dict(zip(self._names, means, strict=True))
        now = int(time.time() * 1000)
        self.epochs.append(Epoch(index=index, terms=terms, at_ms=now, pulls=self.pulls))
        self._count, self.pulls = 0, {}
