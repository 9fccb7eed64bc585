"""The engine without the extras: `pip install beyond-loss` on a GPU node. A row is trained, scored
and shown, and a command that needs more says in one line what to install."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_process import REPOSITORY, Ran, finish, run_argv, spawn, tiny_workspace

from benchmark.errors import PARTS, BadInput, lacking, one_line

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OTHERS = ("timm", "torchvision", "alembic", "medpy", "statsmodels", "highdicom")
WITHOUT = f"""
import sys

class Without:
    # finds all but the extras
    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {(*PARTS, *OTHERS)!r}:
            return None
        return self.real.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that makes the extras unimportable in every process that has it first."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(WITHOUT)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("engine") / "workspace")


@pytest.fixture(scope="module")
def trained(root: Path, site: Path) -> Ran:
    """A run by two processes, of which each must find what it needs; nobody speaks of MLflow."""
    argv = [*run_argv(root, "unet"), "--folds", "0,1", "--workers", "2"]
    argv = [word for word in argv if word not in ("--mlflow", "none")]
    return finish(spawn(*argv, site=site), 110)


@pytest.mark.long
def test_a_row_is_trained_scored_and_shown(trained: Ran, root: Path) -> None:
    assert trained.code == 0, trained.err
    assert "trainings: 2 done now" in trained.out
    assert re.search(r"liver +│ +[\d.]+ \+- ", trained.out)
    (line,) = [line for line in trained.err.splitlines() if "mlflow" in line]
    assert "pip install 'beyond-loss[mlflow]'" in line and "on disk" in line
    assert not (root / "mlflow.db").exists()


NEEDS = {  # what is typed after the row was trained, and the extra that its one line names
    "report": "report",
    "sync": "mlflow",
    "ui": "mlflow",
    "run --method unet --dataset tiny --mlflow http://nobody:1": "mlflow",
    "sweep show xi": "sweeps",
    "run --method unet --dataset tiny --set ct=smp:unet/resnet18": "smp",
    "data phantom --patients 2 --layout ircadb --out nowhere": "files",
    "data phantom --patients 2 --layout multi-organ --out there": "files",
}
WORKS = ("status", "store verify", "doctor", "data list", "store du")
TYPED = """
import contextlib, io, json, sys
from benchmark.cli.main import main
found = {}
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*line.split(), "--root", sys.argv[2]])
    found[line] = [code, out.getvalue(), err.getvalue()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def typed(trained: Ran, root: Path, site: Path) -> dict[str, tuple[int, str, str]]:
    """Code, output and errors of each line, typed in one process after the run."""
    lines = json.dumps([*NEEDS, *WORKS])
    paths = os.pathsep.join(map(str, (site, REPOSITORY)))
    command = [sys.executable, "-c", TYPED, lines, str(root)]
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[int, str, str]] = json.loads(done.stdout)
    return found


@pytest.mark.long
@pytest.mark.parametrize("line", NEEDS)
def test_what_needs_more_says_what_to_install(
    typed: dict[str, tuple[int, str, str]], line: str
) -> None:
    code, out, err = typed[line]
    assert (code, out) == (2, ""), err
    (told,) = [one for one in err.splitlines() if one.startswith("bench: ")]
    assert f"pip install 'beyond-loss[{NEEDS[line]}]'" in told


@pytest.mark.long
def test_what_needs_no_more_works(typed: dict[str, tuple[int, str, str]]) -> None:
    """`doctor` too: a part that nobody asked for is no problem, and is named."""
    assert {line: typed[line] for line in WORKS if typed[line][0] != 0} == {}
    assert "mlflow (mlflow)" in typed["doctor"][1] and "optuna" in typed["doctor"][1]
    assert typed["status"][1].endswith("2 done\n")


def modules(requirements: list[str]) -> Iterator[str]:
    """The names that requirements are imported by."""
    by = {"pillow": "PIL", "simpleitk": "SimpleITK"}
    for requirement in requirements:
        name = re.split(r"[^A-Za-z0-9_-]", requirement)[0]
        yield by.get(name, name.replace("-", "_"))


def test_each_part_comes_with_its_extra_and_with_all() -> None:
    for module, extra in PARTS.items():
        found = {*modules(EXTRAS[extra])}
        assert module in found or (module, "optuna" in found) == ("sqlalchemy", True), module
    (whole,) = EXTRAS["all"]
    assert {*re.split(r"[\[\],]", whole)[1:-1]} == EXTRAS.keys() - {
        "all",
        "dev",
        "docs",
        "ray",
        "s3",
    }
    engine = {*modules(PROJECT["dependencies"])}
    assert not engine & PARTS.keys() and {"torch", "pandas", "pyarrow", "rich"} <= engine


def test_another_module_that_is_missing_is_no_part() -> None:
    with pytest.raises(ModuleNotFoundError) as found:
        __import__("nobody_has_this")
    assert lacking(found.value) is None and "nobody_has_this" in one_line(found.value)
    assert lacking(BadInput("mlflow")) is None
    told = lacking(ModuleNotFoundError("No module named 'mlflow.x'", name="mlflow.x"))
    assert told == "mlflow is not installed: pip install 'beyond-loss[mlflow]', or [all]"
