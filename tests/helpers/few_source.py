"""For tests: a source of three small volumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark.data.volume import Volume, to_canonical

SHAPE = (8, 14, 12)
ORGANS = ("liver", "left_kidney")


def volume(number: int, annotated: tuple[str, ...] = ORGANS) -> Volume:
    random = np.random.default_rng(number)
    image = random.normal(60, 15, SHAPE).round().astype(np.int16)
    image[:, :3] = -1000
    label = np.zeros(SHAPE, np.uint8)
    label[2:6, 5:9, 3:8] = 1
    label[2:6, 10:12, 3:5] = 2 if "left_kidney" in annotated else 0
    geometry = to_canonical(image.T, np.diag([0.8, 0.8, 2.5, 1.0]))[1]
    return Volume(
        case=f"case_{number}",
        image=image,
        label=label,
        annotated=annotated,
        geometry=geometry,
        source_sha256=f"{number:064d}",
    )


@dataclass
class Few:
    """A real source of volumes in memory."""

    found: list[Volume] = field(default_factory=lambda: [volume(k) for k in range(3)])
    fingerprint: str = "few"
    organs: tuple[str, ...] = ORGANS

    def volumes(self):
        yield from self.found


def entries(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "data").iterdir())
