"""The whole way of `bench run` on the tiny set: rows, label maps, ledger, table, JSON."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from bench_process import Ran, bench, finish, run_argv, spawn, tiny_workspace

from benchmark.analysis.ceilings import FLAGS
from benchmark.cli.session import stored
from benchmark.data.feeding.folds import subjects
from benchmark.data.library import open_dataset
from benchmark.plan.folds import fold_fingerprint, split
from benchmark.plan.ground import Ground
from benchmark.plan.presets import PRESETS, scale_ground
from benchmark.running.mlflow_runs import row_reports
from benchmark.store.ledger import Entry, Ledger

LINE = {"dataset", "row", "preset", "organ", "metric", "unit", "mean", "sd", "n", "n_missed"}
CONTRACT = {
    "table", "incomplete", "trained", "reused", "resumed", "ceilings",
    "flags", "folds", "seeds", "preset", "part", "verdict_possible", "shows",
}  # fmt: skip
ORGANS = ["liver", "left_kidney", "right_kidney"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """A workspace in which fsm was run on folds 0 and 1; nobody writes to it."""
    root = tiny_workspace(tmp_path_factory.mktemp("first"))
    return root, bench(*run_argv(root, "fsm", "--folds", "0,1", "--json"))


@pytest.fixture
def done(first: tuple[Path, Ran], tmp_path: Path) -> Path:
    """A copy of that workspace."""
    return Path(shutil.copytree(first[0], tmp_path / "moved"))


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: for tests that look at something else."""
    monkeypatch.setattr("benchmark.reporting.report.pictures_of", lambda chapter: {})


def entries(root: Path, stage: str = "") -> list[Entry]:
    """The cells of the rows themselves, or those of an earlier stage."""
    found = Ledger(root / "ledger").entries()
    return [entry for entry in found if entry.row.partition("@")[2] == stage]


def own_lines(ran: Ran) -> list[dict[str, Any]]:
    return [line for line in ran.json["table"] if "@" not in line["row"]]


def rows(root: Path, entry: Entry) -> list[dict[str, Any]]:
    file = root / "results" / entry.key / entry.evaluation / "rows.parquet"
    found: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return found


def test_json_is_the_contract(first: tuple[Path, Ran]) -> None:
    _, ran = first
    assert ran.code == 0
    value = ran.json
    assert set(value) == CONTRACT
    assert all(set(line) == LINE for line in value["table"])
    told = (value["folds"], value["seeds"], value["preset"], value["part"])
    assert told == ([0, 1], [0], "quick", "test") and value["verdict_possible"] is False
    assert (value["trained"], value["reused"]) == (6, 0)
    assert value["incomplete"] == value["resumed"] == []
    assert [x["organ"] for x in own_lines(ran) if x["metric"] == "dsc"] == [
        *ORGANS, "mean", "headline",
    ]  # fmt: skip
    assert {line["n"] for line in value["table"] if line["metric"] == "dsc"} == {3}
    assert {(line["dataset"], line["preset"]) for line in value["table"]} == {("tiny", "quick")}


def test_it_says_what_it_shows_right_below_the_table(first: tuple[Path, Ran], done: Path) -> None:
    _, ran = first
    shows = ran.json["shows"]
    assert (
        list(shows) == ["text", "next"] and " the loss's gradient in the middle of" in shows["text"]
    )
    terms = []
    for entry in entries(done):
        fsm = next(key for name, key, _ in entry.probes if name == "fsm")
        record = json.loads((done / "objects" / fsm / "record.json").read_text())
        terms.append(record["epochs"][-1]["terms"]["m"] / 0.3)
    assert "switched off" not in shows["text"]
    ends = dict.fromkeys(f"{term:.2f}" for term in (min(terms), max(terms)))
    assert f"M fell to {' to '.join(ends)} (" in shows["text"]
    lines = bench(*run_argv(done, "fsm", "--folds", "0,1")).out.splitlines()
    below = max(n for n, line in enumerate(lines) if line.startswith("└")) + 1
    again = shows["next"].replace(str(first[0]), str(done))
    assert lines[below : below + 2] == [f"this run shows: {shows['text']}", f"next: {again}"]


def test_the_next_command_is_run_as_it_is_printed(done: Path) -> None:
    def after(*argv: str) -> str:
        ran = bench(*argv, "--json")
        assert ran.code == 0, ran.err
        return str(ran.json["shows"]["next"])

    here = ("--mlflow", "none", "--threads", "1")
    asked = run_argv(done, "no-refine", "--folds", "0,1")
    suite = after(*asked)
    assert suite.startswith("bench suite --rows unet,no-refine --datasets tiny --folds 0,1 --set ")
    ran = bench(*shlex.split(suite)[1:], *here)
    assert ran.code == 0, ran.err
    compare = after(*asked)
    assert compare.startswith("bench compare 'no-refine[")
    ran = bench(*shlex.split(compare)[1:])
    assert ran.code == 0 and "no-refine" in ran.out, ran.err
    plain = after(*run_argv(done, "unet", "--folds", "0"))
    assert plain.startswith("bench run --method fsm --dataset tiny --folds 0 --set ")


def test_rows_have_the_schema_and_one_line_a_case_organ_and_metric(
    first: tuple[Path, Ran],
) -> None:
    root, _ = first
    folds = split(subjects(open_dataset(root, "tiny")))
    for entry in entries(root):
        found = rows(root, entry)
        assert list(found[0]) == [
            "key", "seed", "fold", "case", "organ", "state", "metric", "value", "unit",
            "n_voxels_true", "code",
        ]  # fmt: skip
        places = [(row["case"], row["organ"], row["metric"]) for row in found]
        assert len(places) == len(set(places))
        assert {row["case"] for row in found} == set(folds[entry.fold].test)
        assert {row["organ"] for row in found} == set(ORGANS)
        assert {(row["key"], row["fold"], row["seed"]) for row in found} == {
            (entry.key, entry.fold, 0)
        }


def test_label_maps_are_what_the_rows_say(first: tuple[Path, Ran]) -> None:
    root, _ = first
    dataset = open_dataset(root, "tiny")
    compared = 0
    for entry in entries(root):
        folder = root / "results" / entry.key / entry.evaluation
        labels = np.load(folder / "labels.npz")
        for row in rows(root, entry):
            truth = dataset.load(row["case"]).label
            predicted = labels[row["case"]]
            assert predicted.dtype == np.uint8 and predicted.shape == truth.shape
            number = ORGANS.index(row["organ"]) + 1
            a, b = truth == number, predicted == number
            assert row["n_voxels_true"] == a.sum()
            if row["metric"] == "dsc":
                compared += 1
                assert row["value"] == pytest.approx(200 * (a & b).sum() / (a.sum() + b.sum()))
    assert compared == 9  # 3 patients of 3 organs


def test_table_is_the_mean_of_the_rows(first: tuple[Path, Ran]) -> None:
    root, ran = first
    for metric in ("dsc", "assd", "nsd"):
        means: list[float | None] = []
        for organ in ORGANS:
            values = [
                row["value"]
                for entry in entries(root)
                for row in rows(root, entry)
                if (row["metric"], row["organ"]) == (metric, organ) and not math.isnan(row["value"])
            ]
            shown = {(x["metric"], x["organ"]): x["mean"] for x in own_lines(ran)}
            assert values or metric == "assd"  # which a missed organ does not have
            means.append(float(np.mean(values)) if values else None)
            assert shown[metric, organ] == pytest.approx(means[-1])
        for name, some in (("mean", means), ("headline", means[:2])):
            expected = (
                None if None in some else np.mean([mean for mean in some if mean is not None])
            )
            assert shown[metric, name] == pytest.approx(expected)


def test_ledger_names_every_training(first: tuple[Path, Ran]) -> None:
    root, _ = first
    for entry in entries(root):
        assert (entry.state, entry.row, entry.part) == ("done", "fsm", "test")
        assert len(entry.nodes) == 3 and entry.nodes[-1] == entry.key
        for key in entry.nodes:
            assert (root / "objects" / key / "record.json").is_file()


def test_second_run_in_a_moved_workspace_trains_nothing(
    first: tuple[Path, Ran], done: Path
) -> None:
    again = finish(spawn(*run_argv(done, "fsm", "--folds", "0,1", "--json")))
    assert again.code == 0
    assert (again.json["trained"], again.json["reused"]) == (0, 6)
    assert again.json["table"] == first[1].json["table"]
    # nothing in it says where it lay
    told = [
        path
        for path in first[0].rglob("*")
        if path.is_file() and str(first[0]).encode() in path.read_bytes()
    ]
    assert told == []


def test_text_output_has_numbers_and_names_the_preset(done: Path) -> None:
    ran = bench(*run_argv(done, "fsm", "--folds", "0,1"))
    assert ran.code == 0
    assert "preset quick" in ran.out and "trainings: 0 done now, 6 reused" in ran.out
    assert "for probes alone" not in ran.out, "nothing was trained"
    for organ in (*ORGANS, "mean", "headline"):
        assert organ in ran.out


def test_folds_subset_and_another_seed_train_only_what_is_new(done: Path) -> None:
    ran = bench(*run_argv(done, "fsm", "--folds", "1", "--seeds", "0,1", "--json"))
    assert (ran.json["trained"], ran.json["reused"]) == (3, 3)
    known = {(entry.fold, entry.seed) for entry in entries(done)}
    assert known == {(0, 0), (1, 0), (1, 1)}
    one_seed = bench(*run_argv(done, "fsm", "--folds", "1", "--json"))
    both, one = (
        {x["metric"]: x["mean"] for x in ran.json["table"] if x["organ"] == "liver"}
        for ran in (ran, one_seed)
    )
    assert both["dsc"] != one["dsc"], "the second seed is in the table"
    assert {x["n"] for x in ran.json["table"] if x["metric"] == "dsc"} == {1}, "seeds are averaged"
    # a seed moves no fold
    cases = {entry.seed: {r["case"] for r in rows(done, entry)} for entry in entries(done)[1:]}
    assert cases[0] == cases[1]


def test_two_labels_of_one_content_are_one_result(done: Path) -> None:
    bench(*run_argv(done, "fsm", "--folds", "0", noise=0))
    ran = bench(*run_argv(done, "no-noise", "--folds", "0", "--json"))
    assert (ran.json["trained"], ran.json["reused"]) == (0, 3)
    found = {entry.label.partition("[")[0]: entry.key for entry in entries(done) if entry.fold == 0}
    assert set(found) == {"fsm", "no-noise"}
    assert len(list((done / "results").glob(f"{found['no-noise']}/*/labels.npz"))) == 1


def test_one_value_written_in_two_ways_is_one_row(done: Path) -> None:
    bench(*run_argv(done, "unet", "--folds", "0", "--set", "schedule.epochs=1"))
    ran = bench(*run_argv(done, "unet", "--folds", "0", "--json", "--set", "schedule.epochs=1.0"))
    assert (ran.json["trained"], ran.json["reused"]) == (0, 1)
    assert len([entry for entry in entries(done) if entry.row == "unet"]) == 1


def test_before_stage_three_fsm_is_no_refine(first: tuple[Path, Ran], done: Path) -> None:
    refined = bench(*run_argv(done, "no-refine", "--folds", "0,1", "--json"))
    before = [
        {**line, "row": ""} for line in first[1].json["table"] if line["row"].endswith("@stage2")
    ]
    assert before == [{**line, "row": ""} for line in refined.json["table"]] != []
    for entry in entries(done, "stage2"):
        assert len(entry.nodes) == 2 and entry.label.endswith("]@stage2")


def test_probes_are_rows_by_key_and_flags_stand_in_the_table(first: tuple[Path, Ran]) -> None:
    root, _ = first
    for entry in entries(root):
        names = [name for name, _, _ in entry.probes]
        assert names == ["gap", "fsm", "gradients", "teacher", "student", "headroom"]
        keys = {name: key for name, key, _ in entry.probes}
        assert keys["gap"] == entry.nodes[1] and keys["student"] == entry.key
        for _, key, evaluation in entry.probes:
            file = root / "results" / key / evaluation / "rows.parquet"
            found = pq.read_table(file).to_pylist()
            assert found and {row["state"] for row in found} == {"probe"}
            assert {row["fold"] for row in found} == {entry.fold}
            assert all(math.isfinite(row["value"]) for row in found)
    flagged = [flag for entry in entries(root) for flag in entry.flags]
    assert any(flag.startswith("no_gt_gap") for flag in flagged), "6 steps teach no FSM anything"
    again = bench(*run_argv(root, "fsm", "--folds", "0,1"))
    assert "flag: fsm[" in again.out and "no_gt_gap" in again.out
    assert "headline: the mean over liver and left_kidney\n" in again.out
    assert again.out.count("NAME@stage2: the row before its later trainings") == 1
    status = bench("status", "--root", str(root))
    assert "no_gt_gap" in status.out
    for text in (first[1].err, again.out, status.out):
        (line,) = (x for x in text.splitlines() if "what a flag means" in x)
        argv = line.partition(": bench ")[2].split()
        assert argv[0] == "explain" and "no_gt_gap" in argv and bench(*argv).code == 0


def test_json_holds_every_flag_and_stderr_says_it(first: tuple[Path, Ran]) -> None:
    """What each cell was told is there, word for word, and a script's log warns too."""
    root, ran = first
    told = {(e.label, e.fold, e.seed, text) for e in entries(root) for text in e.flags}
    assert told == {
        (flag["row"], cell["fold"], cell["seed"], cell["text"])
        for flag in ran.json["flags"]
        for cell in flag["per_cell"]
        if flag["name"] not in FLAGS  # those of a table, which are stored nowhere
    }
    (gap,) = (flag for flag in ran.json["flags"] if flag["name"] == "no_gt_gap")
    figures = sorted(
        float(cell["text"].split("gap ")[1].split(" %")[0]) for cell in gap["per_cell"]
    )
    assert (gap["low"], gap["high"], gap["of"]) == (figures[0], figures[-1], 2)
    assert gap["cells"] == [[cell["fold"], cell["seed"]] for cell in gap["per_cell"]]
    text = bench(*run_argv(root, "fsm", "--folds", "0,1")).out
    warned = [line for line in text.splitlines() if line.startswith(("flag:", "preset quick:"))]
    assert warned and set(warned) <= set(ran.err.splitlines())
    assert any(gap["text"] in line for line in warned)
    assert any("no verdict" in line for line in warned)


def test_a_stored_workspace_shows_the_range_everywhere(done: Path, no_figures: None) -> None:
    """Flags are stored as texts, one a cell, as they were before there were ranges."""
    ledger, said = Ledger(done / "ledger"), "term_negligible: m pulls with {} % of the loss"
    for entry, figure in zip(entries(done), ("0.21", "-0.0"), strict=True):
        ledger.write(replace(entry, flags=(said.format(figure),)))
    whole = f"{said.format('0.0 to 0.21')} (in all 2 cells)"
    status = bench("status", "--root", str(done))
    assert f"  flag: {whole}" in status.out.splitlines()
    cells = bench("status", "--root", str(done), "--json").json["cells"]
    assert [flag for cell in cells for flag in cell["flags"]] == [
        said.format("0.21"), said.format("0.0"),
    ]  # fmt: skip
    assert bench("report", "--root", str(done), "--out", str(done / "report")).code in (0, 1)
    assert whole in (done / "report" / "tables" / "tiny-quick-flags.csv").read_text()
    known = stored(argparse.Namespace(root=done))
    ((row, children),) = row_reports(known, entries(done))
    assert row.flags == (whole,)
    assert [cell.flags for cell in children] == [(said.format(n),) for n in ("0.21", "0.0")]


def test_compare_says_how_to_run_the_row_that_is_missing(done: Path) -> None:
    ran = bench("compare", "fsm", "unet[ct.width=4]", "--root", str(done))
    assert (ran.code, ran.out) == (2, "")
    said, _, command = ran.err.strip().partition("; run it with: bench run ")
    assert said.endswith("in suite scratch: it holds fsm, fsm@stage2")
    plan = bench("plan", *command.split(), "--root", str(done), "--json")
    assert plan.code == 0, plan.err
    assert [(node["fold"], node["seed"]) for node in plan.json["nodes"]] == [(0, 0), (1, 0)]
    assert command.startswith("--method unet --dataset tiny --preset quick --folds 0,1 --seeds 0 ")
    assert "bench run" not in bench("compare", "fsm", "nosuchrow", "--root", str(done)).err


def test_no_refine_is_part_of_fsm(done: Path) -> None:
    ran = bench(*run_argv(done, "no-refine", "--folds", "0,1", "--json"))
    assert (ran.json["trained"], ran.json["reused"]) == (0, 4)
    fsm, other = ({e.key for e in entries(done) if e.row == row} for row in ("fsm", "no-refine"))
    assert not fsm & other, "it predicts with another network"


def test_fresh_trains_and_scores_again(done: Path) -> None:
    rows_file = next((done / "results").glob("*/*/rows.parquet"))
    before = {path.parent.name: path.stat().st_mtime_ns for path in done.glob("objects/*/r*.json")}
    scored = rows_file.stat().st_mtime_ns
    ran = bench(*run_argv(done, "fsm", "--folds", "0,1", "--json", "--fresh"))
    assert (ran.code, ran.json["trained"], ran.json["reused"]) == (0, 6, 0)
    after = {path.parent.name: path.stat().st_mtime_ns for path in done.glob("objects/*/r*.json")}
    assert before.keys() == after.keys() and not set(before.values()) & set(after.values())
    assert rows_file.stat().st_mtime_ns != scored


def test_inner_scores_validation_patients_and_never_the_test_fold(done: Path) -> None:
    ran = bench(*run_argv(done, "unet", "--folds", "0,1", "--json", "--inner"))
    folds = split(subjects(open_dataset(done, "tiny")))
    inner = [entry for entry in entries(done) if entry.part == "inner"]
    ground = replace(scale_ground(PRESETS["quick"], Ground()), size=None)
    assert ran.code == 0 and len(inner) == 2
    assert (ran.json["part"], ran.json["verdict_possible"]) == ("inner", False)
    for entry in inner:
        fold = folds[entry.fold]
        scored = {row["case"] for row in rows(done, entry)}
        assert scored == set(fold.validation)
        assert not scored & set(fold.test)
        record = json.loads((done / "objects" / entry.key / "record.json").read_text())
        sha256 = {case.name: case.sha256 for case in open_dataset(done, "tiny").cases}
        seen = {name: sha256[name] for name in set(fold.train) - set(fold.validation)}
        assert record["fold"] == fold_fingerprint(seen, tuple(ORGANS), ground)
    bench(*run_argv(done, "unet", "--folds", "0,1"))
    keys = {entry.part: entry.key for entry in entries(done) if entry.row == "unet"}
    assert keys["inner"] != keys["test"]


def test_stdout_of_a_process_is_json_alone(done: Path) -> None:
    ran = finish(spawn(*run_argv(done, "unet", "--folds", "2", "--json")))
    assert ran.code == 0 and ran.json["trained"] == 1
    assert "6 steps, key" in ran.err


def test_presets_never_share_a_line(done: Path) -> None:
    argv = run_argv(done, "unet", "--folds", "0", "--json")
    keys = {}
    for preset in ("quick", "paper"):
        ran = bench(
            *argv, "--preset", preset, "--set", "schedule.lr=0.001", "--set", "ct.norm=none",
            "--set", "ground.loss.ce=0", "--set", "ground.loss.squared=false",
            "--set", "ground.labels=majority",
        )  # fmt: skip
        assert {line["preset"] for line in ran.json["table"]} == {preset}
        assert ran.json["verdict_possible"] is False and "no verdict" in ran.err
        keys[preset] = ran.json["trained"]
    assert keys == {"quick": 1, "paper": 0}, "equal values are one training under two presets"
    kept = [entry.preset for entry in entries(done) if entry.row == "unet"]
    assert sorted(kept) == ["paper", "quick"]


def test_folds_with_values_of_their_own_are_one_row(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    for fold, levels in (("0", 2), ("1", 3), ("0", 3)):  # fold 0 is tuned anew
        argv = run_argv(root, "unet", "--folds", fold, "--tuned", "levels", ct__levels=levels)
        ran = bench(*argv)
        assert ran.code == 0 and "unet[tuned=levels]" in ran.out, ran.err
    table = bench("report", "--root", str(root), "--json").json["table"]
    assert {line["row"] for line in table} == {"unet[tuned=levels]"}
    assert {line["n"] for line in table if line["organ"] == "mean"} == {3}
    refused = bench(*run_argv(root, "unet", "--tuned", "a b"))
    assert refused.code == 2 and "--tuned" in refused.err
