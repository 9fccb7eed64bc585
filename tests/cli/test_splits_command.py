"""Folds of one's own: `--split FILE`, `data add --folds N`, leave-one-out, `export splits`."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from bench_process import SMALL, bench, run_argv, setting_argv, tiny_workspace
from nnunet_files import make
from outside_masks import write_masks

from benchmark.data.feeding.folds import folds_of
from benchmark.data.feeding.splits import keep_split, read_split, split_of
from benchmark.data.library import DataSet, open_dataset, stored_dataset
from benchmark.errors import BadInput
from benchmark.running.cells import Cells, plan_cells
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Ledger
from benchmark.store.results import Results

NAMES = [f"p{number:02d}" for number in range(6)]
THREE = [NAMES[:1], NAMES[1:3], NAMES[3:]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    root = tiny_workspace(tmp_path_factory.mktemp("split"))
    dataset = open_dataset(root, "tiny")
    assert [case.name for case in dataset.cases] == NAMES
    return dataset


def nnunet_file(path: Path, tests: list[list[str]] = THREE) -> Path:
    folds = [{"train": [n for n in NAMES if n not in test], "val": test} for test in tests]
    path.write_text(json.dumps(folds))
    return path


def table_file(path: Path, tests: list[list[str]] = THREE) -> Path:
    lines = [f"{name},{fold}" for fold, test in enumerate(tests) for name in test]
    path.write_text("\n".join(["case,fold", *lines]) + "\n")
    return path


def test_both_forms_are_one_split(tiny: DataSet, tmp_path: Path) -> None:
    first = read_split(nnunet_file(tmp_path / "splits_final.json"), tiny)
    second = read_split(table_file(tmp_path / "mine.csv"), tiny)
    assert first == second and first.own and first.fingerprint != folds_of(tiny).fingerprint
    assert [list(fold.test) for fold in first.folds] == THREE
    for fold in first.folds:
        assert {*fold.train} == {*NAMES} - {*fold.test} and {*fold.validation} < {*fold.train}


def test_the_sets_own_folds_in_a_file_are_its_own(tiny: DataSet, tmp_path: Path) -> None:
    tests = [list(fold.test) for fold in folds_of(tiny).folds]
    assert read_split(nnunet_file(tmp_path / "s.json", tests), tiny) == folds_of(tiny)
    fewer = json.loads(nnunet_file(tmp_path / "s.json", tests).read_text())
    fewer[0]["train"].pop()  # the same patients are tested, but one less is trained on
    (tmp_path / "s.json").write_text(json.dumps(fewer))
    assert read_split(tmp_path / "s.json", tiny).own


def test_a_worker_makes_the_very_cell(tiny: DataSet, tmp_path: Path) -> None:
    split = read_split(table_file(tmp_path / "mine.csv"), tiny)
    keep_split(tiny, split)
    assert split_of(tiny, split.fingerprint) == split
    setting = resolve(load_registry(), "unet", "quick", SMALL)
    cells = plan_cells(setting, tiny, folds=range(3), seeds=[0], split=split)
    there = Cells(open=partial(stored_dataset, tiny.folder.parents[1]))
    assert [there.of(cell.name).entry("s") for cell in cells] == [cell.entry("s") for cell in cells]
    usual = plan_cells(setting, tiny, folds=[0], seeds=[0])[0]
    assert there.of(usual.name).entry("s") == usual.entry("s")
    assert usual.entry("s").key not in {cell.entry("s").key for cell in cells}


def test_run_and_suite_in_given_folds(tiny: DataSet, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny.folder.parents[1], tmp_path / "w"))
    file = nnunet_file(tmp_path / "splits_final.json")
    ran = bench(*run_argv(root, "unet", "--workers", "1", "--split", str(file), "--json"))
    assert ran.code == 0, ran.err
    assert ran.json["folds"] == [0, 1, 2] and ran.json["trained"] == 3
    entries, results = Ledger(root / "ledger").entries(), Results(root / "results", print)
    split = read_split(file, open_dataset(root, "tiny"))
    for entry in entries:
        tested = {row.case for row in results.rows(entry.key, entry.evaluation)}
        assert entry.own_split and entry.split == split.fingerprint
        assert tested == {*THREE[entry.fold]}
    out = tmp_path / "again.json"
    words = ("--dataset", "tiny", "--split", split.fingerprint[:8], "-o", str(out))
    assert bench("export", "splits", *words, "--root", str(root)).code == 0
    assert json.loads(out.read_text()) == json.loads(file.read_text())
    masks = write_masks(tmp_path / "masks", open_dataset(root, "tiny"), THREE[0])
    theirs = ("import", "predictions", str(masks), "--row", "theirs", "--fold", "0", "--json")
    brought = bench(*theirs, "--split", split.fingerprint[:8], "--root", str(root))
    assert brought.code == 0, brought.err
    assert (brought.json["split"], brought.json["own_split"]) == (split.fingerprint, True)
    other = bench(*theirs, "--root", str(root))
    assert (
        other.code == 2
        and "in other folds than these: say in which folds the masks were predicted, --split"
        in other.err
    )
    values = setting_argv(root)
    at = values.index("--dataset")
    suite = ("suite", "--rows", "unet", "--datasets", "tiny", "--workers", "1", "--json")
    shared = (*values[:at], *values[at + 2 :], "--mlflow", "none")
    first = bench(*suite, *shared, "--split", str(file))
    assert first.code == 0 and first.json["folds"] == [0, 1, 2] and first.json["trained"] == 0
    shown = bench(*(word for word in suite if word != "--json"), *shared).out
    assert f"over patients, split {split.fingerprint[:8]}" in shown
    assert bench(*suite, *shared).json["folds"] == [0, 1, 2]  # as the suite was planned
    written = {"rows": "unet", "datasets": "tiny", "split": str(file), "set": SMALL}
    (tmp_path / "suites.json").write_text(
        json.dumps({"split": written.pop("split"), "suites": {"filed": written}})
    )
    filed = ("--config", str(tmp_path / "suites.json"), "--root", str(root), "--mlflow", "none")
    found = bench("suite", *filed, "--threads", "1", "--workers", "1", "--json")
    assert found.code == 0 and found.json["folds"] == [0, 1, 2] and found.json["trained"] == 0
    experiment = {"method": "unet", "dataset": "tiny", "split": str(file), "set": SMALL}
    (tmp_path / "one.json").write_text(json.dumps(experiment))
    alone = ("--config", str(tmp_path / "one.json"), "--threads", "1", "--workers", "1")
    again = bench("run", *alone, "--root", str(root), "--mlflow", "none", "--json")
    assert again.code == 0 and again.json["folds"] == [0, 1, 2] and again.json["trained"] == 0
    made = bench("report", "--root", str(root), "--json", "--skip-hard-cases")
    assert made.code == 0 and not made.json["incomplete"]
    page = (root / "reports" / "main" / "index.html").read_text()
    assert "0, 1, 2 of 3" in page and "No row was run in fold" not in page


def test_a_case_without_a_fold_is_only_trained_on(tiny: DataSet, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("case,fold\np00,0\np01,\np02,\np03,\n")
    split = read_split(tmp_path / "one.csv", tiny)
    assert [(fold.train, fold.test) for fold in split.folds] == [(("p01", "p02", "p03"), ("p00",))]
    words = ("export", "splits", "--dataset", "tiny", "--root", str(tiny.folder.parents[1]))
    more = ("--for", "csv", "--split", str(tmp_path / "one.csv"), "-o", str(tmp_path / "a" / "b"))
    assert bench(*words, *more).code == 0
    assert read_split(tmp_path / "a" / "b" / "splits.csv", tiny) == split


def test_export_is_what_nnunet_reads(tiny: DataSet, tmp_path: Path) -> None:
    there = ("--dataset", "tiny", "--root", str(tiny.folder.parents[1]))
    ran = bench("export", "splits", "--for", "nnunet", *there, "-o", str(tmp_path))
    assert ran.code == 0, ran.err
    again = ("--split", str(tmp_path / "splits_final.json"), "-o", str(tmp_path))
    ran = bench("export", "splits", "--for", "nnunet", *there, *again)
    assert ran.code == 0 and "splits_final.json holds the own folds of tiny" in ran.err
    folds = json.loads((tmp_path / "splits_final.json").read_text())
    assert sorted(name for fold in folds for name in fold["val"]) == NAMES
    assert all(not {*fold["train"]} & {*fold["val"]} for fold in folds)
    assert read_split(tmp_path / "splits_final.json", tiny) == folds_of(tiny)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"train": ["p00"], "val": ["p00"]}]', "trains on p00 and tests the same"),
        ('[{"train": ["p00"], "val": ["who"]}]', "names who, which data set tiny has not"),
        ('[{"train": ["p00"]}]', "a fold has no list 'val'"),
        ('[{"train": [], "val": ["p00"]}]', "fold 0 has no training patients"),
        ("[]", "it is not a list of folds"),
        ("case,fold\np00,0\np00,1\n", "case p00 is there twice"),
        ("case,fold\np00,0\np01,2\n", "number them 0, 1, 2"),
        ("case,fold\np00,first\n", "in fold 'first'"),
        ("case,fold\np00,0\n", "a case with an empty fold is trained on"),
        ("case,fold\np00,\n", "number them 0, 1, 2"),
        ("name;part\na;0\n", "columns case and fold"),
        (
            '[{"train": ["p00"], "val": ["p01"]}, {"train": ["p00"], "val": ["p01"]}]',
            "tests p01 twice",
        ),
    ],
)
def test_what_is_no_split_is_said(tiny: DataSet, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(BadInput) as caught:
        read_split(tmp_path / "file", tiny)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_number_of_folds_of_a_set(tmp_path: Path) -> None:
    raw, root = make(tmp_path / "raw", 6), str(tmp_path / "w")
    add = ("data", "add", "folder", str(raw), "--root", root)
    ran = bench(*add, "--folds", "4", "--name", "four")
    assert ran.code == 0 and "4 folds" in ran.err
    assert bench(*add, "--name", "five").code == 0
    four, five = (open_dataset(Path(root), name) for name in ("four", "five"))
    assert [len(folds_of(one).folds) for one in (four, five)] == [4, 5]
    assert "folds" not in five.origin and four.origin["folds"] == 4
    assert bench(*add, "--folds", "7", "--name", "seven").code == 2
    other = bench(*add, "--folds", "3", "--name", "four")
    assert other.code == 2 and "another number of folds" in other.err
    assert bench(*add, "--folds", "5", "--name", "five").code == 0, "it has five already"


def test_few_patients_are_left_out_one_by_one(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path / "w", patients=3)
    folds = folds_of(open_dataset(root, "tiny")).folds
    assert [len(fold.test) for fold in folds] == [1, 1, 1]
    ran = bench(*run_argv(root, "unet", "--workers", "1", "--json"))
    assert ran.code == 0, ran.err
    assert ran.json["folds"] == [0, 1, 2]
    dsc = [
        line for line in ran.json["table"] if (line["metric"], line["organ"]) == ("dsc", "liver")
    ]
    assert dsc[0]["n"] == 3
