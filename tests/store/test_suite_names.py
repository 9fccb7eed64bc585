"""`main` and `scratch`: what people read and type, and what is stored as it always was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.analysis.suites import chosen_suite
from benchmark.errors import BadInput
from benchmark.running.mlflow_runs import cell_report
from benchmark.running.suites import check_suite_name
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace, open_workspace

CELL = Entry(
    dataset="set", row="fsm", label="fsm", preset="quick", overrides={}, fold=0, seed=0,
    part="test", key="k", evaluation="e", split="s", nodes=("k",),
)  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Workspace:
    """A workspace with a cell of `bench run`, in the folder in which it always was."""
    workspace = open_workspace(tmp_path / "workspace")
    workspace.ledger.write(CELL)
    assert [path.name for path in workspace.ledger.folder.iterdir()] == ["default"]
    return workspace


def test_the_suite_of_bench_run_has_both_names(old: Workspace) -> None:
    for name in ("scratch", "default", None):
        chosen = chosen_suite(old, name)
        assert (chosen.name, chosen.line) == ("default", "suite scratch")
    old.ledger.write(replace(CELL, suite="main"))
    assert chosen_suite(old, None).line == "suite main (--suite chooses another: scratch)"
    with pytest.raises(BadInput, match="no suite 'other': there is scratch, main"):
        chosen_suite(old, "other")


def test_mlflow_knows_it_by_the_stored_name(old: Workspace) -> None:
    (entry,) = old.ledger.entries()
    row = cell_report(old, entry).row
    assert (row.suite, row.in_suite) == ("default", False)


def test_a_suite_that_somebody_called_so_before_is_that_suite(old: Workspace) -> None:
    old.ledger.write(replace(CELL, suite="scratch"))
    assert chosen_suite(old, "scratch").name == "scratch"
    assert chosen_suite(old, "default").name == "default"


def test_no_new_suite_takes_the_name() -> None:
    with pytest.raises(BadInput, match="bench run notes its cells"):
        check_suite_name("scratch")
    assert check_suite_name("main") == "main"
