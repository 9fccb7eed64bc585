"""The table of faults in the docs is what the code does, and holds what was promised."""

from __future__ import annotations

import pytest
from faults import FAULTS, LAYOUTS, PAGE, dice, laid, other_label, page, table
from native import small

MUST = [
    "label mirrored left to right",
    "label turned upside down (z)",
    "image slice missing, inside",
    "image slice missing, last",
    "label slice missing, inside",
    "label of another case (liver Dice < 0.7)",
    "intercept 100 HU too high",
    "intercept 100 HU too low",
]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, tuple[str, ...]]]:
    return table()


def test_the_page_in_the_docs_is_up_to_date(found) -> None:
    again = "it is out of date: run python tests/helpers/faults.py"
    assert PAGE.read_text(encoding="utf-8") == page(found), again


def test_nothing_is_refused_without_a_fault(found) -> None:
    assert set(found["none"].values()) == {()}


@pytest.mark.parametrize("fault", MUST)
def test_caught_in_every_layout(found, fault: str) -> None:
    assert all(found[fault][layout] for layout in LAYOUTS)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if "slice" in fault])
def test_dicom_sees_every_slice_but_the_last(found, fault: str) -> None:
    if "both, last" not in fault:
        assert all(names for layout, names in found[fault].items() if "DICOM" in layout)


def test_the_exchanged_label_is_as_like_as_the_promise_allows() -> None:
    label = other_label(laid(small(0))).disk.label_ijk
    assert 0.65 < dice(label == 1, laid(small(0)).disk.label_ijk == 1) < 0.7
