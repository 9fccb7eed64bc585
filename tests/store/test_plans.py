"""Plans of suites on disk, and what becomes of them when a preset's values change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from changed_preset import NEW, OLD

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.presets import PRESETS
from benchmark.plan.suite import SuitePlan
from benchmark.store.plans import Plans

PLAN = SuitePlan(
    rows=("unet",), labels=("unet",), splits={"d": "s"}, folds=(0, 1), seeds=(0,), preset="quick",
    analysis=AnalysisPlan(seeds=(0,), datasets=("d",), version=1),
)  # fmt: skip
BEFORE = "3e9e754a9f73dbc9f326"  # its fingerprint before presets had a hash


def none(plan: SuitePlan) -> int:
    return 0


def with_values(preset: str) -> SuitePlan:
    """The plan as `bench suite --preset PRESET` makes it now."""
    return replace(PLAN, preset=preset, preset_hash=PRESETS[preset].hash)


@pytest.fixture
def plans(tmp_path: Path) -> Plans:
    """A suite `s` that was planned before presets had a hash."""
    found = Plans(tmp_path)
    found.record("s", PLAN, none)
    value = json.loads((tmp_path / "s" / "plan" / "0001.json").read_text())
    assert value["fingerprint"] == BEFORE and "preset_hash" not in value["plan"]
    return found


def test_the_same_values_join(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_values("quick-1").fingerprint == BEFORE
    assert plans.latest("s") == with_values("quick-1"), "shown under the name of now"
    assert plans.record("s", with_values("quick-1"), none).fingerprint == BEFORE
    monkeypatch.setitem(PRESETS, "same", OLD)
    plans.record("s", with_values("same"), none)
    assert len(plans.versions("s")) == 1
    plans.record("s", replace(with_values("quick-1"), folds=(2,)), none)
    grown = plans.versions("s")[1].plan
    assert (grown.folds, grown.preset_hash) == ((0, 1, 2), OLD.hash)


def test_other_values_are_refused(plans: Plans) -> None:
    with pytest.raises(BadInput) as refused:
        plans.record("s", with_values("quick"), none)
    assert str(refused.value) == (
        "suite s is planned with other values of preset quick: they are known as quick-1 now: "
        "give --preset quick-1, or another --name"
    )
    with pytest.raises(BadInput, match="planned with --preset quick-1, not lite: give the same"):
        plans.record("s", with_values("lite"), none)
    assert len(plans.versions("s")) == 1


def test_later_values_keep_their_fingerprint(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plans.record("new", with_values("quick"), none)
    assert made.fingerprint != BEFORE
    monkeypatch.setitem(PRESETS, "quick-2", NEW)
    monkeypatch.setitem(PRESETS, "quick", replace(NEW, ce=0.5))
    assert plans.latest("new") == with_values("quick-2")
    assert plans.record("new", with_values("quick-2"), none).fingerprint == made.fingerprint
    monkeypatch.delitem(PRESETS, "quick-2")
    found = plans.latest("new")
    assert found and found.preset == f"quick-{NEW.hash[:6]}"
    assert found.fingerprint == made.fingerprint


def test_a_suite_keeps_the_analysis_that_it_was_planned_with(plans: Plans, tmp_path: Path) -> None:
    """Before folds counted: no version in the file, and none when the suite grows now."""
    assert (
        "version" not in json.loads((tmp_path / "s/plan/0001.json").read_text())["plan"]["analysis"]
    )
    now = replace(with_values("quick-1"), analysis=AnalysisPlan(seeds=(0,), datasets=("d",)))
    assert now.analysis.fold_luck
    plans.record("s", replace(now, folds=(2,)), none)
    assert [each.plan.analysis.version for each in plans.versions("s")] == [1, 1]
    plans.record("new", now, none)
    assert plans.latest("new") == now and now.fingerprint != BEFORE


def test_an_analysis_of_a_later_bench_is_refused(plans: Plans, tmp_path: Path) -> None:
    path = tmp_path / "s/plan/0001.json"
    value = json.loads(path.read_text())
    value["plan"]["analysis"]["version"] = 9
    path.write_text(json.dumps(value))
    with pytest.raises(BadInput, match="of analysis 9; this bench knows 1, 2"):
        plans.latest("s")
