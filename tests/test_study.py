"""The study can be repeated: its cell's first losses come out again, on any machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import study

ROOT = Path(__file__).parents[1]
KEPT = json.loads((ROOT / "docs" / "study" / "losses.json").read_text(encoding="utf-8"))


def test_the_first_losses_of_a_cell_come_out_again(tmp_path: Path) -> None:
    """Within 1e-3 anywhere, to the bit on the processor and the torch that are on record."""
    found = study.first_losses(tmp_path)
    assert len(found) == study.STEPS == len(KEPT["losses"])
    assert found == pytest.approx(KEPT["losses"], abs=1e-3)
    if study.machine() == KEPT["machine"]:
        assert found == KEPT["losses"]
