"""`--config FILE` with a whole experiment: it runs alone, options win, a fault is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_process import SMALL, SMALL_GT, Ran, bench, tiny_workspace

from benchmark.cli.experiment import NAMES, read_experiment
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import leaves

TOML = """method = "unet"
dataset = "tiny"
folds = [1]
seeds = [3]
[set]
schedule.epochs = 2
schedule.steps_per_epoch = 3
[set.ct]
width = 4
levels = 3
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_workspace(tmp_path / "w")


def written(root: Path, **changed: Any) -> Path:
    """The file of a tiny experiment with some names changed."""
    values = {name: value for name, value in SMALL.items() if value is not None}
    whole = {"method": "unet", "dataset": "tiny", "folds": [1], "seeds": [3], "set": values}
    path = root.parent / "exp.json"
    path.write_text(json.dumps({**whole, **changed}))
    return path


def planned(root: Path, *argv: str) -> list[tuple[int, int, int]]:
    """Fold, seed and steps of the trainings of `bench plan`."""
    ran = bench("plan", *argv, "--root", str(root), "--json")
    assert ran.code == 0, ran.err
    return [(node["fold"], node["seed"], node["steps"]) for node in ran.json["nodes"]]


def refused(ran: Ran, *words: str) -> None:
    assert ran.code == 2 and ran.out == "", ran
    (line,) = ran.err.splitlines()
    assert all(word in line for word in words), line


def test_a_file_alone_runs(root: Path) -> None:
    ran = bench("run", "--config", str(written(root)), "--root", str(root), "--mlflow", "none",
                "--threads", "1", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert (ran.json["folds"], ran.json["seeds"], ran.json["trained"]) == ([1], [3], 1)
    assert {line["dataset"] for line in ran.json["table"]} == {"tiny"}
    (record,) = (root / "objects").glob("*/record.json")
    assert json.loads(record.read_text())["steps"] == 6, "the file's values are those of the row"


def test_toml_says_the_same(root: Path) -> None:
    path = root.parent / "exp.toml"
    path.write_text(TOML)
    assert planned(root, "--config", str(path)) == [(1, 3, 6)]


def test_a_fold_or_seed_that_is_written_twice_counts_once(root: Path) -> None:
    path = written(root, folds=[1, 0, 1], seeds=[3, 3])
    found = read_experiment(path).options
    assert (found["folds"], found["seeds"]) == ([1, 0], [3])


def test_options_win(root: Path) -> None:
    path = str(written(root))
    assert planned(root, "--config", path) == [(1, 3, 6)]
    asked = ["--folds", "0", "--seeds", "1", "--set", "schedule.epochs=1"]
    assert planned(root, "--config", path, *asked) == [(0, 1, 3)]
    refused(bench("plan", "--config", path, "--dataset", "tinny", "--root", str(root)), "tinny")
    refused(bench("plan", "--config", path, "--preset", "huge", "--root", str(root)), "huge")
    fsm = [part for n, v in SMALL_GT.items() for part in ("--set", f"{n}={v}")]
    assert len(planned(root, "--config", path, "--method", "fsm", *fsm)) == 3


def test_what_is_left_out_is_the_default(root: Path) -> None:
    path = root.parent / "exp.json"
    path.write_text('{"method": "unet", "dataset": "tiny"}')
    found = planned(root, "--config", str(path))
    assert [place[:2] for place in found] == [(fold, 0) for fold in range(5)]


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown name": ({"fold": [1]}, ["'fold'", "did you mean folds"]),
    "value outside set": ({"schedule": {"epochs": 5}}, ["'schedule'", "stand in set"]),
    "unknown field": ({"set": {"nonsense": 5}}, ["nonsense"]),
    "unknown row": ({"method": "fms"}, ["fms", "did you mean fsm"]),
    "unknown preset": ({"preset": "huge"}, ["huge"]),
    "method is a number": ({"method": 3}, ["method", "a name"]),
    "method is a table": ({"method": {"a": 1}}, ["method", "a name"]),
    "folds as text": ({"folds": "0,1"}, ["folds", "[0, 1]"]),
    "no folds": ({"folds": []}, ["folds", "[0, 1]"]),
    "fold that is not there": ({"folds": [7]}, ["7", "0 to 4"]),
    "negative seed": ({"seeds": [-1]}, ["seeds", "[0, 1]"]),
    "true as a seed": ({"seeds": [True]}, ["seeds", "[0, 1]"]),
    "set is no table": ({"set": 3}, ["set", "a table"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(root: Path, name: str) -> None:
    changed, words = WRONG[name]
    argv = ["--config", str(written(root, **changed)), "--root", str(root)]
    refused(bench("run", *argv, "--mlflow", "none"), *words)


def test_no_row_anywhere(root: Path) -> None:
    path = root.parent / "exp.json"
    path.write_text('{"dataset": "tiny"}')
    for argv in ([], ["--config", str(path)]):
        refused(bench("run", *argv, "--root", str(root)), "--method", "bench run --help")


def test_commands_that_run_no_experiment_say_so(root: Path) -> None:
    argv = ["xi", "--trials", "1", "--dataset", "tiny", "--config", str(written(root))]
    refused(bench("sweep", "run", *argv, "--root", str(root)), "method", "only bench run")


def test_no_row_has_a_field_that_is_called_as_a_name_of_an_experiment() -> None:
    for name, row in load_registry().rows.items():
        firsts = {leaf.partition(".")[0] for leaf in leaves(row.method)}
        assert not firsts & set(NAMES), name
