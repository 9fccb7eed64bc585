"""Beside which rows of ours a row of another tool stands: in which suite, preset and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.analysis.naming import split_choice
from benchmark.analysis.suites import chosen_suite
from benchmark.errors import BadInput
from benchmark.plan.wording import named
from benchmark.running.tested import Tested
from benchmark.store.ledger import SCRATCH, Entry, shown_suite
from benchmark.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the row is to stand: beside which rows."""

    suite: str
    preset: str
    seeds: tuple[int, ...]


def place_for(
    workspace: Workspace,
    tested: Tested,
    *,
    suite: str | None,
    preset: str | None,
    seed: int | None,
) -> Place:
    """Return where a row of a data set and split stands: in the suite that readers take, beside its
    preset and seeds; of a set that was kept apart, where `bench run --test-on` notes its cells.
    Raises `BadInput` where these are of other folds, or of several presets."""
    dataset, split = tested.dataset, tested.split
    name = _suite(workspace, tested, suite)
    plan = None if tested.kept else workspace.plans.latest(name)
    beside = _beside(workspace.ledger.entries(name), tested)
    if plan:
        presets, splits = {plan.preset}, {plan.splits.get(dataset.name, "")}
        seeds = plan.seeds
    else:
        presets, splits = {e.preset for e in beside}, {e.split for e in beside}
        alike = [e for e in beside if e.split == split.fingerprint and preset in (None, e.preset)]
        seeds = tuple(sorted({e.seed for e in alike}))
    shown = f"suite {shown_suite(name)}"
    if plan and dataset.name not in plan.splits:
        raise BadInput(f"{shown} has no rows on {dataset.name}: choose another with --suite")
    if splits and split.fingerprint not in splits:
        raise BadInput(
            f"{shown} has rows on {dataset.name} in other folds than these: say in which folds the "
            f"masks were predicted, --split FILE ({split_choice(sorted(splits))}: the rows' own), "
            "or predict in ours (bench export splits)"
        )
    if preset is None and len(presets) > 1:
        raise BadInput(f"{shown} has presets {', '.join(sorted(presets))}: choose with --preset")
    found = preset or next(iter(presets), "quick")
    if plan and found != plan.preset:
        raise BadInput(f"{shown} is planned with --preset {plan.preset}, not {found}")
    if plan and seed is not None and seed not in plan.seeds:
        raise BadInput(f"--seed {seed}: {shown} is planned with seeds {named(map(str, seeds), 9)}")
    return Place(suite=name, preset=found, seeds=(seed,) if seed is not None else seeds or (0,))


def _suite(workspace: Workspace, tested: Tested, suite: str | None) -> str:
    if tested.kept:
        if suite not in (None, SCRATCH, shown_suite(SCRATCH)):
            raise BadInput(
                f"--suite {suite}: rows on a set that was kept apart stand in suite "
                f"{shown_suite(SCRATCH)}, beside those of bench run --test-on; leave --suite out"
            )
        return SCRATCH
    known = bool(workspace.plans.suites() or workspace.ledger.newest())
    return chosen_suite(workspace, suite).name if known or suite else SCRATCH


def _beside(entries: Sequence[Entry], tested: Tested) -> list[Entry]:
    """Our rows of the very same part; where there are none of a set that was kept apart yet, those
    of the folds."""
    ours = [e for e in entries if e.dataset == tested.dataset.name and not e.outside]
    found = [e for e in ours if e.part == tested.part]
    return found or [e for e in ours if e.part == "test"]
