"""Killed, stopped, doubled: whatever ends a run, the same command ends with the same weights."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from bench_process import (
    Ran,
    bench,
    finish,
    flip,
    package,
    run_argv,
    spawn_warm,
    tiny_workspace,
    weights,
)

STEPS = 60  # of each training
SLOW = """
import time
from dataclasses import dataclass
from typing import ClassVar
from benchmark.parts.networks import UNet
from benchmark.plan.nodes import Net, Row, Schedule, Train

@dataclass(frozen=True, kw_only=True)
class Sleepy:
    kind: ClassVar[str] = "sleepy"
    def __call__(self, nets, batch):
        time.sleep(30)
        return {"L": nets["ct"](batch.image_B1HW).sum()}

@dataclass(frozen=True, kw_only=True)
class Slow:
    def plan(self):
        arch = UNet(width=2, levels=2)
        net = {"ct": Net(arch=arch)}
        return Train(title="slow", nets=net, objective=Sleepy(), schedule=Schedule())["ct"]

METHODS = {"slow": Row(method=Slow(), group="x", title="slow", about="", source="")}
"""


def argv(root: Path, every_seconds: float = 1000) -> list[str]:
    """A run of three trainings that saves itself so often; 0: after every step."""
    values = {"schedule__epochs": 1, "schedule__steps_per_epoch": STEPS}
    options = ["--folds", "0", "--json", "--checkpoint-seconds", str(every_seconds)]
    return run_argv(root, "fsm", *options, **values)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The same run, which nothing disturbed and which never saved itself."""
    root = tiny_workspace(tmp_path_factory.mktemp("undisturbed"))
    return root, bench(*argv(root))


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which a run was killed after some checkpoints of its first training."""
    root = tiny_workspace(tmp_path_factory.mktemp("half"))
    process = spawn_warm(*argv(root, 0))
    wait_for(root, process, beyond=(0, 5))
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    assert len(checkpoints(root)) >= 2
    return root


def checkpoints(root: Path) -> list[Path]:
    """The checkpoints of trainings that are not done, oldest first."""
    found = [p for p in (root / "objects").glob("*.partial/*") if p.name.isdigit()]
    return sorted(found, key=lambda path: path.name)


def progress(root: Path) -> tuple[int, int]:
    """How many trainings are stored, and the newest checkpoint's step."""
    steps = [int(path.name) for path in checkpoints(root)]
    return len(list((root / "objects").glob("*/record.json"))), max(steps, default=0)


def wait_for(root: Path, process: subprocess.Popen[str], beyond: tuple[int, int]) -> None:
    """Wait until the run has done more than it had."""
    until = time.monotonic() + 60
    while progress(root) <= beyond:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the run makes no progress"
        time.sleep(0.002)


def same_result(root: Path, ran: Ran, undisturbed: tuple[Path, Ran]) -> None:
    assert ran.code == 0, ran.err
    assert weights(root) == weights(undisturbed[0])
    assert ran.json["table"] == undisturbed[1].json["table"]
    assert not list((root / "objects").glob("*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize("times", [2, pytest.param(5, marks=pytest.mark.long)])
def test_killed_at_random_moments(
    tmp_path: Path, undisturbed: tuple[Path, Ran], times: int
) -> None:
    root = tiny_workspace(tmp_path)
    chance = random.Random(20)
    kills, said = 0, []
    for _ in range(times):
        before = progress(root)
        process = spawn_warm(*argv(root, 0))
        wait_for(root, process, beyond=before)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        ran = finish(process)
        kills += ran.code == -signal.SIGKILL
        said += [line for line in ran.err.splitlines() if "resumed from step" in line]
    last = bench(*argv(root))
    assert kills == times, "all of them hit a living run"
    assert said, "a run says from which step it goes on"
    assert last.json["resumed"], "so does the last one"
    same_result(root, last, undisturbed)
    assert bench("store", "verify", "--root", str(root)).code == 0
    assert bench(*argv(root)).json["trained"] == 0


def test_resumed_step_is_told_and_recorded(
    half_done: Path, tmp_path: Path, undisturbed: tuple[Path, Ran]
) -> None:
    root = Path(shutil.copytree(half_done, tmp_path / "copy"))
    newest = checkpoints(root)[-1]
    step, key = int(newest.name), newest.parent.name.removesuffix(".partial")
    status = json.loads(bench("status", "--json", "--root", str(root)).out)["cells"]
    assert [(cell["state"], cell["step"]) for cell in status] == [("stopped", step)]
    ran = bench(*argv(root))
    assert ran.json["resumed"] == [{"key": key, "step": step}]
    assert f"resumed from step {step}" in ran.err
    record = json.loads((root / "objects" / key / "record.json").read_text())
    assert record["resumed"] == [step]
    same_result(root, ran, undisturbed)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "all"])
def test_torn_checkpoint_falls_back_to_the_one_before(
    half_done: Path, tmp_path: Path, undisturbed: tuple[Path, Ran], damage: str
) -> None:
    root = Path(shutil.copytree(half_done, tmp_path / "copy"))
    *older, before, newest = checkpoints(root)
    for folder in older:  # a killed process may leave a third, whole or in part, that it removes
        shutil.rmtree(folder)
    for folder in (before, newest) if damage == "all" else (newest,):
        file = folder / "state.safetensors"
        if damage == "truncated":
            file.write_bytes(file.read_bytes()[:-100])
        else:
            flip(file)
    ran = bench(*argv(root))
    assert f"checkpoint {newest.name}" in ran.err and "is damaged" in ran.err
    resumed = [item["step"] for item in ran.json["resumed"]]
    assert resumed == ([] if damage == "all" else [int(before.name)])
    same_result(root, ran, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal(
    tmp_path: Path, undisturbed: tuple[Path, Ran], number: signal.Signals
) -> None:
    root = tiny_workspace(tmp_path)
    process = spawn_warm(*argv(root, 0.1))
    wait_for(root, process, beyond=(0, 0))
    process.send_signal(number)
    asked = time.monotonic()
    ran = finish(process)
    assert time.monotonic() - asked < 5
    assert ran.code == 130 and ran.out == "" and "Traceback" not in ran.err
    last = ran.err.splitlines()[-1]
    assert "the same command goes on" in last
    stored, step = progress(root)
    assert stored or step, "nothing was saved"
    assert f"after step {step} of {STEPS}" in last or "was stored" in last
    again = bench(*argv(root))
    assert again.json["trained"] + stored == 3
    assert [item["step"] for item in again.json["resumed"]] == ([step] if step else [])
    same_result(root, again, undisturbed)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_second_interrupt_ends_at_once(tmp_path: Path, workers: str) -> None:
    site = package(tmp_path / "site", "sleepy", SLOW, "beyond_loss.methods", "sleepy")
    root = tiny_workspace(tmp_path / "workspace")
    small = ["--root", str(root), "--dataset", "tiny", "--threads", "1", "--mlflow", "none"]
    process = spawn_warm("run", "--method", "slow", "--workers", workers, *small, site=site)
    assert process.stderr is not None
    for _ in range(int(workers)):
        line = process.stderr.readline()
        assert "slow" in line and "key" in line, line
    time.sleep(0.3)  # into the step that sleeps
    process.send_signal(signal.SIGINT)
    assert "once more" in process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    assert process.wait(timeout=10) == 130
    assert time.monotonic() - asked < 5
    assert "Traceback" not in process.stderr.read()
    finish(process)


def test_checkpoints_of_who_died_as_soon_as_it_was_stored_go(tmp_path: Path) -> None:
    """Between the commit of an object and the end of its checkpoints a process may be killed."""
    root = tiny_workspace(tmp_path)
    assert bench(*run_argv(root, "unet", "--folds", "0")).code == 0
    (trained,) = (root / "objects").glob("*/record.json")
    left = root / "objects" / f"{trained.parent.name}.partial" / "000000003"
    left.mkdir(parents=True)
    shutil.rmtree(root / "results")  # it had scored nothing yet
    again = bench(*run_argv(root, "unet", "--folds", "0", "--json"))
    assert again.code == 0 and again.json["trained"] == 0, again.err
    assert not list((root / "objects").glob("*.partial"))


def test_two_processes_share_the_trainings(tmp_path: Path, undisturbed: tuple[Path, Ran]) -> None:
    root = tiny_workspace(tmp_path)
    processes = [spawn_warm(*argv(root)) for _ in range(2)]
    first, second = [finish(process) for process in processes]
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.json["trained"] + second.json["trained"] == 3
    assert first.json["reused"] + second.json["reused"] == 3
    same_result(root, first, undisturbed)
    same_result(root, second, undisturbed)
    assert len(list((root / "results").glob("*/*/labels.npz"))) == 2  # of fsm and fsm@stage2
