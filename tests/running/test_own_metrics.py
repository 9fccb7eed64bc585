"""Metrics of one's own: stored label maps scored by them, and their rows in every table."""

from __future__ import annotations

import csv
import math
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import planted_suite
import pytest
from bench_process import REPOSITORY, Ran, bench, package, setting_argv
from planted_suite import plant, workspace

from benchmark.analysis.own import own_of
from benchmark.data.library import open_dataset
from benchmark.errors import BadInput
from benchmark.scoring.own import OwnMetric, own_scores
from benchmark.store.ledger import SCRATCH
from benchmark.store.results import BESIDE, ResultRow
from benchmark.store.workspace import open_workspace

EXAMPLE = REPOSITORY / "examples" / "own_metrics" / "own_metrics.py"
NAMES = ("centre-distance", "volume-difference")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows of a suite with label maps; nobody writes to it."""
    root = tmp_path_factory.mktemp("planted")
    plant(workspace(root), {"unet": 0.10, "unet-200": 0.05}, suite="mine", seeds=(0,))
    return root


@pytest.fixture
def root(planted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planted, tmp_path / "workspace"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example, installed for this process."""
    name = "own_metrics"
    site = package(tmp_path / "site", name, EXAMPLE.read_text(), "beyond_loss.metrics", name)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield site
    forget()


def forget() -> None:
    """What a new process would not know of the installed package."""
    from benchmark.files import source

    sys.modules.pop("own_metrics", None)
    source._module.cache_clear()
    source._read.cache_clear()


def edit(site: Path, old: str, new: str) -> None:
    path = site / "own_metrics.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    shutil.rmtree(site / "__pycache__", ignore_errors=True)
    forget()


def score(root: Path, *more: str) -> Ran:
    return bench("score", "--root", str(root), "--mlflow", "none", *more)


def own_rows(root: Path, metric: str) -> list[ResultRow]:
    found = open_workspace(root, reading=True)
    return [
        row
        for key, evaluation in found.results.unused(set())
        if evaluation.endswith(BESIDE + metric)
        for row in found.results.rows(key, evaluation)
    ]


def test_stored_label_maps_are_scored(root: Path, site: Path) -> None:
    ran = score(root)
    assert ran.code == 0, ran.err
    assert "volume-difference: scored: 10 cells" in ran.out
    space, dataset = open_workspace(root, reading=True), open_dataset(root, "tiny")
    results = space.results
    for entry in space.ledger.entries("mine"):
        beside = results.beside(entry.key, entry.evaluation)
        assert tuple(beside) == NAMES
        for row in results.rows(entry.key, beside["volume-difference"]):
            truth = dataset.load(row.case).label == 1 + dataset.organs.index(row.organ)
            found = results.labels(entry.key, entry.evaluation, row.case)
            predicted = found == 1 + dataset.organs.index(row.organ)
            a, b = int(truth.sum()), int(predicted.sum())
            assert row.value == pytest.approx(200 * abs(a - b) / (a + b))
            assert (row.unit, row.n_voxels_true) == ("percent", a)
    again = score(root, "--json").json
    assert {one["state"] for one in again["own"]} == {"already current"}
    assert len(again["own"]) == 20


def test_an_edit_is_scored_again_and_a_comment_is_not(root: Path, site: Path) -> None:
    score(root, "--metric", "volume-difference")
    first = own_rows(root, "volume-difference")
    edit(site, "    filter_ =", "    # as SimpleITK has it\n    filter_ =")
    assert "already current: 10 cells" in score(root, "--metric", "volume-difference").out
    edit(site, "return 100.0", "return 50.0")
    noted = bench("compare", "unet-200", "unet", "--root", str(root), "--json").json["notes"]
    assert "volume-difference was edited since" in noted[0]["note"]
    assert "scored: 10 cells" in score(root, "--metric", "volume-difference").out
    second = own_rows(root, "volume-difference")
    assert [row.value for row in second] == [pytest.approx(row.value / 2) for row in first]
    edit(site, 'missed="function"', "missed=200.0")
    assert "scored: 10 cells" in score(root, "--metric", "volume-difference").out, "the rule counts"


def test_they_stand_in_every_table_and_no_verdict_reads_them(root: Path, site: Path) -> None:
    argv = ("report", "--root", str(root), "--mlflow", "none", "--skip-hard-cases")
    before = bench(*argv)
    assert before.code == 0, before.err
    score(root)
    assert bench(*argv).out == before.out
    with (root / "reports/mine/tables/scores.csv").open() as file:
        lines = [x for x in csv.DictReader(file) if x["metric"] == "centre-distance"]
    assert {x["row"] for x in lines} == {"unet", "unet-200"}
    assert {x["unit"] for x in lines} == {"mm"}
    assert {(x["n"], x["n_missed"]) for x in lines if x["organ"] == "liver"} == {("15", "0")}
    page = (root / "reports/mine/index.html").read_text()
    assert "centre-distance mm" in page and "Secondary endpoints" in page


def test_two_rows_are_compared_in_them(root: Path, site: Path) -> None:
    score(root)
    compared = bench("compare", "unet-200", "unet", "--root", str(root), "--json").json
    by_name = {each["metric"]: each for each in compared["comparisons"]}
    assert [name for name, each in by_name.items() if each["secondary"]] == list(NAMES)
    assert by_name["volume-difference"]["patients"] == 15
    assert by_name["volume-difference"]["mean"] > 0, "fewer errors are better"
    text = bench(
        "compare", "unet-200", "unet", "--root", str(root), "--metric", "centre-distance"
    ).out
    assert "no verdict rests on it" in text and "dsc in points" not in text


def test_mlflow_has_them(tmp_path: Path, site: Path) -> None:
    root = tmp_path / "workspace"
    plant(workspace(root), {"unet": 0.10}, folds=(0,), seeds=(0,))
    assert bench("sync", "--root", str(root)).code == 0
    assert bench("score", "--root", str(root)).code == 0
    with sqlite3.connect(root / "mlflow.db") as database:
        found = database.execute("select distinct key from latest_metrics").fetchall()
    keys = {key for (key,) in found}
    assert {"cv/centre-distance/liver", "test/volume-difference/mean"} <= keys
    assert "0 points" in bench("sync", "--root", str(root)).out, "bench sync tells it the same"


def test_a_line_that_lacks_a_cell_has_no_mean(root: Path, site: Path) -> None:
    score(root)
    space = open_workspace(root)
    entry = next(e for e in space.ledger.entries("mine") if e.row == "unet")
    space.results.remove(entry.key, f"{entry.evaluation}{BESIDE}centre-distance")
    own = own_of(space, space.ledger.entries("mine"))
    assert own.shared([entry]) == ("volume-difference",)
    assert "centre-distance is not on 1 cell of 10" in own.lines[0]
    lacking = bench(
        "compare", "unet-200", "unet", "--root", str(root), "--metric", "centre-distance"
    )
    assert lacking.code == 2 and "bench score --metric centre-distance" in lacking.err
    assert "scored: 1 cell; already current: 9 cells" in score(root).out.replace(
        "already current: 9 cells; scored: 1 cell", "scored: 1 cell; already current: 9 cells"
    )


def test_rows_go_where_their_label_maps_go(root: Path, site: Path) -> None:
    score(root)
    space = open_workspace(root)
    entry = space.ledger.entries("mine")[0]
    assert bench("store", "gc", "--root", str(root)).out.startswith("removed 0 objects and 0 res")
    space.results.discard(entry.key, entry.evaluation)
    assert space.results.beside(entry.key, entry.evaluation) == {}
    assert len(list((root / "results/aside").iterdir())) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("return 100.0 *", "return 1 / 0 *", "ZeroDivisionError"),
        ("return 100.0 *", "return float('nan') *", "not a finite number"),
        ("return 100.0 *", "import sys; sys.exit(3) *", "SystemExit: 3"),
    ],
)
def test_a_metric_that_fails_is_named_and_takes_no_other_along(
    root: Path, site: Path, old: str, new: str, said: str
) -> None:
    edit(site, old, new)
    ran = score(root)
    assert ran.code == 1 and "Traceback" not in ran.err
    assert "volume-difference: not scored: 10 cells" in ran.out and said in ran.out
    assert "centre-distance: scored: 10 cells" in ran.out


def test_a_package_that_is_none(root: Path, site: Path) -> None:
    edit(site, '"centre-distance": OwnMetric', '"dsc": OwnMetric')
    ran = score(root)
    assert "METRICS['dsc'] is left out: its name is that of a built-in metric" in ran.err
    assert ran.code == 0
    edit(site, "METRICS = {", "METRICS = [] and {")
    assert "METRICS is not a dict" in score(root).err
    unknown = score(root, "--metric", "volume")
    assert unknown.code == 2 and "no metric 'volume'" in unknown.err


def test_the_truth_must_be_that_of_then(root: Path, site: Path) -> None:
    for case in (root / "data/tiny/cases").iterdir():
        label = np.load(case / "label.npy")
        label[label == 1] = 0
        label[0, 0, 0] = 1
        np.save(case / "label.npy", label)
    ran = score(root)
    assert ran.code == 1 and "not scored: 10 cells" in ran.out


def declared(**more: object) -> OwnMetric:
    values = {
        "measure": np.sum, "unit": "mm", "higher_is_better": False, "perfect": 0.0, "margin": 1.0,
        "about": "A.", "missed": "diagonal",
    }  # fmt: skip
    return OwnMetric(**{**values, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unit", ""), ("margin", 0), ("margin", math.nan), ("perfect", math.inf), ("about", "A"),
        ("missed", "never"), ("both_empty", math.nan), ("higher_is_better", "yes"),
        ("measure", 5), ("symmetric", 1),
    ],
)  # fmt: skip
def test_a_declaration_that_is_none(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=name):
        declared(**{name: value})


def test_a_crop_box_and_organs_that_nobody_looked_for() -> None:
    truth = np.zeros((4, 6, 6), np.uint8)
    truth[1:3, 1:4, 1:4], truth[0, 5, 5] = 1, 2
    seen: list[tuple[int, ...]] = []

    def shape(truth: object, predicted: object, spacing_mm: object, organ: str) -> float:
        seen.append(np.shape(truth))  # type: ignore[arg-type]
        return 0.0

    box = (slice(1, 4), slice(0, 5), slice(0, 5))
    scores = own_scores(
        "shape", declared(measure=shape), truth, truth, spacing_mm=(3.0, 2.0, 1.0),
        organs=["a", "b", "c"], annotated=["a", "b"], box=box,
    )  # fmt: skip
    assert [(x.organ, x.state) for x in scores] == [("a", "overlap"), ("b", "both_empty")]
    assert seen == [(3, 5, 5)]
    nothing = np.zeros_like(truth)
    missed = own_scores(
        "shape", declared(measure=shape), truth, nothing, spacing_mm=(3.0, 2.0, 1.0),
        organs=["a", "b", "c"], annotated=["a"], box=box,
    )  # fmt: skip
    assert missed[0].value == pytest.approx(math.hypot(12, 12, 6)), "of the whole volume"


def test_unknown_voxels_are_in_neither_mask() -> None:
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[:, 1:3, 1:3] = 1
    predicted, unknown = np.ones_like(truth), np.ones(truth.shape, bool)
    unknown[0, 1:3, 1:4] = False

    def more(truth: Any, predicted: Any, spacing_mm: object, organ: str) -> float:
        return float(predicted.sum() - truth.sum())

    (score,) = own_scores(
        "more", declared(measure=more), truth, predicted, spacing_mm=(1.0, 1.0, 1.0),
        organs=["a"], annotated=["a"], unknown_ZYX=unknown,
    )  # fmt: skip
    assert (score.value, score.n_voxels_true) == (2.0, 4)


def test_doctor_lists_them(site: Path, tmp_path: Path) -> None:
    found = bench("doctor", "--root", str(tmp_path), "--json").json
    assert set(found["facts"]["metrics of your own"].split(", ")) == set(NAMES)


def _signed(truth: Any, predicted: Any, spacing_mm: Any, organ: str) -> float:
    return float(predicted.sum()) - float(truth.sum())


@pytest.mark.parametrize(("higher", "told"), [(False, "gives -2"), (True, "gives 2")])
def test_a_signed_metric_is_refused(higher: bool, told: str) -> None:
    metric = declared(measure=_signed, higher_is_better=higher, perfect=0.0)
    small, large = np.zeros((2, 3, 3, 3), np.uint8)
    small[0, 0, :2], large[0, 0], large[0, 1, 0] = 1, 1, 1
    pair = (small, large) if higher else (large, small)
    with pytest.raises(BadInput) as caught:
        own_scores("signed", metric, *pair, spacing_mm=(1, 1, 1), organs=("a",), annotated=("a",))
    assert told in str(caught.value) and "measure the distance from it" in str(caught.value)


def test_a_row_without_a_metric_that_others_have_is_told_where_it_is_missed(
    root: Path, site: Path
) -> None:
    made = workspace(root)
    there = ("--root", str(root))
    for row in ("unet", "unet-200"):
        plant(made, {row: 0.1}, seeds=(0,), folds=(0,), suite=SCRATCH)
    score(root, "unet", "--suite", "scratch", "--metric", "volume-difference")
    argv = setting_argv(root, planted_suite.SMALL)
    run = ("--preset", "quick", "--folds", "0", "--mlflow", "none", "--workers", "1", *argv)
    lacks = bench("run", "--method", "unet-200", *run)
    assert lacks.code == 0 and "trainings: 0 done now" in lacks.out, lacks.err
    assert "bench score --metric volume-difference\n" in lacks.out
    assert "bench score" not in bench("run", "--method", "unet", *run).out
    named = bench(
        "compare", "unet", "unet-200", *there, "--suite", "scratch", "--metric", "vol-err"
    )
    assert named.code == 2 and "volume-difference" in named.err
    assert "bench score --metric NAME" in named.err


def test_a_row_that_was_stopped_is_no_failure_of_a_score(root: Path, site: Path) -> None:
    made = workspace(root)
    first = made.ledger.entries("mine")[0]
    stopped = replace(first, row="no-noise", label="no-noise", key="f" * 20, state="started")
    made.ledger.write(stopped)
    ran = score(root, "--metric", "volume-difference")
    assert ran.code == 0 and "volume-difference: scored: 10 cells" in ran.out, ran.out
    shutil.rmtree(made.results.path(first.key, first.evaluation))
    assert score(root, "--metric", "volume-difference").code == 1
