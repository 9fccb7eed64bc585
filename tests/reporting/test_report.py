"""`bench report` on a planted suite: what every report must hold, and must not."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from bench_process import bench, tree
from reported_suite import Reported, report

from benchmark.analysis.controls import TRUTH
from benchmark.analysis.groups import groups_of
from benchmark.analysis.rows import group_scores
from benchmark.analysis.tables import lines_of, table
from benchmark.running.bench import Options
from benchmark.settings.registry import load_registry
from benchmark.store.results import Results

CASES = re.compile(r"\bp\d\d\b")  # the names of the tiny set's cases
FIGURES = ("forest", "forest-controls", "patients", "ranks", "qualitative", "hard-cases", "gt-gap",
           "curves")  # fmt: skip


TWO = "liver and left kidney"
THREE = "liver, left kidney and right kidney"


def rows_of(reported: Reported, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(reported.text(f"tables/tiny-quick-{name}.csv"))))


def test_the_page_needs_no_network_and_no_script(reported: Reported) -> None:
    page = reported.text("index.html")
    assert "default-src 'none'" in page
    assert "<script" not in page and "http://" not in page and "https://" not in page
    assert set(re.findall(r'(?:src|href)="([^"#]*)', page)) <= {"", "data:,"}


def test_every_figure_has_words_and_every_table_headings(reported: Reported) -> None:
    page = reported.text("index.html")
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert len(alts) == len(FIGURES) == page.count("<img ")
    assert all(re.search(r"\d", alt) and len(alt) > 40 for alt in alts), alts
    assert page.count("<table>") == page.count("<caption>") > 10
    assert page.count('<th scope="row">') == page.count('<tr><th scope="row">') > 50
    assert '<html lang="en">' in page and 'name="viewport"' in page


def test_figures_and_tables_lie_beside_the_page(reported: Reported) -> None:
    for name in FIGURES:
        assert (reported.out / f"figures/tiny-quick-{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert "<svg" in (reported.out / f"figures/tiny-quick-{name}.svg").read_text()
    latex = reported.text("tables/tiny-quick-table1.tex")
    assert "\\toprule" in latex and "$\\pm$" in latex and "no-noise@stage2" in latex
    assert "right_kidney" not in latex  # an underscore is escaped


def test_no_place_and_no_patient_leaves_the_workspace(reported: Reported) -> None:
    for path in reported.out.rglob("*"):
        if path.suffix in {".html", ".md", ".csv", ".tex", ".svg"}:
            text = reported.text(str(path.relative_to(reported.out)))
            assert str(reported.root) not in text, path
            assert not CASES.search(text), (path, CASES.search(text))
    assert re.search(r"worst: patient \d\d", reported.text("report.md")), "patients have numbers"


def test_the_same_ledger_gives_the_same_bytes(reported: Reported, tmp_path: Path) -> None:
    assert report(reported.root, tmp_path / "again").code == 0
    first, second = tree(reported.out), tree(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_columns_give_what_the_table_of_run_gives(reported: Reported) -> None:
    opened = Options(root=reported.root, device="cpu").open()
    entries = opened.ledger.entries()
    (group,) = groups_of(entries, load_registry().rows)
    expected, missing = table(entries, lambda e: opened.results.rows(e.key, e.evaluation))
    short = {e.label: row for row, members in group.cells.items() for e in members}
    found = {(x.row, x.metric, x.organ): x for x in lines_of(group_scores(group, opened))}
    assert not missing and len(expected) == sum(1 for x in found if x[2] != "mean3")
    for line in expected:
        ours = found[short[line.row], line.metric, line.organ]
        assert (ours.n, ours.n_missed, ours.unit) == (line.n, line.n_missed, line.unit)
        assert ours.mean == pytest.approx(line.mean, abs=1e-9)
        assert ours.sd == pytest.approx(line.sd, abs=1e-9)


def test_json_keeps_the_contract(reported: Reported) -> None:
    value = reported.ran.json
    assert list(value) == ["table", "incomplete", "trained", "reused", "resumed", "ceilings"]
    assert (value["incomplete"], value["trained"], value["resumed"]) == ([], 0, [])
    assert {x["organ"] for x in value["table"]} == {
        "liver", "left_kidney", "right_kidney", "mean", "headline"
    }  # fmt: skip
    assert value["reused"] == len(list((reported.root / "objects").glob("*/record.json")))


def test_table1_has_the_papers_numbers_in_columns_of_their_own(reported: Reported) -> None:
    rows = {row["row"]: row for row in rows_of(reported, "table1")}
    lead, whole = f"DSC %, mean over {TWO}", f"DSC %, mean over {THREE}"
    low = [rows.pop(name)[lead] for name in ("mean shape", "constant predictor")]
    assert all(30 < float(text) < 100 for text in low)
    for name in ("target ceiling", "grid ceiling"):  # a native grid loses nothing
        ceiling = rows.pop(name)
        assert ceiling[lead] == ceiling[whole] == "100.0"
    assert list(rows) == ["unet", "no-noise", "no-noise@stage2", "fsm", "fsm@stage2"]
    ircadb, multi = "paper, 3D-IRCADb: DSC / ASSD", "paper, Multi-Organ: DSC / ASSD"
    assert rows["unet"][ircadb] == "90.4 ± 2.7 / 1.32 ± 1.2?"
    assert rows["unet"][multi] == "90.6 (derived) / 1.25 (derived)"
    assert rows["fsm"][multi] == "94.8 ± 1.6 / 0.90 ± 0.88"
    assert rows["no-noise"][multi] == rows["fsm@stage2"][ircadb] == "-"
    assert all((row["n"], row["missed"]) == ("15", "0") for row in rows.values())


def test_quick_is_a_demonstration_and_never_a_verdict(reported: Reported) -> None:
    page, claims = reported.text("index.html"), rows_of(reported, "claims")
    assert "fsm on tiny: demonstration" in page and "gives no verdict" in page
    assert {row["status"] for row in claims} == {"demonstration"}
    assert "post hoc" in page, "no plan was written before the results"


def test_the_comparisons_own_controls_are_there_and_pass(reported: Reported) -> None:
    rows = rows_of(reported, "checks")
    assert [row["control"] for row in rows] == [
        "A/A", "A/A", "permuted names", "degraded row", "ground truth against itself",
        "ground truth against itself",
    ]  # fmt: skip
    assert {row["outcome"] for row in rows} == {"passed"}, rows


@pytest.mark.usefixtures("no_figures")
def test_a_truth_that_is_not_itself_fails_the_control(reported: Reported, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    shutil.copytree(reported.root, root)
    results = Results(root / "results", print)
    (folder,) = (root / "results").glob(f"*/{TRUTH}")
    rows = results.rows(folder.parent.name, TRUTH)
    shutil.rmtree(folder)
    changed = [_spoilt(row) for row in rows]
    results.commit(folder.parent.name, TRUTH, changed, {})
    assert report(root, tmp_path / "report").code == 0
    spoilt = Reported(root=root, out=tmp_path / "report", ran=reported.ran)
    outcomes = [row["outcome"] for row in rows_of(spoilt, "checks")]
    assert outcomes[-2:] == ["FAILED", "passed"]


def _spoilt(row: object) -> object:
    from dataclasses import replace

    if row.metric == "dsc" and row.case == "p03":  # type: ignore[attr-defined]
        return replace(row, value=99.9)  # type: ignore[type-var]
    return row


@pytest.mark.usefixtures("no_figures")
def test_hard_cases_are_measured_once_and_kept(reported: Reported) -> None:
    rows = rows_of(reported, "hard-cases")
    assert len(rows) == 7 and all(row["n"] == "15" for row in rows)
    assert "measuring" in reported.ran.err
    again = report(reported.root, reported.root / "reports/again")
    assert again.code == 0 and "measuring" not in again.err


def test_cost_is_the_plans_and_the_records(reported: Reported) -> None:
    rows = {row["row"]: row for row in rows_of(reported, "cost")}
    assert rows["unet"]["epochs CT / GT"] == "30 / 0" and rows["unet"]["steps CT / GT"] == "18 / 0"
    assert rows["fsm"]["epochs CT / GT"] == "60 / 30"
    assert (rows["fsm"]["trainings"], rows["fsm"]["seconds a cell"]) == ("3", "6")


@pytest.mark.usefixtures("no_figures")
def test_a_missing_cell_makes_a_row_incomplete(reported: Reported, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    shutil.copytree(reported.root, root)
    entries = Options(root=root, device="cpu").open().ledger.entries()
    gone = next(e for e in entries if (e.row, e.fold, e.seed) == ("fsm-constant", 2, 1))
    (root / "ledger" / gone.suite / f"{gone.name}.json").unlink()
    ran = report(root, tmp_path / "report", "--json")
    assert [(x["row"], x["fold"], x["seed"], x["state"]) for x in ran.json["incomplete"]] == [
        ("fsm-constant", 2, 1, "not run")
    ]
    page = (tmp_path / "report/index.html").read_text()
    assert "INCOMPLETE" in page and "--method fsm-constant --dataset tiny" in page
    assert "--folds 2 --seeds 1" in page
    compared = (tmp_path / "report/tables/tiny-quick-comparisons.csv").read_text()
    assert "fsm against no-noise," in compared and "fsm against fsm-constant," not in compared


@pytest.mark.usefixtures("no_figures")
def test_an_older_report_is_replaced_and_nothing_else(reported: Reported, tmp_path: Path) -> None:
    out = tmp_path / "report"
    shutil.copytree(reported.out, out)
    (out / "old").write_text("of the older report")
    assert report(reported.root, out).code == 0
    assert not (out / "old").exists() and (out / "index.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"], "nothing is left beside it"


def test_help_names_the_options() -> None:
    ran = bench("report", "--help")
    assert ran.code == 0 and "--suite" in ran.out and "--out" in ran.out and "--json" in ran.out


def test_json_is_all_of_standard_output(reported: Reported) -> None:
    assert json.loads(reported.ran.out)["table"]
