"""`bench compare`: what few patients allow, what a missing or mixed cell refuses."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_process import Ran, bench
from changed_preset import NEW, OLD
from planted_suite import SMALL, plant, workspace

from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.keys import digest
from benchmark.plan.presets import PRESETS
from benchmark.plan.suite import SuitePlan
from benchmark.store.ledger import SCRATCH, Entry, Ledger
from benchmark.store.plans import Plans
from benchmark.store.results import ResultRow, Results
from benchmark.store.workspace import open_workspace

METRICS = {"dsc": "percent", "assd_penalised": "mm"}


def key(row: str, fold: int, seed: int) -> str:
    return digest([row, fold, seed])


def planted(
    root: Path,
    *,
    patients: int,
    seeds: int = 3,
    preset: str = "paper",
    gain: float = 2.0,
    organs: tuple[str, ...] = ("liver",),
) -> Path:
    """A suite of unet and fsm, which is better by `gain` points and `gain` / 10 mm."""
    open_workspace(root)
    seed_numbers = tuple(range(seeds))
    plan = SuitePlan(
        rows=("unet", "fsm"), labels=("unet", "fsm"), splits={"planted": "s"},
        folds=tuple(range(5)), seeds=seed_numbers, preset=preset,
        analysis=AnalysisPlan(seeds=seed_numbers, datasets=("planted",)),
    )  # fmt: skip
    Plans(root / "ledger").record("main", plan, lambda whole: 0)
    for row, shift in (("unet", 0.0), ("fsm", gain)):
        for seed in seed_numbers:
            for fold in range(5):
                cell(root, row, fold, seed, range(fold, patients, 5), shift, preset, organs)
    return root


def cell(
    root: Path,
    row: str,
    fold: int,
    seed: int,
    cases: Any,
    shift: float,
    preset: str,
    organs: tuple[str, ...],
) -> Entry:
    entry = Entry(
        dataset="planted", row=row, label=row, preset=preset, overrides={}, fold=fold, seed=seed,
        part="test", key=key(row, fold, seed), evaluation="e",
        split="s", nodes=(), suite="main", state="done",
    )  # fmt: skip
    found = []
    for case in cases:
        noise = np.random.default_rng([case, seed, len(row)]).normal(0, 0.3)
        level = 80 + np.random.default_rng(case).normal(0, 4)
        for metric, value in (("dsc", level + shift + noise),
                              ("assd_penalised", 3 - shift / 10 - noise / 10)):  # fmt: skip
            found += [
                ResultRow(
                    key=entry.key, seed=seed, fold=fold, case=f"p{case:02d}", organ=organ,
                    state="overlap", metric=metric, value=float(value), unit=METRICS[metric],
                    n_voxels_true=9, code="c",
                )
                for organ in organs
            ]  # fmt: skip
    results = Results(root / "results", print)
    results.commit(entry.key, entry.evaluation, found, {})
    Ledger(root / "ledger").write(entry)
    return entry


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., Ran]:
    def run(*argv: str, **how: Any) -> Ran:
        root = tmp_path / "workspace"
        if how:
            planted(root, **how)
        return bench("compare", *(argv or ("fsm", "unet")), "--root", str(root))

    return run


def test_twenty_patients_get_a_word_and_a_p(compare: Callable[..., Ran]) -> None:
    ran = compare("fsm", "unet", "--json", patients=20)
    assert ran.code == 0, ran.err
    dsc, assd = ran.json["comparisons"]
    assert (dsc["word"], dsc["metric"], dsc["patients"], dsc["seeds"]) == ("better", "dsc", 20, 3)
    assert dsc["primary"]["low"] < 2.0 < dsc["primary"]["high"] and dsc["p"] < 0.001
    assert dsc["these_networks"]["sign_flip_p"] < 0.001 and dsc["nadeau_bengio"]
    assert assd["metric"] == "assd_penalised" and assd["mean"] == pytest.approx(0.2, abs=0.05)
    text = compare("fsm", "unet").out
    for part in ("better: gain +2", "95% interval", "these trained networks only: sign-flip p",
                 "Nadeau-Bengio", "20 patients, 3 seeds, 5 folds", "not corrected"):  # fmt: skip
        assert part in text, text
    back = compare("unet", "fsm", "--metric", "dsc", "--json").json["comparisons"]
    assert [each["word"] for each in back] == ["worse"]
    assert back[0]["mean"] == pytest.approx(-dsc["mean"])


@pytest.mark.parametrize("seeds", [3, 1])
def test_each_p_has_one_name_in_text_and_json(compare: Callable[..., Ran], seeds: int) -> None:
    """A gain near the margin, so that no p is 0; one seed has no p of the gain."""
    argv = ("fsm", "unet", "--metric", "dsc")
    ran = compare(*argv, "--json", patients=20, seeds=seeds, gain=0.85)
    (dsc,) = ran.json["comparisons"]
    text = compare(*argv).out
    found = {name: float(p) for name, p in re.findall(r"((?:[A-Za-z-]+ |, )p) (\d\.\d+)", text)}
    these = dsc["these_networks"]
    figures = {
        "equivalence p": dsc["equivalence"]["p"],
        "TOST p": these["ttost_p"],
        "sign-flip p": these["sign_flip_p"],
        "Wilcoxon p": these["wilcoxon_p"],
    } | ({", p": dsc["p"]} if seeds == 3 else {})
    assert found == {name: pytest.approx(p, abs=6e-5) for name, p in figures.items()}, text
    assert abs(found["equivalence p"] - found["TOST p"]) > 1e-3, "two figures, two names"


def test_one_is_no_plural_and_organs_have_commas(compare: Callable[..., Ran]) -> None:
    organs = ("left_kidney", "liver", "spleen")
    text = compare(patients=5, seeds=1, organs=organs).out
    assert "mean over left_kidney, liver, spleen; 5 patients, 1 seed, 5 folds;" in text
    assert "note: 1 seed: a look" in text
    text = compare(key("fsm", 0, 0), key("unet", 0, 0)).out
    assert "; 1 patient, 1 seed, 1 fold;" in text and "note: 1 patient: values only" in text
    assert not re.search(r"\b1 (patients|seeds)\b", text)


def test_six_patients_get_an_interval_and_no_p(compare: Callable[..., Ran]) -> None:
    dsc = compare("fsm", "unet", "--json", patients=6).json["comparisons"][0]
    assert dsc["primary"] and dsc["p"] is None
    assert dsc["these_networks"] == dict.fromkeys(("sign_flip_p", "wilcoxon_p", "ttost_p"))
    assert dsc["equivalence"]["p"] is None and dsc["equivalence"]["holds"] is False
    assert " p 0" not in compare().out


def test_fewer_than_six_get_values_only(compare: Callable[..., Ran]) -> None:
    """A fold of a set of 20 has four patients: two cells by key."""
    assert compare(patients=20).code == 0
    first, second = (key("fsm", 0, 0), key("unet", 0, 0))
    dsc = compare(first, second, "--json", "--metric", "dsc").json["comparisons"][0]
    assert (dsc["word"], dsc["patients"], dsc["primary"], dsc["p"]) == (
        "values only",
        4,
        None,
        None,
    )
    assert len(dsc["gains"]) == 4
    text = compare(first[:12], second).out
    assert "values only: mean gain +" in text and "interval +" not in text and " p 0" not in text


def test_demonstration_has_no_word(compare: Callable[..., Ran]) -> None:
    dsc = compare("fsm", "unet", "--json", patients=20, preset="quick").json["comparisons"][0]
    assert dsc["word"] == "demonstration"
    text = compare().out
    assert "demonstration: gain +2" in text and "no verdict" in text and "better:" not in text


def test_one_patient_is_named_with_where_the_word_is_explained(
    compare: Callable[..., Ran], tmp_path: Path
) -> None:
    assert "explain" not in compare(patients=20).out, "nobody moves the gain"
    results = Results(tmp_path / "workspace" / "results", print)
    for seed in range(3):
        of = key("fsm", 0, seed)
        found = [
            replace(row, value=row.value - 40) if (row.case, row.metric) == ("p00", "dsc") else row
            for row in results.rows(of, "e")
        ]
        shutil.rmtree(tmp_path / "workspace" / "results" / of)
        results.commit(of, "e", found, {})
    lines = compare().out.splitlines()
    assert any("one patient, p00, moves the gain by" in line for line in lines)
    assert lines.count("what a flag means, and what to do: bench explain one_patient") == 1


def test_missing_cell_is_never_a_smaller_n(compare: Callable[..., Ran], tmp_path: Path) -> None:
    assert compare(patients=20).code == 0
    shutil.rmtree(tmp_path / "workspace" / "results" / key("unet", 3, 1))
    ran = compare()
    assert ran.code == 1 and "gain" not in ran.out
    assert "INCOMPLETE: no result of unet on planted fold 3 seed 1 (lost)" in ran.out
    assert "bench suite --name main --rows unet,fsm --datasets planted --preset paper" in ran.out
    value = compare("fsm", "unet", "--json").json
    assert value["comparisons"] == [] and len(value["incomplete"]) == 1


def test_bad_names(compare: Callable[..., Ran]) -> None:
    assert compare(patients=20).code == 0
    bad = {
        ("fsm", "nope"): "it holds unet, fsm (bench methods lists all rows)",
        ("fsm", "unett"): "it holds unet, fsm; did you mean unet",
        ("fsm", "vid"): "run it with: bench suite --name main --rows unet,fsm,vid --datasets "
        "planted --preset paper --folds 0,1,2,3,4 --seeds 0,1,2\n",
        ("vid[xi=1]", "unet"): "bench suite --name main --rows 'unet,fsm,vid[xi=1]' --datasets",
        ("fsm", "abcdef123456"): "no row or key",
        ("fsm", "unet", "--metric", "hd"): "hd is not a tested metric",
        ("fsm", "unet", "--suite", "other"): "no suite 'other': there is main",
        ("fsm", "unet", "--dataset", "x"): "with --dataset x: its data sets are planted",
        (key("fsm", 0, 0), key("unet", 1, 0)): "tested on other patients",
    }
    for argv, said in bad.items():
        ran = compare(*argv)
        assert (ran.code, ran.out) == (2, "") and said in ran.err, ran
        assert len(ran.err.splitlines()) == 1


def loosen(root: Path) -> Ledger:
    """Copy the suite `main` to `loose`, which was never planned."""
    ledger = Ledger(root / "ledger")
    for entry in ledger.entries("main"):
        ledger.write(replace(entry, suite="loose"))
    return ledger


def test_rows_of_two_sets_say_what_to_run(compare: Callable[..., Ran], tmp_path: Path) -> None:
    assert compare(patients=20).code == 0
    ledger = loosen(tmp_path / "workspace")
    for entry in ledger.entries("loose"):
        if entry.row == "unet":
            ledger.write(replace(entry, row="vid", label="vid[xi=1]", dataset="other"))
    ran = compare("fsm", "vid", "--suite", "loose")
    assert (ran.code, ran.out) == (2, ""), ran
    assert "fsm was run on planted, vid was run on other; run it there with: " in ran.err
    assert (
        "bench run --method vid --dataset planted --preset paper --folds 0,1,2,3,4 --seeds 0,1,2 "
        "--set xi=1\n"
    ) in ran.err


def test_mixed_splits_are_refused(compare: Callable[..., Ran], tmp_path: Path) -> None:
    """In a planned suite, and among what `bench run` left."""
    assert compare(patients=20).code == 0
    ledger = Ledger(tmp_path / "workspace" / "ledger")
    other = replace(ledger.entries("main")[0], split="t")
    ledger.write(other)
    loosen(tmp_path / "workspace")
    for suite in ("main", "loose"):
        ran = compare("fsm", "unet", "--suite", suite)
        assert (ran.code, ran.out) == (2, ""), ran
        assert "mixes splits of data set planted, s and t" in ran.err, "both are named"


def test_a_row_on_another_split_is_no_hindrance(
    compare: Callable[..., Ran], tmp_path: Path
) -> None:
    """Two rows of one split are compared; a third, on another, with neither of them."""
    expected = compare("fsm", "unet", "--json", patients=20).json["comparisons"]
    ledger = loosen(tmp_path / "workspace")
    for entry in ledger.entries("loose"):
        if entry.row == "unet":
            third = {"row": "vid", "label": "vid", "split": "t", "own_split": True}
            ledger.write(replace(entry, **third))
    found = compare("fsm", "unet", "--json", "--suite", "loose").json
    assert [c["mean"] for c in found["comparisons"]] == [c["mean"] for c in expected]
    ran = compare("fsm", "vid", "--suite", "loose")
    assert (ran.code, ran.out) == (2, ""), ran
    assert "fsm with vid mixes splits of data set planted, s and t" in ran.err
    command = "--preset paper --split t --folds 0,1,2,3,4 --seeds 0,1,2\n"
    assert f"those of vid, too: bench run --method fsm --dataset planted {command}" in ran.err
    assert "--name" not in ran.err
    cells = (key("fsm", 0, 0), key("unet", 0, 0))
    assert compare(*cells, "--suite", "loose").code == 0, "unet's key is vid's too"


def test_a_row_on_two_splits_is_refused(compare: Callable[..., Ran], tmp_path: Path) -> None:
    """Every cell is there twice: none is taken for the other."""
    assert compare(patients=20).code == 0
    ledger = loosen(tmp_path / "workspace")
    for entry in ledger.entries("loose"):
        ledger.write(replace(entry, split="t", own_split=True))
    ran = compare("fsm", "unet", "--suite", "loose")
    assert (ran.code, ran.out) == (2, "") and "bench: fsm mixes splits of data set" in ran.err
    assert "choose one with --split s or --split t\n" in ran.err
    for split in ("s", "t"):
        chosen = compare("fsm", "unet", "--suite", "loose", "--split", split, "--json")
        assert chosen.code == 0 and chosen.json["comparisons"][0]["patients"] == 20


def test_a_suite_counts_the_values_of_its_plan(compare: Callable[..., Ran], tmp_path: Path) -> None:
    """A cell of another preset under the suite's name is none of it."""
    assert compare(patients=20).code == 0
    ledger = Ledger(tmp_path / "workspace" / "ledger")
    lost = ledger.entries("main")[0]
    (ledger.folder / "main" / f"{lost.name}.json").unlink()
    lite = {"preset": "lite", "preset_hash": PRESETS["lite"].hash}
    ledger.write(replace(lost, **lite, state="failed"))  # type: ignore[arg-type]
    status = bench("status", "--root", str(tmp_path / "workspace")).out
    assert "suite main: 29 of 30 cells done, 1 not run" in status


def test_an_own_split_beside_the_planned_one_changes_nothing(
    compare: Callable[..., Ran], tmp_path: Path
) -> None:
    expected = compare("fsm", "unet", "--json", patients=20).json
    ledger = Ledger(tmp_path / "workspace" / "ledger")
    for entry in ledger.entries("main"):
        ledger.write(replace(entry, split="t", own_split=True, key=digest([entry.key])))
    assert compare("fsm", "unet", "--json").json == expected


def test_two_presets_of_a_row_are_both_there(compare: Callable[..., Ran], tmp_path: Path) -> None:
    """What `bench run` left has no plan: none of its presets hides another."""
    expected = compare("fsm", "unet", "--json", patients=20).json["comparisons"]
    ledger = loosen(tmp_path / "workspace")
    for entry in ledger.entries("loose"):
        changes = {"preset": "quick", "preset_hash": PRESETS["quick"].hash}
        ledger.write(replace(entry, **changes))  # type: ignore[arg-type]
    ran = compare("fsm", "unet", "--suite", "loose")
    assert ran.code == 2 and "fsm was run with presets paper, quick" in ran.err
    argv = ("fsm", "unet", "--json", "--suite", "loose", "--preset", "paper")
    assert [c["mean"] for c in compare(*argv).json["comparisons"]] == [c["mean"] for c in expected]


def test_values_of_before_and_after_are_never_paired(
    compare: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`quick` without a hash, which has the first values; it changed between unet and fsm, and then
    nothing has the values of before any more."""
    assert compare(patients=20, preset="quick").code == 0
    ledger = loosen(tmp_path / "workspace")
    for entry in ledger.entries("loose"):
        if entry.row == "fsm":
            (tmp_path / "workspace/ledger/loose" / f"{entry.name}.json").unlink()
            ledger.write(replace(entry, preset="quick", preset_hash=NEW.hash))
    ran = compare("fsm", "unet", "--suite", "loose")
    assert (ran.code, ran.out) == (2, "") and "differ in their presets" in ran.err
    assert compare("unet", "unet", "--suite", "loose", "--preset", "quick").code == 2
    assert "preset quick-1, suite main" in compare("fsm", "unet", "--suite", "main").out
    monkeypatch.delitem(PRESETS, "quick-1")
    old = f"quick-{OLD.hash[:6]}"
    text = compare("fsm", "unet", "--suite", "main").out
    assert f"preset {old}" in text and "better:" not in text
    status = bench("status", "--root", str(tmp_path / "workspace")).out
    assert f"unet of suite loose on planted, preset {old}, test" in status
    assert "fsm of suite loose on planted, preset quick, test" in status
    assert "suite main: 30 of 30 cells done" in status


def test_the_suite_is_chosen_and_named(compare: Callable[..., Ran], tmp_path: Path) -> None:
    """`main`, else the one written to last."""
    assert "suite main" in compare(patients=20).err
    ledger = loosen(tmp_path / "workspace")
    ran = compare()
    assert "suite main (--suite chooses another: loose)" in ran.err and "suite main:" in ran.out
    shutil.rmtree(ledger.folder / "main")
    ran = compare()
    assert ran.code == 0 and ran.err.endswith("bench: suite loose\n"), ran.err
    for entry in ledger.entries("loose"):
        ledger.write(replace(entry, suite="a"))
    os.utime(next((ledger.folder / "loose").glob("*.json")), (2e9, 2e9))
    assert "suite loose (--suite chooses another: a)" in compare().err
    shutil.rmtree(ledger.folder)
    ran = compare()
    assert (ran.code, ran.out) == (2, "") and "nothing has been run in this workspace" in ran.err


def test_the_labels_and_other_epochs_are_told(tmp_path: Path) -> None:
    """One variant of each row: its values stand in its name, and that both differ is said."""
    made = workspace(tmp_path / "w")
    for row, epochs in (("no-noise", 4), ("unet", 10)):
        values = {**SMALL, "schedule.epochs": epochs}
        plant(made, {row: 0.1}, seeds=(0,), suite=SCRATCH, values=values)
    argv = ("compare", "no-noise", "unet", "--root", str(tmp_path / "w"), "--metric", "dsc")
    out = bench(*argv).out
    assert "schedule.epochs=4" in out.splitlines()[0].partition(" against ")[0]
    assert "schedule.epochs=10" in out.splitlines()[0].partition(" against ")[2]
    (note,) = (line for line in out.splitlines() if "trainings differ" in line)
    assert note.endswith("schedule.epochs is 4 in no-noise and 10 in unet")
    (found,) = bench(*argv, "--json").json["comparisons"]
    assert found["reference"].startswith("unet[") and "epochs=10" in found["reference"]
    plant(made, {"unet-200": 0.1}, seeds=(0,), suite=SCRATCH,
          values={**SMALL, "schedule.epochs": 10})  # fmt: skip
    same = bench("compare", "unet-200", "unet", "--root", str(tmp_path / "w")).out
    assert " against " in same and "trainings differ" not in same


def test_what_is_missing_outside_a_plan_has_its_command(
    compare: Callable[..., Ran], tmp_path: Path
) -> None:
    """With the row's own values; a row of another tool is imported, and never "not run"."""
    assert compare(patients=20).code == 0
    ledger = loosen(tmp_path / "workspace")
    for entry in ledger.entries("loose"):
        if entry.row == "unet":
            ledger.remove(entry)
            if entry.fold == 0:
                more = {"overrides": {"schedule.epochs": 4}, "label": "unet[schedule.epochs=4]"}
                ledger.write(replace(entry, **more))
                theirs = {"row": "theirs", "label": "theirs", "outside": "a tool, version 3"}
                ledger.write(replace(entry, **theirs))
    ran = compare("fsm", "unet", "--suite", "loose")
    assert ran.code == 1 and "(not run)" in ran.out
    assert (
        "fill it with: bench run --method unet --dataset planted --preset paper "
        "--folds 1,2,3,4 --seeds 0,1,2 --set schedule.epochs=4\n"
    ) in ran.out
    ran = compare("fsm", "theirs", "--suite", "loose")
    assert ran.code == 1 and "(not imported)" in ran.out and "not run" not in ran.out
    assert (
        "fill it with: bench import predictions DIR --row theirs --dataset planted --source "
        "'a tool, version 3' --suite loose --fold 1, and so for fold 2, 3, 4\n"
    ) in ran.out
    begun = {"fold": 7, "key": "0" * 20, "state": "started", "label": "unet[schedule.epochs=4]"}
    ledger.write(replace(entry, overrides={"schedule.epochs": 4}, **begun))
    assert (
        "go on with: bench run --method unet --dataset planted --preset paper --folds 7 --seeds 2 "
        "--set schedule.epochs=4\n"
    ) in bench("status", "--root", str(tmp_path / "workspace")).out
