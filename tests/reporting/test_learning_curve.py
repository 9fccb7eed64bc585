"""docs/learning_curve.py: rows over the number of CTs, from suites that differ in it alone."""

from __future__ import annotations

from pathlib import Path

import learning_curve
import pytest
from planted_suite import plant, workspace

from benchmark.errors import BadInput
from benchmark.running.bench import Bench

FEW = {"unet": 0.4, "unet-200": 0.38, "fsm": 0.35, "fsm-atlas": 0.1, "refine-gt-atlas": 0.3}
TWO = {"ground.size": None, "schedule.steps_per_epoch": 3, "ground.train_cases": 2}
ALL = {"unet": 0.1, "unet-200": 0.09, "fsm": 0.08, "refine-gt": 0.085}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = workspace(tmp_path_factory.mktemp("curve"))
    plant(made, ALL, suite="all")
    plant(made, FEW, suite="two", values=TWO)
    return made


def line(page: str, row: str, table: int) -> list[str]:
    found = [text for text in page.splitlines() if text.startswith(f"| `{row}` |")]
    return [cell.strip() for cell in found[table].split("|")[2:-1]]


def test_the_table_is_over_the_number_of_cts(bench: Bench) -> None:
    page = learning_curve.page(bench, ["all", "two"])
    assert "| mean DSC in % | 2 CTs | all |" in page
    few, every = line(page, "unet", 0)
    assert 70 < float(few.split()[0]) < 80 and 90 < float(every.split()[0]) < 97 and " to " in few
    assert line(page, "fsm-atlas", 0)[1] == line(page, "fsm", 0)[1]  # its twin
    assert line(page, "fsm-atlas-shuffled", 0) == ["-", "-"]


def test_gains_are_paired_and_have_a_word(bench: Bench) -> None:
    page = learning_curve.page(bench, ["two", "all"])
    few, every = line(page, "fsm", 1)
    assert few.startswith("+") and few.endswith(", better") and every == "the same"
    scores = [float(line(page, row, 0)[0].split()[0]) for row in ("fsm-atlas", "fsm")]
    assert float(few.split()[0]) == pytest.approx(scores[0] - scores[1], abs=0.11)
    assert "better" in line(page, "refine-gt-atlas", 1)[0]
    assert line(page, "refine-gt-atlas", 1)[1] != "-"


def test_suites_that_are_no_curve_are_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"have the same ground\.train_cases"):
        learning_curve.page(bench, ["two", "two"])
    with pytest.raises(BadInput, match=r"0 values of ground\.train_cases"):
        learning_curve.page(bench, ["never"])
    plant(bench, {"unet": 0.1}, suite="other", preset="study", values={"ground.train_cases": 4})
    with pytest.raises(BadInput, match="presets quick, study"):
        learning_curve.page(bench, ["two", "other"])
