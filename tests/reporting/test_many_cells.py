"""Reports of many cells: the rows are read in bulk. The figures for 10,000 cells are measured by
hand with many_cells.py; here a tenth of them must be quick."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from many_cells import write_cells
from pandas.testing import assert_frame_equal
from reported_suite import report

from benchmark.analysis import rows
from benchmark.running.bench import Options
from benchmark.running.renewal import outdated_line
from benchmark.settings.registry import load_registry
from benchmark.store.ledger import Ledger
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


@pytest.mark.usefixtures("no_figures")
def test_a_report_reads_ledger_and_codes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cells(tmp_path / "workspace", cells=200)
    asked, read = [], Ledger.entries
    monkeypatch.setattr(Ledger, "entries", lambda self, *of: asked.append(of) or read(self, *of))
    monkeypatch.setattr(Results, "checked_code", _never)  # the rows were read, and their code
    ran = report(tmp_path / "workspace", tmp_path / "report")
    assert ran.code == 0 and asked == [()], ran.err
    assert "100 of the stored results here were made by other code" in (
        tmp_path / "report" / "report.md"
    ).read_text("utf-8")


def test_rows_are_the_same_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cells(tmp_path, cells=200)
    bench = Options(root=tmp_path, device="cpu").open()
    pairs = [(entry.key, entry.evaluation) for entry in bench.ledger.entries()]
    (bench.results.path(*pairs[3]) / "rows.parquet").write_bytes(b"damaged")
    whole, lost = rows.read_rows(bench.results, [*pairs, ("no key", "no evaluation")])
    monkeypatch.setattr(rows, "BATCH", 7)
    again, lost_again = rows.read_rows(bench.results, [*pairs, ("no key", "no evaluation")])
    assert lost == lost_again == {pairs[3], ("no key", "no evaluation")}
    assert whole["pair"].drop_duplicates().tolist() == [n for n in range(200) if n != 3]
    assert_frame_equal(whole, again)


def test_rows_of_other_code_are_told_by_the_rows_alone(tmp_path: Path) -> None:
    """Label maps are most of a workspace's bytes: none is read for a line of the report."""
    write_cells(tmp_path, cells=200)
    bench = Options(root=tmp_path, device="cpu").open()
    entries, known = bench.ledger.entries(), load_registry().rows
    first, second, *_ = (bench.results.path(e.key, e.evaluation) for e in entries)
    assert outdated_line(bench, entries, known).startswith("200 of the stored results")
    (first / "rows.parquet").write_bytes(b"damaged")
    sums = json.loads((second / "checksums.json").read_text())
    (second / "checksums.json").write_text(json.dumps(sums | {"labels.npz": "damaged"}))
    (second / "labels.npz").write_bytes(b"")
    assert outdated_line(bench, entries, known).startswith("199 of the stored results")


def _never(*_: object) -> None:
    raise AssertionError("an evaluation was read alone")
