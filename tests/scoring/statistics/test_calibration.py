"""The statistics are calibrated, and docs/statistics.md was made by this code."""

from pathlib import Path
from types import ModuleType

import calibration
import numpy as np
import pytest
from scipy import stats
from simulation import Design, _words, calibrate, draw_gains

from benchmark.plan.analysis import DSC, AnalysisPlan
from benchmark.scoring.comparison import compare_gain
from benchmark.scoring.statistics.components import components

DOCS = Path(__file__).parents[3] / "docs"
DRAWS = 600


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return calibration


def band(percent: float) -> tuple[float, float]:
    """Where a share of so many percent falls in 1,998 of 2,000 simulations."""
    low, high = stats.binom.ppf([0.0005, 0.9995], DRAWS, percent / 100) / DRAWS * 100
    return float(low), float(high)


@pytest.mark.parametrize("run_sd", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("patients", [20, 90])
def test_errors_keep_their_limits(patients, seeds, run_sd):
    found = calibrate(Design(patients=patients, seeds=seeds, run_sd=run_sd), draws=DRAWS, seed=7)
    assert band(93)[0] <= found.coverage <= band(98)[1]
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


def test_words_of_many_are_those_of_one():
    """The simulation's rule is `compare_gain`'s, where no patient moves the mean by the margin."""
    design = Design(patients=20, seeds=3, run_sd=0.5, fold_sd=0.5, gain=1.2)
    gain = draw_gains(design, 200, np.random.default_rng(0))
    better, worse = _words(components(gain, design.fold_n), gain)
    names = [str(i) for i in range(20)]
    told = [
        compare_gain(each, design.fold_n, cases=names, row="a", reference="b", metric=DSC,
                     plan=AnalysisPlan(draws_bootstrap=2))
        for each in gain
    ]  # fmt: skip
    assert {found.word for found in told} >= {"better", "undecided"}
    assert not any(found.one_patient for found in told)
    assert [found.word == "better" for found in told] == better.tolist()
    assert [found.word == "worse" for found in told] == worse.tolist()


def cells_of(page: str, title: str) -> list[list[str]]:
    """The table under a title, without its heads."""
    table = page.split(f"## {title}")[1].split("\n## ")[0]
    lines = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines[1:]]


def test_coverage_and_false_words_of_every_design_on_the_page(script):
    """At least 93 %, at most 7 %, and 5 % on average; 4,000 draws each."""
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    assert "(4000 draws a cell" in page
    lines = cells_of(page, "Folds, runs, skew")
    assert [line[:3] for line in lines] == [
        [folds, str(n), str(seeds)]
        for folds in ("even", "uneven", "even, skewed", "uneven, skewed")
        for n in (12, 20, 90)
        for seeds in (1, 3, 5)
    ]
    pairs = np.array([[cell.split(" / ") for cell in line[3:]] for line in lines], dtype=float)
    assert pairs.shape == (36, 12, 2)
    assert pairs[..., 0].min() >= 93
    assert pairs[..., 1].max() <= 7
    assert pairs[..., 1].mean() <= 5


def test_single_failures_on_the_page(script):
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    lines = np.array(cells_of(page, "One patient who fails"), dtype=float)
    assert sorted(set(lines[:, 0])) == [12, 20, 50, 90]
    for patients, _, _, _, undecided, _, _, better in lines:
        assert undecided >= 95 or patients == 90
        assert better <= 5


def test_families_on_the_page(script):
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    lines = np.array(cells_of(page, "Families, equivalence"), dtype=float)
    assert len(lines) == 24 and set(lines[:, 2]) == {0, 0.5}
    assert lines[:, 4].min() >= 93
    assert lines[:, 5:7].max() <= 6
    assert lines[:, 7].max() <= 5
