"""`bench import nnunet`, on what nnU-Net itself left (tests/cli/nnunet_2d; the data are made again
by the script that trained it)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from bench_process import bench, tree
from nnunet_anchor import tiny
from nnunet_export import export

from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import open_dataset
from benchmark.data.readers.predictions import described_numbers, nnunet_folder
from benchmark.errors import BadInput
from benchmark.phantom.recipe import Phantom
from benchmark.store.results import Results

RECORDED = Path(__file__).parent / "nnunet_2d"
ORGANS = {"1": "liver", "2": "left_kidney", "3": "right_kidney"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the data set that nnU-Net was trained on."""
    folder = tmp_path_factory.mktemp("nnunet")
    volumes, folds = tiny()
    raw = export(folder / "Dataset715_Anchor", volumes.values(), Phantom.organs, folds)
    added = bench("data", "add", "folder", str(raw), "--root", str(folder / "w"))
    assert added.code == 0, added.err
    return folder / "w"


def bring(root: Path, folder: Path = RECORDED, *more: str) -> tuple[int, str, str]:
    words = ("import", "nnunet", str(folder), "--row", "nnunet-2d", "--root", str(root))
    ran = bench(*words, *more)
    return ran.code, ran.out, ran.err


def test_its_scores_are_those_that_nnunet_printed(root: Path) -> None:
    code, out, err = bring(root, RECORDED, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["dataset"], found["own_split"], found["suite"]) == ("anchor", False, "default")
    assert found["split"] == folds_of(open_dataset(root, "anchor")).fingerprint
    (fold,) = found["folds"]
    rows = Results(root / "results", print).rows(fold["key"], fold["evaluation"])
    ours = {(row.case, row.organ): row.value for row in rows if row.metric == "dsc"}
    theirs = {
        (case, ORGANS[number]): 100 * each["Dice"]
        for case, organs in json.loads((RECORDED / "scores.json").read_text()).items()
        for number, each in organs.items()
    }
    assert len(ours) == 6 and ours == pytest.approx(theirs, abs=1e-9)
    assert max(ours.values()) > 40


def test_it_is_in_the_report_with_its_source(root: Path) -> None:
    assert bring(root)[0] == 0
    ran = bench("report", "--root", str(root), "--json", "--skip-hard-cases")
    assert ran.code == 0, ran.err
    assert {line["row"] for line in ran.json["table"]} == {"nnunet-2d"}
    page = (root / "reports" / "default" / "report.md").read_text()
    assert "Rows of other tools" in page and "nnU-Net v2, nnunet_2d" in page


def with_splits(tmp_path: Path, change: str) -> Path:
    """The recorded folder with other splits beside it."""
    folder = Path(shutil.copytree(RECORDED, tmp_path / "changed"))
    folds = json.loads((folder / "splits_final.json").read_text())
    if change == "leak":
        folds[0]["train"].append(folds[0]["val"][0])
    if change == "other":  # two patients change places
        a, b = folds[0]["val"][0], folds[1]["val"][0]
        swap = {a: b, b: a}
        folds = [{p: [swap.get(n, n) for n in f[p]] for p in ("train", "val")} for f in folds]
    if change == "none":
        (folder / "splits_final.json").unlink()
        return folder
    (folder / "splits_final.json").write_text(json.dumps(folds))
    return folder


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("leak", "and tests the same"),
        ("other", "there is no mask of this test patient"),
        ("none", "has no splits_final.json"),
    ],
)
def test_splits_that_do_not_fit_are_refused(
    root: Path, tmp_path: Path, change: str, told: str
) -> None:
    before = tree(root)
    empty = Path(shutil.copytree(root / "data", tmp_path / "w" / "data")).parent
    (empty / "format").write_text("1\n")
    code, _, err = bring(empty, with_splits(tmp_path, change))
    assert code == 2 and told in err, err
    assert tree(root) == before and not (empty / "ledger").exists()


def test_no_folder_of_nnunet(tmp_path: Path) -> None:
    for folder, told in ((tmp_path / "no", "there is no folder"), (tmp_path, "no fold_K/valid")):
        with pytest.raises(BadInput, match=told):
            nnunet_folder(folder)


def test_what_numbers_mean(tmp_path: Path) -> None:
    """Regions are predicted by their order, not by the numbers that they are made of."""
    path = tmp_path / "dataset.json"
    labels = {"background": 0, "both kidneys": [2, 3], "Left Kidney": 3, "ignore": 4}
    path.write_text(json.dumps({"labels": labels, "regions_class_order": [1, 2]}))
    assert described_numbers(path).organ == {1: "both_kidneys", 2: "left_kidney"}
    path.write_text(json.dumps({"labels": {**labels, "both kidneys": 2}}))
    assert described_numbers(path).organ == {2: "both_kidneys", 3: "left_kidney"}
    path.write_text(json.dumps({"labels": labels}))
    with pytest.raises(BadInput, match="--map"):
        described_numbers(path)
