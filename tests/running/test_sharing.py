"""Trainings are shared by content: what several rows need is trained once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench_process import bench, run_argv, tiny_workspace, weights

from benchmark.plan.keys import Context, key
from benchmark.plan.nodes import Method, in_order
from benchmark.plan.presets import PRESETS, scale_method
from benchmark.settings.registry import load_registry

ROWS = load_registry().rows
CONTEXT = Context(fold="0123456789abcdef0123", seed=0)
TABLE1 = [name for name, row in ROWS.items() if row.table1]


def steps(method: Method) -> dict[str, int]:
    """The optimiser steps of each distinct training, an epoch being 100 of them."""
    nodes = in_order(method.plan().node)
    return {key(node, CONTEXT): node.schedule.steps(100) for node in nodes}


def test_six_rows_train_nine_networks(tmp_path: Path) -> None:
    """N_GT; fsm's stages 2 and 3; the students of param-transfer and bottleneck-supervised;
    fsm-shuffled's stages 2 and 3; the plain network and its refinement."""
    root = tiny_workspace(tmp_path)
    done: dict[str, Any] = {}
    for row in ("fsm", "no-refine", "param-transfer", "bottleneck-supervised", "fsm-shuffled",
                "refine-gt"):  # fmt: skip
        small = {"gt__width": 4, "gt__levels": 3}
        ran = bench(*run_argv(root, row, "--folds", "0", "--json", **small))
        assert ran.code == 0, ran.err
        done[row] = ran.json["trained"]
    assert done == {
        "fsm": 3, "no-refine": 0, "param-transfer": 1, "bottleneck-supervised": 1,
        "fsm-shuffled": 2, "refine-gt": 2,
    }  # fmt: skip
    trained = {name.partition("/")[0] for name in weights(root)}
    headrooms = 4  # one adapter for each row whose final network is its own and has a teacher
    assert len(trained) == 9 + headrooms


def test_table_one_costs_at_most_0_78_of_its_rows_alone() -> None:
    alone = [steps(scale_method(PRESETS["paper"], ROWS[row].method)) for row in TABLE1]
    together = {name: cost for costs in alone for name, cost in costs.items()}
    share = sum(together.values()) / sum(sum(costs.values()) for costs in alone)
    assert len(TABLE1) == 7
    assert share == pytest.approx(12.1 / 16.1, abs=1e-3)  # 0.1: the U-Net's early predictions


def test_every_row_has_a_final_key_of_its_own() -> None:
    finals = {name: list(steps(row.method))[-1] for name, row in ROWS.items()}
    assert len(set(finals.values())) == len(ROWS) >= 27


@pytest.mark.parametrize(
    "row, same_as",
    [
        ("no-noise", {"row": "fsm", "noise": 0.0}),
        ("no-refine", {"row": "fsm", "refine": False}),
        ("fsm-no-target", {"row": "fsm", "gradient": "no_target"}),
        ("unet-200-restart", {"row": "unet", "restart": True}),
    ],
)
def test_an_ablation_is_a_difference_of_values(row: str, same_as: dict[str, Any]) -> None:
    from benchmark.settings.resolve import resolve

    values = {name: value for name, value in same_as.items() if name != "row"}
    one = resolve(load_registry(), row)
    other = resolve(load_registry(), same_as["row"], overrides=values)
    assert steps(one.method) == steps(other.method)


def test_controls_change_stage_two_alone() -> None:
    """Stage 3 starts from the same trained N_GT as in fsm, and the first training is that N_GT."""
    n_gt = next(iter(steps(ROWS["fsm"].method)))
    controls = [name for name in ROWS if name.startswith("fsm-") and name != "fsm-refine-own"]
    controls = [name for name in controls if ROWS[name].group == "controls"]
    assert len(controls) == 8
    for name in controls:
        assert decoder_of(name) == n_gt, name


def decoder_of(row: str) -> str:
    """The key of the training whose decoder stage 3 starts from."""
    final = ROWS[row].method.plan().node
    (decoder,) = [w for w in final.nets["ct"].init if w.part == "decoder"]
    return key(decoder.node, CONTEXT)


def test_the_rows_with_an_atlas_share_its_n_gt() -> None:
    n_gt = next(iter(steps(ROWS["fsm-atlas"].method)))
    atlas = [name for name, row in ROWS.items() if row.group == "atlas"]
    assert len(atlas) == 3 and {decoder_of(name) for name in atlas} == {n_gt}


def test_refine_rows_start_from_the_plain_row() -> None:
    plain = list(steps(ROWS["unet"].method))[-1]
    for name in ("refine-own", "refine-random", "refine-gt"):
        assert plain in steps(ROWS[name].method)
