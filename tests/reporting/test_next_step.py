"""The command to type next, from planted figures: every rule once, and each as it is read back."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from test_shown import DEAD, ON, SATURATED, seen

from benchmark.analysis.seen_row import CONTROL, DATASET, PLAIN, PRESET, SEEDS, Seen, next_of
from benchmark.cli.experiment import DEFAULTS

ROWS = ("unet-200", "fsm", "fsm-shuffled", "fsm-constant")
SUITE = "bench suite --rows unet-200,fsm,fsm-shuffled,fsm-constant --dataset"
PARAMS = {"schedule.lr": "0.008", "schedule.epochs": "10", "xi": "0.3"}


def on_phantom(found: Seen, *, folds: int = 5, seeds: int = 1, **changes: object) -> Seen:
    """The row in all five folds of the phantom, with these fields of its cells."""
    entries = [
        replace(found.entries[0], dataset="phantom", params=PARAMS, fold=fold, seed=seed)
        for seed in range(seeds)
        for fold in range(folds)
    ]
    changed = tuple(replace(entry, **changes) for entry in entries)  # type: ignore[arg-type]
    return replace(found, entries=changed, rows=found.rows or ROWS)


def test_what_commands_take_by_themselves_is_left_out() -> None:
    assert {"preset": PRESET, "dataset": DATASET, "seeds": list(SEEDS)} == DEFAULTS
    assert next_of(on_phantom(seen(ON))) == f"bench suite --rows {','.join(ROWS)}"


def test_what_was_asked_for_is_asked_for_again() -> None:
    values = {"ct": "smp:unet/resnet34", "taps": [[-1, -1]]}
    found = on_phantom(
        seen(ON, values=values, root="a b"), folds=2, seeds=2, dataset="mine", preset="lite"
    )
    assert shlex.split(next_of(found)) == [
        "bench", "suite", "--rows", ",".join(ROWS), "--datasets", "mine", "--preset", "lite",
        "--folds", "0,1", "--seeds", "0,1", "--set", "ct=smp:unet/resnet34",
        "--set", "taps=[[-1,-1]]", "--root", "a b",
    ]  # fmt: skip


def test_a_suite_with_a_plan_is_left_as_it_was_planned() -> None:
    one = next_of(on_phantom(seen(ON, planned=("main",))))
    assert one.startswith("bench suite --name fsm-1 --rows ")
    assert " --name fsm-2 " in next_of(on_phantom(seen(ON, planned=("main", "fsm-1"))))


def test_rows_that_lie_beside_it_are_compared() -> None:
    found = on_phantom(seen(ON, pair=("fsm[xi=1]", "unet-200"), lies_in="main"))
    assert shlex.split(next_of(found)) == [
        "bench", "compare", "fsm[xi=1]", "unet-200", "--suite", "main", "--dataset", "phantom",
        "--preset", "quick",
    ]  # fmt: skip
    paper = on_phantom(seen(ON, lies_in="main"), preset="paper")
    assert next_of(paper) == "bench report --suite main"


def test_the_paper_preset_asks_for_its_controls_and_its_seeds() -> None:
    found = on_phantom(seen(ON, rows=("controls",)), preset="paper", folds=5)
    assert next_of(found) == "bench suite --rows controls --preset paper --seeds 0"
    three = on_phantom(seen(ON, rows=("controls",)), preset="paper", seeds=3)
    assert next_of(three) == "bench suite --rows controls --preset paper"


def test_a_failed_cell_is_run_again_as_it_was() -> None:
    lost = on_phantom(seen(ON), overrides={"xi": 1}, tuned="xi", state="failed")
    assert next_of(lost) == "bench run --method fsm --tuned xi --set xi=1"
    inner = on_phantom(seen(ON), part="inner", state="failed")
    assert next_of(inner) == "bench run --method fsm --inner"


def test_after_tuning_come_the_test_patients() -> None:
    assert next_of(on_phantom(seen(), part="inner")) == "bench run --method fsm"


@pytest.mark.parametrize(
    ("overrides", "command"),
    [
        ({}, "--set schedule.lr=0.002 --set schedule.epochs=30"),
        ({"schedule.epochs": 10}, "--set schedule.epochs=30 --set schedule.lr=0.002"),
        ({"schedule.lr": 0.008}, ""),
    ],
)
def test_saturated_fsm_is_trained_more_slowly(overrides: dict[str, float], command: str) -> None:
    found = on_phantom(seen(SATURATED), overrides=overrides)
    assert next_of(found) == (
        f"bench run --method fsm {command}" if command else f"bench suite --rows {','.join(ROWS)}"
    )


def test_dead_fsm_gets_other_first_weights_then_a_slower_training() -> None:
    assert next_of(on_phantom(seen(DEAD))) == "bench run --method fsm --seeds 1"
    both = next_of(on_phantom(seen(DEAD, DEAD), seeds=2))
    assert both.startswith("bench run --method fsm --seeds 0,1 --set schedule.lr=0.002 ")


def test_a_weak_pull_gets_more_weight_once() -> None:
    weak = seen({**ON, "m_gradient_ratio": 0.001})
    assert next_of(on_phantom(weak)) == "bench run --method fsm --set xi=3"
    assert next_of(on_phantom(weak, overrides={"xi": 3})).startswith("bench suite")
    assert next_of(on_phantom(weak, params={})).startswith("bench suite")
    assert next_of(on_phantom(weak, params={"xi": "0"})).startswith("bench suite")


def test_what_pulled_before_it_ended_and_a_control_are_not_changed() -> None:
    assert next_of(on_phantom(seen(SATURATED, pulled=(4.0, 9.0)))).startswith("bench suite")
    control = seen(SATURATED, row="fsm-shuffled", kind=CONTROL, rows=("fsm", "fsm-shuffled"))
    assert next_of(on_phantom(control)) == "bench suite --rows fsm,fsm-shuffled"
    assert next_of(on_phantom(seen(SATURATED), preset="paper")).startswith("bench suite")


def test_a_plain_row_leads_to_the_method_in_question() -> None:
    plain = seen(row="unet", kind=PLAIN, alone=("fsm", {"schedule.epochs": 2}))
    assert next_of(on_phantom(plain)) == "bench run --method fsm --set schedule.epochs=2"
