"""What every layout's right patient is read as: arrays and identity stay what they always were."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from faults import LAYOUTS, laid
from native import add, small

GOLDEN = Path(__file__).with_name("layout_golden.json")


def digests(folder: Path, layout: str) -> dict[str, str]:
    """The hashes of image, label and identity of the case that a layout is read as."""
    found = add(folder / "root", LAYOUTS[layout](folder / "raw", [laid(small(0))]))
    volume = found.load(found.cases[0].name)
    arrays = {"image": volume.image, "label": volume.label}
    hashes = {name: sha256(np.ascontiguousarray(a)).hexdigest() for name, a in arrays.items()}
    return hashes | {"identity": found.cases[0].sha256, "set": found.fingerprint}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_right_patient_is_the_same_case_as_ever(tmp_path: Path, layout: str) -> None:
    """Made by `python tests/data/test_layout_golden.py` before the first change of a reader."""
    assert digests(tmp_path, layout) == json.loads(GOLDEN.read_text(encoding="utf-8"))[layout]


if __name__ == "__main__":
    import tempfile

    made = {}
    for each in LAYOUTS:
        with tempfile.TemporaryDirectory() as name:
            made[each] = digests(Path(name), each)
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
