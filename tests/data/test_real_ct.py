"""Two real CTs as they lie in their repositories; nothing of them is copied into the project."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.data import library
from benchmark.data.audit import audited
from benchmark.data.judging.anatomy import verify
from benchmark.data.judging.checks import check_volume
from benchmark.data.readers.pairs import Pairs
from benchmark.data.readers.stacks import Stacks
from benchmark.data.volume import Volume
from benchmark.errors import BadInput

SHARED = Path(__file__).parents[3] / "shared" / "data"
CHAOS, EXAMPLE = SHARED / "chaos_ct_set3", SHARED / "totalsegmentator_example"
no_chaos = pytest.mark.skipif(not CHAOS.is_dir(), reason="../shared/data/chaos_ct_set3 is absent")
no_example = pytest.mark.skipif(
    not EXAMPLE.is_dir(), reason="../shared/data/totalsegmentator_example is absent"
)


@no_chaos
def test_slices_with_masks_are_added_as_they_are(tmp_path: Path) -> None:
    found = library.add(tmp_path, "chaos", Stacks(CHAOS, "liver"))
    row = audited(found, found.load("chaos_ct_set3"))
    assert row["spacing_mm"] == pytest.approx([2.0, 0.727, 0.727], abs=5e-4)
    assert row["orientation"] == "LPS"
    assert list(row["organs"]) == ["liver"]
    assert row["organs"]["liver"]["ml"] == pytest.approx(1418, rel=0.01)
    assert row["organs"]["liver"]["hu_mean"] == pytest.approx(141, abs=2)
    assert row["organs"]["liver"]["hu_median"] == pytest.approx(141, abs=2)
    assert row["not_annotated"] == ["left_kidney", "right_kidney"]
    assert all(check["ok"] for check in row["checks"])


@no_chaos
def test_masks_in_reversed_order_are_refused_by_the_air_under_them(tmp_path: Path) -> None:
    folder = tmp_path / "set3"
    shutil.copytree(CHAOS / "DICOM_anon", folder / "DICOM_anon")
    (folder / "Ground").mkdir()
    masks = sorted((CHAOS / "Ground").iterdir())
    for number, path in enumerate(reversed(masks)):
        shutil.copy(path, folder / "Ground" / f"mask_{number}.png")
    with pytest.raises(BadInput, match=r"9\.21 % of liver is air") as caught:
        library.add(tmp_path / "root", "chaos", Stacks(folder, "liver"))
    assert "median" not in str(caught.value)  # 128 HU: it tells nothing here


def wrong(volume: Volume, organs: tuple[str, ...]) -> set[str]:
    checks = (*check_volume(volume, organs), *verify(volume, organs)[0])
    return {check.name for check in checks if not check.ok}


@no_example
def test_a_nifti_pair(tmp_path: Path) -> None:
    ids = {"liver": 5, "left_kidney": 3, "right_kidney": 2}
    files = (EXAMPLE / "example_ct.nii.gz", EXAMPLE / "example_seg_full_volume.nii.gz")
    found = library.add(tmp_path, "pair", Pairs(*files, ids))
    row = audited(found, found.load("example_ct"))
    measured = {organ: found["ml"] for organ, found in row["organs"].items()}
    assert measured == pytest.approx(
        {"liver": 1123, "left_kidney": 139, "right_kidney": 189}, abs=0.5
    )
    volume = next(Pairs(*files, ids).volumes())
    assert not wrong(volume, tuple(ids))
    assert wrong(replace(volume, image=volume.image + np.int16(100)), tuple(ids)) == {"hu_air"}
    assert "hu_air" in wrong(replace(volume, image=volume.image - np.int16(100)), tuple(ids))
    for axis in (0, 2):  # the liver's median alone passes one of these
        turned = replace(volume, label=np.flip(volume.label, axis))
        assert {"fat_liver", "air_liver"} <= wrong(turned, tuple(ids))
    mirrored = {"liver": 5, "left_kidney": 2, "right_kidney": 3}
    with pytest.raises(BadInput, match=r"left kidney lies .* on the other side"):
        library.add(tmp_path, "exchanged", Pairs(*files, mirrored))


IDENTITY = {
    "chaos": "43db35941aa64730993f2d30cfd414523ad077ac73510b46dd50d61cbba3b42b",
    "pair": "7208d238bf7c7f78ef6d31b28c88b482e9fd013a58241d721ca4cf43167e03a6",
}
FILES = {
    "chaos": {
        "image.npy": "3a85444bb4eabb8d21d8b9fb946b9d36a1014684b4a80569154468f32f200a3a",
        "label.npy": "2feb93483516047f1fe380b7cd87eee8c2539ea110f153e6de04b7da3ccce947",
    },
    "pair": {
        "image.npy": "87d025ff58a644429ee82a692d70cc7dc4e4272fc181b55bfa6000ddb7449eaa",
        "label.npy": "69fbe37543f2240781a8bcc54bd4abb848c07876a5bcb362710c132116b7f337",
    },
}


@no_chaos
@no_example
def test_real_cases_keep_their_identity(tmp_path: Path) -> None:
    """Found by the first version of the readers: no later one may read them otherwise."""
    ids = {"liver": 5, "left_kidney": 3, "right_kidney": 2}
    files = (EXAMPLE / "example_ct.nii.gz", EXAMPLE / "example_seg_full_volume.nii.gz")
    readers = {"chaos": Stacks(CHAOS, "liver"), "pair": Pairs(*files, ids)}
    for name, reader in readers.items():
        added = library.add(tmp_path, name, reader)
        (case,) = added.cases
        assert case.sha256 == IDENTITY[name] and added.load(case.name).read_by == ""
        assert added.record(case.name)["files"] == FILES[name]
