"""A PostgreSQL that restarts in the middle of a sweep: every setting ends once, with its value."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
from bench_process import finish, spawn_warm
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sweep_process import objects, sweep_argv, workspace
from test_sweep_kills import all_trials, wait_for_progress

from sweeps import patience
from sweeps.storage import open_storage

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def database() -> Iterator[postgres.Server]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.running() as one:
        yield one


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The values of the same sweep on a file of its own, by setting."""
    root = workspace(tmp_path_factory.mktemp("undisturbed"))
    ran = finish(spawn_warm(*argv(root, f"sqlite:///{root / 'sweeps.db'}")), 120)
    assert ran.code == 0, ran.err
    return values(f"sqlite:///{root / 'sweeps.db'}")


def argv(root: Path, url: str) -> list[str]:
    options = ["--trials", "4", "--workers", "1", "--repeats", "0", "--study", root.name]
    options += ["--storage", url, "--heartbeat-seconds", "1", "--checkpoint-seconds", "0.05"]
    return sweep_argv(root, "xi", *options, schedule__steps_per_epoch=12)


def values(url: str, study: str = "") -> dict[str, float]:
    name = study or next(iter(all_names(url)))
    trials = all_trials(url, name)
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(done) == 4 and not [t for t in trials if t.state == TrialState.RUNNING], trials
    return {str(trial.params): float(trial.value or 0) for trial in done}


def all_names(url: str) -> list[str]:
    return [study.study_name for study in open_storage(url).get_all_studies()]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_changes_nothing(
    database: postgres.Server, undisturbed: dict[str, float], tmp_path: Path, mode: str
) -> None:
    """Down for three seconds while trials end and begin."""
    root = workspace(tmp_path / f"{mode}-restart")
    process = spawn_warm(*argv(root, database.url))
    wait_for_progress(root, process)
    stored = len(objects(root))
    database.stop(mode)
    try:
        until = time.monotonic() + 60
        while len(objects(root)) == stored and time.monotonic() < until:
            time.sleep(0.02)  # a worker goes on without it
        time.sleep(2)
    finally:
        database.start()
    ran = finish(process, 120)
    assert ran.code == 0 and "Traceback" not in ran.err, ran.err
    assert "the storage of the sweep is gone: waiting for it" in ran.err, ran.err
    assert values(database.url, root.name) == undisturbed


def test_one_that_stays_away_is_told_from_a_mistake(
    database: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "OUTAGE_SECONDS", 1.0)
    storage = open_storage(database.url)
    database.stop("immediate")
    try:
        with pytest.raises(StorageInternalError) as away:
            storage.get_all_studies()
        assert patience.is_lost(away.value)
    finally:
        database.start()
    assert isinstance(storage.get_all_studies(), list)
    with pytest.raises(KeyError) as mistake:
        storage.get_trial(-1)
    assert not patience.is_lost(mistake.value)
