"""What the records of trainings say: steps, seconds, parameters, hardware, curves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.reading.bulk import checked
from benchmark.store.objects import Objects
from benchmark.training.precision import completed


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """One training. `curves` holds the mean of each term over each epoch; `hardware` and `code`
    are what `mixtures` reads."""

    key: str
    title: str
    steps: int
    seconds: float
    parameters: Mapping[str, int]
    hardware: Mapping[str, Any]
    code: str
    made_at: str
    resumed: bool
    curves: Mapping[str, NDArray[np.float64]]

    def record(self) -> dict[str, Any]:
        """Return what `mixtures` compares."""
        return {"hardware": dict(self.hardware), "code": self.code}


def read_trainings(objects: Objects, keys: Iterable[str]) -> dict[str, Training]:
    """Return the trainings that are in the store, by key."""
    found = {}
    for key in dict.fromkeys(keys):
        content = checked(objects.folder / key, "record.json")
        if content is not None:
            found[key] = _training(key, json.loads(content))
    return found


def _training(key: str, record: Mapping[str, Any]) -> Training:
    epochs = record.get("epochs", [])
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch["terms"]))
    return Training(
        key=key,
        title=record["title"],
        steps=record["steps"],
        seconds=record["seconds"],
        parameters=record["parameters"],
        hardware=completed(record["hardware"]),
        code=record["code"],
        made_at=record.get("made_at", ""),
        resumed=bool(record.get("resumed")),
        curves={
            name: np.array([epoch["terms"].get(name, np.nan) for epoch in epochs]) for name in names
        },
    )
