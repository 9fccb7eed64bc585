"""MLflow in a real browser: the table of rows, the charts of folds, and rows compared."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import compare_link, found_browser, opened_page, rows_of, show
from conftest import make_cell, make_row
from test_ui import SERVE

from benchmark.tracking.database import default_uri
from benchmark.tracking.report import SuiteReport
from benchmark.tracking.sync import sync

pytest.importorskip("playwright", reason="playwright drives the browser and is not installed")


@pytest.fixture
def browser() -> str:
    path = found_browser()
    if path is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    return path


@pytest.fixture
def links(root: Path) -> Iterator[list[str]]:
    """Two rows of a suite and one of none, served; the links that `bench ui` says."""
    rows = []
    for place, (label, suite) in enumerate([("unet", "main"), ("fsm", "main"), ("fsm", "alone")]):
        row = make_row(
            label, method=label, suite=suite, in_suite=suite == "main",
            metrics={"cv/dsc/mean": 80.0 + place, "cv/dsc_minus_unet/mean": math.pi * place},
        )  # fmt: skip
        cells = [
            make_cell(
                row, fold, params={}, key=f"{suite}{label}{fold}",
                metrics={"test/dsc/mean": 70.0 + place + fold, "time/seconds": 1.0},
            )
            for fold in (0, 1)
        ]  # fmt: skip
        rows.append((row, cells))
    suites = [SuiteReport(dataset="phantom", suite="main", metrics={"suite/rows": 2.0})]
    done = sync(default_uri(root), root / "mlartifacts", rows, suites=suites)
    assert (done.runs, done.refused) == (10, ())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SERVE, str(root)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        assert child.stdout is not None
        told = (line for line in child.stdout if "still starting" not in line)  # a busy machine
        yield [next(told).split(": ")[1].strip() for _ in range(2)]
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(15)
        child.communicate()


@pytest.mark.long
def test_rows_charts_and_comparison_show_in_a_browser(browser: str, links: list[str]) -> None:
    rows_link, charts_link = links
    base = rows_link.split("/#")[0]
    with opened_page(browser) as (page, errors):
        table = show(page, rows_link, "Run Name", "matching runs")
        lines = table.splitlines()
        # rows only, flat although two lie below a suite, the best first; with their metrics
        assert "3\n" in table and "fold0" not in table
        assert lines.index("82") < lines.index("81") < lines.index("80")
        assert "cv/dsc/mean" in table and "3.14159" in table

        charts = show(page, charts_link, "Group: ", "test/dsc")
        assert "Group: fsm" in charts and "Group: unet" in charts
        assert "70.5" in charts  # unet's mean over its two folds, in its bar

        compared = compare_link(base, "1", list(rows_of(base, "1").values()))
        both = show(page, compared, "Run ID:", "cv/dsc_minus_unet/mean")
        assert "Comparing" in both and "xi" in both
    assert errors == []
