"""What a draw shows beside each slice: another patient's masks, or the mean mask."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmark.data.feeding.draw import SliceDraw, augment, stacked
from benchmark.data.feeding.fills import beside, mean_masks, partners
from benchmark.data.feeding.patients import patients
from benchmark.data.feeding.slices import CaseSlices, on_training_grid
from benchmark.errors import BadInput
from benchmark.parts.batch import onehot
from benchmark.plan.ground import Augmentation, Ground, MeanMask, OtherCase
from benchmark.testing import ORGANS, tiny_volume

STILL = Augmentation(rotation_degrees=0, scale=0, shift=0, hu_shift=0, hu_noise=0)
CPU = torch.device("cpu")


def cases(count: int = 5) -> list[CaseSlices]:
    return [
        on_training_grid(tiny_volume(number), ORGANS, None, sha256=f"{number}")
        for number in range(count)
    ]


def annotated(case: CaseSlices, *known: bool) -> CaseSlices:
    return replace(case, annotated_K=torch.tensor(known))


@pytest.mark.parametrize("seed", range(8))
def test_partners_are_a_derangement_within_organs_and_source(seed: int) -> None:
    some = cases(8)
    some[1] = annotated(some[1], True, False, False)
    some[4] = annotated(some[4], True, False, False)
    for number in (2, 3, 6):
        some[number] = replace(some[number], source="btcv")
    paired = partners(some, seed)
    assert sorted(number for number in paired if number is not None) == list(range(8))
    for number, other in enumerate(paired):
        assert other is not None and other != number
        assert some[other].source == some[number].source
        assert torch.equal(some[other].annotated_K, some[number].annotated_K)


def test_pairing_is_fixed_and_another_seed_pairs_anew() -> None:
    pairings = {tuple(partners(cases(8), seed)) for seed in range(8)}
    assert partners(cases(8), 3) == partners(cases(8), 3) and len(pairings) > 4


def test_a_lonely_case_gets_one_with_more_organs_or_none() -> None:
    some = cases(3)
    some[0] = annotated(some[0], True, False, False)
    assert partners(some, 0)[0] in (1, 2)
    some[1] = annotated(some[1], False, True, True)
    assert partners(some, 0)[0] == 2 and partners(some, 0)[2] is None
    with pytest.raises(BadInput, match="has no partner"):
        SliceDraw(some, Ground(), seed=0, stream="ct", stride=1, device=CPU,
                  sources={"other": OtherCase()})  # fmt: skip


def test_the_partner_slice_lies_at_the_same_height_between_the_livers_ends() -> None:
    low, high = cases(2)
    tall = replace(high, label_ZHW=high.label_ZHW.repeat_interleave(3, dim=0), ends_Z=(3, 11))
    low = replace(low, ends_Z=(1, 3))
    found = beside([low, tall], [1, 0])
    first = len(low.label_ZHW)
    assert [found[z] - first for z in (0, 1, 2, 3, 4)] == [0, 3, 7, 11, 14]  # clamped at its ends
    assert [found[first + z] for z in (3, 7, 11)] == [1, 2, 3]


def test_ends_are_the_livers_and_those_of_all_organs_where_there_is_none() -> None:
    (case,) = cases(1)
    assert case.ends_Z == (0, 4)
    volume = tiny_volume(0)
    others = replace(volume, label=volume.label * (volume.label > 1))
    assert on_training_grid(others, ORGANS, None).ends_Z == (1, 3)


def drawn(source: OtherCase | MeanMask, how: Augmentation) -> tuple[SliceDraw, list[CaseSlices]]:
    ground = Ground(batch=6, augmentation=how)
    some = cases()
    draw = SliceDraw(
        some, ground, seed=0, stream="ct", stride=4, device=CPU, sources={"there": source}
    )
    return draw, some


def test_other_masks_are_the_partners_and_never_the_samples_own() -> None:
    draw, some = drawn(OtherCase(), STILL)
    _, label, _ = stacked(some, 4)
    shown = onehot(label[beside(some, [p or 0 for p in partners(some, 0)])], len(ORGANS))
    for step in range(4):
        batch = draw(step)
        there = batch.entries["there"]
        assert there.shape == (6, 6, *batch.label_BHW.shape[1:])
        for sample in range(6):
            masks = there[sample, :3]
            assert any(torch.equal(masks, one) for one in shown)
            own = onehot(batch.label_BHW[sample][None], 3)[0]
            assert not torch.equal(masks, own)


def test_sources_are_augmented_as_the_batch_is() -> None:
    """With every case its own partner's copy, the shown masks are the batch's own."""
    how = Augmentation()
    one = cases(1)[0]
    same = [replace(one, name=name, sha256=name) for name in "abc"]
    draw = SliceDraw(
        same, Ground(batch=6, augmentation=how), seed=1, stream="ct", stride=4, device=CPU,
        sources={"other": OtherCase()},
    )  # fmt: skip
    for step in range(3):
        batch = draw(step)
        assert torch.equal(batch.entries["other"], batch.masks_B2KHW)


def test_a_source_does_not_change_the_batch() -> None:
    with_source, some = drawn(OtherCase(), Augmentation())
    without = SliceDraw(some, Ground(batch=6), seed=0, stream="ct", stride=4, device=CPU)
    for step in range(3):
        assert torch.equal(with_source(step).image_B1HW, without(step).image_B1HW)
        assert torch.equal(with_source(step).label_BHW, without(step).label_BHW)


def test_mean_mask_is_the_mean_over_annotated_patients() -> None:
    some = cases(4)
    some[0] = annotated(some[0], True, False, True)
    some[0] = replace(some[0], label_ZHW=some[0].label_ZHW * (some[0].label_ZHW != 2))
    _, label, _ = stacked(some, 1)
    means = mean_masks(some, label, bins=5) / 255  # heights -0.5, 0, 0.5, 1, 1.5
    slices = [onehot(case.label_ZHW[case.nearest(0.5)][None], 3)[0] for case in some]
    assert torch.allclose(means[2, 0], torch.stack(slices)[:, 0].mean(dim=0), atol=0.003)
    assert torch.allclose(means[2, 1], torch.stack(slices)[1:, 1].mean(dim=0), atol=0.003)
    draw, _ = drawn(MeanMask(), STILL)
    there = draw(0).entries["there"]
    assert 0 < float(there[:, :3].max()) <= 1 and bool((there[:, 3:] == 1).all())


def test_patients_are_whole_in_order_and_beside_their_partner() -> None:
    some = cases(3)
    found = list(patients(some, Ground(batch=2, augmentation=STILL), stride=4, device=CPU))
    assert [patient.name for patient in found] == ["p00", "p01", "p02"]
    for patient in found:
        own = next(case for case in some if case.name == patient.name)
        other = next(case for case in some if case.name == patient.partner)
        assert patient.name != patient.partner
        label = torch.cat([batch.label_BHW for batch in patient.batches])
        beside_it = torch.cat([batch.entries["other_masks"] for batch in patient.batches])
        assert torch.equal(label[:, : own.label_ZHW.shape[1]].byte(), own.label_ZHW)
        assert torch.equal(beside_it[:, :3, : own.label_ZHW.shape[1]].bool(),
                           onehot(other.label_ZHW, 3).bool())  # fmt: skip


def test_alone_in_a_fold_there_is_no_partner() -> None:
    (patient,) = patients(cases(1), Ground(), stride=1, device=CPU)
    assert patient.partner == ""


def test_augment_without_change_is_exact() -> None:
    """The guard of the tests above: nothing moves with all ranges zero."""
    hu, label, valid = stacked(cases(1), 4)
    moved = augment(hu.float(), label, valid, STILL, 5)
    assert torch.equal(moved[1], label) and torch.equal(moved[2], valid)
