"""The report of rows that `bench run` tried out on a set of one's own: what is compared with what,
under which names, over which organs; and nothing about a claim that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from planted_suite import SMALL, plant, workspace
from reported_suite import Reported, report

from benchmark.store.ledger import SCRATCH


def made(root: Path, rows: Mapping[str, int]) -> Reported:
    """The report of rows that were each run with so many epochs, in scratch."""
    bench = workspace(root / "w")
    for row, epochs in rows.items():
        values = {**SMALL, "schedule.epochs": epochs}
        plant(bench, {row: 0.1}, seeds=(0,), suite=SCRATCH, values=values)
    ran = report(root / "w", root / "out", "--skip-hard-cases")
    assert ran.code == 0, ran.err
    return Reported(root=root / "w", out=root / "out", ran=ran)


@pytest.mark.usefixtures("no_figures")
def test_the_one_variant_of_the_plain_row_is_what_rows_are_compared_with(tmp_path: Path) -> None:
    found = made(tmp_path, {"unet": 10, "no-noise": 4})
    said, page = found.ran.out, found.text("report.md")
    assert "was not run" not in said
    first = next(line for line in said.splitlines() if " against unet[schedule.epochs=10]" in line)
    assert first.startswith("no-noise[schedule.epochs=4]")
    assert "DSC gain over unet[schedule.epochs=10] (95 %)" in page
    assert said.index("against unet") < said.index("studies would show")


@pytest.mark.usefixtures("no_figures")
def test_without_a_plain_row_the_command_is_told(tmp_path: Path) -> None:
    said = made(tmp_path, {"unet-200": 4, "no-noise": 3}).ran.out
    assert "unet, which rows are compared with, was not run. To run it: bench run --method" in said


@pytest.mark.usefixtures("no_figures")
def test_a_row_of_one_epoch_is_never_called_by_its_plain_name(tmp_path: Path) -> None:
    alone = made(tmp_path / "alone", {"unet": 1})
    assert "How well does unet[" in alone.text("report.md")
    assert "schedule.epochs=1" in alone.ran.out.splitlines()[0]
    both = made(tmp_path / "both", {"unet": 1, "no-noise": 1}).ran.out
    assert "Every row that has the field was run with " in both and "schedule.epochs=1" in both


@pytest.mark.usefixtures("no_figures")
def test_who_tries_a_row_out_is_told_nothing_of_the_papers_sets(tmp_path: Path) -> None:
    found = made(tmp_path, {"unet": 2, "fsm": 2})
    assert "the claim on every set" not in found.ran.out + found.text("report.md")
    assert "fsm against unet" in found.text("report.md")


@pytest.mark.usefixtures("no_figures")
def test_each_number_says_over_which_organs_it_is_a_mean(tmp_path: Path) -> None:
    """On a set that is not the paper's, without its row: all organs first, and no mean twice."""
    found = made(tmp_path, {"unet": 2, "no-noise": 2})
    page = found.text("report.md")
    assert "DSC %, mean over liver, left kidney and right kidney" in page
    assert "DSC %, mean over liver and left kidney" not in page and "mean3" not in page
    whole = found.text("index.html")
    assert "Organ: left kidney" in whole and "Mean over liver and left kidney" in whole
    assert whole.count("<summary>Mean over liver, left kidney and right kidney") == 1
    assert "Organ: mean" not in whole and "Organ: headline" not in whole
