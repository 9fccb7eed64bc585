"""`ground.labelled`: whose labels the loss of N_CT sees, and that nothing else is blinded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.shape_codes import Coded
from baselines.shapes import Restore, ShapeLoss
from baselines.spikes import METHODS as SPIKES
from baselines.transfer import Anchored
from baselines.unet import METHODS as PLAIN
from benchmark.data.feeding.draw import SliceDraw
from benchmark.data.feeding.order import ranks
from benchmark.data.feeding.slices import on_training_grid
from benchmark.errors import BadInput
from benchmark.parts import stages
from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Joint, Matched, Segmentation
from benchmark.parts.similarity import Similarity
from benchmark.parts.views import CORRUPTED
from benchmark.plan.ground import Ground
from benchmark.plan.keys import Context, key
from benchmark.plan.nodes import Build, Schedule, SeenLabels
from benchmark.testing.tiny import ORGANS, MemoryTrainer, tiny_volume
from benchmark.training.precision import hardware

CASES = [on_training_grid(tiny_volume(n), ORGANS, 32, f"{n}", areas=True) for n in range(5)]
SLICES = sum(len(case.label_ZHW) for case in CASES)


def draw_of(share: float, batch: int = 4, seed: int = 0, **seen: Any) -> SliceDraw:
    ground, cpu = Ground(labelled=share, batch=batch, size=32), torch.device("cpu")
    labels = SeenLabels(**seen)
    return SliceDraw(CASES, ground, seed=seed, stream="ct", stride=4, device=cpu, labels=labels)


def labelled(batch: Batch) -> Tensor:
    assert batch.labelled_B is not None
    return batch.labelled_B


def places(draw: SliceDraw, steps: int = 200) -> tuple[set[Any], set[Any]]:
    """The slices that come, labelled and not: their cases and heights."""
    shown, hidden = set(), set()
    for step in range(steps):
        batch = draw(step)
        pairs = zip(batch.case_B.tolist(), batch.position_B.tolist(), strict=True)
        for pair, is_seen in zip(pairs, labelled(batch).tolist(), strict=True):
            (shown if is_seen else hidden).add(pair)
    return shown, hidden


@pytest.mark.parametrize("share, batch", [(0.04, 4), (0.1, 4), (0.25, 8), (0.5, 4), (0.5, 2)])
def test_half_of_every_batch_is_labelled(share: float, batch: int) -> None:
    for other in (False, True):
        draw = draw_of(share, batch, other=other)
        assert all(labelled(draw(step)).sum() == batch // 2 for step in range(30))


def test_labels_are_the_share_of_all_slices_and_every_slice_comes() -> None:
    shown, hidden = places(draw_of(0.1))
    assert len(shown) == math.ceil(0.1 * SLICES) and len(shown | hidden) == SLICES
    assert not shown & hidden


def test_the_null_sees_as_many_labels_of_other_slices() -> None:
    shown, other = places(draw_of(0.1))[0], places(draw_of(0.1, other=True))[0]
    assert not shown & other and abs(len(shown) - len(other)) <= 1


def test_a_dose_adds_labels_and_keeps_those_there_are() -> None:
    none, half, full = (places(draw_of(0.1, dose=dose))[0] for dose in (0.0, 0.5, 1.0))
    assert none == places(draw_of(0.1))[0] and none < half < full
    assert len(half) == math.ceil(0.55 * SLICES) and len(full) == SLICES


def test_what_reads_masks_alone_sees_the_batches_of_every_share() -> None:
    node = stages.teacher(
        UNet(width=4, levels=3, reads="masks"), Schedule(epochs=1, steps_per_epoch=3)
    )
    found = []
    for share in (1.0, 0.25):
        trainer = MemoryTrainer(Ground(labelled=share, batch=4, size=32), hardware("cpu", "fp32"))
        nets = trainer.nets(node)
        trainer.fit(node, nets)
        found.append(nets["gt"].state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_ranks_are_places_that_no_seed_moves_and_every_fold_draws_anew() -> None:
    names = [(case.sha256, z) for case in CASES for z in range(len(case.label_ZHW))]
    all_N, fewer_N = (ranks(part, [()] * len(part)) for part in (names, names[5:]))
    assert sorted(all_N.tolist()) == pytest.approx([n / SLICES for n in range(SLICES)])
    assert not torch.equal(fewer_N.argsort(), all_N[5:].argsort())
    assert places(draw_of(0.1))[0] == places(draw_of(0.1, seed=1))[0]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_every_share_has_its_part_of_each_stratum(share: float) -> None:
    strata = [(n % 4,) for n in range(400)]
    rank_N = ranks([("case", n) for n in range(400)], strata)
    seen = [int((rank_N[k::4] < share).sum()) for k in range(4)]
    assert all(abs(count - 100 * share) <= 1 for count in seen)


def test_a_share_that_leaves_nothing_is_refused() -> None:
    for share in (0.0, 0.6, 1.1, float("nan")):
        with pytest.raises(BadInput, match=r"ground\.labelled"):
            Ground(labelled=share)
    with pytest.raises(BadInput, match="cannot hold"):
        draw_of(0.5, 1)


def test_without_it_the_batches_are_those_of_before() -> None:
    batch = draw_of(1.0, dose=0.5)(0)
    assert batch.labelled_B is None and batch.all_labelled == batch


def nets_for(objective: object) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    arch = UNet(width=4, levels=3, dropout=0.0)
    nets: dict[str, nn.Module] = {}
    for name, reads in (("ct", "image"), ("gt", "masks"), ("shape", "masks")):
        nets[name] = replace(arch, reads=reads).build(Build(organs=ORGANS, size=32, built=nets))
    nets["fsm"] = Similarity().build(Build(organs=ORGANS, size=32, built=nets))
    return nets


OF_AN_IMAGE = [
    Segmentation(), Matched(), Joint(matched=Matched()), ShapeLoss(), ShapeLoss(seg="dice"),
    Coded(), Anchored(),
]  # fmt: skip
OF_MASKS = [Segmentation(net="gt", reads="masks"), Restore()]


def terms_of(objective, batch: Batch, nets: Mapping[str, nn.Module]) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in objective(nets, batch).items()}


def relabelled(batch: Batch, which_B: Tensor) -> Batch:
    """The batch with the labels of some samples taken away."""
    label = batch.label_BHW.clone()
    label[which_B] = 0
    return replace(batch, label_BHW=label)


@pytest.mark.parametrize("objective", OF_AN_IMAGE, ids=lambda one: type(one).__name__)
def test_the_loss_of_an_image_never_reads_a_label_outside_the_share(objective) -> None:
    batch, nets = draw_of(0.25, 8)(0), nets_for(objective)
    shared = ("m", "dsc_gt", "anchor")  # not a comparison of N_CT's output with labels
    first = terms_of(objective, batch, nets)
    blind = terms_of(objective, relabelled(batch, ~labelled(batch)), nets)
    other = terms_of(objective, relabelled(batch, labelled(batch)), nets)
    own = [name for name in first if name not in shared]
    assert own and all(first[name] == blind[name] for name in own)
    assert any(first[name] != other[name] for name in own)


@pytest.mark.parametrize("objective", OF_MASKS, ids=lambda one: type(one).__name__)
def test_what_reads_masks_learns_from_all(objective) -> None:
    batch, nets = draw_of(0.25, 8)(0), nets_for(objective)
    batch = batch.with_entry(CORRUPTED, batch.masks_B2KHW)
    whole = terms_of(objective, batch.all_labelled, nets)
    assert terms_of(objective, batch, nets) == whole
    hidden = relabelled(batch, ~labelled(batch)).with_entry(CORRUPTED, batch.masks_B2KHW)
    assert terms_of(objective, hidden, nets) != whole


def test_the_teacher_of_stage_2_sees_all_masks() -> None:
    batch, nets = draw_of(0.25, 8)(0), nets_for(Matched())
    hidden = relabelled(batch, ~labelled(batch))
    seen, blind = (terms_of(Matched(), one, nets)["m"] for one in (batch, hidden))
    assert seen != blind


def test_dose_0_is_unet_by_key() -> None:
    context = Context(fold="f", seed=0)
    unet = key(PLAIN["unet"].method.plan().node, context)
    keys = {name: key(row.method.plan().node, context) for name, row in SPIKES.items()}
    assert key(replace(SPIKES["spike-25"].method, dose=0.0).plan().node, context) == unet
    assert len({unet, *keys.values()}) == len(keys) + 1
