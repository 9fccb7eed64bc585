"""The statistics are calibrated, and docs/statistics.md was made by this code."""

import importlib.util
from pathlib import Path

import pytest
from scipy import stats

from benchmark.scoring.statistics.calibration import Design, calibrate

DOCS = Path(__file__).parents[3] / "docs"
DRAWS = 600


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("calibration_docs", DOCS / "calibration.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def band(percent: float) -> tuple[float, float]:
    """Where a share of so many percent falls in 1,998 of 2,000 simulations."""
    low, high = stats.binom.ppf([0.0005, 0.9995], DRAWS, percent / 100) / DRAWS * 100
    return float(low), float(high)


@pytest.mark.parametrize("run_sd", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("patients", [20, 90])
def test_errors_keep_their_limits(patients, seeds, run_sd):
    found = calibrate(Design(patients=patients, seeds=seeds, run_sd=run_sd), draws=DRAWS, seed=7)
    assert band(93)[0] <= found.coverage <= band(97)[1]
    assert max(found.family_rows, found.family_ablations) <= band(6)[1]
    assert found.equivalent <= band(5)[1]


def test_the_check_would_see_a_wrong_statistic():
    """Patients alone take run luck for a difference: far outside the band of the same draws."""
    found = calibrate(Design(patients=90, seeds=3, run_sd=1.0), draws=DRAWS, seed=7)
    assert found.wilcoxon > band(6)[1] + 5


@pytest.mark.parametrize("patients", [50, 90])
def test_coverage_on_values_like_dsc(patients):
    for missed in ((0.0, 0.0), (0.05, 0.10)):
        design = Design(patients=patients, seeds=3, run_sd=0.5, missed=missed)
        found = calibrate(design, draws=DRAWS, seed=7)
        assert band(93)[0] <= found.coverage <= band(97)[1]


def test_the_page_was_made_by_this_code(script):
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    assert f"`{script.source()}`" in page, "run `python docs/calibration.py`"
    for design in (script.MAIN[1], script.FLAT[3], script.SINGLE[0]):
        assert script.line(design, script.DRAWS) in page


def test_the_page_keeps_what_the_issue_asks(script):
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    table = page.split("## The design of the suite")[1].split("## ")[0]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    cells = [tuple(float(cell) for cell in line[1:-1]) for line in lines]
    assert [cell[:3] for cell in cells] == [
        (n, seeds, run) for n in (20, 90) for seeds in (3, 5) for run in (0, 0.5, 1)
    ]
    for _, _, _, coverage, rows, ablations, equivalent, _, _ in cells:
        assert 93 <= coverage <= 97
        assert max(rows, ablations) <= 6
        assert equivalent <= 5
