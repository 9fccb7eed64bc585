"""A plan with a subject of its own, as the study's spikes have: nothing of the paper's is asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from planted_suite import plant, workspace
from reported_suite import report

from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.suite import SuitePlan
from benchmark.running.bench import Bench
from benchmark.store.ledger import Entry

ROWS = {"unet": 0.2, "unet-200": 0.2, "spike-25": 0.1, "spike-100": 0.02}
STUDY: dict[str, Any] = {
    "competitors": (), "ablations": (), "presets": ("study",), "datasets": ("tiny",)
}  # fmt: skip


def planned(bench: Bench, suite: str, rows: Iterable[Entry], analysis: AnalysisPlan) -> None:
    """Write down what was planted as planned before."""
    entries = list(rows)
    labels = tuple(dict.fromkeys(entry.label for entry in entries))
    plan = SuitePlan(
        rows=labels, labels=labels, splits={"tiny": entries[0].split}, folds=(0, 1, 2, 3, 4),
        seeds=(0,), preset="study", analysis=analysis,
    )  # fmt: skip
    bench.plans.record(suite, plan, lambda plan: 0)


def page_of(bench: Bench, suite: str, out: Path) -> tuple[str, str]:
    """What `bench report` prints, and its page."""
    ran = report(bench.root, out, "--skip-hard-cases", "--suite", suite)
    assert ran.code == 0, ran.err
    return ran.out, (out / "report.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_figures")
def test_the_page_asks_about_its_own_subject_and_controls(tmp_path: Path) -> None:
    bench = workspace(tmp_path / "w")
    entries = plant(bench, ROWS, preset="study", seeds=(0,), suite="spikes", values={})
    controls = ("unet", "unet-200")
    analysis = AnalysisPlan(subject="spike-100", controls=controls, asks_gap=False, **STUDY)
    planned(bench, "spikes", entries, analysis)
    out, page = page_of(bench, "spikes", tmp_path / "report")
    assert "spike-100 on tiny: supported (look)." in out
    assert "Is spike-100 better than each of unet and unet-200?" in page
    table = page.partition("### Scores")[2].partition("###")[0]
    assert all(f"| {row} |" in table for row in ROWS) and "paper" not in table
    for words in ("ground-truth images", "Claims ledger", "Claims over", "### Ablation", "bottlen"):
        assert words not in page, words
    assert "### Controls" in page and "on every set" not in out + page


@pytest.mark.usefixtures("no_figures")
def test_the_papers_row_may_have_a_value_of_its_own(tmp_path: Path) -> None:
    bench = workspace(tmp_path / "w")
    kind: dict[str, Any] = {"preset": "study", "seeds": (0,), "suite": "few"}
    entries = plant(bench, {"unet": 0.2, "refine-gt": 0.2, "spike-25": 0.1}, values={}, **kind)
    entries += plant(bench, {"fsm": 0.02}, values={"schedule.lr": 0.002}, **kind)
    subject = "fsm[schedule.lr=0.002]"
    planned(bench, "few", entries, AnalysisPlan(subject=subject, controls=("refine-gt",), **STUDY))
    out, page = page_of(bench, "few", tmp_path / "report")
    assert f"{subject} on tiny: supported (look)." in out
    assert f"than its loss tells it: is {subject} better than" in page
    assert "Claims ledger" in page and "over both sets" not in page
    beyond = page.partition("### Rows beyond the paper")[2].partition("###")[0]
    assert "| spike-25 |" in beyond, "of a group that is neither the paper's nor a control"


@pytest.mark.usefixtures("no_figures")
def test_a_planned_fold_that_nobody_ran_has_no_gain(tmp_path: Path) -> None:
    bench = workspace(tmp_path / "w")
    rows = {"unet": 0.2, "spike-100": 0.02}
    entries = plant(
        bench, rows, preset="study", folds=(0, 1, 2, 3), seeds=(0,), suite="few", values={}
    )
    analysis = AnalysisPlan(subject="spike-100", controls=("unet",), asks_gap=False, **STUDY)
    planned(bench, "few", entries, analysis)
    _, page = page_of(bench, "few", tmp_path / "report")
    table = page.partition("### Gain by fold")[2].partition("###")[0]
    assert "| spike-100 against unet | +" in table
    assert "| row against reference | fold 0 | fold 1 | fold 2 | fold 3 | sd of folds |" in table
