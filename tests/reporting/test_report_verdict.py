"""The verdict on the page follows the rows: planted suites with the preset `paper`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench_process import tree
from planted_suite import plant, workspace
from reported_suite import report

from benchmark.plan.analysis import CONTROLS
from benchmark.running.bench import Bench

ERRORS = {"unet": 0.2, "fsm": 0.02, **dict.fromkeys(CONTROLS, 0.2)}


def first_sentence(bench: Bench, out: Path) -> str:
    ran = report(bench.root, out, "--skip-hard-cases")
    assert ran.code == 0, ran.err
    return ran.out.splitlines()[0]


def gap_is(bench: Bench, value: float) -> None:
    """Set the GT gap of every patient."""
    for path in sorted((bench.root / "results").glob("*/gap-0123")):
        rows = bench.results.rows(path.parent.name, path.name)
        bench.results.discard(path.parent.name, path.name)
        rows = [replace(r, value=value) if r.metric == "gt_gap" else r for r in rows]
        bench.results.commit(path.parent.name, path.name, rows, {})


@pytest.mark.usefixtures("no_figures")
def test_two_sets_stand_side_by_side(tmp_path: Path) -> None:
    bench = workspace(tmp_path / "workspace")
    plant(bench, ERRORS, preset="paper", seeds=(0,), values={})
    first_sentence(bench, tmp_path / "one")
    assert "side by side" not in (tmp_path / "one/index.html").read_text()
    plant(bench, ERRORS, preset="lite", seeds=(0,), values={})
    first_sentence(bench, tmp_path / "two")
    assert "The sets side by side" in (tmp_path / "two/index.html").read_text()
    lines = (tmp_path / "two/tables/sets.csv").read_text().splitlines()
    assert lines[0].count("fsm over it, points") == 2
    assert {line.partition(",")[0] for line in lines} >= {"row", *ERRORS}
    (unet,) = (line for line in lines if line.startswith("unet,"))
    assert unet.count("+") == 2 * 3, "an estimate and two limits, over 0 in both"


@pytest.mark.long
@pytest.mark.usefixtures("no_figures")
def test_it_flips_with_the_rows(tmp_path: Path) -> None:
    bench = workspace(tmp_path / "workspace")
    plant(bench, ERRORS, preset="paper", seeds=(0,), values={})
    supported = first_sentence(bench, tmp_path / "supported")
    assert supported.startswith("fsm on tiny: supported (look, post hoc")
    page = (tmp_path / "supported/index.html").read_text()
    assert 'class="verdict supported"' in page and "incomplete (ircadb: not run" in page
    claims = (tmp_path / "supported/tables/tiny-paper-claims.csv").read_text()
    assert "fsm against unet,dsc,undecided" in claims, "one seed gives no p"

    gap_is(bench, 1.0)  # better than every control, but M does not see whose masks they are
    assert first_sentence(bench, tmp_path / "gap").startswith("fsm on tiny: undecided")

    gap_is(bench, 20.0)
    for entry in bench.ledger.entries():
        if entry.label == "fsm-constant":
            bench.results.discard(entry.key, entry.evaluation)
    plant(bench, {"fsm-constant": 0.02}, preset="paper", seeds=(0,), values={})
    assert first_sentence(bench, tmp_path / "equal").startswith("fsm on tiny: not supported")

    (gone,) = [e for e in bench.ledger.entries() if (e.label, e.fold) == ("refine-gt", 3)]
    (bench.root / "ledger" / gone.suite / f"{gone.name}.json").unlink()
    assert first_sentence(bench, tmp_path / "missing").startswith("fsm on tiny: incomplete")
    assert "index.html" in tree(tmp_path / "missing")
