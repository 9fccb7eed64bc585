"""`bench import predictions`: masks of another tool as a row in every table; what is refused."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from bench_process import Ran, bench, tree
from outside_masks import write_masks
from planted_suite import plant, workspace

from benchmark.data.feeding.folds import Split, folds_of
from benchmark.data.library import DataSet, open_dataset
from benchmark.plan.keys import digest
from benchmark.running.bench import Bench
from benchmark.scoring.cases import score_case
from benchmark.store.ledger import Ledger
from benchmark.store.results import Results

FOLDS = range(5)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows of ours with two seeds, and the masks of another tool beside the workspace."""
    root = tmp_path_factory.mktemp("outside")
    made: Bench = workspace(root / "w")
    plant(made, {"unet": 0.10, "fsm": 0.05})
    dataset, split = opened(root)
    for fold in split.folds:
        write_masks(root / f"masks{fold.index}", dataset, fold.test)
    return root


@pytest.fixture
def root(planted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planted, tmp_path / "copy"))


def opened(root: Path) -> tuple[DataSet, Split]:
    dataset = open_dataset(root / "w", "tiny")
    return dataset, folds_of(dataset)


def bring(root: Path, fold: int, *more: str, folder: str = "", row: str = "other") -> Ran:
    where = str(root / (folder or f"masks{fold}"))
    words = ("import", "predictions", where, "--row", row, "--fold", str(fold))
    return bench(*words, "--root", str(root / "w"), "--source", "a tool, version 3", *more)


def all_in(root: Path) -> None:
    for fold in FOLDS:
        ran = bring(root, fold)
        assert ran.code == 0, ran.err
        assert f"other on tiny, fold {fold}: imported, 3 patients" in ran.out


def test_a_row_of_another_tool_stands_in_every_table(root: Path) -> None:
    all_in(root)
    there = ("--root", str(root / "w"))
    told = bring(root, 0).out.splitlines()
    words = next(x for x in told if "both rows' scores" in x).partition(": bench ")[2]
    shown = bench(*shlex.split(words), *there)
    assert shown.code == 0 and "other" in shown.out, shown.err
    assert any("bench report --suite scratch" in line for line in told)
    compared = bench("compare", "fsm", "other", *there, "--json")
    assert compared.code == 0, compared.err
    first = compared.json["comparisons"][0]
    assert (first["reference"], first["seeds"]) == ("other", 2)
    assert (ours := first["row"]).startswith("fsm[")  # its label: it was run with values
    both = {score["row"]: score["mean"] for score in first["scores"]}
    assert both[ours] - both["other"] == pytest.approx(first["mean"])
    assert f"{ours} {both[ours]:.2f} +- " in bench("compare", "fsm", "other", *there).out
    assert first["mean"] > 3 and any("a tool, version 3" in note for note in first["notes"])
    made = bench("report", *there, "--skip-hard-cases", "--json")
    assert made.code == 0, made.err
    assert "other" in {line["row"] for line in made.json["table"]} and not made.json["incomplete"]
    page = (root / "w" / "reports" / "default" / "report.md").read_text()
    assert "Rows of other tools" in page and "a tool, version 3" in page
    assert "fsm against other" in page and "other against" not in page
    assert "other on tiny, preset quick, test: 10 done" in bench("status", *there).out
    assert bench("store", "verify", *there).code == 0
    assert bench("store", "gc", *there, "--dry-run").out.startswith("would remove 0 objects and 0")


def test_its_scores_are_those_of_its_masks(root: Path) -> None:
    assert bring(root, 0).code == 0
    dataset, split = opened(root)
    results = Results(root / "w" / "results", print)
    (first, second) = [e for e in Ledger(root / "w" / "ledger").entries() if e.outside]
    assert (first.seed, second.seed, first.key) == (0, 1, second.key)
    assert (first.nodes, first.probes, first.outside) == ((), (), "a tool, version 3")
    maps = {
        case: sha256(results.labels(first.key, first.evaluation, case).tobytes()).hexdigest()
        for case in split.folds[0].test
    }
    content = [
        sorted((dataset.case(case).sha256, found) for case, found in maps.items()),
        dataset.fingerprint, split.fingerprint, 0, first.outside,
    ]  # fmt: skip
    assert first.key == digest({"outside": content})  # lasting: what is stored lies under it
    rows = results.rows(first.key, first.evaluation)
    for case in split.folds[0].test:
        volume, label = dataset.load(case), results.labels(first.key, first.evaluation, case)
        scores = score_case(
            volume.label, label, spacing_mm=volume.geometry.spacing_mm,
            organs=dataset.organs, annotated=volume.annotated,
        )  # fmt: skip
        own = [(row.organ, row.metric, row.state) for row in rows if row.case == case]
        assert own == [(score.organ, score.metric, score.state) for score in scores]
        dsc = [row.value for row in rows if (row.case, row.metric) == (case, "dsc")]
        assert all(80 < value < 97 for value in dsc)


def test_the_same_twice_and_other_masks(root: Path) -> None:
    assert bring(root, 0).code == 0
    before = tree(root / "w")
    again = bring(root, 0)
    assert again.code == 0 and "already there" in again.out
    assert tree(root / "w") == before
    dataset, split = opened(root)
    write_masks(root / "better", dataset, split.folds[0].test, share=0.01)
    refused = bring(root, 0, folder="better")
    assert refused.code == 2 and "--replace" in refused.err and "another --row" in refused.err
    assert tree(root / "w") == before
    assert "imported" in bring(root, 0, "--replace", folder="better").out
    assert "imported" in bring(root, 0, row="second").out
    mixed = bring(root, 1, "--source", "a second tool")
    assert mixed.code == 2 and "is of another source (a tool, version 3)" in mixed.err


def test_a_word_is_never_about_it(root: Path) -> None:
    all_in(root)
    ran = bench("compare", "other", "unet", "--root", str(root / "w"))
    assert ran.code == 2 and "bench compare unet other" in ran.err


def test_two_rows_of_other_tools_have_values_alone(root: Path) -> None:
    """Their 15 patients would do for a word, and between fsm and one of them there is one."""
    all_in(root)
    dataset, split = opened(root)
    for fold in split.folds:
        write_masks(root / f"good{fold.index}", dataset, fold.test, share=0.01)
        ran = bring(root, fold.index, folder=f"good{fold.index}", row="good")
        assert ran.code == 0, ran.err
    there = ("--root", str(root / "w"))
    found = bench("compare", "good", "other", *there, "--json").json["comparisons"][0]
    assert found["word"] == "values only" and found["mean"] > 1
    for row in ("good", "other"):
        assert any(note.startswith(f"{row}: a tool, version 3") for note in found["notes"])
    shown = bench("compare", "good", "other", *there).out
    assert "\n  values only: gain" in shown and "better:" not in shown, shown
    ours = bench("compare", "fsm", "other", *there, "--json").json["comparisons"][0]
    assert ours["word"] != "values only"


def test_it_is_scored_again_from_its_masks(root: Path) -> None:
    """As after a change of the scoring: the rows lie under another name than that of now."""
    assert bring(root, 0).code == 0
    ledger, results = Ledger(root / "w" / "ledger"), root / "w" / "results"
    for entry in [entry for entry in ledger.entries() if entry.outside]:
        ledger.write(replace(entry, evaluation="0123456789ab"))
    (results / entry.key / entry.evaluation).rename(results / entry.key / "0123456789ab")
    ran = bench("score", "other", "--root", str(root / "w"))
    assert ran.code == 0 and "scored again: 2 cells" in ran.out, ran.out
    assert {e.evaluation for e in ledger.entries() if e.outside} == {entry.evaluation}
    assert Results(results, print).intact(entry.key, entry.evaluation)


@pytest.mark.long
def test_mlflow_is_told(root: Path) -> None:
    assert bring(root, 0).code == 0
    uri = f"sqlite:///{root / 'there.db'}"
    ran = bench("sync", "--mlflow", uri, "--root", str(root / "w"))
    assert ran.code == 0, ran.err
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id], "params.method = 'other'")
    assert {run.data.params["source"] for run in runs} == {"a tool, version 3"}
    assert any("cv/dsc/liver" in run.data.metrics for run in runs)


def moved(root: Path, dataset: DataSet, split: Split) -> None:
    write_masks(root / "bad", dataset, split.folds[0].test, shift_mm=5.0)


def other_numbers(root: Path, dataset: DataSet, split: Split) -> None:
    write_masks(root / "bad", dataset, split.folds[0].test, numbers={1: 5, 2: 3, 3: 2})


def of_training(root: Path, dataset: DataSet, split: Split) -> None:
    write_masks(root / "bad", dataset, split.folds[0].test)
    write_masks(root / "bad", dataset, split.folds[0].train[:1])


def one_lacks(root: Path, dataset: DataSet, split: Split) -> None:
    write_masks(root / "bad", dataset, split.folds[0].test[1:])


def of_nobody(root: Path, dataset: DataSet, split: Split) -> None:
    folder = write_masks(root / "bad", dataset, split.folds[0].test)
    shutil.copy(next(folder.iterdir()), folder / "nobody.nii.gz")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (moved, "voxels apart"),
        (other_numbers, "voxels with 5"),
        (of_training, "is of a training patient of this fold"),
        (one_lacks, "there is no mask of this test patient"),
        (of_nobody, "is of no case of tiny"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    root: Path, make: Callable[[Path, DataSet, Split], None], told: str
) -> None:
    before = tree(root / "w")
    make(root, *opened(root))
    ran = bring(root, 0, folder="bad")
    assert ran.code == 2 and told in ran.err, ran.err
    assert "fold 0: " in ran.err and "nothing was imported" in ran.err
    assert tree(root / "w") == before


def test_numbers_of_another_tool_are_named_with_map(root: Path) -> None:
    other_numbers(root, *opened(root))
    names = "liver=5,left_kidney=3,right_kidney=2"
    ran = bring(root, 0, "--map", names, folder="bad")
    assert ran.code == 0, ran.err
    first = bring(root, 0, row="plain")
    assert first.out.split("DSC %")[1].split("\n")[0] == ran.out.split("DSC %")[1].split("\n")[0]


@pytest.mark.parametrize("name", ["fsm", "a[b]", "x@y"])
def test_a_name_that_is_ours_or_none(root: Path, name: str) -> None:
    ran = bring(root, 0, row=name)
    assert ran.code == 2 and "--row" in ran.err
