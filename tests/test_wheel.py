"""The wheel: installed in an environment of its own it runs the main job in an empty folder, far
from the checkout.

Torch and the other libraries are those of the Python that runs the test, by a `.pth` file: to
install them again would take minutes and gigabytes. Nothing that is installed there in editable
form comes along, since a `.pth` file read from a `.pth` file's folder is not followed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from bench_process import REPOSITORY, SMALL

PACKAGES = ("benchmark", "methods", "baselines", "sweeps")
BESIDE = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
pytestmark = pytest.mark.long


def good(command: list[str], folder: Path) -> str:
    """What a command prints, without the checkout in its path."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of a copy: building leaves folders behind."""
    for needed in ("pip", "setuptools"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed: pip install -e .[dev]")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in PACKAGES:
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=without)
    for name in BESIDE:
        shutil.copy(REPOSITORY / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    good([*build, "--no-index", "--wheel-dir", str(out), str(source)], out)
    (found,) = out.glob("beyond_loss-*.whl")
    return found


@pytest.fixture(scope="module")
def bin_of(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that has the wheel."""
    place = tmp_path_factory.mktemp("venv")
    good([sys.executable, "-m", "venv", "--without-pip", str(place)], place)
    binaries = place / ("Scripts" if os.name == "nt" else "bin")
    python = str(binaries / "python")
    site = Path(
        good([python, "-c", "import site; print(site.getsitepackages()[0])"], place).strip()
    )
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    good([*pip, str(wheel)], place)
    return binaries


def test_it_holds_the_code_its_data_and_the_licence_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    here = {
        path.relative_to(REPOSITORY).as_posix()
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == here
    ends = {name.partition(".dist-info/")[2] for name in names}
    assert {"licenses/LICENSE", "licenses/NOTICE", "entry_points.txt"} <= ends


def test_the_main_job_runs_in_an_empty_folder(bin_of: Path, tmp_path: Path) -> None:
    bench = str(bin_of / "bench")
    where = good([str(bin_of / "python"), "-c", "import benchmark; print(benchmark.__file__)"],
                 tmp_path)  # fmt: skip
    assert Path(where.strip()).is_relative_to(bin_of.parent)
    sets = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")
            if value is not None]  # fmt: skip
    run = [bench, "run", "--method", "unet", "--folds", "0", *sets, "--mlflow", "none"]
    ran = json.loads(good([*run, "--json"], tmp_path))
    assert (ran["trained"], ran["folds"]) == (1, [0])
    assert {path.name for path in tmp_path.iterdir()} == {"workspace"}
    again = json.loads(good([*run, "--json"], tmp_path))
    assert (again["trained"], again["reused"]) == (0, 1)
    good([bench, "report", "--out", "page"], tmp_path)  # its templates are in the wheel
    assert (tmp_path / "page/index.html").stat().st_size > 1000
    good([bench, "new", "metric", "my-own-metric"], tmp_path)
    assert (tmp_path / "my-own-metric/my_own_metric.py").is_file()
    assert good([bench, "--version"], tmp_path) == "0.1.0\n"
