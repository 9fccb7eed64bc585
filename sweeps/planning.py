"""From options to studies. Everything that can be wrong is found here, before any is touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial

from benchmark.data.feeding.folds import Split
from benchmark.data.library import DataSet, open_dataset
from benchmark.errors import BadInput, near
from benchmark.files.code import Code
from benchmark.running.bench import Options
from benchmark.running.cells import InnerFold, inner_folds, scoring_code
from benchmark.running.crew import why_not_sent
from benchmark.running.execute import training_code
from benchmark.running.executors.cluster import Wanted
from benchmark.running.fitting import check_networks
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import Setting, resolve
from benchmark.store.workspace import open_workspace
from benchmark.training.precision import hardware
from sweeps.objective import Organs, organs_of
from sweeps.samplers import SAMPLERS, grid_size
from sweeps.spaces import Resolve, Sweep, check_space, find_sweep, parameters
from sweeps.studies import ALL_FOLDS, About

STUDY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,150}")


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """What a person asks of a sweep. `setting` resolves a row with the values below all trials,
    `split` gives the folds of a data set, of which `folds` are used (None: all); `training` says
    how trainings are run, and `wanted` by which cluster (None: processes here); `say` takes
    notices. `elsewhere`, given what says how far the studies are, has other processes drive them
    and returns whether they are through."""

    name: str
    rows: tuple[str, ...]
    setting: Callable[[str], Setting]
    dataset: str
    preset: str
    split: Callable[[DataSet], Split]
    folds: tuple[int, ...] | None
    seeds: tuple[int, ...]
    per_fold: bool
    trials: int
    sampler: str
    sampler_seed: int
    repeats: int
    workers: int
    storage: str
    study: str | None
    heartbeat_seconds: int
    mlflow: str | None
    mlflow_cells: bool
    training: Options
    say: Callable[[str], None]
    wanted: Wanted | None = None
    elsewhere: Callable[[Callable[[], str]], bool] | None = None

    @property
    def root(self) -> Path:
        """The workspace."""
        return self.training.root


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """One study to drive: its name, what it is for, and how a setting of its row is resolved."""

    name: str
    about: About
    sweep: Sweep
    distributions: Mapping[str, BaseDistribution]
    trials: int
    folds: tuple[InnerFold, ...]
    organs: Organs
    to: Resolve


def plan_studies(options: SweepOptions) -> list[StudyPlan]:
    """Return a plan for each row, and with `--per-fold` for each row and fold.

    All get the same number of trials. Raises `BadInput` for whatever is wrong, and writes nothing
    but the workspace and its data set.
    """
    sweep = find_sweep(options.name)
    distributions = parameters(sweep)
    trials = _trials(options, distributions)
    settings = {row: options.setting(row) for row in dict.fromkeys(options.rows)}
    resolves = {row: _resolve(options.preset, setting) for row, setting in settings.items()}
    for row, to in resolves.items():
        _refuse_fixed(sweep, settings[row], distributions)
        check_space(sweep, distributions, to)
    hardware(options.training.device, options.training.precision)
    open_workspace(options.root)
    dataset = open_dataset(options.root, options.dataset, say=options.say)
    for setting in settings.values():
        check_space(sweep, distributions, _resolve(options.preset, setting, dataset))
    split = options.split(dataset)
    chosen = tuple(range(len(split.folds))) if options.folds is None else options.folds
    each = {f"fold {fold}": (fold,) for fold in chosen}
    tunings = each if options.per_fold else {ALL_FOLDS: chosen}
    plans = []
    for row, setting in settings.items():
        if why := why_not_sent(setting):
            raise BadInput(f"no worker can be sent the row {row}: {why}")
        for tuning, indices in tunings.items():
            folds = inner_folds(dataset, indices, split)
            organs = organs_of(folds)
            about = _about(options, sweep, setting, dataset, distributions, tuning, indices, organs)
            about = replace(about, split=split.fingerprint if split.own else "")
            plans.append(
                StudyPlan(
                    name=study_name(options, sweep.name, row, tuning),
                    about=about,
                    sweep=sweep,
                    distributions=distributions,
                    trials=trials,
                    folds=folds,
                    organs=organs,
                    to=resolves[row],
                )
            )
    return plans


def study_name(options: SweepOptions, sweep: str, row: str, tuning: str) -> str:
    """Return the name of a study; raises `BadInput` for one that no folder can have."""
    several = len(set(options.rows)) > 1
    base = options.study or f"{sweep}-{row}-{options.dataset}-{options.preset}"
    base += f"-{row}" if options.study and several else ""
    name = base if tuning == ALL_FOLDS else f"{base}-{tuning.replace(' ', '')}"
    if not STUDY.fullmatch(name):
        raise BadInput(f"--study {name!r}: letters, digits and _ . @ + - only, 150 at most")
    return name


def _trials(options: SweepOptions, distributions: Mapping[str, BaseDistribution]) -> int:
    if options.sampler not in SAMPLERS:
        told = f"{near(options.sampler, SAMPLERS)}choose one of {', '.join(SAMPLERS)}"
        raise BadInput(f"no sampler {options.sampler!r}: {told}")
    for name in ("trials", "workers", "heartbeat_seconds"):
        if getattr(options, name) < 1:
            raise BadInput(f"--{name.replace('_', '-')} {getattr(options, name)}: give at least 1")
    if options.repeats < 0:
        raise BadInput(f"--repeats {options.repeats}: give 0 or more")
    if options.sampler != "grid":
        return int(options.trials)
    size = grid_size(distributions, options.trials)
    if size > options.trials:
        raise BadInput(
            f"--trials {options.trials}: the smallest grid of this space has {size} points"
        )
    return size


def _resolve(preset: str, setting: Setting, dataset: DataSet | None = None) -> Resolve:
    """What makes a setting of a trial's overrides; with a data set only one whose networks can be
    built for it."""
    registry = load_registry()

    def to(overrides: Mapping[str, Any]) -> Setting:
        made = resolve(registry, setting.row, preset, {**setting.overrides, **overrides})
        if dataset:
            check_networks(made.plan, dataset, made.ground)
        return made

    return to


def _refuse_fixed(
    sweep: Sweep, setting: Setting, distributions: Mapping[str, BaseDistribution]
) -> None:
    first: dict[str, Any] = {
        name: getattr(d, "low", None) if hasattr(d, "low") else d.choices[0]  # type: ignore[attr-defined]
        for name, d in distributions.items()
    }
    both = sweep.overrides(FixedTrial(first)).keys() & setting.overrides.keys()
    if both:
        raise BadInput(f"{', '.join(sorted(both))} is set, and it is what the sweep varies")


def _about(
    options: SweepOptions,
    sweep: Sweep,
    setting: Setting,
    dataset: DataSet,
    distributions: Mapping[str, BaseDistribution],
    tuning: str,
    folds: tuple[int, ...],
    organs: Organs,
) -> About:
    return About(
        sweep=sweep.name,
        method=setting.row,
        dataset=dataset.name,
        cases=dataset.fingerprint,
        preset=setting.preset,
        preset_hash=setting.preset_hash,
        overrides=dict(setting.overrides),
        folds=folds,
        seeds=options.seeds,
        tuning=tuning,
        organs=organs.used,
        sampler=options.sampler,
        sampler_seed=options.sampler_seed,
        space=About.space_of(distributions),
        others="" if options.training.reuse else _others(setting),
    )


def _others(setting: Setting) -> str:
    """The fingerprint of other people's code behind a setting's numbers, "" without any."""
    final = setting.plan
    code = training_code(final.node) | scoring_code(final)
    return Code(others=code.others).fingerprint if code.others else ""
