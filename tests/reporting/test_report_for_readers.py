"""The report as a reader meets it: nothing empty, the answer first, each figure as data."""

from __future__ import annotations

import csv
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from bench_process import bench
from outside_masks import write_masks
from planted_suite import plant, workspace
from reported_suite import Reported, report

from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import open_dataset
from benchmark.plan.analysis import CONTROLS
from benchmark.reporting.heads import WORDS

KILOBYTES = 6 * 1000
HEAD = re.compile(r'<th scope="col">(?:<a href="#([^"]+)">)?([^<]+)')


def test_the_report_of_one_row_is_short_and_of_that_row(tmp_path: Path) -> None:
    plant(workspace(tmp_path / "w"), {"unet": 0.1}, seeds=(0,))
    ran = report(tmp_path / "w", tmp_path / "out")
    assert ran.code == 0, ran.err
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert len(text.encode()) < KILOBYTES
    shown = Reported(root=tmp_path / "w", out=tmp_path / "out", ran=ran)
    for said in (text, shown.text("index.html"), ran.out):
        assert "fsm" not in said.lower() and "not run" not in said
    assert "How well does unet[ct.levels=3," in text and "] on tiny: DSC 9" in ran.out
    assert "(mean over liver, left kidney and right kidney; 15 patients" in ran.out
    assert "bench run --method ROW --dataset tiny --preset quick --folds 0,1,2,3,4" in ran.out
    empty = [
        p.name for p in (tmp_path / "out").rglob("*.csv") if len(p.read_text().splitlines()) < 2
    ]
    assert not empty


@pytest.mark.usefixtures("no_figures")
def test_a_row_of_another_tool_stands_beside_ours_in_the_first_table(tmp_path: Path) -> None:
    root = tmp_path / "w"
    plant(workspace(root), {"unet": 0.1}, seeds=(0,))
    dataset = open_dataset(root, "tiny")
    for fold in folds_of(dataset).folds:
        masks = str(write_masks(tmp_path / f"masks{fold.index}", dataset, fold.test))
        words = ("import", "predictions", masks, "--row", "theirs", "--fold", str(fold.index))
        assert bench(*words, "--root", str(root), "--source", "a tool").code == 0
    assert report(root, tmp_path / "out", "--skip-hard-cases").code == 0
    with (tmp_path / "out/tables/tiny-quick-table1.csv").open(newline="") as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert rows["theirs"]["what it is"] == "a tool"
    assert rows["theirs"]["DSC gain over unet (95 %)"].startswith("-"), "worse by its masks"
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "fsm" not in page.lower() and page.index("unet against theirs") < page.index("<table")


def test_question_answer_picture_and_what_is_missing_come_first(reported: Reported) -> None:
    page = reported.text("index.html")
    places = [
        page.index(said)
        for said in (
            "Does a CT segmentation network learn more from ground-truth images",
            "fsm on tiny: demonstration",
            "would show a true difference to unet of",
            "A verdict needs 7 more rows; beside unet, fsm, fsm-constant here.",
            'alt="Forest plot, tiny, DSC: ',
            "<table",
        )
    ]
    assert places == sorted(places)
    (command,) = re.findall(r"<code>(bench suite [^<]*)</code>", page)
    words = shlex.split(command)
    asked = words[words.index("--rows") + 1].split(",")
    assert asked == [row for row in CONTROLS if row != "fsm-constant"]


def test_every_figure_has_its_numbers_beside_it(reported: Reported) -> None:
    figures = sorted((reported.out / "figures").glob("*.svg"))
    assert len(figures) == 8
    for path in figures:
        lines = list(csv.reader(path.with_suffix(".csv").read_text().splitlines()))
        assert len(lines) > 2 and {len(line) for line in lines} == {len(lines[0])}, path.name
    with (reported.out / "figures/tiny-quick-forest.csv").open(newline="") as file:
        forest = {(x["row"], x["metric"]): x for x in csv.DictReader(file)}
    assert {"target ceiling", "mean shape", "limit of detection"} <= {row for row, _ in forest}
    gain = forest["fsm", "dsc"]
    compared = reported.text("tables/tiny-quick-comparisons.csv")
    text = f"{float(gain['gain']):+.2f} ({float(gain['low']):+.2f} to {float(gain['high']):+.2f})"
    assert f"fsm against unet,dsc,{text}" in compared


def test_the_head_of_each_column_of_numbers_leads_to_what_it_means(reported: Reported) -> None:
    page = reported.text("index.html")
    there = set(re.findall(r'<dt id="([^"]+)">', page))
    found = HEAD.findall(page)
    assert len(found) > 100 and {place for place, _ in found if place} == there
    unexplained = {head for place, head in found if not place}
    texts = {"what it is", "claim", "metric", "what was found", "what", "value", "warning"}
    assert unexplained <= texts
    assert all(text.endswith(".") for text in WORDS.values())


def test_a_report_with_a_missing_cell_ends_well(tmp_path: Path) -> None:
    made = workspace(tmp_path / "w")
    plant(made, {"unet": 0.1, "unet-200": 0.1}, seeds=(0,), folds=(0, 1))
    (gone, *_) = made.ledger.entries()
    (made.root / "ledger" / gone.suite / f"{gone.name}.json").unlink()
    ran = report(made.root, tmp_path / "out", "--skip-hard-cases")
    assert ran.code == 0 and "INCOMPLETE: " in ran.out
    absent = (
        "No row was run in fold 2, 3, 4: their patients are in no number here. To fill it: bench"
    )
    assert absent in ran.out


@pytest.mark.usefixtures("no_figures")
def test_what_is_missing_has_its_whole_command(tmp_path: Path) -> None:
    """On a split of somebody's own, and for a row of another tool, too."""
    made = workspace(tmp_path / "w")
    plant(made, {"unet": 0.1, "unet-200": 0.1}, seeds=(0,), folds=(0, 1))
    for entry in made.ledger.entries():
        made.ledger.remove(entry)
        gone = entry.row == "unet" and entry.fold == 0
        theirs = {"row": "theirs", "label": "theirs", "outside": "a tool"} if gone else {}
        made.ledger.write(replace(entry, own_split=True, **theirs))
    out = report(made.root, tmp_path / "out", "--skip-hard-cases").out
    split = made.ledger.entries()[0].split[:8]
    assert f"bench run --method unet --dataset tiny --preset quick --split {split} " in out
    assert "bench import predictions DIR --row theirs --dataset tiny --source 'a tool' " in out
