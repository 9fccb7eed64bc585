"""`bench --help` is quick and light; methods, plan, status, doctor; other people's packages."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_process import (
    REPOSITORY,
    SMALL,
    SMALL_GT,
    bench,
    finish,
    package,
    run_argv,
    setting_argv,
    spawn,
    tiny_workspace,
)

from benchmark.settings.registry import load_registry

HEAVY = {"torch", "mlflow", "numpy", "scipy", "pyarrow", "nibabel", "optuna", "rich"}
THEIRS = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.nodes import Net, Row, Schedule, Train, field_from

@dataclass(frozen=True, kw_only=True)
class Breaks:
    kind: ClassVar[str] = "breaks"
    def __call__(self, nets, batch):
        terms = Segmentation()(nets, batch)
        if int(batch.case_B.max()) == BAD:  # a fifth training case: not in fold 0
            terms["extra"] = terms[next(iter(terms))] * float("inf")
        return terms

@dataclass(frozen=True, kw_only=True)
class Theirs:
    ct: UNet = field_from(UNet, "C", "network")
    schedule: Schedule = field_from(Schedule, "C", "of the training")
    def plan(self):
        return Train(title="theirs", nets={"ct": Net(arch=self.ct)}, objective=Breaks(),
                     schedule=self.schedule)["ct"]

METHODS = {"theirs": Row(method=Theirs(), group="theirs", title="T", about="a", source="s")}
"""
COMMAND = """
HELP = "says hello"
def configure(parser):
    parser.add_argument("--name", default="you")
def run(args):
    print("hello", args.name)
    return 0
"""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}


def test_help_is_quick() -> None:
    argv = [sys.executable, "-m", "benchmark.cli.main", "--help"]
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        ran = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - began)
    assert "run" in ran.stdout and "doctor" in ran.stdout
    assert min(seconds) < 0.4, seconds


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["data", "--help"]])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys, json\nfrom benchmark.cli.main import main\n"
        f"try: main({argv!r})\nexcept SystemExit: pass\n"
        "print('MODULES', json.dumps(sorted(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    modules = json.loads(ran.stdout.rpartition("MODULES")[2])
    assert not HEAVY & {name.partition(".")[0] for name in modules}


def test_bench_alone_is_the_help() -> None:
    alone = bench()
    assert alone == bench("--help")
    assert alone.code == 0 and "predict" in alone.out and alone.err == ""


def test_methods() -> None:
    listed = bench("methods", "--json").json
    assert all(set(row) == {"name", "group", "title", "table1"} for row in listed)
    table1 = {row["name"]: row["table1"] for row in listed}
    assert table1["fsm"] == "U-Net+Our" and table1["unet"] == "U-Net"
    assert "fsm" in bench("methods").out


def test_methods_show() -> None:
    text = bench("methods", "show", "fsm").out
    for word in ("N_GT", "N_CT + FSM", "refine", "xi", "0.3", "Song et al.", "where the paper is"):
        assert word in text
    shown = bench("methods", "show", "fsm", "--json").json
    assert len(shown["graph"]) == 3
    marks = {field["name"]: field["mark"] for field in shown["fields"]}
    assert (marks["xi"], marks["norm"]) == ("S", "C")


def test_plan_is_what_the_run_does(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    one_pass = {"schedule__epochs": 1, "schedule__steps_per_epoch": None}
    run = run_argv(root, "fsm", "--folds", "0,1", **one_pass)
    plan = ["plan", *[part for part in run[1:] if part not in ("--mlflow", "none")]]
    before = bench(*plan, "--json").json["nodes"]
    assert all({"key", "parents", "steps", "cached", "final"} <= set(node) for node in before)
    assert [node["cached"] for node in before] == [False] * 6
    assert [node["final"] for node in before] == [False, False, True] * 2
    known = set()
    for node in before:  # parents first
        assert set(node["parents"]) <= known
        known.add(node["key"])
    assert "6 of 6 trainings to do" in bench(*plan).out
    assert not (root / "objects").exists(), "a plan trains nothing"
    assert bench(*run, "--json").json["trained"] == 6
    for node in bench(*plan, "--json").json["nodes"]:
        record = json.loads((root / "objects" / node["key"] / "record.json").read_text())
        assert node["cached"] and node["steps"] == record["steps"] > 0
        assert node["parents"] == record["parents"]
    assert "0 of 6 trainings to do" in bench(*plan).out


def test_a_long_plan_says_what_a_gpu_takes_where_the_store_knows(tmp_path: Path) -> None:
    """A record of a GPU comes into a workspace that was copied from its machine."""
    root = tiny_workspace(tmp_path)
    run = run_argv(root, "unet", "--folds", "0", schedule__epochs=1)
    long = {**SMALL, "schedule.epochs": 1e7}
    plan = ["plan", "--method", "unet", "--folds", "1,2", *setting_argv(root, long)]
    assert "on a GPU: not known" in bench(*plan).out
    assert bench(*run).code == 0
    assert "on a GPU: not known" in bench(*plan).out, "a CPU's pace says nothing of it"
    (file,) = (root / "objects").glob("*/record.json")
    record = json.loads(file.read_text())
    record["hardware"] |= {"device": "cuda", "name": "GPU of ours"}
    file.write_text(json.dumps(record | {"seconds": record["steps"] * 0.001}))
    sums = file.with_name("checksums.json")
    of_file = hashlib.sha256(file.read_bytes()).hexdigest()
    sums.write_text(json.dumps(json.loads(sums.read_text()) | {"record.json": of_file}))
    text = bench(*plan).out
    # 2 folds of 1e7 epochs of 3 steps of a millisecond
    assert "on GPU of ours: about 16.7 h, by trainings like these in the store" in text
    assert "on a GPU" not in text
    other = {**long, "ct.width": 8}
    wide = bench("plan", "--method", "unet", "--folds", "1", *setting_argv(root, other))
    assert "on a GPU: not known" in wide.out, "no such network was trained there"
    short = bench("plan", "--method", "unet", "--folds", "1", *setting_argv(root))
    assert "GPU" not in short.out and "1 of 1 training to do" in short.out


def test_values_come_from_preset_then_config_then_set(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    config = tmp_path / "values.toml"
    config.write_text("xi = 0.5\nnoise = 0.1\n[ct]\nwidth = 6\n[ground]\nbatch = 2\n")
    values = {**SMALL, **SMALL_GT, "xi": 0.7, "refine": False}
    del values["ct.width"]
    small = setting_argv(root, values)
    ran = bench("run", "--method", "fsm", *small, "--config", str(config), "--folds", "0",
                "--mlflow", "none")  # fmt: skip
    assert ran.code == 0, ran.err
    found = {}
    for path in (root / "objects").glob("*/record.json"):
        record = json.loads(path.read_text())
        found[record["title"]] = record
    stage2 = found["N_CT + FSM"]
    assert stage2["spec"]["objective"]["xi"] == 0.7, "--set wins over --config"
    assert stage2["spec"]["nets"]["ct"]["arch"]["width"] == 6, "--config wins over the preset"
    assert stage2["spec"]["nets"]["ct"]["arch"]["norm"] == "instance", "the preset stands"
    assert stage2["ground"]["batch"] == 2
    assert found["N_GT"]["spec"]["views"][0]["p"] == 0.1


def test_set_of_an_architecture_ends_what_the_config_says_of_it(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    config = tmp_path / "values.json"
    config.write_text('{"ct.width": 6, "ct.levels": 2}')
    argv = ["--config", str(config), "--set", "ct=smp:unet/resnet18", "--json"]
    ran = bench("plan", "--method", "unet", *setting_argv(root, {}), *argv)
    assert ran.code == 0, ran.err


@pytest.mark.long
def test_other_architectures_in_plan_and_run(tmp_path: Path) -> None:
    """The plan counts their operations and the check before a run builds them on shapes alone."""
    root = tiny_workspace(tmp_path)
    few = {"schedule.epochs": 1, "schedule.steps_per_epoch": 1, "ground.size": 32}
    values = {**few, "ct": "smp:unet/resnet18", "gt": "smp:unet/resnet18"}
    argv = ["--method", "fsm", *setting_argv(root, values), "--folds", "0", "--json"]
    assert len(bench("plan", *argv).json["nodes"]) == 3
    ran = bench("run", *argv, "--mlflow", "none")
    assert ran.code == 0 and ran.json["trained"] == 3, ran.err


def test_doctor(tmp_path: Path) -> None:
    ran = bench("doctor", "--json", "--root", str(tmp_path))
    assert set(ran.json) == {"facts", "problems"}
    assert {"python", "torch", "device", "precision", "disk free"} <= set(ran.json["facts"])
    assert ran.code == bool(ran.json["problems"])
    assert not list(tmp_path.iterdir())


def test_their_command_and_broken_packages(tmp_path: Path) -> None:
    site = package(tmp_path / "site", "hello", COMMAND, "beyond_loss.commands", "hello")
    package(site, "sunk", "raise OSError('no such ship')", "beyond_loss.commands", "sunk")
    package(site, "empty", "", "beyond_loss.commands", "empty")
    package(site, "wreck", "raise OSError('no such rock')", "beyond_loss.methods", "wreck")
    package(site, "odd", "METHODS = {'odd': 3}", "beyond_loss.methods", "odd")
    shown = finish(spawn("--help", site=site))
    assert shown.code == 0 and "says hello" in shown.out and "run" in shown.out
    assert "'sunk' is broken: no such ship" in shown.err and "'empty' is broken" in shown.err
    assert "Traceback" not in shown.err
    assert finish(spawn("hello", "--name", "x", site=site)).out == "hello x\n"
    listed = finish(spawn("methods", "--json", site=site))
    assert listed.code == 0 and {"fsm", "unet"} <= {row["name"] for row in listed.json}
    assert "no such rock" in listed.err and "odd" in listed.err


def test_their_diverging_row_fails_its_cell_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = THEIRS.replace("BAD", "4")
    site = package(tmp_path / "site", "theirs", code, "beyond_loss.methods", "theirs")
    monkeypatch.syspath_prepend(str(site))
    root = tiny_workspace(tmp_path / "workspace")
    run = ["run", "--method", "theirs", "--mlflow", "none", *setting_argv(root)]
    ran = bench(*run, "--folds", "1,0", "--json")
    assert ran.code == 1 and "Traceback" not in ran.err
    assert ran.json["trained"] == 1 and ran.json["table"]
    (cell,) = ran.json["incomplete"]
    assert (cell["fold"], cell["seed"], cell["state"]) == (1, 0, "failed")
    for word in ("step ", "'extra'", "inf", "p0"):
        assert word in cell["error"]
    text = bench(*run, "--folds", "1,0")
    assert text.code == 1 and "INCOMPLETE: fold 1 seed 0 failed" in text.out
    assert "trainings: 0 done now, 1 reused" in text.out, "the good cell was kept"
    status = bench("status", "--root", str(root))
    assert status.code == 0 and "fold 1 seed 0 failed: step " in status.out
    cells = bench("status", "--root", str(root), "--json").json["cells"]
    assert {cell["fold"]: cell["state"] for cell in cells} == {0: "done", 1: "failed"}


def test_their_data_set_and_a_changed_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(REPOSITORY / "tests/conftest.py")
    code = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("their_tiny", {path!r})
module = importlib.util.module_from_spec(spec)
sys.modules["their_tiny"] = module
spec.loader.exec_module(module)
SET = module.TinySource()
"""
    site = package(tmp_path / "site", "lent", code, "beyond_loss.datasets", "lent:SET")
    monkeypatch.syspath_prepend(str(site))
    root = tmp_path / "workspace"
    run = ["run", "--method", "unet", "--mlflow", "none", "--json", *setting_argv(root)]
    run[run.index("tiny")] = "lent"
    assert "lent" in [
        row["name"] for row in bench("data", "list", "--json", "--root", str(root)).json
    ]
    first = bench(*run, "--folds", "0")
    assert first.code == 0 and "recipe" not in first.err
    assert "recipe" not in bench(*run, "--folds", "0").err
    monkeypatch.setattr(
        sys.modules["lent"], "SET", sys.modules["their_tiny"].TinySource(patients=7)
    )
    again = bench(*run, "--folds", "0")
    assert again.code == 0 and again.json["trained"] == 0
    assert "'lent' was made by another recipe" in again.err and "remove" in again.err


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("planned"))


@pytest.mark.parametrize("row", load_registry().rows)
def test_every_row_has_a_plan_with_its_cost(tiny_root: Path, row: str) -> None:
    ran = bench(
        "plan", "--method", row, "--dataset", "tiny", "--folds", "0", "--root", str(tiny_root)
    )
    assert ran.code == 0 and "Traceback" not in ran.err, ran.err
