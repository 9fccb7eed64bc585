"""A plan with a subject of its own, as the study's spikes have: nothing of the paper's is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_suite import plant, workspace
from reported_suite import report

from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.suite import SuitePlan

ROWS = {"unet": 0.2, "unet-200": 0.2, "spike-100": 0.02}


@pytest.mark.usefixtures("no_figures")
def test_the_page_asks_about_its_own_subject_and_controls(tmp_path: Path) -> None:
    bench = workspace(tmp_path / "w")
    entries = plant(bench, ROWS, preset="study", seeds=(0,), suite="spikes", values={})
    analysis = AnalysisPlan(
        subject="spike-100", controls=("unet", "unet-200"), competitors=(), ablations=(),
        datasets=("tiny",),
        presets=("study",), asks_gap=False,
    )  # fmt: skip
    plan = SuitePlan(
        rows=tuple(ROWS), labels=tuple(ROWS), splits={"tiny": entries[0].split}, seeds=(0,),
        folds=(0, 1, 2, 3, 4), preset="study", analysis=analysis,
    )  # fmt: skip
    bench.plans.record("spikes", plan, lambda plan: 0)
    out = tmp_path / "report"
    ran = report(bench.root, out, "--skip-hard-cases", "--suite", "spikes")
    assert ran.code == 0, ran.err
    assert "spike-100 on tiny: supported (look)." in ran.out
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "Is spike-100 better than each of unet and unet-200?" in page
    for words in ("ground-truth images", "Claims ledger", "Claims over", "### Ablation", "bottlen"):
        assert words not in page, words
    assert "### Controls" in page and "on every set" not in ran.out + page
