"""`ground.train_cases`: whose CT is there, whose masks are an atlas, and who may read which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from baselines.guided import METHODS as GUIDED
from baselines.shape_codes import METHODS as SHAPES
from baselines.unet import METHODS as PLAIN
from benchmark.data.feeding.draw import SliceDraw
from benchmark.data.feeding.folds import FoldData, GridCache, folds_of
from benchmark.data.library import DataSet, add
from benchmark.errors import BadInput
from benchmark.parts import stages
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.folds import nested
from benchmark.plan.given import ATLAS
from benchmark.plan.ground import Ground
from benchmark.plan.keys import Context, key, spec
from benchmark.plan.nodes import Method, Net, Schedule, Train, in_order
from benchmark.running.bench import Options
from benchmark.running.cells import Cell, plan_cells
from benchmark.running.cost import planned
from benchmark.running.execute import prepared
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.testing import TinySource
from benchmark.training.precision import hardware
from methods.atlas import METHODS as ATLAS_ROWS
from methods.fsm import METHODS as FSM
from methods.joint import METHODS as JOINT

PATIENTS = {f"p{n:02d}": f"sha of {n}" for n in range(12)}
SMALL = {"ct.width": 4, "ct.levels": 3, "ground.size": 16, "ground.batch": 4}
SMALL_GT = {"gt.width": 4, "gt.levels": 3}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return add(tmp_path_factory.mktemp("workspace"), "tiny", TinySource(patients=10))


def data_of(tiny: DataSet, count: int | None, fold: int = 0) -> FoldData:
    ground = Ground(size=16, batch=4, train_cases=count)
    cache = GridCache(dataset=tiny, ground=ground)
    return FoldData(fold=folds_of(tiny).folds[fold], dataset=tiny, ground=ground, cache=cache)


def cell_of(tiny: DataSet, row: str, count: int | None, seed: int = 0) -> Cell:
    values = {**SMALL, **({} if row == "unet" else SMALL_GT), "ground.train_cases": count}
    setting = resolve(load_registry(), row, "quick", values)
    return plan_cells(setting, tiny, folds=[0], seeds=[seed])[0]


def nodes_of(method: Method) -> list[Train]:
    return list(in_order(method.plan().node))


def test_subsets_are_nested_and_names_do_not_count() -> None:
    chosen = [set(nested(PATIENTS, count)) for count in (2, 3, 4, 8, 12)]
    assert [len(one) for one in chosen] == [2, 3, 4, 8, 12]
    assert all(small < large for small, large in pairwise(chosen))
    assert nested(PATIENTS, None) == tuple(PATIENTS)
    renamed = {f"other {sha}": sha for sha in reversed(PATIENTS.values())}
    contents = {renamed[name] for name in nested(renamed, 4)}
    assert contents == {PATIENTS[name] for name in nested(PATIENTS, 4)}


def test_every_fold_draws_its_own_order() -> None:
    """With one order for all, "which patients" would be one luck that no interval counts."""
    fewer = {name: sha for name, sha in PATIENTS.items() if name != "p00"}
    whole, less = order(PATIENTS), order(fewer)
    assert sorted(whole) == sorted(PATIENTS) and sorted(less) == sorted(fewer)
    assert [name for name in whole if name != "p00"] != less


def order(train: dict[str, str]) -> list[str]:
    """The order in which patients join the subset."""
    sets = [set(nested(train, count)) for count in range(len(train) + 1)]
    return [name for small, large in pairwise(sets) for name in large - small]


def test_seeds_and_rows_share_the_subset_and_nobody_else_is_tested(tiny: DataSet) -> None:
    cells = [cell_of(tiny, row, 3, seed) for row in ("unet", "fsm") for seed in (0, 1)]
    assert len({cell.data.with_ct for cell in cells}) == 1
    whole = cell_of(tiny, "unet", None)
    for cell in cells:
        assert cell.data.fold == whole.data.fold and len(cell.data.with_ct) == 3
        assert {case.name for case in cell.data.training()} == set(cell.data.with_ct)
        final = cell.final.net
        assert cell.data.evaluation(final) == whole.data.evaluation(final)


def contents(draw: SliceDraw, steps: int = 40) -> set[bytes]:
    """The slices that a draw gives, by their labels, without what is padded."""
    batches = [draw(step) for step in range(steps)]
    height, width = (int(batches[0].valid_BHW[0].sum(dim).max()) for dim in (0, 1))
    given = [label for batch in batches for label in batch.label_BHW[:, :height, :width].byte()]
    return {label.numpy().tobytes() for label in given}


def own(tiny: DataSet, names: Iterable[str], data: FoldData) -> set[bytes]:
    cases = data.cache.cases(names)
    return {z.numpy().tobytes() for case in cases for z in case.label_ZHW}


def drawn(cell: Cell, node: Train) -> SliceDraw:
    still = replace(cell.data.ground.augmentation, rotation_degrees=0, scale=0, shift=0)
    ground = replace(cell.data.ground, augmentation=still, others=1.0)
    data = replace(cell.data, ground=ground)
    alone = replace(node, nets={n: replace(net, init=()) for n, net in node.nets.items()})
    return prepared(alone, data, 0, {}, hardware("cpu", "fp32"))[1]


@pytest.mark.parametrize("row", ["fsm", "fsm-atlas", "fsm-atlas-shuffled", "refine-gt-atlas"])
def test_by_content_an_atlas_case_reaches_n_gt_alone(tiny: DataSet, row: str) -> None:
    cell = cell_of(tiny, row, 3)
    data = cell.data
    others = [name for name in data.fold.train if name not in data.with_ct]
    near, far = own(tiny, data.with_ct, data), own(tiny, others, data)
    assert others and near and far and not near & far
    for node in in_order(cell.final.node):
        found = contents(drawn(cell, node))
        if node.title == "N_GT" and "atlas" in row:
            assert found == near | far
        else:
            assert found == near


def test_an_atlas_has_no_ct_and_the_same_masks(tiny: DataSet) -> None:
    cell = cell_of(tiny, "fsm-atlas", 3)
    n_gt = next(in_order(cell.final.node))
    cases = cell.data.cases_of(n_gt)
    assert [case.name for case in cases] == list(cell.data.fold.train)
    assert not any(case.hu_ZHW.any() for case in cases)
    for case, whole in zip(cases, cell.data.cache.cases(cell.data.fold.train), strict=True):
        assert torch.equal(case.label_ZHW, whole.label_ZHW) and whole.hu_ZHW.any()


def keys_of(row: str, data: FoldData, seed: int = 0) -> dict[str, str]:
    method = {**FSM, **ATLAS_ROWS, **PLAIN}[row].method
    return {node.title: key(node, data.context(seed)) for node in nodes_of(method)}


def test_keys_cover_what_each_training_is_given(tiny: DataSet) -> None:
    few, more, every = (data_of(tiny, count) for count in (2, 4, None))
    for row in ("fsm", "unet"):  # all that it is given changes with the count
        for one, other in ((few, more), (few, every)):
            assert not set(keys_of(row, one).values()) & set(keys_of(row, other).values())
    found = [keys_of("fsm-atlas", data) for data in (few, more, every)]
    assert len({one["N_GT"] for one in found}) == 1  # one N_GT for the whole curve
    assert len({one["refine"] for one in found}) == 3
    assert found[0]["N_GT"] != keys_of("fsm", every)["N_GT"]
    same = [keys_of("unet", few), keys_of("unet", replace(few, fold=folds_of(tiny).folds[1]))]
    assert same[0] != same[1]


def test_the_atlas_is_in_the_keys_of_those_that_read_it_alone(tiny: DataSet) -> None:
    """Another patient in the atlas changes N_GT and what follows from it, and `unet` not."""
    few = data_of(tiny, 2)
    context = few.context(0)
    assert context.fold != context.atlas
    other = replace(context, atlas=Context(fold="another", seed=0).fold)
    for row, method in {**ATLAS_ROWS, "unet": PLAIN["unet"], "fsm": FSM["fsm"]}.items():
        for node in nodes_of(method.method):
            reads = any(one.cases == ATLAS for one in in_order(node))
            assert (key(node, context) != key(node, other)) == reads, (row, node.title)


def test_without_train_cases_nothing_has_another_key(tiny: DataSet) -> None:
    data = data_of(tiny, None)
    assert data.context(0) == Context(fold=data.fingerprint, seed=0)
    assert data.with_ct == data.fold.train
    assert "cases" not in spec(nodes_of(FSM["fsm"].method)[0], data.context(0))


def test_costs_count_what_each_training_is_given(tiny: DataSet, tmp_path: Path) -> None:
    bench = Options(root=tmp_path, device="cpu", precision="fp32").open()
    steps = {}
    for count in (4, None):
        cell = cell_of(tiny, "fsm-atlas", count)
        passes = replace(cell.setting.method.schedule, steps_per_epoch=None, epochs=10)
        setting = replace(cell.setting, method=replace(cell.setting.method, schedule=passes))
        (cell,) = (c for c in plan_cells(setting, tiny, folds=[0], seeds=[0]) if not c.stage)
        rows, _ = planned([cell], bench)
        steps[count] = {one.title: one.steps for one in rows}
        for node in in_order(cell.final.node):
            alone = replace(node, nets={n: replace(x, init=()) for n, x in node.nets.items()})
            _, draw, _ = prepared(alone, cell.data, 0, {}, hardware("cpu", "fp32"))
            assert steps[count][node.title] == node.schedule.steps(draw.steps_in_one_pass)
    assert steps[4]["N_GT"] == steps[None]["N_GT"] == steps[None]["refine"]
    assert steps[4]["refine"] == pytest.approx(steps[None]["refine"] / 2, abs=1)


def test_too_few_and_too_many_are_refused(tiny: DataSet) -> None:
    for count in (1, 0, -3):
        with pytest.raises(BadInput, match=r"ground\.train_cases"):
            Ground(train_cases=count)
    assert len(data_of(tiny, 8).with_ct) == 8
    with pytest.raises(BadInput, match=r"ground\.train_cases = 9: a fold has 8 training patients"):
        _ = data_of(tiny, 9).fingerprint


def test_who_reads_a_ct_cannot_ask_for_the_atlas() -> None:
    arch = UNet(width=4, levels=3)
    with pytest.raises(BadInput, match="reads a CT, and an atlas is masks alone"):
        replace(stages.plain(arch, Schedule()), cases=ATLAS)
    mixed = {"ct": Net(arch=arch), "gt": Net(arch=replace(arch, reads="masks"))}
    with pytest.raises(BadInput, match="atlas"):
        Train(nets=mixed, objective=Segmentation(), schedule=Schedule(), cases=ATLAS)
    with pytest.raises(BadInput, match="cases"):
        Train(nets=mixed, objective=Segmentation(), schedule=Schedule(), cases="all")
    with pytest.raises(BadInput, match="fsm-atlas"):
        replace(JOINT["joint-train"].method, atlas=True)


@pytest.mark.parametrize(
    "method",
    [GUIDED["labelenc-style"].method, SHAPES["acnn"].method, SHAPES["post-dae"].method],
    ids=lambda one: type(one).__name__,
)
def test_shape_models_and_labelenc_may_read_it_too(method: Method) -> None:
    given = replace(method, atlas=True)  # type: ignore[type-var]
    asks = [node.cases == ATLAS for node in nodes_of(given)]
    assert any(asks) and not asks[-1]
    assert not any(node.cases == ATLAS for node in nodes_of(method))
