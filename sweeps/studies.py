"""Studies: what each was made for, which of its trials count, and how one is taken up again.

A trial is asked, told and watched by one driver process; workers never see the storage. A trial
whose driver died is failed and its setting queued again (Optuna's retry callback), so that each
setting ends exactly once with its value.
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from benchmark.errors import BadInput
from benchmark.files.values import read_as
from benchmark.plan.presets import known_as, other_values
from sweeps.samplers import place_of
from sweeps.storage import GRACE, open_storage

if TYPE_CHECKING:
    from sweeps.spaces import Sweep

ABOUT = "bench"
OVERRIDES = "overrides"
EVALUATION = "evaluation"
DRIVER = "driver"
REPEAT = "repeat "
ALL_FOLDS = "one setting for all folds"


@dataclass(frozen=True, kw_only=True)
class About:
    """What a study was made for. Every field must agree for it to be continued.

    `preset` is the name under which the values of `preset_hash` are known now. `others` is the
    fingerprint of other people's code behind the row's numbers, "" for a row of this distribution
    and where it does not count.
    """

    sweep: str
    method: str
    dataset: str
    cases: str  # fingerprint of the data set
    preset: str
    overrides: Mapping[str, Any]  # below those of a trial
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    tuning: str  # ALL_FOLDS, or "fold 3"
    organs: tuple[str, ...]
    sampler: str
    sampler_seed: int
    space: Mapping[str, str]
    preset_hash: str = ""
    others: str = ""
    split: str = ""  # the fingerprint of somebody's own, "" for the data set's

    @staticmethod
    def space_of(distributions: Mapping[str, BaseDistribution]) -> dict[str, str]:
        """Return parameters and ranges as texts."""
        return {name: distribution_to_json(d) for name, d in sorted(distributions.items())}


def about(study: Study) -> About:
    """Return what a study was made for. Raises `BadInput` for one that is not ours."""
    known = study.user_attrs.get(ABOUT)
    if not isinstance(known, dict):
        raise BadInput(f"the study {study.study_name!r} was not made by bench sweep")
    try:
        return _as_known_now(read_as(About, known))
    except ValueError as error:
        raise BadInput(
            f"the study {study.study_name!r} cannot be read ({error}): give another --study NAME"
        ) from None


def open_study(storage: RDBStorage, name: str, wanted: About) -> Study:
    """Return the study of that name, made where there is none.

    Raises `BadInput`, and changes nothing, where it was made for anything else.
    """
    names = optuna.study.get_all_study_names(storage)
    if name not in names:
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )
        study.set_user_attr(ABOUT, asdict(wanted))
        return study
    study = optuna.load_study(study_name=name, storage=storage)
    if not study.user_attrs and not study.get_trials(deepcopy=False):
        study.set_user_attr(ABOUT, asdict(wanted))  # whoever made it was killed, or is about to
    made, wanted = about(study), _as_known_now(wanted)
    _check_same_values(made, wanted, name)
    found, mine = asdict(made), asdict(replace(wanted, others=made.others))
    for field, value in mine.items():
        if found[field] != value:
            raise BadInput(
                f"the study {name!r} was made for {field} {_text(found[field])}, not "
                f"{_text(value)}: give another --study NAME"
            )
    return study


def _check_same_values(made: About, wanted: About, name: str) -> None:
    """Raise `BadInput` where the study has other values of the wanted preset, or the row's own
    package changed since: its trials would be mixed."""
    if made.preset_hash != wanted.preset_hash and (
        what := other_values(
            made.preset, wanted.preset, instead="another --study NAME", more=f" --study {name}"
        )
    ):
        raise BadInput(f"the study {name!r} was made with {what}")
    if made.others and wanted.others and made.others != wanted.others:
        raise BadInput(
            f"the study {name!r} was made with other code of the package of {wanted.method}: give "
            "another --study NAME, or --reuse where the change moves no number"
        )


def _as_known_now(about: About) -> About:
    preset, preset_hash = known_as(about.preset, about.preset_hash)
    return replace(about, preset=preset, preset_hash=preset_hash)


def find_studies(url: str, name: str, asked: Mapping[str, str | None]) -> list[Study]:
    """Return the study of that name, else all of that sweep with what is `asked` for; a space in a
    file is called as there (`FILE.py:FUNCTION`) or by its name.

    Raises `BadInput` where there is none.
    """
    storage = open_storage(url, create=False)
    names = optuna.study.get_all_study_names(storage)
    if name in names:
        chosen = [optuna.load_study(study_name=name, storage=storage)]
        about(chosen[0])
        return chosen
    loaded = [optuna.load_study(study_name=each, storage=storage) for each in sorted(names)]
    path, _, function = name.rpartition(":") if ".py:" in name else (name, "", "")
    if path.endswith(".py"):
        name = function or Path(path).stem
    ours = [study for study in loaded if ABOUT in study.user_attrs]
    chosen = [study for study in ours if _is_asked(about(study), name, asked)]
    if not chosen:
        known = ", ".join(sorted(names)) or "none yet"
        raise BadInput(f"no study {name!r} here; the studies are: {known}")
    return chosen


def _is_asked(about: About, sweep: str, asked: Mapping[str, str | None]) -> bool:
    return about.sweep == sweep and all(
        value in (None, getattr(about, name)) for name, value in asked.items()
    )


def counted(study: Study) -> list[FrozenTrial]:
    """Return the trials that have their value, in order."""
    states = (TrialState.COMPLETE,)
    return sorted(study.get_trials(deepcopy=False, states=states), key=lambda t: t.number)


def evaluation(trial: FrozenTrial) -> dict[str, Any]:
    """Return what was measured in a trial that has its value."""
    return dict(trial.user_attrs[EVALUATION])


def broken(trial: FrozenTrial) -> dict[str, float]:
    """Return the constraints that a space set for a trial and that it breaks: those over 0."""
    return {name: value for name, value in trial.constraints.items() if value > 0}


def next_trial(study: Study, sweep: Sweep, trials: int, driver: str) -> Trial | None:
    """Return a trial to evaluate, with its overrides noted, or None where enough are done or
    under way. Drivers that ask at the same moment never make more than `trials` of them."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    if sum(state in (TrialState.COMPLETE, TrialState.RUNNING) for state in states) >= trials:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Heartbeat of storage")  # ours: `beat`
        trial = study.ask()
    beat(study, trial)
    if place_of(stored(study, trial), study.get_trials(deepcopy=False)) >= trials:
        study.tell(trial, state=TrialState.FAIL)
        return None
    trial.set_user_attr(DRIVER, f"{trial.number} {driver}")
    trial.set_user_attr(OVERRIDES, sweep.overrides(trial))
    return trial


def beat(study: Study, trial: Trial) -> None:
    """Tell the other drivers that the one of this trial lives."""
    study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]


def finish(study: Study, trial: Trial, measured: Mapping[str, Any]) -> bool:
    """Give a trial its value; return whether it was still ours to give. A driver that was thought
    dead, and whose trial another took, comes too late, and that is no error."""
    if stored(study, trial).state != TrialState.RUNNING:
        return False
    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        trial.set_user_attr(EVALUATION, dict(measured))
        study.tell(trial, measured["value"], skip_if_finished=True)
    # asked even where the storage refused: it may have lost the answer to what it took
    return stored(study, trial).state == TrialState.COMPLETE


def release(study: Study, trial: FrozenTrial) -> None:
    """Queue the setting of a trial that was not evaluated; it ends as failed."""
    storage = study._storage
    try:
        ours = storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
    except optuna.exceptions.UpdateFinishedTrialError:
        return
    retry = storage.get_heartbeat_stale_trial_callback()  # type: ignore[attr-defined]
    if ours and retry is not None:
        retry(study, copy.deepcopy(stored(study, trial)))


def reclaim(study: Study, heartbeat_seconds: int) -> None:
    """Take up the trials of drivers that are dead: those that missed their heartbeats, and those
    that died before the first, whom Optuna would leave running for ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        fail_stale_trials(study)
    silent = datetime.now() - timedelta(seconds=GRACE * heartbeat_seconds)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _driver(trial) and (trial.datetime_start or silent) < silent:
            release(study, trial)


def reclaim_here(study: Study, host: str, is_alive: Callable[[int], bool]) -> None:
    """Take up the trials of dead drivers of this machine at once."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        where, _, process = _driver(trial).rpartition(" ")
        if where == host and not is_alive(int(process)):
            release(study, trial)


def repeat_name(overrides: Mapping[str, Any], seed: int) -> str:
    """Return the name under which a study keeps what a setting is worth with a fresh seed."""
    return f"{REPEAT}{json.dumps(dict(overrides), sort_keys=True)} seed {seed}"


def repeats(study: Study, overrides: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the repeats of a setting by seed."""
    start = repeat_name(overrides, 0).removesuffix("0")
    found = {n: v for n, v in study.user_attrs.items() if n.startswith(start)}
    return {int(name.removeprefix(start)): dict(value) for name, value in sorted(found.items())}


def stored(study: Study, trial: Trial | FrozenTrial) -> FrozenTrial:
    """Return a trial as the storage has it now."""
    return study._storage.get_trial(trial._trial_id)


def _driver(trial: FrozenTrial) -> str:
    """Who evaluates a trial: "HOST PROCESS", or nothing. A setting that is queued again brings
    along the note about the one before, which names another trial."""
    number, _, driver = str(trial.user_attrs.get(DRIVER, "")).partition(" ")
    return driver if number == str(trial.number) else ""


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
