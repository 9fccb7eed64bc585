"""Voxels of which nobody said what they are: shown to the network as CT, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bench_process import bench, run_argv, weights
from native import small
from nnunet_files import AFFINE
from scipy import ndimage

from benchmark.data import library
from benchmark.data.ceilings import ceilings
from benchmark.data.feeding.draw import SliceDraw
from benchmark.data.feeding.slices import on_training_grid
from benchmark.data.judging.anatomy import verify
from benchmark.data.volume import Volume, from_canonical
from benchmark.parts.batch import Batch
from benchmark.plan.ground import Augmentation, Ground
from benchmark.plan.nodes import in_order
from benchmark.scoring.cases import score_case
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.testing import ORGANS, MemoryTrainer, TinySource, tiny_volume
from benchmark.training.precision import hardware
from benchmark.training.trainer import Control, fit


def partly(number: int, planted: bool = False) -> Volume:
    """Every second patient has unknown voxels through all organs; `planted` leaves labels there."""
    volume = replace(tiny_volume(number), source_sha256=f"{number:064d}")
    if number % 2 == 0:
        return volume
    unknown = np.zeros(volume.label.shape, bool)
    unknown[1:4, 6:18, 4:9] = True
    label = np.where(unknown, 2 if planted else 0, volume.label)
    return replace(volume, label=label.astype(np.uint8), unknown=unknown)


@dataclass(frozen=True, kw_only=True)
class Partly(TinySource):
    planted: bool = False

    def volumes(self) -> Iterator[Volume]:
        yield from (partly(number, self.planted) for number in range(self.patients))


def test_a_whole_run_never_counts_an_unknown_voxel(tmp_path: Path) -> None:
    outcomes = []
    for planted in (False, True):
        root = tmp_path / str(planted)
        stored = library.add(root, "tiny", Partly(planted=planted))
        volume = stored.load("p01")
        assert volume.unknown is not None and not volume.label[volume.unknown].any()
        assert volume.image[volume.unknown].all()  # the CT is there
        ran = bench(*run_argv(root, "fsm", "--folds", "0,1"))
        assert ran.code == 0, ran.err
        outcomes.append(weights(root))
    assert outcomes[0] == outcomes[1] and outcomes[0]
    damaged = root / "data" / "tiny" / "cases" / "p01" / "unknown.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\1")
    with pytest.raises(Exception, match=r"unknown\.npy is damaged"):
        stored.load("p01")


class Planted:
    """A draw that plants labels in every unknown pixel, but for what the teacher may read."""

    def __init__(self, draw: SliceDraw) -> None:
        self._draw = draw
        self.steps_in_one_pass = draw.steps_in_one_pass
        self.case_names = draw.case_names
        self.planted = 0

    def __call__(self, step: int) -> Batch:
        batch = self._draw(step)
        assert batch.unknown_BHW is not None
        self.planted += int(batch.unknown_BHW.sum())
        return replace(batch, label_BHW=batch.label_BHW.masked_fill(batch.unknown_BHW, 1))


def trainer() -> MemoryTrainer:
    made = MemoryTrainer(Ground(batch=4), hardware("cpu", "fp32"))
    made.cases = [on_training_grid(partly(n), ORGANS, None, sha256=f"{n}") for n in range(4)]
    return made


@pytest.mark.parametrize("row", ["fsm", "fsm-shuffled", "fsm-mean-shape", "acnn"])
def test_planted_labels_in_unknown_pixels_move_no_weight(row: str) -> None:
    whole = {"schedule.epochs": 1.0, "schedule.steps_per_epoch": 2, "ct.width": 4, "ct.levels": 3}
    if row.startswith("fsm"):
        whole |= {"gt.width": 4, "gt.levels": 3}
    method = resolve(load_registry(), row, "quick", whole).method
    outcomes = []
    for planting in (False, True):
        made, done, planted = trainer(), {}, 0
        for node in in_order(method.plan().node):
            nets = made.ready(node, done)
            draw = made.draw(node, nets)
            used = Planted(draw) if planting else draw
            fit(node, nets, used, seed=0, hardware=made.hardware, control=Control())
            planted += getattr(used, "planted", 0)
            done[node] = nets
        outcomes.append(
            [v for nets in done.values() for n in nets.values() for v in n.parameters()]
        )
        assert (planted > 200) == planting
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))


def test_the_network_sees_the_ct_there_and_a_teacher_nothing() -> None:
    cases = [on_training_grid(partly(n), ORGANS, None, sha256=f"{n}") for n in range(2)]
    how = Augmentation(rotation_degrees=20, scale=0.1, shift=0.1, hu_shift=0, hu_noise=0)
    draw = SliceDraw(
        cases, Ground(batch=8, augmentation=how), seed=0, stream="s", stride=4,
        device=torch.device("cpu"),
    )  # fmt: skip
    batch = draw(0)
    assert batch.unknown_BHW is not None and batch.unknown_BHW.sum() > 50
    assert not (batch.valid_BHW & batch.unknown_BHW).any()
    assert not batch.masks_B2KHW[batch.unknown_BHW[:, None].expand_as(batch.masks_B2KHW)].any()
    assert batch.masks_B2KHW[:, 3:].any(dim=1)[batch.valid_BHW].all()
    assert (batch.image_B1HW[:, 0][batch.unknown_BHW] > 0).float().mean() > 0.9
    plain = [on_training_grid(tiny_volume(n), ORGANS, None, sha256=f"{n}") for n in range(2)]
    same = SliceDraw(
        plain, Ground(batch=8, augmentation=how), seed=0, stream="s", stride=4,
        device=torch.device("cpu"),
    )(0)  # fmt: skip
    assert same.unknown_BHW is None and torch.equal(same.image_B1HW, batch.image_B1HW)


def test_on_a_coarse_grid_a_pixel_with_any_unknown_voxel_is_unknown() -> None:
    volume = partly(1)
    found = on_training_grid(volume, ORGANS, 12)
    assert found.unknown_ZHW is not None and volume.unknown is not None
    fine = torch.from_numpy(volume.unknown)[:, None].float()
    wanted = torch.nn.functional.max_pool2d(fine, 2)[:, 0] > 0
    assert (found.unknown_ZHW | ~wanted).all()  # at least these; antialiasing reaches further
    assert not found.label_ZHW[found.unknown_ZHW].any()
    assert int(found.unknown_ZHW.sum()) < 3 * int(wanted.sum())


def brute(truth: np.ndarray, predicted: np.ndarray, unknown: np.ndarray) -> tuple[float, float]:
    """DSC and ASSD of one organ by their definitions, voxel by voxel."""
    step = np.array([2.0, 1.0, 1.0])
    masks = [(label == 1) & ~unknown for label in (truth, predicted)]

    def surface(mask: np.ndarray) -> np.ndarray:
        held = np.pad(mask | unknown, 1)
        found = []
        for place in np.argwhere(mask):
            beside = [place + 1 + s for s in (*np.eye(3, dtype=int), *-np.eye(3, dtype=int))]
            if not all(held[tuple(n)] for n in beside):
                found.append(place * step)
        return np.array(found)

    a, b = map(surface, masks)
    apart = np.linalg.norm(a[:, None] - b[None], axis=-1)
    both, size = np.count_nonzero(masks[0] & masks[1]), sum(map(np.count_nonzero, masks))
    return 200 * both / size, float(np.mean([*apart.min(axis=1), *apart.min(axis=0)]))


def scores(
    truth: np.ndarray, predicted: np.ndarray, unknown: np.ndarray | None
) -> dict[str, float]:
    found = score_case(
        truth, predicted, spacing_mm=(2.0, 1.0, 1.0), organs=["liver"], annotated=["liver"],
        unknown_ZYX=unknown,
    )  # fmt: skip
    return {score.metric: score.value for score in found}


def test_scores_leave_unknown_voxels_out_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        unknown = ndimage.binary_dilation(rng.random((7, 12, 12)) < 0.03, iterations=1)
        truth, predicted = (
            ndimage.binary_opening(ndimage.gaussian_filter(rng.random((7, 12, 12)), 1.5) > 0.5)
            for _ in range(2)
        )
        a, b = truth.astype(np.uint8), predicted.astype(np.uint8)
        found = scores(a, b, unknown)
        planted = (np.where(unknown, rng.random(unknown.shape) < 0.5, x) for x in (a, b))
        assert scores(*(x.astype(np.uint8) for x in planted), unknown) == found
        if not np.isnan(found["assd"]):
            assert (found["dsc"], found["assd"]) == pytest.approx(brute(a, b, unknown))


def test_slices_between_unknown_ones_have_no_border_up_and_down() -> None:
    """As where every second slice was drawn: else all voxels were border, and distances 0."""
    truth, predicted = np.zeros((2, 9, 20, 20), np.uint8)
    truth[2:7, 4:16, 4:16], predicted[2:7, 4:16, 7:16] = 1, 1
    unknown = np.zeros(truth.shape, bool)
    unknown[1::2] = True
    sparse, whole = scores(truth, predicted, unknown), scores(truth, predicted, None)
    assert sparse["dsc"] == pytest.approx(whole["dsc"])
    cut = scores(*(np.where(unknown, 0, x).astype(np.uint8) for x in (truth, predicted)), None)
    assert sparse["hd95"] == pytest.approx(3) and sparse["assd"] > 1.3 * cut["assd"]
    shell = ndimage.binary_dilation(truth > 0) & (truth == 0)  # nothing known around it
    assert scores(truth, truth, shell)["assd"] == 0


def test_a_perfect_copy_still_scores_what_the_grid_allows() -> None:
    volume = partly(1)
    found = ceilings(volume.label, ORGANS, None, volume.unknown)
    assert all(one.majority == one.area == 100 for one in found.values())


def test_an_organ_that_is_partly_unknown_may_be_small() -> None:
    """As where every tenth slice was drawn: its volume is not known."""
    volume = small(0)
    unknown = np.ones(volume.label.shape, bool)
    unknown[::10] = False
    label = np.where(unknown, 0, volume.label).astype(np.uint8)
    for sparse, wanted in ((None, False), (unknown, True)):
        checks, _ = verify(replace(volume, label=label, unknown=sparse), ORGANS)
        assert next(c.ok for c in checks if c.name == "volume_liver") == wanted


def test_nnunet_ignore_from_the_command_to_the_scores(tmp_path: Path) -> None:
    """Labels in a nnU-Net folder, part of them `ignore`: what lies there moves no score."""
    described = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "left_kidney": 2, "right_kidney": 3, "ignore": 4},
        "file_ending": ".nii.gz",
    }
    affine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    for number in range(6):
        volume = partly(number)
        label = (
            volume.label if volume.unknown is None else np.where(volume.unknown, 4, volume.label)
        )
        for folder, name, array in (
            ("imagesTr", f"c{number}_0000", volume.image),
            ("labelsTr", f"c{number}", label.astype(np.uint8)),
        ):
            (tmp_path / "raw" / folder).mkdir(parents=True, exist_ok=True)
            image = nib.Nifti1Image(from_canonical(array, volume.geometry), affine)
            nib.save(image, tmp_path / "raw" / folder / f"{name}.nii.gz")
    (tmp_path / "raw" / "dataset.json").write_text(json.dumps(described))
    root = ("--root", str(tmp_path / "root"), "--name", "tiny", "--force", "all")
    added = bench("data", "add", "folder", str(tmp_path / "raw"), *root)
    assert added.code == 0 and "180 voxels are 'ignore': unknown" in added.err, added.err
    argv = [*run_argv(tmp_path / "root", "unet", "--folds", "0"), "--json"]
    ran = bench(*argv)
    assert ran.code == 0, ran.err
    audit = bench("data", "audit", "tiny", "--json", "--no-html", *root[:2]).json
    assert [row.get("unknown_voxels", 0) for row in audit] == [0, 180, 0, 180, 0, 180]
