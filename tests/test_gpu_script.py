"""`make gpu`, rehearsed on the CPU: every part runs, and what it leaves is what the page reads."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


gpu, parts = load("gpu"), load("gpu_parts")


def script(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCS / "gpu.py"), *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpu") / "speed-gpu.json"
    ran = script("--rehearse", "--out", str(path))
    assert ran.returncode == 0, ran.stderr
    return path


@pytest.fixture
def found(rehearsed: Path) -> Any:
    return json.loads(rehearsed.read_text("utf-8"))


@pytest.mark.long
def test_every_part_runs_or_says_that_it_needs_cuda(found: Any) -> None:
    assert list(found["parts"]) == list(gpu.PARTS)
    for name, part in found["parts"].items():
        assert set(part) == {"seconds", "error", "figures"}
        assert part["error"] == ("needs CUDA" if gpu.PARTS[name].cuda else ""), (name, part)
        assert bool(part["figures"]) != gpu.PARTS[name].cuda
        errors = [figure["error"] for figure in part["figures"].values() if "error" in figure]
        assert not errors, (name, errors)
    assert found["rehearsal"] and found["machine"]["device"] == "cpu"
    assert {"python", "torch", "numpy", "commit"} <= set(found["machine"])


@pytest.mark.long
def test_the_figures_are_whole(found: Any) -> None:
    figures = {name: part["figures"] for name, part in found["parts"].items()}
    step = figures["step"]["batch 3"]
    for way in ("bare", "fit"):
        assert step[f"{way}_slices_s"] == pytest.approx(3000 / step[f"{way}_ms"])
        assert step[f"{way}_of_floor"] == pytest.approx(step["floor_ms"] / step[f"{way}_ms"])
    assert 2.5 < step["step_tflop"] / step["forward_tflop"] < 3
    assert figures["step"]["rates"]["copy_gb_s"] > 0
    assert list(figures["stages"]) == ["plain", "N_GT", "N_CT + FSM", "refine"]
    assert figures["stages"]["plain"]["to_plain"] == 1
    assert len(figures["resume"]) == 8, "two precisions of four trainings"
    assert all(all(same.values()) for same in figures["resume"].values())
    assert list(figures["packing"]) == ["quick x 1", "quick x 2"]
    assert all(0 < each["slowest"] <= each["steps_s"] for each in figures["packing"].values())
    assert list(figures["forms"]) == ["paper, batch 2"]
    assert figures["forms"]["paper, batch 2"]["gain"]["as bench"] == 1


@pytest.mark.long
def test_the_page_is_made_of_the_file(found: Any, rehearsed: Path) -> None:
    text = gpu.page("# Speed\n\n## On a GPU\nold\n", rehearsed)
    assert text.startswith("# Speed\n\n## On a GPU\n") and "old" not in text
    assert "A rehearsal on a CPU" in text
    for name in gpu.PARTS:
        assert f"### {gpu.TITLES[name]}\n" in text
    assert text.count("Not complete: needs CUDA.") == sum(p.cuda for p in gpu.PARTS.values())
    shown = f"{found['parts']['step']['figures']['batch 2']['fit_ms']:.4g}"
    assert f"| {shown} |" in text
    assert str(ROOT) not in rehearsed.read_text("utf-8")


def test_the_page_of_now_is_made_of_what_was_measured() -> None:
    now = (DOCS / "speed.md").read_text("utf-8")
    made = gpu.page(now, DOCS / "speed-gpu.json")
    assert made == now, "run `python docs/gpu.py --page docs/speed-gpu.json`"
    assert (DOCS / "speed-gpu.json").exists() != ("No GPU figure exists yet" in now)


def test_a_part_over_its_time_ends_and_the_rest_goes_on() -> None:
    part = gpu.run("resume", 0.5, rehearse=True)
    assert part["error"].startswith("over its 0.5 seconds")
    assert part["seconds"] < 20 and part["figures"] == {}


def test_what_fails_within_a_part_is_noted_and_the_rest_goes_on(tmp_path: Path) -> None:
    notes = parts.Notes(path=tmp_path / "notes.json")
    notes.add("one", ms=1.5)
    with notes.guarded("two"):
        raise RuntimeError(f"{ROOT}/benchmark/data/draw.py: no memory\nsecond line")
    notes.add("one", gain=2.0)
    assert json.loads(notes.path.read_text("utf-8")) == {
        "one": {"ms": 1.5, "gain": 2.0},
        "two": {"error": "RuntimeError: benchmark/data/draw.py: no memory"},
    }


def test_bad_input_is_named(tmp_path: Path) -> None:
    ran = script("--only", "step,stop", "--rehearse", "--out", str(tmp_path / "x.json"))
    assert ran.returncode == 2 and "no part stop: choose among step" in ran.stderr
    assert not list(tmp_path.iterdir())
