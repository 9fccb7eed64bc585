"""Who reads what was scored on a set kept apart: `score`, `compare`, `export`, and the column."""

from __future__ import annotations

import json
import shlex
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from bench_process import REPOSITORY, bench, package, run_argv, tiny_workspace
from test_held_out import LiverAlone

from benchmark.data.library import add, open_dataset
from benchmark.data.volume import to_canonical
from benchmark.store.ledger import Entry, Ledger
from benchmark.store.results import Results


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fsm` and `unet`, two folds of five each, tested on the set `other`."""
    root = tiny_workspace(tmp_path_factory.mktemp("apart"))
    add(root, "other", LiverAlone())
    for row in ("fsm", "unet"):
        ran = bench(*argv(root, row))
        assert ran.code == 0, ran.err
    return root


def argv(root: Path, row: str, *more: str) -> list[str]:
    words = run_argv(root, "unet", "--folds", "0,1", "--workers", "1", "--test-on", "other", *more)
    return [row if word == "unet" else word for word in words]


def cells(root: Path, row: str) -> list[Entry]:
    entries = Ledger(root / "ledger").entries()
    return [e for e in entries if (e.row, e.part) == (row, "on other")]


def values(root: Path, row: str, metric: str) -> dict[str, float]:
    """Each patient's mean over the two networks."""
    results = Results(root / "results", print)
    found: dict[str, list[float]] = {}
    for entry in cells(root, row):
        for one in results.rows(entry.key, entry.evaluation):
            if (one.metric, one.organ) == (metric, "liver"):
                found.setdefault(one.case, []).append(one.value)
    assert {len(each) for each in found.values()} == {2}
    return {case: statistics.fmean(each) for case, each in found.items()}


def test_the_column_has_assd_and_says_how_many_folds(root: Path) -> None:
    ran = bench(*argv(root, "unet"))
    assert "other: DSC" in ran.out and "other: ASSD" in ran.out
    assert "the mean of the networks of 2 of 5 folds" in ran.out
    found = bench(*argv(root, "unet", "--json")).json["test_on"]
    assert (found["folds"], found["of_folds"], found["all_organs"]) == ([0, 1], 5, False)


def test_two_rows_are_compared_there(root: Path) -> None:
    looks = len((root / "looks" / "other.jsonl").read_text().splitlines())
    words = ("compare", "fsm", "unet", "--test-on", "other", "--root", str(root))
    ran = bench(*words, "--json")
    assert ran.code == 0, ran.err
    assert f"looked at {looks + 1} times" in ran.err
    assert len((root / "looks" / "other.jsonl").read_text().splitlines()) == looks + 1
    for found in ran.json["comparisons"]:
        ours, theirs = (values(root, row, found["metric"]) for row in ("fsm", "unet"))
        sign = 1 if found["metric"] == "dsc" else -1
        expected = {case: sign * (ours[case] - theirs[case]) for case in ours}
        assert found["gains"] == pytest.approx(expected) and found["patients"] == 3
    text = bench(*words).out
    assert "patients of other, which was kept apart" in text and "2 of 5 folds" in text
    assert "folds hold patients" not in text
    assert bench("compare", "fsm", "unet", "--root", str(root)).code == 0
    wrong = bench(*words, "--as", "monai")
    assert wrong.code == 2 and "leave --test-on out" in wrong.err


def test_a_row_that_was_not_scored_there_has_a_command_that_scores_it(
    root: Path, tmp_path: Path
) -> None:
    """Its values, too, and the set: the command is typed as it is printed."""
    root = shutil.copytree(root, tmp_path / "w")
    there = ("--root", str(root))
    assert bench(*run_argv(root, "unet", "--folds", "0", ground__loss__ce=0.5)).code == 0
    (label,) = {
        e.label for e in Ledger(root / "ledger").entries() if "ground.loss.ce" in e.overrides
    }
    words = ("compare", "fsm", label, "--test-on", "other", *there)
    ran = bench(*words)
    said, _, command = ran.err.strip().partition("; run it with: bench ")
    assert ran.code == 2 and said == f"bench: {label} was not scored on other"
    assert " --folds 0 " in command and " --test-on other " in command
    assert bench(*shlex.split(command), *there, "--mlflow", "none").code == 0
    found = bench(*words)
    assert found.code == 1 and f"no result of {label}" in found.out and "fold 1" in found.out


def test_a_row_is_exported_there(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("export", "--method", "unet", "--test-on", "other", "--root", str(root))
    ran = bench(*words, "-o", str(out), "--json")
    assert ran.code == 0 and ran.json["cases"] == 6, ran.err
    assert "What is chosen by it is no longer tested by it" in ran.err
    results, dataset = Results(root / "results", print), open_dataset(root, "other")
    for entry in cells(root, "unet"):
        for case in dataset.cases:
            read = nib.load(out / f"fold_{entry.fold}" / "labels" / f"{case.name}.nii.gz")
            label, _ = to_canonical(np.asarray(read.dataobj), read.affine)
            kept = results.labels(entry.key, entry.evaluation, case.name)
            np.testing.assert_array_equal(label, kept)
    frame = pd.read_csv(out / "rows.csv")
    assert set(frame["dataset"]) == {"other"} and set(frame["fold"]) == {0, 1}
    about = json.loads((out / "provenance.json").read_text())
    assert about["labels"] == {"background": 0, "marker": 1, "liver": 2}
    assert "other was kept apart" in (out / "README.md").read_text()
    ran = bench(*words[:4], "nosuch", *words[5:], "-o", str(tmp_path / "no"))
    assert ran.code == 2 and "bench run --test-on nosuch" in ran.err


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example's metrics, installed for this process."""
    from benchmark.files import source

    name = "own_metrics"
    code = (REPOSITORY / "examples" / name / f"{name}.py").read_text()
    site = package(tmp_path / "site", name, code, "beyond_loss.metrics", name)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield site
    sys.modules.pop(name, None)
    source._module.cache_clear()
    source._read.cache_clear()


def test_own_metrics_are_scored_there(root: Path, site: Path) -> None:
    ran = bench("score", "--root", str(root), "--mlflow", "none", "--json")
    assert ran.code == 0, ran.err
    scored = [one for one in ran.json["own"] if one["part"] == "on other"]
    assert len(scored) == 12 and {one["state"] for one in scored} == {"scored"}
    lines = bench(*argv(root, "unet", "--json")).json["test_on"]["lines"]
    assert {"dsc", "assd", "volume-difference"} <= {line["metric"] for line in lines}
    words = ("compare", "fsm", "unet", "--test-on", "other", "--root", str(root))
    ran = bench(*words, "--metric", "volume-difference", "--json")
    assert ran.code == 0 and ran.json["comparisons"][0]["patients"] == 3, ran.err
    text = bench(*words, "--metric", "volume-difference").out
    assert "lower values are better, a gain above 0 is better (fsm[" in text
    assert "] lower, in percent as the metric has it" in text
