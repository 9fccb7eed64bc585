"""Presets and ranges: what they may change, and what is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from changed_preset import NEW, OLD

from benchmark.errors import BadInput
from benchmark.parts.networks import UNet
from benchmark.parts.smp import Smp
from benchmark.plan.ground import Augmentation, Ground, LossForm
from benchmark.plan.nodes import Schedule
from benchmark.plan.presets import (
    FIRST,
    PRESETS,
    Preset,
    demonstration,
    known_as,
    lasting_name,
    other_values,
    preset_named,
    scale_ground,
    scale_method,
)
from methods.fsm import Fsm


def test_a_preset_changes_width_norm_epochs_and_rate_alone() -> None:
    quick = PRESETS["quick"]
    odd = Fsm(xi=0.7, norm="exp", gt=UNet(reads="masks", dropout=0.25, skips=False), ct=Smp())
    scaled = scale_method(quick, odd)
    assert isinstance(scaled, Fsm)
    assert scaled.gt == UNet(
        reads="masks", dropout=0.25, skips=False, width=quick.width or 0, norm="instance"
    )
    assert scaled.schedule == Schedule(
        epochs=100 * quick.epochs, lr=quick.lr or 0, steps_per_epoch=quick.steps_per_epoch
    )
    assert scaled == replace(odd, gt=scaled.gt, schedule=scaled.schedule)  # M's norm stays


def test_paper_changes_nothing() -> None:
    assert scale_method(PRESETS["paper"], Fsm()) == Fsm()
    assert scale_ground(PRESETS["paper"], Ground()) == Ground()
    assert [name for name, preset in PRESETS.items() if preset.verdict] == ["study", "paper"]


def test_the_paper_is_the_default_of_every_field() -> None:
    fsm = Fsm()
    assert (fsm.xi, fsm.noise, fsm.taps, fsm.norm) == (0.3, 0.2, ((-1, -1),), "relative")
    assert fsm.schedule == Schedule(epochs=100, lr=3e-4) and fsm.schedule.steps_per_epoch is None
    assert fsm.ct == UNet(width=64, levels=5, norm="none", dropout=0.5, skips=True)
    ground = Ground()
    assert (ground.hu_low, ground.hu_high, ground.batch, ground.size) == (-200, 300, 8, None)
    assert (ground.margin, ground.others) == (0.1, 0.1)
    assert ground.loss == LossForm(smoothing=1e-5) and not ground.loss.ce
    assert (ground.augmentation.rotation_degrees, ground.augmentation.scale) == (10, 0.1)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: preset_named("nope"), "quick, lite, study, paper"),
        (lambda: Fsm(xi=-1), "xi"),
        (lambda: Fsm(noise=1.5), "noise"),
        (lambda: Fsm(drop=-0.1), "drop"),
        (lambda: Fsm(norm="l2"), "relative, rms, raw, exp"),
        (lambda: Fsm(gradient="none"), "no_target"),
        (lambda: Fsm(stats="x"), "gap_only"),
        (lambda: Fsm(corruption="x"), "pixel, block, erode"),
        (lambda: Fsm(teacher_input="x"), "clean, noisy"),
        (lambda: Fsm(refine_init="x"), "n_gt"),
        (lambda: Fsm(taps=()), "taps"),
        (lambda: UNet(width=0), "width"),
        (lambda: UNet(levels=1), "levels"),
        (lambda: UNet(norm="layer"), "instance"),
        (lambda: Ground(size=8), "ground.size"),
        (lambda: Ground(batch=0), "ground.batch"),
        (lambda: Ground(hu_low=300.0), "ground.hu_high"),
        (lambda: Augmentation(scale=1.0), "ground.augmentation.scale"),
        (lambda: Schedule(lr=2.0), "schedule.lr"),
        (lambda: Schedule(steps_per_epoch=0), "schedule.steps_per_epoch"),
    ],
)
def test_values_out_of_range_are_named(make: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_steps_of_a_schedule() -> None:
    assert Schedule(epochs=2.5).steps(40.2) == 100
    assert Schedule(epochs=2, steps_per_epoch=7).steps(40.2) == 14
    assert Schedule(epochs=0).steps(40.2) == 0
    assert Schedule(epochs=0.001).steps(1.0) == 1  # never an untrained network by rounding


def test_a_rate_stays_or_falls_to_nothing() -> None:
    assert [Schedule(lr=0.1).rate(step, 4) for step in range(4)] == [0.1] * 4
    falling = [Schedule(lr=0.1, decay="cosine").rate(step, 4) for step in range(5)]
    assert falling == pytest.approx([0.1, 0.08535534, 0.05, 0.01464466, 0.0])
    with pytest.raises(BadInput, match=r"schedule\.decay"):
        Schedule(decay="poly")


def test_a_hash_covers_what_changes_numbers() -> None:
    others: dict[str, Any] = {
        "epochs": 0.5, "lr": 1e-4, "steps_per_epoch": 7, "width": 3, "norm": "batch", "size": 32,
        "batch": 2, "ce": 0.5, "squared": True, "labels": "area", "decay": "cosine",
    }  # fmt: skip
    assert set(others) == {f.name for f in fields(Preset)} - {"about", "verdict", "scope"}
    changed = {replace(OLD, **{name: value}).hash for name, value in others.items()}
    assert len({OLD.hash, *changed}) == 1 + len(others)
    assert replace(OLD, about="x", verdict=True).hash == OLD.hash


def test_the_first_values_are_never_lost() -> None:
    """Whoever changes a preset keeps its values under another name."""
    assert list(FIRST.values()) == ["quick", "lite", "paper"]
    assert {known_as(name, "")[0] for name in FIRST.values()} <= PRESETS.keys()


def test_changed_values_have_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_as("quick", "") == known_as("quick", OLD.hash) == ("quick-1", OLD.hash)
    assert known_as("quick", NEW.hash) == known_as("quick-2", NEW.hash) == ("quick", NEW.hash)
    monkeypatch.setitem(PRESETS, "same", NEW)
    assert known_as("same", NEW.hash)[0] == "same" and known_as("quick", NEW.hash)[0] == "quick"
    lost = replace(OLD, ce=0.5).hash
    assert known_as("quick", lost) == known_as("quick-1", lost) == (f"quick-{lost[:6]}", lost)
    assert known_as("theirs", "") == ("theirs", "")


def test_lasting_names_outlive_a_change() -> None:
    assert lasting_name("quick-1", OLD.hash) == lasting_name("quick", "") == "quick"
    assert lasting_name("quick", NEW.hash) == lasting_name("quick-2", NEW.hash) == NEW.hash


def test_notes_on_presets() -> None:
    assert demonstration("paper") == "" and "no verdict" in demonstration("quick")
    assert demonstration("quick-0123ab") == "preset quick-0123ab: no preset has its values now"
    assert other_values("quick-1", "lite", instead="x") == ""
    lost = other_values("quick-0123ab", "quick", instead="another --name")
    assert lost == "other values of preset quick: no preset has them now: give another --name"
