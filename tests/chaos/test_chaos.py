"""Faults of docs/faults.md that no other test runs, and that the page is what was seen."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator

import fault_matrix
import faults_page
import pytest
from chaos import FAULTS, Fault, Place, place
from fault_table import MODULES

for _name in MODULES:
    importlib.import_module(_name)
KNOWN = json.loads(fault_matrix.VALUES.read_text())
SHORT = [one for one in FAULTS.values() if one.short]


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with place() as where:
        yield where


@pytest.mark.long
@pytest.mark.parametrize("one", SHORT, ids=lambda one: f"{one.group}: {one.name}")
def test_a_fault_costs_nothing(here: Place, one: Fault) -> None:
    if why := one.missing():
        pytest.skip(why)
    seen = one.do(here)
    assert seen.same and seen.again == 0, seen
    if known := KNOWN["faults"].get(one.group, {}).get(one.name):
        assert seen.code == known["code"], (seen, known)


def test_the_page_is_what_was_seen() -> None:
    assert fault_matrix.PAGE.read_text() == "\n".join(faults_page.page(KNOWN)) + "\n"


def test_what_was_run_lost_nothing_and_what_was_not_is_named() -> None:
    told = {(group, name) for group, of in KNOWN["faults"].items() for name in of}
    assert told <= FAULTS.keys() and len(told) > len(FAULTS) / 2
    assert KNOWN["left"] == fault_matrix.left(KNOWN)
    seen = [one for of in KNOWN["faults"].values() for one in of.values()]
    assert all(one["same"] and one["again"] == 0 for one in seen)
    assert not [one for one in seen if "Traceback" in one["said"]]


def test_kills_were_counted() -> None:
    assert fault_matrix.killed(KNOWN, on_ray=False) > 0 and KNOWN["rounds"]["here"] > 0
