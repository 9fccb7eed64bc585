"""Each soft organ has a median of its own, and an HU check of its own."""

from __future__ import annotations

import numpy as np
import pytest
from native import ORGANS, small
from variants import changed, refusals


@pytest.mark.parametrize("organ", ["left_kidney", "right_kidney"])
@pytest.mark.parametrize(
    ("hu", "fits"), [(-400, False), (-51, False), (-50, True), (350, True), (351, False)]
)
def test_a_kidney_has_the_hu_of_a_kidney(organ: str, hu: int, fits: bool) -> None:
    """-50 to 350 HU, both included (docs/data.md)."""
    volume = small(0)
    image = np.where(volume.label == 1 + ORGANS.index(organ), hu, volume.image)
    refused = [line for line in refusals(changed(volume, image)) if line.startswith("hu_")]
    assert refused == ([] if fits else [f"hu_{organ} = {float(hu)}"])
