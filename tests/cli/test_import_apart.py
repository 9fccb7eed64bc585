"""`bench import predictions --test-on SET`: another tool's masks of a test set kept apart."""

from __future__ import annotations

import json
import shlex
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bench_process import Ran, bench, run_argv, tiny_workspace, tree
from outside_masks import write_masks
from test_held_out import LiverAlone

from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import add, open_dataset
from benchmark.data.volume import to_canonical
from benchmark.scoring.cases import score_case
from benchmark.store.ledger import Entry, Ledger
from benchmark.store.results import Results

SOURCE = "a tool, version 3"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`unet` in two folds, tested on the set `other`, and another tool's masks of that set."""
    root = tmp_path_factory.mktemp("apart")
    tiny_workspace(root / "w")
    add(root / "w", "other", LiverAlone())
    ran = bench(*run_argv(root / "w", "unet", "--folds", "0,1", "--workers", "1",
                          "--test-on", "other"))  # fmt: skip
    assert ran.code == 0, ran.err
    for fold in (0, 1):
        write(root, f"masks{fold}", share=0.05 + fold / 10)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def write(root: Path, folder: str, *, share: float, numbers: Mapping[int, int] | None = None,
          shift_mm: float = 0.0) -> Path:  # fmt: skip
    """Masks of all patients of `other`; the tool finds no marker: it was not trained on any."""
    dataset = open_dataset(root / "w", "other")
    names = [case.name for case in dataset.cases]
    numbers = numbers or {1: 0, 2: 2}
    return write_masks(root / folder, dataset, names, share=share, numbers=numbers,
                       shift_mm=shift_mm)  # fmt: skip


def bring(root: Path, fold: int, *more: str, folder: str = "") -> Ran:
    where = str(root / (folder or f"masks{fold}"))
    words = ("import", "predictions", where, "--row", "theirs", "--fold", str(fold))
    there = ("--dataset", "tiny", "--test-on", "other", "--root", str(root / "w"))
    return bench(*words, *there, "--source", SOURCE, *more)


def cells(root: Path) -> list[Entry]:
    return [e for e in Ledger(root / "w" / "ledger").entries() if e.outside]


def looks(root: Path) -> int:
    return len((root / "w" / "looks" / "other.jsonl").read_text().splitlines())


def liver(root: Path, entries: list[Entry], metric: str) -> dict[str, float]:
    """Each patient's mean over the networks of the folds."""
    results = Results(root / "w" / "results", print)
    found: dict[str, list[float]] = {}
    for entry in entries:
        for row in results.rows(entry.key, entry.evaluation):
            assert row.organ == "liver"  # the one organ that both sets have
            if row.metric == metric:
                found.setdefault(row.case, []).append(row.value)
    return {case: statistics.fmean(values) for case, values in found.items()}


def test_it_is_compared_with_ours_there(root: Path) -> None:
    before = looks(root)
    first, second = bring(root, 0), bring(root, 1)
    assert first.code == second.code == 0, first.err + second.err
    assert "theirs on other, fold 0: imported, 3 patients, DSC % liver" in first.out
    assert "taken for those of other: 1 marker, 2 liver" in first.err
    assert looks(root) == before + 2 and f"looked at {before + 2} times" in second.err
    assert "bench report" not in second.out  # it leaves these cells out
    line = next(x for x in second.out.splitlines() if "both rows' scores" in x)
    words = shlex.split(line.partition(": bench ")[2])
    ran = bench(*words, "--root", str(root / "w"), "--json")
    assert ran.code == 0, ran.err
    entries = Ledger(root / "w" / "ledger").entries()
    ours = [e for e in entries if e.part == "on other" and e.row == "unet"]
    for found in ran.json["comparisons"]:
        a, b = (liver(root, one, found["metric"]) for one in (ours, cells(root)))
        sign = 1 if found["metric"] == "dsc" else -1
        assert found["gains"] == pytest.approx({case: sign * (a[case] - b[case]) for case in a})
        assert any(SOURCE in note for note in found["notes"])
    assert {(e.part, e.dataset, e.suite) for e in cells(root)} == {("on other", "tiny", "default")}
    turned = bench("compare", "theirs", "unet", "--test-on", "other", "--root", str(root / "w"))
    assert turned.code == 2 and "bench compare unet theirs --test-on other" in turned.err


def test_its_scores_are_those_of_its_masks(root: Path) -> None:
    assert bring(root, 0, "--json").json["test_on"] == "other"
    (entry,) = cells(root)
    dataset, results = open_dataset(root / "w", "other"), Results(root / "w" / "results", print)
    for case in dataset.cases:
        volume = dataset.load(case.name)
        label = results.labels(entry.key, entry.evaluation, case.name)
        file = nib.load(root / "masks0" / f"{case.name}.nii.gz")
        np.testing.assert_array_equal(label, to_canonical(file.dataobj, file.affine)[0])
        scores = score_case(
            volume.label, label, spacing_mm=volume.geometry.spacing_mm,
            organs=dataset.organs, annotated=("liver",),
        )  # fmt: skip
        rows = results.rows(entry.key, entry.evaluation)
        kept = [(r.metric, r.state, r.value) for r in rows if r.case == case.name]
        assert repr(kept) == repr([(s.metric, s.state, s.value) for s in scores])  # nan, too


def test_the_same_twice_and_other_masks(root: Path) -> None:
    assert bring(root, 0).code == 0
    first = cells(root)
    again = bring(root, 0)
    assert again.code == 0 and "already there" in again.out and cells(root) == first
    refused = bring(root, 0, folder="masks1")
    assert refused.code == 2 and "fold 0 of theirs on other holds other masks" in refused.err
    assert "imported" in bring(root, 0, "--replace", folder="masks1").out
    assert cells(root)[0].key != first[0].key
    mixed = bring(root, 1, "--source", "a second tool")
    assert mixed.code == 2 and "fold 0 of theirs on other is of another source" in mixed.err


def test_the_folds_masks_and_these_stand_apart(root: Path) -> None:
    """One name in both parts: each keeps its cells, and the folds' table has its own alone."""
    dataset = open_dataset(root / "w", "tiny")
    there = ("--root", str(root / "w"))
    ran = bench("compare", "unet", "theirs", "--test-on", "other", *there)
    assert ran.code == 2 and "no row or key 'theirs'" in ran.err
    split = folds_of(dataset)
    for fold in (0, 1):
        where = write_masks(root / f"test{fold}", dataset, split.folds[fold].test)
        words = ("import", "predictions", str(where), "--row", "theirs", "--fold", str(fold))
        ran = bench(*words, "--dataset", "tiny", "--source", SOURCE, *there)
        assert ran.code == 0, ran.err
    folds = cells(root)
    ran = bench("compare", "unet", "theirs", "--test-on", "other", *there)
    said, _, command = ran.err.strip().partition(" with: bench ")
    assert ran.code == 2 and "theirs has no scores on other: it comes from another tool" in said
    assert command.endswith("--test-on other --fold 0, and so for fold 1")
    for fold in (0, 1):
        typed = command.partition(", and so")[0].replace("--fold 0", f"--fold {fold}")
        words = [str(root / f"masks{fold}") if x == "DIR" else x for x in shlex.split(typed)]
        ran = bench(*words, *there)
        assert ran.code == 0, ran.err
        if fold == 0:
            lacks = bench("compare", "unet", "theirs", "--test-on", "other", *there)
            assert lacks.code == 1 and "--test-on other --fold 1\n" in lacks.out
    assert [e for e in cells(root) if e.part == "test"] == folds
    assert bench("compare", "unet", "theirs", "--test-on", "other", *there).code == 0
    assert bench("compare", "unet", "theirs", *there).code == 0
    made = bench("report", *there, "--json", "--skip-hard-cases")
    (dsc,) = (
        x for x in made.json["table"]
        if (x["row"], x["organ"], x["metric"]) == ("theirs", "liver", "dsc")
    )  # fmt: skip
    assert dsc["n"] == sum(len(split.folds[fold].test) for fold in (0, 1))


def test_what_reads_cells_reads_these(root: Path, tmp_path: Path) -> None:
    there, out = ("--root", str(root / "w")), tmp_path / "out"
    words = ("export", "--method", "theirs", "--test-on", "other", "-o", str(out))
    assert "bench import predictions, of other tools" in bench(*words, *there).err
    assert bring(root, 0).code == 0
    assert "theirs on tiny, preset quick, on other: 1 done" in bench("status", *there).out
    assert bench("store", "verify", *there).code == 0
    assert bench("store", "gc", *there, "--dry-run").out.startswith("would remove 0 objects and 0")
    ran = bench(*words, *there, "--json")
    assert ran.code == 0 and ran.json["cases"] == 3, ran.err
    assert ran.json["notes"] == ["fold 0 has no weights: another tool predicted it"]
    assert json.loads((out / "provenance.json").read_text())["trained_on"] == "tiny"
    shutil.rmtree(root / "w" / "results" / cells(root)[0].key)
    told = bench("status", *there).out
    assert "go on with: bench import predictions DIR --row theirs" in told
    assert f"--source {shlex.quote(SOURCE)} --test-on other --fold 0" in told


def test_it_is_scored_again_from_its_masks(root: Path) -> None:
    """As after a change of the scoring: the rows lie under another name than that of now."""
    assert bring(root, 0).code == 0
    ledger, results = Ledger(root / "w" / "ledger"), root / "w" / "results"
    (entry,) = cells(root)
    kept = Results(results, print).rows(entry.key, entry.evaluation)
    old = "0123456789ab"
    ledger.write(replace(entry, evaluation=old))
    (results / entry.key / entry.evaluation).rename(results / entry.key / old)
    seen = looks(root)
    ran = bench("score", "theirs", "--root", str(root / "w"), "--mlflow", "none")
    assert ran.code == 0 and "scored again: 1 cell" in ran.out, ran.out
    assert cells(root) == [entry] and looks(root) == seen
    assert repr(Results(results, print).rows(entry.key, entry.evaluation)) == repr(kept)  # or nan


@pytest.mark.parametrize("first", [39, 41])  # other patients; of the same names
def test_masks_of_a_set_that_is_another_now_are_not_scored(root: Path, first: int) -> None:
    assert bring(root, 0).code == 0
    before = cells(root)
    shutil.rmtree(root / "w" / "data" / "other")
    add(root / "w", "other", LiverAlone(first=first))
    ran = bench("score", "theirs", "--root", str(root / "w"), "--mlflow", "none")
    assert ran.code == 1 and "other is another set now than when these masks" in ran.out
    assert cells(root) == before


def test_mlflow_is_told(root: Path) -> None:
    uri = f"sqlite:///{root / 'there.db'}"
    assert bring(root, 0, "--mlflow", uri).code == 0
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    ids = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(ids, "params.method = 'theirs'")
    assert {run.data.tags["level"] for run in runs} == {"row apart", "fold apart"}
    assert {run.data.params["source"] for run in runs} == {SOURCE}
    assert {run.data.tags["tested_on"] for run in runs} == {"other"}
    assert any("apart/other/dsc/liver" in run.data.metrics for run in runs)
    assert not any(name.startswith(("cv/", "test/")) for run in runs for name in run.data.metrics)


def lacks_one(root: Path) -> None:
    next(write(root, "bad", share=0.1).iterdir()).unlink()


def of_training(root: Path) -> None:
    dataset = open_dataset(root / "w", "tiny")
    write(root, "bad", share=0.1)
    write_masks(root / "bad", dataset, [dataset.cases[0].name])


def moved(root: Path) -> None:
    write(root, "bad", share=0.1, shift_mm=5.0)


def unknown_number(root: Path) -> None:
    write(root, "bad", share=0.1, numbers={1: 0, 2: 5})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lacks_one, "there is no mask of this test patient"),
        (of_training, "is of no case of other"),
        (moved, "voxels apart"),
        (unknown_number, "voxels with 5"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    root: Path, make: Callable[[Path], None], told: str
) -> None:
    before = tree(root / "w")
    make(root)
    ran = bring(root, 0, folder="bad")
    assert ran.code == 2 and told in ran.err, ran.err
    assert "fold 0: " in ran.err and "nothing was imported" in ran.err
    assert tree(root / "w") == before


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--fold", "9"), "fold 9 is not there"),
        (("--test-on", "same"), "shares no patient"),
        (("--test-on", "tiny"), "shares no patient"),
        (("--suite", "mine"), "leave --suite out"),
    ],
)
def test_options_that_do_not_hold(root: Path, more: tuple[str, ...], told: str) -> None:
    add(root / "w", "same", LiverAlone(first=4))
    before = tree(root / "w")
    ran = bring(root, 0, *more)
    assert ran.code == 2 and told in ran.err, ran.err
    assert tree(root / "w") == before


def test_numbers_of_the_trained_set_are_named_with_map(root: Path) -> None:
    write(root, "theirs", share=0.05, numbers={1: 0, 2: 1})  # the liver is 1 in tiny, 2 in other
    odd = bring(root, 0, "--row", "odd", folder="theirs")
    assert odd.code == 0 and "holds marker, which tiny does not have: not scored" in odd.err
    ran = bring(root, 0, "--map", "liver=1", folder="theirs")
    assert ran.code == 0, ran.err
    plain = bring(root, 0, "--row", "plain")
    assert ran.out.split("DSC %")[1].split("\n")[0] == plain.out.split("DSC %")[1].split("\n")[0]
    assert "DSC % liver 0.0 " in odd.out
