"""The packages of examples/ are installed by pip, pass their tests, and are used like ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench_process import REPOSITORY, Ran, finish, setting_argv, spawn, tiny_workspace

EXAMPLES = ("born_again", "boundary_iou", "own_metrics")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put all of them, from copies: a build leaves folders beside its source."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in EXAMPLES:
        shutil.copytree(REPOSITORY / "examples" / name, source / name)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(site)]
    folders = [str(source / name) for name in EXAMPLES]
    subprocess.run([*command, *folders], check=True, capture_output=True, text=True)
    return site


def run(site: Path, *argv: str) -> Ran:
    return finish(spawn(*argv, site=site), 120)


def test_each_passes_its_conformance_checks(site: Path, tmp_path: Path) -> None:
    tests = [str(path) for path in sorted(REPOSITORY.glob("examples/*/test_*.py"))]
    assert len(tests) == len(EXAMPLES), "name a new example in EXAMPLES"
    paths = os.pathsep.join([str(site), str(REPOSITORY)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    # a fault in the copy under test, not in the checkout, must turn this red
    command += ["--rootdir", str(tmp_path), "--import-mode", "importlib"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.long
def test_the_method_is_run_scored_by_the_metric_and_compared(site: Path, tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    few = [*setting_argv(root), "--folds", "0", "--mlflow", "none"]
    plain = run(site, "run", "--method", "unet", *few)
    assert plain.code == 0, plain.err
    ran = run(site, "run", "--method", "born-again", *few, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["trained"], ran.json["reused"]) == (1, 1), "unet's training is its first"
    scored = run(site, "score", "--root", str(root), "--metric", "boundary-iou", "--mlflow", "none")
    assert "boundary-iou: scored: 2 cells" in scored.out, scored.out + scored.err
    argv = ("compare", "born-again", "unet", "--metric", "boundary-iou", "--root", str(root))
    found = run(site, *argv, "--json")
    assert "boundary-iou" in json.dumps(found.json), found.err


def test_boundary_iou_of_boxes_is_what_one_counts(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site))
    from boundary_iou import boundary_iou

    truth = np.zeros((20, 20, 20), dtype=bool)
    truth[2:18, 2:18, 2:18] = True
    filled = truth.copy()
    filled[6:14, 6:14, 6:14] = False  # the inside is missing: the band of 4 mm is whole
    assert boundary_iou(truth, truth, (1.0, 1.0, 1.0), "liver") == 100.0
    band = 16**3 - 8**3
    assert np.count_nonzero(filled) == band
    moved = np.roll(truth, 1, axis=0)
    common = 15 * 16 * 16 - 7 * 8 * 8 - 2 * 8 * 8  # voxels in both bands, moved by one
    union = 2 * band - common
    found = boundary_iou(truth, moved, (1.0, 1.0, 1.0), "liver")
    assert found == pytest.approx(100 * common / union)
