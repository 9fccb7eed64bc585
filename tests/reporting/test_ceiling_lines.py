"""Reference lines beside a table: of its very patients, or left out with a reason; and `at_target`:
ceilings, and what predictions score that never look at the CT."""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_process import SMALL, Ran, bench, flip, run_argv, setting_argv, tiny_workspace

from benchmark.analysis.ceiling_means import Mean, mean_lines
from benchmark.analysis.ceiling_sources import Scored
from benchmark.analysis.ceilings import (
    WHAT,
    WHAT_BLIND,
    Ceilings,
    ceiling_flags,
    ceilings_of,
    stored_scores,
)
from benchmark.cli.session import stored
from benchmark.data import ceilings as module
from benchmark.data.ceilings import Ceiling, case_ceilings
from benchmark.data.feeding.folds import folds_of, subjects
from benchmark.data.library import add, open_dataset
from benchmark.data.references import fold_references
from benchmark.plan.folds import split
from benchmark.running.bench import Bench
from benchmark.running.mlflow_runs import row_reports
from benchmark.store.ledger import Entry
from benchmark.testing import ORGANS, TinySource

MAJORITY = {"ground__size": 16, "ground__labels": "majority"}
GROUND = {name.replace("__", "."): value for name, value in MAJORITY.items()}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """A workspace in which unet was run on a grid of 16 pixels, folds 0 and 1; it stays so."""
    root = tiny_workspace(tmp_path_factory.mktemp("first"))
    return root, bench(*run_argv(root, "unet", "--folds", "0,1", "--json", **MAJORITY))


@pytest.fixture
def done(first: tuple[Path, Ran], tmp_path: Path) -> Path:
    return Path(shutil.copytree(first[0], tmp_path / "moved"))


def opened(root: Path) -> Bench:
    return stored(argparse.Namespace(root=root))


def found(root: Path, **changes: Any) -> Ceilings:
    known = opened(root)
    return ceilings_of(known, [replace(e, **changes) for e in known.ledger.entries()])


def entries(root: Path) -> list[Entry]:
    return opened(root).ledger.entries()


def test_they_are_means_over_the_patients_of_the_table(first: tuple[Path, Ran]) -> None:
    root, ran = first
    dataset = open_dataset(root, "tiny")
    folds = split(subjects(dataset))
    tested = [case_ceilings(dataset, name, 16) for k in (0, 1) for name in folds[k].test]
    shown = {line["organ"]: line for line in ran.json["ceilings"]}
    for organ in ORGANS:
        values = [(each[organ].majority, each[organ].area) for each in tested]
        mean = pytest.approx(np.mean(values, axis=0))
        assert (shown[organ]["target"], shown[organ]["grid"]) == mean
    for name, some in (("mean", ORGANS), ("headline", ORGANS[:2])):
        assert shown[name]["target"] == pytest.approx(np.mean([shown[o]["target"] for o in some]))
    table = {x["organ"]: x for x in ran.json["table"] if x["metric"] == "dsc"}
    assert list(shown) == list(table)
    for organ, line in shown.items():
        assert set(line) == {
            "dataset", "row", "preset", "organ", "target", "grid", "n", "mean_shape", "constant",
        }  # fmt: skip
        same = ("dataset", "row", "preset", "n")
        assert [line[name] for name in same] == [table[organ][name] for name in same]
        assert 50 < line["target"] < 100


def test_what_never_looks_at_the_ct_is_of_each_patients_own_fold(first: tuple[Path, Ran]) -> None:
    root, ran = first
    dataset = open_dataset(root, "tiny")
    tested = [
        each for fold in folds_of(dataset).folds[:2]
        for each in fold_references(dataset, fold, fold.test, 16).values()
    ]  # fmt: skip
    shown = {line["organ"]: line for line in ran.json["ceilings"]}
    for organ in ORGANS:
        values = [(each[organ].mean_shape, each[organ].constant) for each in tested]
        mean = pytest.approx(np.mean(values, axis=0))
        assert (shown[organ]["mean_shape"], shown[organ]["constant"]) == mean
    for name, some in (("mean", ORGANS), ("headline", ORGANS[:2])):
        means = [shown[organ]["mean_shape"] for organ in some]
        assert shown[name]["mean_shape"] == pytest.approx(np.mean(means))


def test_the_table_of_run_has_them_as_columns(done: Path) -> None:
    ran = bench(*run_argv(done, "unet", "--folds", "0,1", **MAJORITY))
    assert ran.code == 0, ran.err
    heading = next(x for x in ran.out.splitlines() if "target ceiling" in x)
    order = [heading.index(x) for x in ("DSC", "target c", "grid c", "mean s", "constant p")]
    assert order == sorted(order)
    lines = {x.organ: x for x in found(done).lines}
    for organ in (*ORGANS, "mean", "headline"):
        (line,) = (x for x in ran.out.splitlines() if f"│ {organ} " in x)
        cells = [cell.strip() for cell in line.split("│")]
        assert cells[3:7] == [f"{value:.1f}" for value in lines[organ].mean.values]
    assert ran.out.count(WHAT) == ran.out.count(WHAT_BLIND) == 1
    assert "measuring" not in ran.err, "they were kept by the first run"


def test_what_is_kept_is_not_measured_again(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ceilings", lambda *_: pytest.fail("it is kept"))
    assert found(done).lines and not found(done).why_not


def test_a_native_grid_has_100_without_the_data(done: Path) -> None:
    shutil.rmtree(done / "data")
    (cell, *_) = entries(done)
    got = ceilings_of(opened(done), [replace(cell, params={"ground.size": "null"})])
    assert {x.mean.values for x in got.lines} == {(100.0, 100.0, None, None)}
    assert got.why_not == (
        "no mean shape and constant predictor of tiny: the data set is not in the workspace",
    )


def test_an_old_cell_without_values_goes_by_its_training(done: Path) -> None:
    assert found(done, params={}).lines == found(done).lines
    shutil.rmtree(done / "objects")
    got = found(done, params={})
    assert got.lines == () and got.entries == tuple(replace(e, params={}) for e in entries(done))
    assert got.why_not == (
        f"no ceilings of {entries(done)[0].label}: its training grid is not stored",
    )


def why(root: Path, **changes: Any) -> str:
    got = found(root, **changes)
    assert got.lines == () and not any("at_target" in f for e in got.entries for f in e.flags)
    (text,) = got.why_not
    return text


def test_without_the_data_there_is_a_sentence_and_no_number(done: Path) -> None:
    shutil.rmtree(done / "data" / "tiny")
    assert why(done) == "no ceilings of tiny: the data set is not in the workspace"
    ran = bench(*["compare", "unet", "unet", "--root", str(done)])
    assert ran.code == 0 and ran.out.count("no ceilings of tiny: ") == 1, ran.err


def test_other_data_of_that_name_gives_no_number(done: Path) -> None:
    shutil.rmtree(done / "data" / "tiny")

    class Other(TinySource):
        fingerprint = "other"

        def volumes(self):  # type: ignore[no-untyped-def]
            yield from (replace(v, label=np.roll(v.label, 1, 2)) for v in super().volumes())

    add(done, "tiny", Other())
    other = "no ceilings of tiny: the data set in the workspace is not the one that was tested"
    assert why(done) == other


def test_of_a_split_of_ones_own_the_voxels_tell_other_data(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = found(done, own_split=True, split="mine")
    assert own.lines and {x.mean.constant for x in own.lines} == {None}
    assert own.why_not[0].endswith("the training patients of this split are not stored")
    real = module.ceilings

    def other(*args: Any) -> dict[str, Ceiling]:
        return {o: replace(c, n_voxels_true=c.n_voxels_true + 1) for o, c in real(*args).items()}

    shutil.rmtree(done / "data" / "tiny" / "ceilings")
    monkeypatch.setattr(module, "ceilings", other)
    assert "not the one that was tested" in why(done, own_split=True, split="mine")


def test_a_damaged_case_gives_no_number(done: Path) -> None:
    shutil.rmtree(done / "data" / "tiny" / "ceilings")
    for case in open_dataset(done, "tiny").cases:
        flip(done / "data" / "tiny" / "cases" / case.name / "label.npy")
    assert "damaged or missing; look with: bench data audit tiny" in why(done)


def test_what_is_not_measured_is_left_out_where_nothing_is_to_be_measured(done: Path) -> None:
    known, told = opened(done), []
    cells = known.ledger.entries()
    assert ceilings_of(known, cells, measuring=False).lines
    shutil.rmtree(done / "data" / "tiny" / "ceilings")
    got = ceilings_of(known, cells, measuring=False, say=told.append)
    assert not got.lines and got.why_not == ("no ceilings of tiny: they were not measured yet",)
    assert ceilings_of(known, cells, say=told.append).lines
    assert told == [
        "measuring the ceilings of 3 cases of tiny on the grid of 16 pixels, once",
        "measuring mean shape and constant predictor of 2 cases of tiny, fold 0, once",
        "measuring mean shape and constant predictor of 1 case of tiny, fold 1, once",
    ]


def test_a_plan_shows_them_over_the_whole_set(done: Path) -> None:
    shutil.rmtree(done / "data" / "tiny" / "ceilings")
    argv = ["plan", "--method", "unet", "--folds", "0"]
    ran = bench(*argv, *setting_argv(done, {**SMALL, **GROUND}))
    assert ran.code == 0, ran.err
    assert "measuring the ceilings of 6 cases of tiny on the grid of 16 pixels, once" in ran.err
    assert ran.err.count("measuring mean shape and constant predictor of ") == 5
    again = bench(*argv, *setting_argv(done, {**SMALL, **GROUND}), "--json")
    assert "measuring" not in again.err
    dataset = open_dataset(done, "tiny")
    each = [case_ceilings(dataset, case.name, 16) for case in dataset.cases]
    shown = {x["organ"]: x for x in again.json["ceilings"]}
    assert list(shown) == [*ORGANS, "mean", "headline"]
    for organ in ORGANS:
        assert shown[organ]["target"] == pytest.approx(np.mean([x[organ].majority for x in each]))
        assert shown[organ]["grid"] == pytest.approx(np.mean([x[organ].area for x in each]))
        assert shown[organ]["n"] == 6
    line = next(x for x in ran.out.splitlines() if x.startswith("target and grid ceiling"))
    assert f"liver {shown['liver']['target']:.1f} and {shown['liver']['grid']:.1f}, " in line
    assert line.endswith("(6 patients of tiny)")
    line = next(x for x in ran.out.splitlines() if x.startswith("mean shape and constant pred"))
    assert f"liver {shown['liver']['mean_shape']:.1f} and {shown['liver']['constant']:.1f}" in line


def test_a_plan_on_the_native_grid_has_100(done: Path) -> None:
    ran = bench("plan", "--method", "unet", "--folds", "0", *setting_argv(done), "--json")
    found = {(x["target"], x["grid"], x["n"]) for x in ran.json["ceilings"]}
    assert found == {(100.0, 100.0, 6)}


def test_compare_prints_them_over_the_organs_of_its_endpoint(done: Path) -> None:
    ran = bench("compare", "unet", "unet", "--root", str(done))
    means = {x.organ: x.mean for x in found(done).lines}
    of = {organ: f"{x.target:.1f} and {x.grid:.1f}" for organ, x in means.items()}
    organs = ("left_kidney", "liver", "right_kidney", "mean")
    line = "target and grid ceiling, DSC in percent: " + ", ".join(f"{o} {of[o]}" for o in organs)
    assert line in ran.out.splitlines() and ran.out.count(WHAT) == 1, ran.out
    of = {organ: f"{x.mean_shape:.1f} and {x.constant:.1f}" for organ, x in means.items()}
    line = line.replace("target and grid ceiling", "mean shape and constant predictor")
    line = line.split(": ")[0] + ": " + ", ".join(f"{o} {of[o]}" for o in organs)
    assert line in ran.out.splitlines() and ran.out.count(WHAT_BLIND) == 1, ran.out
    shown = bench("compare", "unet", "unet", "--root", str(done), "--json").json
    assert [x["organ"] for x in shown["ceilings"]] == [*ORGANS, "mean", "headline"]
    assert shown["at_target"] == []


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.reporting.report.pictures_of", lambda chapter: {})


def csv_rows(out: Path, sheet: str) -> dict[str, dict[str, str]]:
    with (out / "tables" / f"tiny-quick-{sheet}.csv").open(newline="") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def test_the_report_has_them_as_rows_of_its_tables(done: Path, no_figures: None) -> None:
    out = done / "report"
    ran = bench("report", "--root", str(done), "--out", str(out), "--json")
    assert ran.code == 0, ran.err
    of = {x.organ: [f"{value:.1f}" for value in x.mean.values] for x in found(done).lines}
    names = ("target ceiling", "grid ceiling", "mean shape", "constant predictor")
    for place, name in enumerate(names):
        table1 = csv_rows(out, "table1")[name]
        assert list(csv_rows(out, "table1"))[place] == name
        assert table1["DSC %, mean over liver, left kidney and right kidney"] == of["mean"][place]
        assert table1["ASSD mm"] == "-" and "DSC %, right kidney" not in table1
        for organ in (*ORGANS, "mean", "headline"):
            row = csv_rows(out, f"organ-{organ.replace('_', '-')}")[name]
            assert (row["dsc %"], row["assd mm"]) == (of[organ][place], "-")
    page = (out / "index.html").read_text()
    assert page.count("Target ceiling: the DSC of a perfect copy") == 1, "said once, not by organ"
    assert page.count("Mean shape: the DSC of the training patients") == 1
    assert "What size of difference" not in page, "a table of one row compares nothing"
    shown = {x["organ"]: x["target"] for x in ran.json["ceilings"]}
    assert list(shown) == [*ORGANS, "mean", "headline"]
    shutil.rmtree(done / "data" / "tiny")
    assert bench("report", "--root", str(done), "--out", str(out)).code == 0
    assert "target ceiling" not in csv_rows(out, "table1")
    assert "No ceilings of tiny: the data set is not in" in (out / "index.html").read_text()


def test_the_report_flags_a_row_at_its_target(
    done: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(done / "data" / "tiny" / "ceilings")
    real = module.ceilings

    def low(*args: Any) -> dict[str, Ceiling]:
        return {o: replace(c, majority=-1.0) for o, c in real(*args).items()}

    monkeypatch.setattr(module, "ceilings", low)
    assert bench("report", "--root", str(done), "--out", str(done / "report")).code == 0
    flags = (done / "report" / "tables" / "tiny-quick-flags.csv").read_text()
    assert "at_target: liver " in flags and "(in all 2 cells)" in flags
    page = (done / "report" / "index.html").read_text()
    assert re.search(r"Flagged at_target: unet\[[^;]+\]; not_learned: unet\[[^;]+\] \(see F", page)


def test_mlflow_is_told_of_what_is_kept(done: Path) -> None:
    known = opened(done)

    def told() -> dict[str, float]:
        ((row, _),) = row_reports(known, known.ledger.entries())
        return {n: v for n, v in row.metrics.items() if n.startswith("reference/")}

    means = {x.organ: x.mean for x in found(done).lines if x.organ != "mean3"}
    assert told() == {
        f"reference/{name}/{organ}": value
        for organ, mean in means.items()
        for name, value in zip(
            ("target_ceiling", "grid_ceiling", "mean_shape", "constant_predictor"),
            mean.values,
            strict=True,
        )
    }
    shutil.rmtree(done / "data" / "tiny" / "ceilings")
    assert told() == {}, "the mirror measures nothing"


def scores(*values: float) -> list[Scored]:
    return [Scored(case=f"p{n}", organ="liver", value=value) for n, value in enumerate(values)]


ONE = Ceiling(majority=97.0, area=99.6, n_voxels_true=9)


@pytest.mark.parametrize(
    ("value", "labels", "text"),
    [
        (96.5, "majority", "liver 0.5 points under"),
        (96.49, "majority", ""),
        (97.2, "majority", "liver 0.2 points above"),
        (97.2, "area", ""),
        (99.3, "area", "liver 0.3 points under"),
    ],
)
def test_the_flag_is_raised_within_half_a_point(value: float, labels: str, text: str) -> None:
    pairs = [(score, ONE) for score in scores(value - 1, value + 1)]  # the mean over patients
    told = ceiling_flags(pairs, labels)
    whole = f"at_target: {text} what a perfect copy of the training target scores"
    assert told == ((whole,) if text else ())
    assert ceiling_flags([], labels) == ()


@pytest.mark.parametrize(
    ("value", "constant", "text"),
    [(9.9, 10.0, "0.1"), (10.0, 10.0, ""), (5.0, 30.0, "25.0"), (0.0, None, "")],
)
def test_an_organ_under_one_mask_for_all_is_not_learned(
    value: float, constant: float | None, text: str
) -> None:
    pairs = [(x, replace(ONE, constant=constant)) for x in scores(value, value)]
    what = f"not_learned: liver {text} points under what one mask for all patients scores, which"
    assert [flag[: len(what)] for flag in ceiling_flags(pairs, "area")] == ([what] if text else [])


def test_flags_stand_in_run_and_its_json(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that learned nothing is far from the target; a target of 1 % is soon reached."""
    argv = run_argv(done, "unet", "--folds", "0,1", **MAJORITY)
    assert "at_target" not in bench(*argv).out
    shutil.rmtree(done / "data" / "tiny" / "ceilings")
    real = module.ceilings

    def low(*args: Any) -> dict[str, Ceiling]:
        return {o: replace(c, majority=-1.0) for o, c in real(*args).items()}

    monkeypatch.setattr(module, "ceilings", low)
    ran = bench(*argv)
    assert "at_target: liver " in ran.out and "bench explain at_target" in ran.out
    flags = bench(*argv, "--json").json["flags"]
    (liver,) = (f for f in flags if f["text"].startswith("at_target: liver"))
    assert (liver["name"], liver["of"], len(liver["per_cell"])) == ("at_target", 2, 2)
    told = bench("compare", "unet", "unet", "--root", str(done))
    assert f"flag: {liver['row']}: {liver['text']} (in all 2 cells)" in told.out.splitlines()
    shown = bench("compare", "unet", "unet", "--root", str(done), "--json").json
    assert {x["name"] for x in shown["at_target"]} == {"at_target"}
    assert {x["name"] for x in shown["not_learned"]} == {"not_learned"}, "two steps teach nothing"
    assert {x["dataset"] for x in (*shown["at_target"], *shown["not_learned"])} == {"tiny"}
    assert all("at_target" not in f for e in entries(done) for f in e.flags), "nothing is stored"


def test_means_are_those_of_a_table() -> None:
    """Over patients, then over organs: an organ of one patient counts as much as another."""
    values = {
        ("p0", "liver"): Ceiling(majority=90, area=98, n_voxels_true=1),
        ("p1", "liver"): Ceiling(majority=80, area=96, n_voxels_true=1),
        ("p0", "left_kidney"): Ceiling(majority=60, area=91, n_voxels_true=1),
    }
    got = mean_lines(values, "majority")
    assert got == {
        "liver": (85, 97, 2, None, None), "left_kidney": (60, 91, 1, None, None),
        "mean": (72.5, 94, 2, None, None), "headline": (72.5, 94, 2, None, None),
    }  # fmt: skip
    assert mean_lines(values, "area")["liver"] == Mean(target=97, grid=97, n=2)
    values["p1", "liver"] = replace(values["p1", "liver"], mean_shape=50.0, constant=40.0)
    values["p0", "liver"] = replace(values["p0", "liver"], mean_shape=70.0, constant=50.0)
    got = mean_lines(values, "majority")
    assert got["liver"].values[2:] == (60, 45) and got["mean"].values[2:] == (None, None)


def test_scores_are_the_defined_dsc(first: tuple[Path, Ran]) -> None:
    known = opened(first[0])
    (cell, *_) = known.ledger.entries()
    got = stored_scores(known, cell)
    assert {x.organ for x in got} == set(ORGANS) and all(x.n_voxels_true for x in got)
    json.dumps([x.value for x in got], allow_nan=False)
