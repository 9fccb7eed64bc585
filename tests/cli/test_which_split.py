"""A row that was run in two splits of a set: every command takes `--split`, and says what to type;
`predict` finds rows as the tables call them."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bench_process import bench, run_argv, tiny_workspace

from benchmark.store.ledger import Entry, Ledger

NAMES = [f"p{number:02d}" for number in range(6)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fsm` and `unet` in the set's own folds and in those of a file, fold 0 of each."""
    root = tiny_workspace(tmp_path_factory.mktemp("two"))
    folds = [{"train": NAMES[:3], "val": NAMES[3:]}, {"train": NAMES[3:], "val": NAMES[:3]}]
    (root / "theirs.json").write_text(json.dumps(folds))
    for split in ([], ["--split", str(root / "theirs.json")]):
        for row in ("fsm", "unet"):
            argv = run_argv(root, "unet", "--folds", "0", "--workers", "1", *split)
            ran = bench(*(row if word == "unet" else word for word in argv))
            assert ran.code == 0, ran.err
    return root


def cells(root: Path, row: str = "unet") -> list[Entry]:
    """The cell in the set's own folds, then that of the file's."""
    found = [e for e in Ledger(root / "ledger").entries() if e.row == row]
    return sorted(found, key=lambda entry: entry.own_split)


@pytest.mark.parametrize("named", ["digits", "file"])
def test_export_takes_a_split(root: Path, tmp_path: Path, named: str) -> None:
    own, given = cells(root)
    words = ("export", "--method", "unet", "-o", str(tmp_path / "out"), "--root", str(root))
    ran = bench(*words)
    assert ran.code == 2, ran.out
    choice = " or ".join(f"--split {e.split[:8]}" for e in (own, given))
    assert f"2 splits ({own.split[:8]}, {given.split[:8]}): choose with {choice}" in ran.err
    text = given.split[:8] if named == "digits" else str(root / "theirs.json")
    ran = bench(*words, "--split", text)
    assert ran.code == 0, ran.err
    about = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert [cell["key"] for cell in about["cells"]] == [given.key]
    wrong = bench(*words[:4], str(tmp_path / "more"), *words[5:], "--split", "nosuch")
    assert wrong.code == 2 and "--split nosuch: no file, and no split of these results" in wrong.err


def image(folder: Path) -> Path:
    ct = np.random.default_rng(0).normal(0, 300, (16, 16, 6)).astype(np.float32)
    nib.save(nib.Nifti1Image(ct, np.diag([-5.0, -5.0, 5.0, 1.0])), folder / "ct.nii.gz")
    return folder / "ct.nii.gz"


def test_predict_takes_a_label_and_a_split(root: Path, tmp_path: Path) -> None:
    own, given = cells(root)
    words = ("predict", str(image(tmp_path)), "-o", str(tmp_path / "out.nii.gz"), "--json",
             "--overlay", "none", "--root", str(root), "--threads", "1", "--fold", "0")  # fmt: skip
    ran = bench(*words, "--method", "unet")
    assert ran.code == 2 and f"choose with --split {min(own.split, given.split)[:8]}" in ran.err
    for name in ("unet", given.label):  # the row's name, where one variant is there; its label
        for entry, text in ((own, own.split[:8]), (given, str(root / "theirs.json"))):
            ran = bench(*words, "--method", name, "--split", text)
            assert ran.code == 0 and ran.json["keys"] == [entry.key], ran.err
    ran = bench(*words, "--method", "unet[schedule.epochs=9]")
    assert ran.code == 2 and "trained are fsm[" in ran.err and f"{own.label} on tiny" in ran.err
    ran = bench(*words, "--method", "fsm-shuffled")
    assert ran.code == 2 and "was never trained in this workspace" in ran.err
    ran = bench(*words, "--method", "fms")
    assert ran.code == 2 and "no method 'fms'" in ran.err


def test_predict_says_which_variants_there_are(root: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(root, tmp_path / "w"))
    ran = bench(*run_argv(other, "unet", "--folds", "0", "--workers", "1", ct__width=3))
    assert ran.code == 0, ran.err
    labels = {e.label for e in Ledger(other / "ledger").entries() if e.row == "unet"}
    words = ("predict", str(image(tmp_path)), "-o", str(tmp_path / "out.nii.gz"), "--overlay",
             "none", "--root", str(other), "--threads", "1", "--fold", "0")  # fmt: skip
    ran = bench(*words, "--method", "unet")
    assert ran.code == 2 and "2 labels" in ran.err and all(label in ran.err for label in labels)
    third = next(label for label in labels if "ct.width=3" in label)
    assert bench(*words, "--method", third).code == 0


def test_rm_takes_a_split(root: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(root, tmp_path / "w"))
    own, given = cells(other)
    ran = bench("store", "rm", "unet", "--split", given.split[:8], "--root", str(other))
    assert ran.code == 0 and "removed 1 cell" in ran.out, ran.err
    assert [entry.key for entry in cells(other)] == [own.key]


def test_the_next_command_can_be_run_as_it_is_printed(root: Path) -> None:
    own, given = cells(root)
    again = {}
    titles = []
    for entry, split in ((own, ""), (given, str(root / "theirs.json"))):
        more = ("--split", split) if split else ()
        ran = bench(*run_argv(root, "unet", "--folds", "0", "--workers", "1", *more, "--json"))
        titles.append(bench(*run_argv(root, "unet", "--folds", "0", "--workers", "1", *more)).out)
        again[entry.split] = shlex.split(ran.json["shows"]["next"])
    assert "preset quick, folds: the set's own" in titles[0]
    assert f"preset quick, split {given.split[:8]}" in titles[1]
    for split, words in again.items():
        assert words[:2] == ["bench", "compare"] and split[:8] in words
        ran = bench(*words[1:])
        assert ran.code == 0, ran.err
        assert f"note: 1 of {5 if split == own.split else 2} folds hold patients" in ran.out
