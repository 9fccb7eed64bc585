"""`bench new`: packages from a template that conform as they are, installed by pip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench_process import REPOSITORY, Ran, bench, finish, setting_argv, spawn, tiny_workspace

NAMES = {"method": "my-loss", "metric": "my-metric", "dataset": "my-set", "space": "my-space"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four packages, as `bench new` writes them."""
    source = tmp_path_factory.mktemp("source")
    for kind, name in NAMES.items():
        ran = bench("new", kind, name, "-o", str(source))
        assert ran.code == 0, ran.err
        assert f"next: pip install -e {source / name}; pytest {source / name}; bench " in ran.out
        readme = (source / name / "README.md").read_text()
        assert f"holds `{name}`:\n\n```\npip install -e {name}\npytest {name}\nbench " in readme
    return source


@pytest.fixture(scope="module")
def site(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put all four."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(site)]
    folders = [str(source / name) for name in NAMES.values()]
    subprocess.run([*command, *folders], check=True, capture_output=True, text=True)
    return site


def run(site: Path, *argv: str) -> Ran:
    return finish(spawn(*argv, site=site), 120)


def test_each_passes_its_conformance_checks_at_once(source: Path, site: Path) -> None:
    tests = sorted(map(str, source.glob("*/test_*.py")))
    assert len(tests) == 4
    environment = {"PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY)])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command, env={**os.environ, **environment, "OMP_NUM_THREADS": "1"}, cwd=source,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "25 passed, 2 skipped" in done.stdout, done.stdout[-500:]


@pytest.mark.long
def test_they_are_used_like_ours(site: Path, tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    argv = ["run", "--method", "my-loss", "--folds", "0", "--mlflow", "none", *setting_argv(root)]
    ran = run(site, *argv, "--json")
    assert ran.code == 0 and ran.json["trained"] == 1, ran.err
    assert any(flag["name"] == "own_loss" for flag in ran.json["flags"]), "quick changes the loss"
    scored = run(site, "score", "--root", str(root), "--metric", "my-metric")
    assert "my-metric: scored: 1 cell" in scored.out, scored.err
    again = run(site, *argv)
    assert "my-metric" in again.out and "trainings: 0 done now" in again.out, again.out + again.err
    listed = run(site, "methods")
    assert "\nown:\n  my-loss" in listed.out
    sets = run(site, "data", "list", "--json", "--root", str(root)).json
    assert "my-set" in {each["name"] for each in sets}


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("method", "fsm", "there is a method 'fsm' already"),
        ("metric", "dsc", "there is a metric 'dsc' already"),
        ("dataset", "phantom", "there is a dataset 'phantom' already"),
        ("space", "json", "there is a Python module 'json' already"),
        ("metric", "../up", "write letters, digits"),
        ("row", "x", "invalid choice: 'row'"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, kind: str, name: str, said: str) -> None:
    ran = bench("new", kind, name, "-o", str(tmp_path / "out"))
    assert ran.code == 2 and said in ran.err and not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my-metric").mkdir()
    ran = bench("new", "metric", "my-metric", "-o", str(tmp_path))
    assert ran.code == 2 and "is there already" in ran.err
