"""Studies on a real SQLite and a real PostgreSQL 15: budgets, dead drivers, late ones."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
import pytest
from changed_preset import NEW, OLD
from optuna.study import Study
from optuna.trial import TrialState
from sweep_process import sweep_argv, workspace

from benchmark.cli.options import Parser
from benchmark.errors import BadInput
from sweeps import studies
from sweeps.command import configure, sweep_options
from sweeps.planning import plan_studies
from sweeps.samplers import make_sampler
from sweeps.spaces import find_sweep, parameters
from sweeps.storage import open_storage, shown

SWEEP = find_sweep("xi")
PLACES = parameters(SWEEP)
ABOUT = studies.About(
    sweep="xi",
    method="fsm",
    dataset="tiny",
    cases="abc",
    preset="quick",
    overrides={"ct.width": 4},
    folds=(0, 1),
    seeds=(0,),
    tuning=studies.ALL_FOLDS,
    organs=("liver",),
    sampler="tpe",
    sampler_seed=0,
    space=studies.About.space_of(PLACES),
)


def driver_of(url: str, name: str, about: studies.About = ABOUT) -> Study:
    """What one driver process has: a connection and a study object of its own."""
    study = studies.open_study(open_storage(url, heartbeat_seconds=1), name, about)
    study.sampler = make_sampler("tpe", 0, PLACES, 8)
    return study


def measured(value: float = 80.0) -> dict[str, Any]:
    return {"value": value}


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials(deepcopy=False)]


def ask(study: Study, trials: int = 8, driver: str = "here 1") -> optuna.Trial:
    trial = studies.next_trial(study, SWEEP, trials, driver)
    assert trial is not None
    return trial


def test_a_dead_drivers_trial_ends_once_with_its_value(storage_url: str) -> None:
    """A driver that misses its heartbeats; then it comes back and is too late."""
    name = f"a-{uuid4()}"
    dead, living = driver_of(storage_url, name), driver_of(storage_url, name)
    lost = ask(dead)
    studies.reclaim(living, 1)
    assert states(living) == ["RUNNING"]
    time.sleep(4.2)  # three heartbeats of a second, and more
    studies.reclaim(living, 1)
    assert states(living) == ["FAIL", "WAITING"]
    again = ask(living)
    assert again.params == lost.params
    assert again.user_attrs[studies.OVERRIDES] == lost.user_attrs[studies.OVERRIDES]
    assert studies.finish(dead, lost, measured(1.0)) is False
    assert studies.finish(living, again, measured(80.0)) is True
    assert studies.finish(living, again, measured(1.0)) is False
    assert states(living) == ["FAIL", "COMPLETE"]
    assert [trial.value for trial in studies.counted(living)] == [80.0]


def test_a_driver_that_died_before_its_first_heartbeat(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna alone leaves such a trial running for ever."""
    study = driver_of(storage_url, f"b-{uuid4()}")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(studies, "beat", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(study)
    time.sleep(3.2)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        optuna.storages.fail_stale_trials(study)
    assert states(study) == ["RUNNING"]
    studies.reclaim(study, 1)
    assert states(study) == ["FAIL", "WAITING"]


def test_a_dead_driver_of_this_machine_is_noticed_at_once(storage_url: str) -> None:
    study = driver_of(storage_url, f"c-{uuid4()}")
    ask(study, driver="here 1")
    ask(study, driver="elsewhere 1")
    ask(study, driver="here 2")
    studies.reclaim_here(study, "here", lambda process: process == 2)
    assert states(study) == ["FAIL", "RUNNING", "RUNNING", "WAITING"]
    again = ask(study, driver="here 2")
    assert again.number == 3  # whose notes still name the dead one
    studies.reclaim_here(study, "here", lambda process: process == 2)
    assert states(study) == ["FAIL", "RUNNING", "RUNNING", "RUNNING"]


def test_two_drivers_never_make_too_many_trials(storage_url: str) -> None:
    """Both see room for one, and both ask."""
    name = f"d-{uuid4()}"
    first, second = driver_of(storage_url, name), driver_of(storage_url, name)
    for _ in range(3):
        studies.finish(first, ask(first, trials=4), measured())
    seen = second.get_trials
    before = seen(deepcopy=False)
    looks = iter([before])
    ask(first, trials=4)
    second.get_trials = lambda *a, **k: next(looks, None) or seen(*a, **k)  # type: ignore[method-assign]
    assert studies.next_trial(second, SWEEP, 4, "here 2") is None
    assert states(first) == ["COMPLETE"] * 3 + ["RUNNING", "FAIL"]
    assert studies.next_trial(first, SWEEP, 4, "here 1") is None


OTHERS: dict[str, tuple[Any, list[str]]] = {
    "method": ("unet", ["method fsm", "not unet"]),
    "cases": ("xyz", ["cases abc"]),
    "folds": ((0, 1, 2), ["folds 0, 1", "0, 1, 2"]),
    "overrides": ({"ct.width": 8}, ["ct.width"]),
    "sampler_seed": (3, ["sampler_seed 0", "not 3"]),
}


def test_a_study_made_for_something_else_is_refused_untouched(storage_url: str) -> None:
    name = f"e-{uuid4()}"
    study = driver_of(storage_url, name)
    studies.finish(study, ask(study), measured())
    before = study.get_trials(), dict(study.user_attrs)
    for field, (value, words) in OTHERS.items():
        changes: dict[str, Any] = {field: value}
        with pytest.raises(BadInput, match="give another --study") as refused:
            driver_of(storage_url, name, replace(ABOUT, **changes))
        assert all(word in str(refused.value) for word in words)
    again = driver_of(storage_url, name)
    assert (again.get_trials(), dict(again.user_attrs)) == before


def test_other_values_of_a_preset_are_refused(storage_url: str) -> None:
    """A study of before presets had a hash, and `quick` changed."""
    name = f"p-{uuid4()}"
    study = driver_of(storage_url, name)
    old = dict(study.user_attrs[studies.ABOUT])
    study.set_user_attr(studies.ABOUT, {n: v for n, v in old.items() if n != "preset_hash"})
    old_about = replace(ABOUT, preset="quick-1", preset_hash=OLD.hash)
    assert driver_of(storage_url, name, old_about)
    with pytest.raises(BadInput) as refused:
        driver_of(storage_url, name, replace(ABOUT, preset_hash=NEW.hash))
    assert str(refused.value) == (
        f"the study {name!r} was made with other values of preset quick: they are known as "
        f"quick-1 now: give --preset quick-1 --study {name}, or another --study NAME"
    )
    again = replace(ABOUT, preset="quick-1", preset_hash=OLD.hash)
    assert studies.about(driver_of(storage_url, name, again)) == again


def test_someone_elses_study_is_refused(storage_url: str) -> None:
    name = f"f-{uuid4()}"
    study = optuna.create_study(storage=open_storage(storage_url), study_name=name)
    study.add_trial(optuna.create_trial(value=1.0, state=TrialState.COMPLETE))
    with pytest.raises(BadInput, match="was not made by bench sweep"):
        driver_of(storage_url, name)
    assert study.user_attrs == {} and len(study.get_trials()) == 1


@pytest.mark.parametrize(
    "url, words",
    [
        ("postgresql://bench@127.0.0.1:1/none", ["cannot be used", "127.0.0.1"]),
        ("postgresql://me:secret@127.0.0.1:1/none", ["me:***@", "cannot be used"]),
        ("sqlite:////no/such/folder/sweeps.db", ["no folder"]),
        ("nonsense", ["sqlite:///FILE"]),
        ("oracle9://x", ["sqlite:///FILE"]),
    ],
)
def test_a_storage_that_cannot_be_reached(url: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        open_storage(url)
    text = str(refused.value)
    assert all(word in text for word in words) and len(text.splitlines()) == 1, text
    assert "secret" not in text and "secret" not in shown(url)


def test_a_file_that_is_no_database(tmp_path: Any) -> None:
    path = tmp_path / "sweeps.db"
    path.write_bytes(b"something else, and longer than a header" * 20)
    with pytest.raises(BadInput, match="not a database"):
        open_storage(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"something else")


def test_sqlite_lets_readers_and_a_writer_work_at_once(tmp_path: Any) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'sweeps.db'}")
    with storage.engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert found == ["wal", 1, 30_000]


def test_a_plan_holds_the_values_of_its_preset(tmp_path: Path) -> None:
    parser = Parser()
    configure(parser)
    for preset, values in (("quick", NEW), ("quick-1", OLD)):
        argv = sweep_argv(workspace(tmp_path / preset), "xi", "--trials", "1", "--preset", preset)
        (plan,) = plan_studies(sweep_options(parser.parse_args(argv[1:])))
        assert (plan.about.preset, plan.about.preset_hash) == (preset, values.hash)
        assert plan.name == f"xi-fsm-tiny-{preset}"


def test_other_code_of_the_rows_own_package_is_refused(storage_url: str) -> None:
    """Trials of a loss before and after an edit are not of one study, unless a person says so."""
    name = f"code-{uuid4()}"
    mine = replace(ABOUT, others="1" * 12)
    driver_of(storage_url, name, mine)
    driver_of(storage_url, name, mine)
    with pytest.raises(BadInput, match=r"other code of the package of fsm.*--reuse"):
        driver_of(storage_url, name, replace(mine, others="2" * 12))
    driver_of(storage_url, name, replace(mine, others=""))  # --reuse
    before = f"before-{uuid4()}"
    driver_of(storage_url, before)  # made when nobody noted it
    driver_of(storage_url, before, mine)
