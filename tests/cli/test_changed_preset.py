"""A workspace whose preset `quick` changes: nothing of before is lost, and nothing is mixed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_process import SMALL, bench, run_argv, setting_argv, tiny_workspace, tree
from changed_preset import NEW, OLD
from suite_process import suite_argv

from benchmark.running.bench import Options
from benchmark.running.suites import count_results
from benchmark.store.ledger import Ledger
from benchmark.store.plans import Plans


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `bench run` and `bench suite` left when entries and plans had no hash yet, and `quick`
    the values that are `quick-1` now."""
    root = tiny_workspace(tmp_path_factory.mktemp("before"))
    assert bench(*run_argv(root, "unet", "--folds", "0", "--preset", "quick-1")).code == 0
    assert bench(*suite_argv(root, "unet", "--preset", "quick-1")).code == 0
    for path in (root / "ledger").glob("*/*.json"):
        value = json.loads(path.read_text())
        del value["preset_hash"], value["own_split"]
        value["preset"] = "quick"
        path.write_text(json.dumps(value))
    (plan,) = (root / "ledger").glob("*/plan/*.json")
    value = json.loads(plan.read_text())
    del value["plan"]["preset_hash"]
    value["plan"]["preset"] = "quick"
    plan.write_text(json.dumps(value))
    return root


@pytest.fixture
def root(before: Path, tmp_path: Path) -> Path:
    """A copy."""
    return Path(shutil.copytree(before, tmp_path / "workspace"))


def cells(root: Path, suite: str) -> list[tuple[str, str]]:
    return [(entry.preset, entry.preset_hash) for entry in Ledger(root / "ledger").entries(suite)]


def test_the_values_of_before_can_be_run(root: Path) -> None:
    files = {path.name for path in (root / "ledger/default").iterdir()}
    ran = bench(*run_argv(root, "unet", "--folds", "0", "--preset", "quick-1", "--json"))
    assert (ran.code, ran.json["trained"]) == (0, 0), ran.err
    assert {path.name for path in (root / "ledger/default").iterdir()} == files
    assert cells(root, "default") == [("quick-1", OLD.hash)]
    plan = ["plan", "--method", "unet", "--folds", "0", *setting_argv(root), "--json"]
    for preset, stored in (("quick-1", True), ("quick", False)):
        (node,) = bench(*plan, "--preset", preset).json["nodes"]
        assert node["cached"] is stored


def test_the_new_values_have_cells_of_their_own(root: Path) -> None:
    ran = bench(*run_argv(root, "unet", "--folds", "0", "--json"))
    assert (ran.code, ran.json["trained"]) == (0, 1), ran.err
    assert sorted(cells(root, "default")) == [("quick", NEW.hash), ("quick-1", OLD.hash)]
    status = bench("status", "--root", str(root)).out
    for preset in ("quick", "quick-1"):
        assert f" on tiny, preset {preset}, test: 1 done" in status
    label = Ledger(root / "ledger").entries("default")[0].label
    ran = bench("compare", label, label, "--suite", "default", "--root", str(root))
    assert ran.code == 2 and "was run with presets quick, quick-1: choose with --preset" in ran.err


def test_a_suite_goes_on_with_its_own_values(root: Path) -> None:
    files = tree(root / "ledger")
    ran = bench(*suite_argv(root, "unet"))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "bench: suite main is planned with other values of preset quick: they are known as "
        "quick-1 now: give --preset quick-1, or another --name\n"
    )
    assert {n: v for n, v in tree(root / "ledger").items() if ".lock" not in n} == {
        n: v for n, v in files.items() if ".lock" not in n
    }
    ran = bench(*suite_argv(root, "unet", "--preset", "quick-1", "--json"))
    assert (ran.code, ran.json["trained"]) == (0, 0), ran.err
    assert len(list((root / "ledger/main/plan").iterdir())) == 1
    ran = bench(*suite_argv(root, "unet", "--name", "new", "--folds", "0", "--json"))
    assert (ran.code, ran.json["trained"]) == (0, 1), ran.err
    assert cells(root, "new") == [("quick", NEW.hash)]


def test_a_plan_counts_no_result_of_other_values(root: Path) -> None:
    """What `bench run` filled may be planned afterwards: its one cell has the values of before."""
    opened = Options(root=root, device="cpu").open()
    plan = Plans(root / "ledger").latest("main")
    assert plan and plan.preset == "quick-1"
    new = replace(plan, preset="quick", preset_hash=NEW.hash)
    assert [count_results(opened, [], each, "default") for each in (plan, new)] == [1, 0]
    ran = bench(*suite_argv(root, "unet", "--name", "default", "--folds", "0"))
    assert ran.code == 0 and "post hoc" not in ran.out, ran.err
    before = ("--preset", "quick-1", "--name", "again", "--folds", "0")
    assert "post hoc" in bench(*suite_argv(root, "unet", *before)).out


def test_a_suite_that_lacks_a_cell_says_the_name_of_now(root: Path) -> None:
    next((root / "ledger/main").glob("*.json")).unlink()
    status = bench("status", "--root", str(root)).out
    assert " of suite scratch on tiny, preset quick" in status
    assert " of suite main on tiny, preset quick-1" in status
    assert "suite main: 1 of 2 cells done, 1 not run" in status and "--preset quick-1" in status


def test_predict_knows_both_names(root: Path, tmp_path: Path) -> None:
    import nibabel as nib

    image = tmp_path / "ct.nii.gz"
    ct = np.random.default_rng(0).normal(0, 300, (16, 16, 6)).astype(np.float32)
    nib.save(nib.Nifti1Image(ct, np.diag([-5.0, -5.0, 5.0, 1.0])), image)
    argv = ["predict", str(image), "-o", str(tmp_path / "out.nii.gz"), "--method", "unet",
            "--fold", "0", "--overlay", "none", *setting_argv(root, SMALL), "--json"]  # fmt: skip
    ran = bench(*argv, "--preset", "quick-1")
    assert ran.code == 0 and ran.json["preset"] == "quick-1", ran.err
    ran = bench(*argv, "--preset", "quick")
    assert ran.code == 2 and "never trained in this workspace on tiny, preset quick," in ran.err
