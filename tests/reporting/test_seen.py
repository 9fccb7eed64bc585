"""What is read for the sentence below a run's table, from a planted workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from planted_suite import SMALL, plant, workspace

from benchmark.analysis.seen import is_plain, seen_of
from benchmark.analysis.seen_row import CONTROL, OTHER, PLAIN, SUBJECT, Seen
from benchmark.plan.presets import PRESETS
from benchmark.running.bench import Bench
from benchmark.settings.registry import load_registry
from benchmark.store.ledger import Entry

EPOCHS = {"schedule.epochs": 2.0}
GT = {"gt.width": 4, "gt.levels": 3}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return workspace(tmp_path, patients=5)


def run(
    bench: Bench,
    row: str,
    *,
    folds: Sequence[int] = (0,),
    values: Mapping[str, object] = SMALL,
    suite: str = "default",
) -> list[Entry]:
    """The cells of a row, its stages too, as a run leaves them."""
    return plant(bench, {row: 0.1}, folds=folds, seeds=(0,), values=values, suite=suite)


def with_m(
    bench: Bench, entries: Sequence[Entry], *m: float, steps: int = 18, pulls: Sequence[float] = ()
) -> None:
    """Let the training with FSM of each cell have this M by epoch, times the weight 0.3, and these
    pulls from its second epoch on, twice as strong in fold 1."""
    for entry in entries:
        if "@" not in entry.row:
            key = next(key for name, key, _ in entry.probes if name == "gap")
            record = bench.objects.record(key)
            epochs: list[dict[str, Any]]
            epochs = [{"index": i, "terms": {"m": 0.3 * x}, "at_ms": i} for i, x in enumerate(m)]
            for epoch, pull in zip(epochs[1:], pulls, strict=False):
                epoch["pulls"] = {"m": pull * (1 + entry.fold)}
            bench.objects.remove(key)
            changed = {**record, "epochs": epochs, "steps": steps}
            bench.objects.commit(key, {"ct": {"w": torch.zeros(1)}}, changed)


def test_which_rows_are_plain() -> None:
    rows = load_registry().rows
    plain = {name for name, row in rows.items() if row.group != "other" and is_plain(row.method)}
    assert plain >= {"unet", "unet-200", "unet-200-restart"}
    assert not plain & {"fsm", "refine-own", "refine-gt", "post-dae", "param-transfer", "acnn"}


def test_what_is_measured_of_a_row(bench: Bench) -> None:
    entries = run(bench, "fsm", folds=(0, 1))
    with_m(bench, entries, 0.3, 0.2, 0.02)
    found = seen_of(bench, entries)
    assert (found.row, found.kind, len(found.entries)) == ("fsm", SUBJECT, 2)
    assert found.about == load_registry().rows["fsm"].about
    assert [means["gt_gap"] for means in found.means] == pytest.approx([12, 12], abs=4)
    assert {"headroom", "teacher_loses_shuffled", "m_matched"} <= found.means[0].keys()
    assert [(round(a, 9), round(b, 9)) for a, b in found.m] == [(0.3, 0.02)] * 2
    assert found.pulled is None and found.beside_m == {} and found.lies_in == ""
    with_m(bench, entries, 0.3, 0.2, 0.1, 0.02, pulls=(0.02, 0.06))
    assert seen_of(bench, entries).pulled == pytest.approx((4.0, 8.0)), "of the folds' means"


def test_without_its_curve_and_its_probes_nothing_is_read(bench: Bench) -> None:
    entries = run(bench, "fsm")
    for entry in entries:
        for _, key, evaluation in entry.probes:
            bench.results.remove(key, evaluation)
        for key in entry.nodes:
            bench.objects.remove(key)
    found = seen_of(bench, entries)
    assert (found.means, found.m) == ((), ())


@pytest.mark.parametrize(
    ("row", "kind", "rows"),
    [
        ("fsm", SUBJECT, ("unet-200", "fsm", "fsm-shuffled", "fsm-constant")),
        ("no-refine", OTHER, ("unet", "no-refine")),
        ("shape-loss", OTHER, ("unet-200", "shape-loss")),
        ("fsm-shuffled", CONTROL, ("fsm", "fsm-shuffled")),
        ("refine-gt", CONTROL, ("fsm", "refine-gt")),
        ("unet", PLAIN, ("fsm", "unet")),
        ("unet-200", PLAIN, ("fsm", "unet-200")),
    ],
)
def test_what_should_stand_beside_a_row(
    row: str, kind: str, rows: tuple[str, ...], bench: Bench
) -> None:
    values = {**SMALL, "shape.width": 4, "shape.levels": 3} if row == "shape-loss" else SMALL
    found = seen_of(bench, run(bench, row, values=values))
    assert (found.kind, found.rows) == (kind, rows)
    assert found.alone is None or found.alone[0] == "fsm"
    assert (found.alone is not None) == (kind == PLAIN)


def test_a_length_set_by_hand_doubles_for_the_plain_network(bench: Bench) -> None:
    entries = run(bench, "fsm", values={**SMALL, **GT, **EPOCHS})
    found = seen_of(bench, entries)
    assert found.rows[0] == "unet-200[schedule.epochs=4]"
    assert "schedule.epochs=4" in found.pair[1] and "gt.width" not in found.pair[1]
    run(bench, "unet-200", values={**SMALL, "schedule.epochs": 4.0})
    assert seen_of(bench, entries).lies_in == "", "the controls are not there"


def test_a_value_that_makes_a_control_is_given_to_none(bench: Bench) -> None:
    values = {**SMALL, **GT, "sees": "mean"}
    assert seen_of(bench, run(bench, "fsm", values=values)).rows == (
        "unet-200", "fsm", "fsm-constant",
    )  # fmt: skip


def test_rows_lie_beside_each_other_in_the_same_folds_of_one_suite(bench: Bench) -> None:
    def beside(entries: Sequence[Entry]) -> Seen:
        return seen_of(bench, entries)

    entries = run(bench, "no-refine", folds=(0, 1))
    run(bench, "unet", folds=(0,))
    assert beside(entries).lies_in == "", "a fold of unet lacks"
    run(bench, "unet", folds=(1,), suite="other")
    assert beside(entries).lies_in == "", "it lies in another suite"
    unet = run(bench, "unet", folds=(1,))
    found = beside(entries)
    assert (found.lies_in, found.pair) == ("default", (entries[0].label, unet[0].label))
    run(bench, "unet", folds=(2,))
    assert beside(entries).lies_in == "", "unet has a fold more, which a comparison would miss"


def test_a_result_that_is_gone_does_not_lie_there(bench: Bench) -> None:
    entries, (unet,) = run(bench, "no-refine"), run(bench, "unet")
    assert seen_of(bench, entries).lies_in == "default"
    bench.results.remove(unet.key, unet.evaluation)
    assert seen_of(bench, entries).lies_in == ""


def test_m_of_the_controls_at_the_same_step(bench: Bench) -> None:
    entries = run(bench, "fsm", folds=(0, 1))
    with_m(bench, entries, 0.3, 0.02)
    shuffled = run(bench, "fsm-shuffled", folds=(0, 1))
    with_m(bench, shuffled, 0.3, 0.018)
    constant = run(bench, "fsm-constant", folds=(0,))
    with_m(bench, constant, 0.3, 0.007)
    beside = seen_of(bench, entries).beside_m
    assert list(beside) == ["fsm-shuffled"], "fsm-constant lacks a fold"
    assert beside["fsm-shuffled"] == pytest.approx((0.018, 0.018))
    with_m(bench, shuffled, 0.3, 0.018, steps=9)
    assert seen_of(bench, entries).beside_m == {}, "it is not the same step"


def test_the_paper_preset_wants_every_control(bench: Bench) -> None:
    values = {"ground.size": 32}
    entries = plant(bench, {"fsm": 0.1}, preset="paper", folds=(0,), seeds=(0,), values=values)
    found = seen_of(bench, entries)
    assert PRESETS["paper"].verdict and found.rows == ("controls",)
    assert json.loads(json.dumps(found.values)) == values


def test_tuned_values_are_not_those_of_the_row_beside_it(bench: Bench) -> None:
    (entry, *_) = run(bench, "fsm", values={**SMALL, **GT, "xi": 1})
    tuned = replace(entry, tuned="xi", label="fsm[tuned=xi]")
    found = seen_of(bench, [tuned])
    assert found.alone == ("unet-200", {"ground.size": None})
    assert found.pair == ("fsm[tuned=xi]", "unet-200[ground.size=null]")
