"""`bench score`: label maps of an older definition of distance, scored again without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from bench_process import Ran, bench, run_argv, tree

from benchmark.analysis.suites import standing
from benchmark.data.library import add, open_dataset
from benchmark.data.volume import Volume
from benchmark.running.bench import Options
from benchmark.running.cells import plan_cells
from benchmark.running.rescoring import Rescored, rescore
from benchmark.running.suites import count_results, suite_plan
from benchmark.scoring.surface import described
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Entry, Ledger
from benchmark.store.results import ResultRow, Results
from benchmark.testing import TinySource, tiny_volume

BOX = ((0, 5), (3, 23), (1, 19))


class Boxed(TinySource):
    """The tiny set with crop boxes."""

    @property
    def fingerprint(self) -> str:
        return "boxed"

    def volumes(self) -> Iterator[Volume]:
        for number in range(self.patients):
            yield replace(tiny_volume(number), box=BOX, source_sha256=f"{number:064d}")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A row in two folds, scored by the definition of now, with its MLflow."""
    root = tmp_path_factory.mktemp("boxed")
    add(root, "tiny", Boxed())
    argv = run_argv(root, "unet", "--folds", "0,1")
    at = argv.index("--mlflow")
    ran = bench(*argv[:at], *argv[at + 2 :])
    assert ran.code == 0, ran.err
    return root


@pytest.fixture
def older(scored: Path, tmp_path: Path) -> Path:
    """The same as an earlier version left it: rows of the older definition, under their name."""
    root = Path(shutil.copytree(scored, tmp_path / "workspace"))
    results, ledger = Results(root / "results", print), Ledger(root / "ledger")
    for entry in ledger.entries():
        assert entry.evaluation.endswith("-cut")
        was = replace(entry, evaluation=entry.evaluation.removesuffix("-cut"))
        rows = [worse(row) for row in results.rows(entry.key, entry.evaluation)]
        maps = {row.case: results.labels(entry.key, entry.evaluation, row.case) for row in rows}
        results.remove(entry.key, entry.evaluation)
        results.commit(was.key, was.evaluation, rows, maps)
        ledger.write(was)
    return root


def worse(row: ResultRow) -> ResultRow:
    return replace(row, value=row.value + 1.0) if row.metric.startswith(("assd", "hd95")) else row


def score(root: Path, *more: str, mlflow: str = "none") -> Ran:
    return bench("score", "--root", str(root), *more, *(["--mlflow", mlflow] if mlflow else []))


def rows_of(root: Path) -> list[str]:
    """The rows that the ledger names."""
    results = Results(root / "results", print)
    return [str(results.rows(e.key, e.evaluation)) for e in entries_of(root)]


def entries_of(root: Path) -> list[Entry]:
    return Ledger(root / "ledger").entries()


def stored(root: Path) -> dict[str, bytes]:
    found = {**tree(root / "results"), **tree(root / "ledger")}
    return {name: content for name, content in found.items() if not name.endswith(".lock")}


def test_label_maps_are_scored_again_without_a_network(scored: Path, older: Path) -> None:
    before = stored(older)
    assert rows_of(older) != rows_of(scored)
    shutil.rmtree(older / "objects")
    assert "2 cells were scored by an older definition" in bench("status", "--root", str(older)).err
    ran = score(older)
    assert (ran.code, ran.out) == (0, "scored again: 2 cells; already current: 0 cells\n"), ran.err
    assert ran.err.count("scored again") == 2
    assert rows_of(older) == rows_of(scored)
    after = stored(older)
    kept = {name for name in before if not name.endswith(".json") or "checksums" in name}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert bench("status", "--root", str(older)).err == ""
    again = score(older, "--json")
    assert (again.code, again.err) == (0, "") and stored(older) == after
    assert (again.json["scored_again"], again.json["already_current"]) == (0, 2)


def test_a_killed_command_goes_on(scored: Path, older: Path) -> None:
    """Killed after a cell, and between the rows of the next and the ledger."""
    bench_now = Options(root=older, device="cpu").open()
    first, second = bench_now.ledger.entries()

    def dies(one: Rescored) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rescore([first, second], bench_now, load_registry(), done=dies)
    rescore([second], bench_now, load_registry())
    bench_now.ledger.write(second)
    made = stored(older)
    ran = score(older, "--json")
    assert (ran.json["scored_again"], ran.json["already_current"]) == (1, 1)
    assert [path for path in stored(older) if path not in made] == []
    assert rows_of(older) == rows_of(scored)


def test_a_run_that_was_killed_before_it_scored(scored: Path, older: Path) -> None:
    """Its cell names the new rows, which are not there; the label maps lie under the old name."""
    ledger = Ledger(older / "ledger")
    for entry in ledger.entries():
        ledger.write(replace(entry, evaluation=f"{entry.evaluation}-cut", state="started"))
    assert score(older).out.startswith("scored again: 2 cells")
    assert rows_of(older) == rows_of(scored)


def test_two_definitions_never_share_a_table(older: Path) -> None:
    first = entries_of(older)[0]
    bench_now = Options(root=older, device="cpu").open()
    rescore([first], bench_now, load_registry())
    suite = standing(bench_now, "default")
    assert [entry.fold for entry in suite.done] == [first.fold]
    assert [(cell.state, "bench score" in cell.error) for cell in suite.missing] == [
        ("failed", True)
    ]
    report = bench("report", "--root", str(older), "--mlflow", "none")
    assert f"fold {1 - first.fold} seed 0 failed" in report.out, report.out
    assert "1 cell was scored by an older definition of distance" in report.err
    assert score(older).out == "scored again: 1 cell; already current: 1 cell\n"
    again = bench("report", "--root", str(older), "--mlflow", "none")
    assert "failed" not in again.out and "older" not in again.err


def test_older_results_were_seen_before_a_plan(older: Path) -> None:
    """A plan made after them is made after results."""
    bench_now, entry = Options(root=older, device="cpu").open(), entries_of(older)[0]
    setting = resolve(load_registry(), "unet", "quick", dict(entry.overrides))
    cells = plan_cells(setting, open_dataset(older, "tiny"), folds=[0, 1], seeds=[0])
    plan = suite_plan([setting], cells, "quick", {})
    assert count_results(bench_now, cells, plan, "default") == 2


def test_what_cannot_be_scored_is_named(older: Path) -> None:
    first, second = entries_of(older)
    (older / "results" / first.key / first.evaluation / "labels.npz").unlink()
    Ledger(older / "ledger").write(replace(second, state="failed", error="its loss is nan"))
    ran = score(older)
    assert ran.code == 1
    assert ran.out.startswith("scored again: 0 cells; already current: 0 cells; no label maps: 2")
    assert "fold 0 seed 0, suite scratch, preset quick: no label maps, none are stored" in ran.out
    assert "it failed: its loss is nan" in ran.out
    Ledger(older / "ledger").write(replace(first, state="failed", error="x"))
    assert score(older).code == 0  # cells that never ended are no failure of this command
    shutil.rmtree(older / "data")
    Ledger(older / "ledger").write(first)
    assert "the data set 'tiny' is not in the workspace" in score(older).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fms"], "no row 'fms' among these cells: there is unet"),
        (["--suite", "other"], "no suite 'other': there is scratch"),
        (["--dataset", "other"], "no cell on data set 'other': there is tiny"),
    ],
)
def test_names_that_are_not_there(scored: Path, words: list[str], said: str) -> None:
    ran = score(scored, *words)
    assert (ran.code, ran.out) == (2, "") and ran.err == f"bench: {said}\n"


def test_a_row_and_a_data_set_choose(older: Path, tmp_path: Path) -> None:
    label = entries_of(older)[0].label
    ran = score(older, label, "--dataset", "tiny", "--suite", "default", "--json")
    assert ran.json["scored_again"] == 2
    assert score(older, "unet", "--json").json["already_current"] == 2
    nowhere = score(tmp_path / "nowhere")
    assert nowhere.code == 2 and "no workspace" in nowhere.err


def test_every_table_says_what_its_numbers_are(scored: Path) -> None:
    ran = bench(*run_argv(scored, "unet", "--folds", "0,1"))
    assert described(["assd", "hd95"]) in ran.out
    assert bench("report", "--root", str(scored), "--mlflow", "none").code == 0
    page = unescape((scored / "reports/default/index.html").read_text())
    for metrics in (["assd"], ["assd", "hd95", "nsd"]):
        assert described(metrics) in page


def test_mlflow_shows_the_new_numbers(older: Path) -> None:
    assert bench("sync", "--root", str(older)).code == 0  # it shows the older ones
    other = Path(shutil.copytree(older, older.with_name("other")))
    assert score(older, mlflow="").code == score(other).code == 0
    sent, unsent = (bench("sync", "--root", str(root)).out for root in (older, other))
    assert "sent now: 0 runs, 0 points" in sent and "0 points" not in unsent, (sent, unsent)
