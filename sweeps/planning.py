"""From options to studies. Everything that can be wrong is found here, before any is touched."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial

from benchmark.cli.options import folds_of, setting_of
from benchmark.data.library import DataSet
from benchmark.errors import BadInput
from benchmark.files.code import Code
from benchmark.running.cells import scoring_code
from benchmark.running.execute import check_networks, training_code
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import Setting, resolve
from sweeps.checking import Resolve, check_space, parameters
from sweeps.inner import Organs, inner_folds, organs_of
from sweeps.samplers import SAMPLERS, grid_size
from sweeps.spaces import Sweep, find_sweep
from sweeps.studies import ALL_FOLDS, About

STUDY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,150}")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One study to drive: its name, what it is for, and how a setting of its row is resolved."""

    name: str
    about: About
    sweep: Sweep
    distributions: Mapping[str, BaseDistribution]
    trials: int
    organs: Organs
    to: Resolve


def plan_studies(args: argparse.Namespace) -> list[Plan]:
    """Return a plan for each row, and with `--per-fold` for each row and fold.

    All get the same number of trials. Raises `BadInput` for whatever is wrong, and writes nothing
    but the workspace and its data set.
    """
    sweep = find_sweep(args.name)
    distributions = parameters(sweep)
    trials = _trials(args, distributions)
    settings = {row: _setting(args, row) for row in dict.fromkeys(args.rows or [args.method])}
    resolves = {row: _resolve(args, setting) for row, setting in settings.items()}
    for row, to in resolves.items():
        _refuse_fixed(sweep, settings[row], distributions)
        check_space(sweep, distributions, to)
    dataset = _dataset(args)
    for to in resolves.values():
        check_space(sweep, distributions, _buildable(to, dataset))
    plans = []
    for row, setting in settings.items():
        for tuning, folds in _tunings(args):
            organs = organs_of(inner_folds(dataset, folds))
            about = _about(args, sweep, setting, dataset, distributions, tuning, folds, organs)
            plans.append(
                Plan(
                    name=study_name(args, sweep.name, row, tuning),
                    about=about,
                    sweep=sweep,
                    distributions=distributions,
                    trials=trials,
                    organs=organs,
                    to=resolves[row],
                )
            )
    return plans


def study_name(args: argparse.Namespace, sweep: str, row: str, tuning: str) -> str:
    """Return the name of a study; raises `BadInput` for one that no folder can have."""
    several = args.rows and len(set(args.rows)) > 1
    base = args.study or f"{sweep}-{row}-{args.dataset}-{args.preset}"
    base += f"-{row}" if args.study and several else ""
    name = base if tuning == ALL_FOLDS else f"{base}-{tuning.replace(' ', '')}"
    if not STUDY.fullmatch(name):
        raise BadInput(f"--study {name!r}: letters, digits and _ . @ + - only, 150 at most")
    return name


def _trials(args: argparse.Namespace, distributions: Mapping[str, BaseDistribution]) -> int:
    if args.sampler not in SAMPLERS:
        raise BadInput(f"no sampler {args.sampler!r}: choose one of {', '.join(SAMPLERS)}")
    for name in ("trials", "workers", "heartbeat_seconds"):
        if getattr(args, name) < 1:
            raise BadInput(f"--{name.replace('_', '-')} {getattr(args, name)}: give at least 1")
    if args.repeats < 0:
        raise BadInput(f"--repeats {args.repeats}: give 0 or more")
    if args.sampler != "grid":
        return int(args.trials)
    size = grid_size(distributions, args.trials)
    if size > args.trials:
        raise BadInput(f"--trials {args.trials}: the smallest grid of this space has {size} points")
    return size


def _setting(args: argparse.Namespace, row: str) -> Setting:
    return setting_of(argparse.Namespace(**{**vars(args), "method": row}))


def _resolve(args: argparse.Namespace, setting: Setting) -> Resolve:
    registry = load_registry()

    def to(overrides: Mapping[str, Any]) -> Setting:
        return resolve(registry, setting.row, args.preset, {**setting.overrides, **overrides})

    return to


def _buildable(to: Resolve, dataset: DataSet) -> Resolve:
    """The same, and the networks of the setting can be built for this data set."""

    def built(overrides: Mapping[str, Any]) -> Setting:
        setting = to(overrides)
        check_networks(setting.plan, dataset.organs, setting.ground.size)
        return setting

    return built


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


def _dataset(args: argparse.Namespace) -> DataSet:
    from benchmark.cli.session import say
    from benchmark.data.library import open_dataset
    from benchmark.store.workspace import open_workspace
    from benchmark.training.precision import hardware

    hardware(args.device, args.precision)
    open_workspace(args.root)
    return open_dataset(args.root, args.dataset, say=say)


def _tunings(args: argparse.Namespace) -> list[tuple[str, tuple[int, ...]]]:
    folds = folds_of(args)
    if args.per_fold:
        return [(f"fold {fold}", (fold,)) for fold in folds]
    return [(ALL_FOLDS, tuple(folds))]


def _about(
    args: argparse.Namespace,
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
        seeds=tuple(args.seeds),
        tuning=tuning,
        organs=organs.used,
        sampler=args.sampler,
        sampler_seed=args.sampler_seed,
        space=About.space_of(distributions),
        others="" if args.reuse else _others(setting),
    )


def _others(setting: Setting) -> str:
    """The fingerprint of other people's code behind a setting's numbers, "" without any."""
    final = setting.plan
    code = training_code(final.node) | scoring_code(final)
    return Code(others=code.others).fingerprint if code.others else ""
