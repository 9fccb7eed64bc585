"""`bench suite --config FILE`: several suites, each with its plan, planned before any is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_process import bench, tiny_workspace
from suite_process import VALUES

from benchmark.cli.suite_file import SuiteOrder, read_suites
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, fingerprint
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import rows_named, settings_of
from benchmark.store.plans import Plans

SMALL = {name: value for name, value in VALUES.items() if not name.startswith("gt.")}
PLAN = {
    "subject": "spike-100", "controls": ["unet"], "competitors": [], "ablations": [],
    "presets": ["quick"], "asks_gap": False,
}  # fmt: skip


def file_of(folder: Path, **more: object) -> Path:
    values = {**SMALL, **more}
    spikes = {"about": "a real gain must be found", "rows": "unet,spike-100", "analysis": PLAN}
    plain = {"rows": "unet", "seeds": [0]}
    suites = {"spikes": {**spikes, "set": values}, "plain": {**plain, "set": values}}
    shared = {"preset": "quick", "datasets": "tiny", "folds": [0, 1], "seeds": [0, 1]}
    path = folder / "study.json"
    path.write_text(json.dumps({**shared, "suites": suites}), encoding="utf-8")
    return path


def test_all_plans_are_there_before_the_first_result_and_the_verdict_follows_them(
    tmp_path: Path,
) -> None:
    root = tiny_workspace(tmp_path / "root")
    path = file_of(tmp_path, **{"ground.labelled": 0.2, "ground.batch": 4})
    argv = ["suite", "--config", str(path), "--root", str(root), "--mlflow", "none"]
    argv += ["--workers", "1", "--threads", "1"]
    ran = bench(*argv)
    assert ran.code == 0, ran.err
    plans = Plans(root / "ledger")
    assert plans.suites() == ["plain", "spikes"]
    for name in plans.suites():
        (version,) = plans.versions(name)
        assert version.results == 0, "plain shares its cells with spikes, and was planned before"
    spikes, plain = plans.latest("spikes"), plans.latest("plain")
    assert spikes.analysis.subject == "spike-100" and not spikes.analysis.asks_gap
    assert (spikes.seeds, spikes.analysis.seeds, plain.seeds) == ((0, 1), (0, 1), (0,))
    assert plain.analysis == AnalysisPlan(seeds=(0,), datasets=("tiny",))
    again = bench(*argv, "--name", "spikes", "--json")
    assert again.code == 0 and again.json["trained"] == 0
    alone = [x for name, v in SMALL.items() for x in ("--set", f"{name}={json.dumps(v)}")]
    alone += ["--set", "ground.labelled=0.2", "--set", "ground.batch=4", "--name", "spikes"]
    alone += ["--rows", "unet,spike-100", "--datasets", "tiny", "--folds", "0,1", "--seeds", "0,1"]
    filled = bench(*[x for x in argv if x not in ("--config", str(path))], *alone)
    assert filled.code == 0, filled.err
    assert len(plans.versions("spikes")) == 1, "a suite keeps the analysis that it was planned with"
    report = bench("report", "--suite", "spikes", "--root", str(root), "--skip-hard-cases")
    assert "spike-100 on tiny: " in report.out and "GT gap" not in report.out


def test_a_plan_that_asks_for_no_gap_is_another_plan() -> None:
    assert fingerprint(AnalysisPlan(asks_gap=False)) != fingerprint(AnalysisPlan())
    assert SuiteOrder().analysis is None


@pytest.mark.parametrize(
    "text, words",
    [
        ("preset = 3", "suites is missing"),
        ("preset = 3\n[suites.a]", "preset is not a text"),
        ("[suites.a]\nrow = 'unet'", r"suites\.a\.row is not known here"),
        ("[suites.a]\nseeds = [-1]", r"suites\.a\.seeds has a number under 0"),
        ("[suites.a]\nanalysis = { subjects = 'x' }", r"suites\.a\.analysis\.subjects"),
        ("[suites.a]\nanalysis = { version = 9 }", "analysis 9"),
        ("[suites.a", "not valid JSON or TOML"),
    ],
)
def test_what_does_not_belong_there_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=words) as caught:
        read_suites(path)
    assert "\n" not in str(caught.value)


def test_options_that_stand_in_the_file_are_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path)
    for more in (["--rows", "unet"], ["--set", "ground.size=32"], ["--json"], ["--name", "nope"]):
        ran = bench("suite", "--config", str(path), "--root", str(tmp_path / "none"), *more)
        assert ran.code == 2 and ran.err.count("\n") == 1, ran.err
        assert more[0] in ran.err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "file, first",
    [
        ("study.toml", ["spikes", "spikes-2-percent", "null-2-percent"]),
        ("curve.toml", ["cts-2", "cts-4", "cts-8"]),
    ],
)
def test_the_studys_files_plan_every_suite_for_its_own_preset(file: str, first: list[str]) -> None:
    orders = read_suites(Path(__file__).parents[2] / "docs" / "study" / file)
    assert [order.name for order in orders][:3] == first
    registry = load_registry()
    for order in orders:
        assert order.analysis
        plan = order.analysis
        rows = rows_named(registry, order.rows)
        assert plan.presets == (order.preset,) == ("study",)
        assert {plan.subject, plan.baseline, *plan.controls, *plan.competitors} <= {*rows, "unet"}
        settings_of(registry, rows, order.preset, order.set)
