"""kill -9 of workers and of drivers: every setting ends exactly once with its value."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import optuna
import psutil
import pytest
from bench_process import finish, spawn
from optuna.trial import FrozenTrial, TrialState
from suite_process import workers as workers_of
from sweep_process import VALUES, Evaluator, Job, sweep_argv, workspace

from sweeps import studies
from sweeps.storage import open_storage

pytestmark = pytest.mark.long
KILLS = 10
TRIALS = 4
SLOW = {"schedule__steps_per_epoch": 12}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """Evaluates settings in a workspace in which nothing was ever killed."""
    root = workspace(tmp_path_factory.mktemp("undisturbed"))
    return Evaluator(root)


def argv(root: Path, study: str, url: str, workers: int) -> list[str]:
    options = ["--trials", f"{TRIALS}", "--workers", f"{workers}", "--repeats", "0"]
    options += ["--study", study, "--storage", url, "--heartbeat-seconds", "1"]
    return sweep_argv(root, "xi", *options, "--checkpoint-seconds", "0.05", **SLOW)


def steps(root: Path) -> int:
    """How far all trainings are: grows with every training stored and every checkpoint."""
    stored = len(list((root / "objects").glob("*/record.json")))
    partial = [int(p.name) for p in (root / "objects").glob("*.partial/*") if p.name.isdigit()]
    return 1000 * stored + sum(partial)


def wait_for_progress(root: Path, process: subprocess.Popen[str]) -> None:
    before, until = steps(root), time.monotonic() + 600
    while steps(root) <= before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the sweep makes no progress"
        time.sleep(0.005)


def all_trials(url: str, study: str) -> list[FrozenTrial]:
    storage = open_storage(url, heartbeat_seconds=1)
    return optuna.load_study(study_name=study, storage=storage).get_trials()


def origin(trial: FrozenTrial) -> int:
    """The trial that asked for this setting first."""
    return int(trial.system_attrs.get("failed_trial", trial.number))


def each_ended_once_with_its_value(trials: list[FrozenTrial], undisturbed: Evaluator) -> None:
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert len(done) == TRIALS
    assert sorted(origin(trial) for trial in done) == sorted({origin(t) for t in trials})
    overrides = {**VALUES, "schedule.steps_per_epoch": SLOW["schedule__steps_per_epoch"]}
    for trial in done[::2]:
        setting = {**overrides, **trial.user_attrs[studies.OVERRIDES]}
        organs = ("liver", "left_kidney", "right_kidney")
        job = Job(row="fsm", overrides=setting, folds=(0, 1), seeds=(0,), organs=organs,
            suite="sweep-x")  # fmt: skip
        assert undisturbed.evaluate(job).value == trial.value


def test_ten_workers_killed_in_mid_trial(
    storage_url: str, tmp_path: Path, undisturbed: Evaluator
) -> None:
    root, study = workspace(tmp_path / "w"), f"kills-{uuid4()}"
    process = spawn(*argv(root, study, storage_url, 2))
    chance, kills = random.Random(6), 0
    while kills < KILLS:
        wait_for_progress(root, process)
        time.sleep(chance.uniform(0, 0.15))
        chance.choice(workers_of(process)).kill()
        kills += 1
    ran = finish(process, 600)
    assert ran.code == 0, ran.err
    said = [line for line in ran.err.splitlines() if "another goes on with it" in line]
    # one or two may hit a worker that had just given its value back
    assert len(said) >= KILLS - 2, ran.err
    trials = all_trials(storage_url, study)
    assert len(trials) == TRIALS, "a worker's death is no trial's end"
    each_ended_once_with_its_value(trials, undisturbed)


def test_killed_drivers_are_followed(
    storage_url: str, tmp_path: Path, undisturbed: Evaluator
) -> None:
    """The driver dies with kill -9, and no worker outlives it; another goes on, then the same
    command again, which has a second one beside it."""
    root, study = workspace(tmp_path / "w"), f"drivers-{uuid4()}"
    process = spawn(*argv(root, study, storage_url, 1))
    wait_for_progress(root, process)
    orphans = workers_of(process)
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    assert "RUNNING" in {trial.state.name for trial in all_trials(storage_url, study)}
    _, alive = psutil.wait_procs(orphans, timeout=30)
    assert orphans and not alive
    both = [spawn(*argv(root, study, storage_url, 1)) for _ in range(2)]
    for ran in [finish(process, 600) for process in both]:
        assert ran.code == 0, ran.err
    trials = all_trials(storage_url, study)
    assert [trial.state.name for trial in trials].count("FAIL") >= 1
    surplus = [t for t in trials if t.state == TrialState.FAIL and not t.params]
    each_ended_once_with_its_value([t for t in trials if t not in surplus], undisturbed)


def test_interrupted_sweep_leaves_no_trial_running(tmp_path: Path, undisturbed: Evaluator) -> None:
    root, study = workspace(tmp_path / "w"), "stopped"
    url = f"sqlite:///{root / 'sweeps.db'}"
    process = spawn(*argv(root, study, url, 1))
    wait_for_progress(root, process)
    process.send_signal(signal.SIGTERM)
    ran = finish(process, 120)
    assert ran.code == 130 and "the same command goes on" in ran.err, ran.err
    assert "Traceback" not in ran.err, ran.err
    assert [trial.state.name for trial in all_trials(url, study)][-2:] == ["FAIL", "WAITING"]
    assert finish(spawn(*argv(root, study, url, 2)), 600).code == 0
    each_ended_once_with_its_value(all_trials(url, study), undisturbed)
