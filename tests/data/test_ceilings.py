"""The two reference lines: by hand, on the phantom, and as they are kept on disk."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_process import flip
from torch import Tensor, nn

from benchmark.data import ceilings as module
from benchmark.data.ceilings import Ceiling, case_ceilings, ceilings, ceilings_file
from benchmark.data.feeding.slices import on_training_grid
from benchmark.data.library import DataSet, add
from benchmark.data.readers.pairs import Pairs
from benchmark.data.volume import Label
from benchmark.errors import BadInput
from benchmark.phantom.recipe import INFORMATIVE
from benchmark.scoring.overlap import dice_percent
from benchmark.testing import ORGANS, TinySource, tiny_volume
from benchmark.training.precision import hardware
from benchmark.training.prediction import predict_labels

EXAMPLE = Path(__file__).parents[3] / "shared" / "data" / "totalsegmentator_example"


class Copy(nn.Module):
    """A network that predicts the training target itself, which is its input."""

    def forward(self, label_B1HW: Tensor) -> Tensor:
        return torch.log(nn.functional.one_hot(label_B1HW[:, 0].long(), 4).movedim(-1, 1).float())


def columns(width: int) -> Label:
    """One slice of 8x8 with an organ that fills the first `width` columns."""
    label = np.zeros((1, 8, 8), np.uint8)
    label[:, :, :width] = 1
    return label


def test_an_organ_that_ends_where_pixels_do_loses_little_and_half_a_pixel_costs_more() -> None:
    """8 columns on 4 pixels. Of 4 columns, the filter of 2 pixels' width leaves shares 1, 7/8, 1/8,
    0, which come back as the very 4 columns. Of 3, pixel 1 is 1/2 organ: see below."""
    whole = ceilings(columns(4), ["liver"], 4)["liver"]
    assert (whole.majority, whole.area, whole.n_voxels_true) == (100, 100, 32)
    half = ceilings(columns(3), ["liver"], 4)["liver"]
    assert half.area == 100, "the shares still tell where it ends"
    assert half.majority == pytest.approx(200 * 16 / (24 + 16)), "the half pixel is background"


def test_an_organ_of_a_quarter_of_a_pixel_is_lost_by_both() -> None:
    label = np.zeros((2, 32, 32), np.uint8)
    label[0, 9, 9] = 1
    found = ceilings(label, ["liver", "spleen"], 16)
    assert (found["liver"].majority, found["liver"].area) == (0, 0)
    assert found["liver"].n_voxels_true == 1
    spleen = found["spleen"]
    assert math.isnan(spleen.majority) and math.isnan(spleen.area) and spleen.n_voxels_true == 0


def test_a_map_that_holds_nothing_has_no_ceiling() -> None:
    for size in (None, 4):
        (found,) = ceilings(columns(0), ["liver"], size).values()
        assert math.isnan(found.majority) and math.isnan(found.area)


@pytest.mark.parametrize("size", [None, 24])
def test_a_native_grid_loses_nothing(size: int | None) -> None:
    found = ceilings(tiny_volume(0).label, ORGANS, size)
    assert {(x.majority, x.area) for x in found.values()} == {(100.0, 100.0)}


@pytest.mark.parametrize("size", [11, 16, 31])
def test_the_target_ceiling_is_what_a_copy_of_the_training_target_scores(size: int) -> None:
    """By the real way: the labels that a training sees, predicted, scored on the native grid."""
    volume = tiny_volume(1)
    target = on_training_grid(volume, ORGANS, size).label_ZHW
    predicted = predict_labels(
        Copy(), target, scaled=lambda x: x.float(), native_hw=(24, 20), batch=2,
        hardware=hardware("cpu", "fp32"),
    )  # fmt: skip
    found = ceilings(volume.label, ORGANS, size)
    for k, organ in enumerate(ORGANS, start=1):
        assert found[organ].majority == dice_percent(volume.label == k, predicted == k)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataSet]:
    root = tmp_path_factory.mktemp("phantom")
    yield add(root, "phantom", replace(INFORMATIVE, patients=2))
    shutil.rmtree(root)


def means(dataset: DataSet, size: int | None) -> dict[str, tuple[float, float]]:
    found = [case_ceilings(dataset, case.name, size) for case in dataset.cases]
    return {
        organ: (
            float(np.mean([each[organ].majority for each in found])),
            float(np.mean([each[organ].area for each in found])),
        )
        for organ in dataset.organs
    }


def test_those_of_the_phantoms_first_patients(phantom: DataSet) -> None:
    """docs/phantom.md has the means of all: 97.0, 92.5, 92.9 and 99.6, 98.6, 97.9. The hard label
    binds, not the grid."""
    assert means(phantom, 64) == {
        "liver": pytest.approx((97.14, 99.60), abs=0.02),
        "left_kidney": pytest.approx((92.49, 98.67), abs=0.02),
        "right_kidney": pytest.approx((93.20, 97.91), abs=0.02),
    }
    for organ, (majority, area) in means(phantom, 96).items():
        assert means(phantom, 64)[organ][0] < majority < area <= 100


@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="../shared/data is absent")
def test_a_real_ct(tmp_path: Path) -> None:
    ids = {"liver": 5, "left_kidney": 3, "right_kidney": 2}
    files = (EXAMPLE / "example_ct.nii.gz", EXAMPLE / "example_seg_full_volume.nii.gz")
    found = means(add(tmp_path, "pair", Pairs(*files, ids)), 64)
    print(found)
    assert all(85 < majority < area <= 100 for majority, area in found.values())


def test_they_are_kept_by_content_and_grid(
    tiny_dataset: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {ceilings_file(tiny_dataset, "p00", 16), ceilings_file(tiny_dataset, "p00", 11),
             ceilings_file(tiny_dataset, "p01", 16)}  # fmt: skip
    first = case_ceilings(tiny_dataset, "p00", 16)
    assert [path.name for path in (tiny_dataset.folder / "ceilings").iterdir()] == [
        ceilings_file(tiny_dataset, "p00", 16).name
    ]
    with monkeypatch.context() as patch:
        patch.setattr(module, "ceilings", lambda *_: pytest.fail("it is kept"))
        assert case_ceilings(tiny_dataset, "p00", 16) == first
    monkeypatch.setattr(module, "CEILINGS_VERSION", 2)
    names.add(ceilings_file(tiny_dataset, "p00", 16))
    assert len(names) == 4


@pytest.mark.parametrize("how", ["flip", "cut", "other"])
def test_a_damaged_file_is_made_again(tiny_dataset: DataSet, how: str) -> None:
    first = case_ceilings(tiny_dataset, "p00", 16)
    path = ceilings_file(tiny_dataset, "p00", 16)
    good = path.read_bytes()
    if how == "flip":
        flip(path, good.index(b".") + 1)  # a digit
    elif how == "cut":
        path.write_bytes(good[:-9])
    else:
        path.write_text('{"ceilings": {"liver": [1]}, "checksum": ""}')
    assert case_ceilings(tiny_dataset, "p00", 16) == first
    assert path.read_bytes() == good


def test_several_writers_leave_one_whole_file(tiny_dataset: DataSet) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(case_ceilings(tiny_dataset, "p00", 16)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(each == found[0] for each in found)
    assert len(list((tiny_dataset.folder / "ceilings").iterdir())) == 1


def test_a_place_that_cannot_be_written_serves_all_the_same(tiny_dataset: DataSet) -> None:
    (tiny_dataset.folder / "ceilings").write_text("in the way")
    found = case_ceilings(tiny_dataset, "p00", 16)
    assert found == ceilings(tiny_dataset.label("p00"), ORGANS, 16)


def test_a_damaged_label_gives_no_ceiling(tiny_dataset: DataSet) -> None:
    flip(tiny_dataset.folder / "cases" / "p00" / "label.npy")
    with pytest.raises(BadInput, match="damaged"):
        case_ceilings(tiny_dataset, "p00", 16)


def test_only_annotated_organs_have_one_and_the_box_counts(tmp_path: Path) -> None:
    class Boxed(TinySource):
        def volumes(self):  # type: ignore[no-untyped-def]
            for volume in super().volumes():
                box = ((0, 5), (4, 20), (2, 18))
                yield replace(volume, annotated=("liver", "left_kidney"), box=box)

    dataset = add(tmp_path, "boxed", Boxed())
    found = case_ceilings(dataset, "p00", 8)
    assert list(found) == ["liver", "left_kidney"]
    inside = tiny_volume(0).label[:, 4:20, 2:18].copy()
    inside[inside == 3] = 0  # what was not looked for is stored as background
    of_box = ceilings(inside, ORGANS, 8)
    assert found == {organ: of_box[organ] for organ in ("liver", "left_kidney")}


def test_the_target_goes_by_the_reading_of_the_labels() -> None:
    one = Ceiling(majority=92.5, area=98.6, n_voxels_true=9)
    assert (one.target("majority"), one.target("area")) == (92.5, 98.6)
