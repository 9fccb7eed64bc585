"""The study can be repeated: its cell's first losses come out again, on any machine."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import study
import study_page
import study_rates

ROOT = Path(__file__).parents[1]
KEPT = json.loads((ROOT / "docs" / "study" / "losses.json").read_text(encoding="utf-8"))


FOUND = ROOT / "docs" / "study" / "study.json"


@pytest.mark.skipif(not FOUND.exists(), reason="no suite of the study was run: make study")
def test_page_and_readme_say_what_the_figures_say() -> None:
    found = json.loads(FOUND.read_text(encoding="utf-8"))
    written = (FOUND.parent / "README.md").read_text(encoding="utf-8")
    assert study_page.page(found, study.anchor()) == written
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert study_page.sentence(found) in readme, study_page.sentence(found)


def test_an_answer_is_of_whole_sets_alone() -> None:
    said = [
        {
            "dataset": "a",
            "outcome": "supported",
            "least": "over unet +2",
            "sentences": ["Found.", "By 2.", "More."],
        },
        {"dataset": "b", "outcome": "incomplete", "least": "", "sentences": ["Lacks cells."]},
    ]
    suite = {"about": "it", "said": said, "left": "1 training, 2 min", "done": 29, "cells": 30}
    none = {**suite, "said": said[1:]}
    known = dict.fromkeys(study_page.SHORT, none) | {study_page.REAL: suite}
    facts = {"suites": [{**each, "name": name} for name, each in known.items()]}
    page, readme = study_page.page(facts, ""), study_page.sentence(facts)
    assert "With 2 % of the labels: Found. By 2.\n" in page
    assert (
        page.lower().count("not known yet (29 of 30 cells are trained; 1 training, 2 min are left)")
        == 3
    )
    assert ' labels: "supported" on a (over unet +2). ' in readme
    assert readme.count(": not known yet, 29 of 30 cells are trained.") == 3


def test_the_report_of_a_whole_suite_stays() -> None:
    whole = {"name": "spikes", "left": "", "keys": ["a", "b"]}
    assert study.reported(whole, [whole])
    assert not study.reported(whole, [])
    assert not study.reported(whole, [{**whole, "keys": ["a", "c"]}])
    assert not study.reported(whole, [{**whole, "left": "1 training"}])
    assert not study.reported({**whole, "name": "of-nobody"}, [{**whole, "name": "of-nobody"}])


@pytest.mark.long
def test_the_first_losses_of_a_cell_come_out_again(tmp_path: Path) -> None:
    """Within 1e-3 anywhere, to the bit on the processor and the torch that are on record."""
    found = study.first_losses(tmp_path)
    assert len(found) == study.STEPS == len(KEPT["losses"])
    assert found == pytest.approx(KEPT["losses"], abs=1e-3)
    if study.machine() == KEPT["machine"]:
        assert found == KEPT["losses"]


def test_another_rate_is_taken_only_for_more_than_a_point() -> None:
    assert study_rates.choice({0.002: 87.0, 0.004: 86.0, 0.008: 80.0}) == 0.004
    assert study_rates.choice({0.002: 87.1, 0.004: 86.0, 0.008: 87.2}) == 0.008


def test_rates_reach_the_rows_and_plans_of_the_suites_that_they_are_for() -> None:
    text = (ROOT / "docs" / "study" / "study.toml").read_text(encoding="utf-8")
    usual = dict.fromkeys(study_rates.rows(), study_rates.USUAL)
    before = tomllib.loads(study_rates.applied(text, usual))["suites"]
    other = study_rates.applied(text, {**usual, "unet": 0.002, "fsm": 0.008, "vid": 0.002})
    after = tomllib.loads(other)["suites"]
    assert {n for n in after if before[n] != after[n]} == {
        "few-labels-2-percent",
        "few-labels-2-percent-shapeless",
    }
    named = after["few-labels-2-percent"]
    rows = named["rows"].split(",")
    assert rows[:2] == ["unet[schedule.lr=0.002]", "unet-200"] and "fsm-shuffled" in rows
    assert named["analysis"]["baseline"] == "unet[schedule.lr=0.002]"
    assert named["analysis"]["subject"] == "fsm[schedule.lr=0.008]"
    assert named["analysis"]["competitors"][-1] == "vid[schedule.lr=0.002]"
    assert study_rates.applied(other, usual) == study_rates.applied(text, usual)
