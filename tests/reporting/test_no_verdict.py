"""Whether a verdict is possible: one rule for the report and for the JSON of `run` and `suite`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from planted_suite import plant, workspace

from benchmark.analysis.groups import no_verdict
from benchmark.analysis.suites import Standing
from benchmark.cli.show import show_run, show_suite
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.presets import PRESETS
from benchmark.plan.suite import SuitePlan

QUICK = f"preset quick: {PRESETS['quick'].about}"
CHANGED = "preset paper, changed by ct.width=8: demonstration, no verdict"


def test_a_verdict_needs_its_preset_and_an_unchanged_scale() -> None:
    assert no_verdict("quick", {}) == QUICK
    assert no_verdict("paper", {}) == no_verdict("paper", {"ground.size": 64}) == ""
    assert no_verdict("paper", {"ct.width": 8, "ground.size": 64}) == CHANGED
    assert no_verdict("gone", {}) == "preset gone: no preset has its values now"


@pytest.mark.parametrize(
    ("preset", "values", "why"),
    [
        ("paper", {"ground.size": 32}, ""),
        ("paper", {"ground.size": 32, "ct.width": 8}, CHANGED),
        ("quick", {}, QUICK),
    ],
)
def test_json_says_it_and_stderr_why_not(
    preset: str,
    values: dict[str, object],
    why: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = workspace(tmp_path, patients=5)
    entries = plant(bench, {"unet": 0.1}, preset=preset, folds=(0,), seeds=(0,), values=values)
    plan = SuitePlan(
        rows=("unet",), labels=(entries[0].label,), splits={"tiny": entries[0].split}, folds=(0,),
        seeds=(0,), preset=preset, overrides=values, analysis=AnalysisPlan(),
    )  # fmt: skip
    suite = Standing(name="main", plan=plan, done=tuple(entries), missing=(), post_hoc="")
    for show in (
        lambda: show_run(bench, entries, as_json=True),
        lambda: show_suite(bench, suite, as_json=True),
    ):
        show()
        out, err = capsys.readouterr()
        assert json.loads(out)["verdict_possible"] is (why == "")
        assert [line for line in err.splitlines() if "preset" in line] == [why] * bool(why)
