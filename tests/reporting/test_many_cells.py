"""Reports of many cells: the rows are read in bulk. The figures for 10,000 cells are measured by
hand with many_cells.py; here a tenth of them must be quick."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from many_cells import write_cells
from reported_suite import report

from benchmark.running.bench import Options
from benchmark.store.results import Results

SECONDS = 20.0  # of this process, for a thousand cells; one pass over a row in Python takes longer


@pytest.mark.usefixtures("no_figures")
def test_a_thousand_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write_cells(tmp_path / "workspace", cells=1000) == 84_000
    monkeypatch.setattr(Results, "rows", _never)
    began = time.process_time()
    ran = report(tmp_path / "workspace", tmp_path / "report", "--json")
    assert time.process_time() - began < SECONDS
    assert ran.code == 0, ran.err
    found = {(x["dataset"], x["row"], x["organ"], x["metric"]): x for x in ran.json["table"]}
    assert len({key[:2] for key in found}) == 40 and not ran.json["incomplete"]
    bench = Options(root=tmp_path / "workspace", device="cpu").open()
    assert len(bench.ledger.entries()) == 1000
    assert found["ircadb", "unet", "liver", "dsc"]["n"] == 20


def _never(*_: object) -> None:
    raise AssertionError("rows were read one evaluation at a time")
