"""Findings of many cases are few lines, and a refused case's warnings are not lost."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nnunet_files import AFFINE, SHAPE, arrays, make, save

from benchmark.cli.main import main
from benchmark.data import library
from benchmark.data.readers.multi_organ import MultiOrgan
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.source import in_few_lines
from benchmark.errors import BadInput

CASES = [f"c{n}" for n in range(200)]


def test_one_line_for_all_cases() -> None:
    assert in_few_lines([(case, "gap") for case in CASES], 200) == ["all 200 cases: gap"]
    assert in_few_lines([("a", "gap")], 1) == ["case a: gap"]
    some = [(case, "gap") for case in CASES[:8]]
    assert in_few_lines(some, 200) == ["cases c0, c1, c2 and 5 more: gap"]
    assert in_few_lines(some[:2], 200) == ["cases c0, c1: gap"]


def test_other_sentences_keep_their_lines_in_order() -> None:
    found = [("a", "x"), ("b", "y"), ("c", "x"), ("a", "y")]
    assert in_few_lines(found, 9) == ["cases a, c: x", "cases b, a: y"]


def test_file_names_and_figures_do_not_part_a_finding() -> None:
    text = "{}_0000.nii.gz: sform and qform lie {} voxels apart; sform is used"
    found = [(case, text.format(case, n / 4)) for n, case in enumerate(CASES[:6], start=-2)]
    (line,) = in_few_lines(found, 200)
    assert line == (
        "cases c0, c1, c2 and 3 more: its file: sform and qform lie -0.5 to 0.75 voxels apart;"
        " sform is used"
    )
    assert in_few_lines(found[:5], 200) == [f"case {case}: {text}" for case, text in found[:5]]
    shapes = [(case, f"it has {n}x512x512 voxels, [{n}, 1]") for n, case in enumerate(CASES[:7])]
    assert len(in_few_lines(shapes, 7)) == 7  # a size is no figure


def test_two_files_of_one_case_keep_their_names() -> None:
    found = [("a", "a_0000.nii.gz: odd"), ("a", "a.nii.gz: odd")]
    assert in_few_lines(found, 1) == ["case a: a_0000.nii.gz: odd", "case a: a.nii.gz: odd"]
    assert in_few_lines([*found, ("b", "b.nii.gz: odd")], 2) == ["all 2 cases: its file: odd"]


def apart(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    """A file whose qform lies two voxels off its sform."""
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    moved = affine.copy()
    moved[0, 3] += 36
    image.set_qform(moved, 1)
    nib.save(image, path)


def test_a_refused_case_shows_its_warnings(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 2)
    moved = AFFINE.copy()
    moved[0, 3] += 36
    save(raw / "labelsTr" / "c1.nii.gz", arrays(1)[1], moved)
    apart(raw / "imagesTr" / "c1_0000.nii.gz", arrays(1)[0])
    with pytest.raises(BadInput) as caught:
        library.add(tmp_path, "set", NnUNetRaw(raw))
    said_of_it = (
        "case c1: image and label lie 2 voxels apart at the worst corner: of another patient, or "
        "resampled?; also: c1_0000.nii.gz: sform and qform lie 2 voxels apart; sform is used\n"
    )
    assert said_of_it in str(caught.value)
    said: list[str] = []
    left = library.add(tmp_path, "set", NnUNetRaw(raw), skip_bad=True, say=said.append)
    assert len(said) == 1 and said[0].startswith("left out case c1: image and label lie 2 voxels")
    assert "also: c1_0000.nii.gz" in left.origin["skipped"]["c1"]


def test_warnings_of_a_case_that_a_reader_gives_up_are_kept(tmp_path: Path) -> None:
    labels, images = tmp_path / "label_btcv_multiorgan", tmp_path / "images"
    labels.mkdir()
    images.mkdir()
    image, label = arrays(0)
    apart(labels / "label0001.nii.gz", np.where(label == 1, 6, 0).astype(np.uint8))
    moved = AFFINE.copy()
    moved[0, 3] += 36
    save(images / "img0001.nii.gz", image, moved)
    with pytest.raises(
        BadInput, match=r"2 voxels apart at the worst.*also: label0001.nii.gz: sform"
    ):
        library.add(tmp_path / "root", "set", MultiOrgan(tmp_path, {"btcv": images}, ["liver"]))


def test_a_labels_own_warning_is_said(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 1)
    apart(raw / "labelsTr" / "c0.nii.gz", arrays(0)[1])
    said: list[str] = []
    library.add(tmp_path, "set", NnUNetRaw(raw), say=said.append)
    assert said == ["case c0: c0.nii.gz: sform and qform lie 2 voxels apart; sform is used"]


def test_all_cases_bad_in_one_way_are_one_line(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 6)
    for case in range(6):
        save(raw / "labelsTr" / f"c{case}.nii.gz", np.full(SHAPE, 5, np.uint8))
    with pytest.raises(BadInput) as caught:
        library.add(tmp_path, "set", NnUNetRaw(raw))
    first, second = str(caught.value).splitlines()
    assert first.startswith("all 6 cases: the label has 1344 voxels with 5")
    assert second == "nothing was added: repair it"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three cases, of which c0 and c2 hold no HU."""
    raw = make(tmp_path / "raw", 3)
    for case in (0, 2):
        picture = np.random.default_rng(case).integers(0, 255, SHAPE).astype(np.int16)
        save(raw / "imagesTr" / f"c{case}_0000.nii.gz", picture)
    return raw


@pytest.mark.parametrize("words", [["c0,c2"], ["c0", "--force", "c2"], ["all"], [" c0 , c2,"]])
def test_force_takes_several_cases(
    tmp_path: Path, pictures: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(tmp_path / "root")]
    # the path comes last: a case is one word, and swallows no path
    assert main(["data", "add", "folder", *root, "--force", *words, str(pictures)]) == 0
    assert "next: bench run --method unet --dataset raw" in capsys.readouterr().out
    found = library.open_dataset(tmp_path / "root", "raw")
    assert [found.record(case)["forced"] for case in ("c0", "c1", "c2")] == [
        *[found.record("c0")["forced"], []],
        found.record("c2")["forced"],
    ]
    assert "hu_low" in found.record("c0")["forced"] and "hu_low" in found.record("c2")["forced"]


def test_one_forced_case_leaves_the_other_bad(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ["data", "add", "folder", str(pictures), "--root", str(tmp_path / "root")]
    assert main([*add, "--force", "c0"]) == 2
    told = capsys.readouterr().err
    assert "case c2" in told and "case c0" not in told and "CASE,CASE or all" in told
    assert main([*add, "--force", "c0,c7"]) == 2
    assert "--force names no case of this source: c7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("patients", "told"),
    [(1, "no row can be run on it"), (4, "4 folds, each tests one patient"), (6, "")],
)
def test_a_set_that_is_too_small_or_small_is_said_at_once(
    tmp_path: Path, patients: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = make(tmp_path / "raw", patients)
    assert main(["data", "add", "folder", str(raw), "--root", str(tmp_path / "root")]) == 0
    said = capsys.readouterr().err
    assert told in said and ("folds" in said) == (patients == 4)
