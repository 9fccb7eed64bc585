"""`bench suite`: equal for any number of workers, alone in its failures, planned beforehand."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_process import (
    Ran,
    bench,
    finish,
    package,
    run_argv,
    spawn_warm,
    tiny_workspace,
    tree,
    weights,
)
from suite_process import rows, suite_argv

from benchmark.analysis.ceilings import FLAGS
from benchmark.store.ledger import Ledger

ROWS = "unet,fsm"
FAULTY = """
import os
import signal
from dataclasses import dataclass, replace
from typing import ClassVar
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.nodes import Net, Row, Schedule, Train

@dataclass(frozen=True, kw_only=True)
class Faulty:
    kind: ClassVar[str] = "faulty"
    how: str
    def __call__(self, nets, batch):
        terms = Segmentation()(nets, batch)
        if batch.image_B1HW.is_meta and self.how != "raises":
            return terms  # its cost is estimated
        once = os.environ.get("DIES_ONCE", "")
        if self.how == "diverges":
            return {name: term / 0 for name, term in terms.items()}
        if self.how == "raises":
            raise OSError("no space left on device")
        if self.how == "dies" or (self.how == "dies once" and not os.path.exists(once)):
            open(once, "w").close() if once else None
            os.kill(os.getpid(), signal.SIGKILL)
        return terms

@dataclass(frozen=True, kw_only=True)
class Method:
    how: str
    ct: UNet = UNet(width=4, levels=3)
    schedule: Schedule = Schedule()
    def plan(self):
        net = {"ct": Net(arch=self.ct)}
        objective = Faulty(how=self.how)
        return Train(title="faulty", nets=net, objective=objective, schedule=self.schedule)["ct"]

METHODS = {
    name.replace(" ", "-"): Row(method=Method(how=name), group="x", title=name, about="", source="")
    for name in ("diverges", "raises", "dies", "dies once")
}
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """A suite of two rows that two workers ran; nobody writes to it."""
    root = tiny_workspace(tmp_path_factory.mktemp("two"))
    return root, bench(*suite_argv(root, ROWS, "--json"))


@pytest.fixture
def done(two: tuple[Path, Ran], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(two[0], tmp_path / "moved"))


def test_json_is_the_contract(two: tuple[Path, Ran]) -> None:
    _, ran = two
    assert ran.code == 0, ran.err
    assert set(ran.json) == {
        "table", "incomplete", "trained", "reused", "resumed", "ceilings",
        "flags", "folds", "seeds", "preset", "part", "verdict_possible", "could_show",
    }  # fmt: skip
    assert (ran.json["trained"], ran.json["reused"]) == (8, 0)  # of 2 folds; probes are apart
    assert ran.json["incomplete"] == []
    labels = [line["row"].partition("[")[0] + line["row"].rpartition("]")[2]
              for line in ran.json["table"]]  # fmt: skip
    assert set(labels) == {"unet", "fsm", "fsm@stage2"}
    assert {line["n"] for line in ran.json["table"] if line["metric"] == "dsc"} == {3}
    assert "6 cells, 0 of them done; 10 trainings to do" in ran.err and "2 workers" in ran.err


def test_json_holds_the_flags_and_stderr_says_them(two: tuple[Path, Ran]) -> None:
    root, ran = two
    told = [(e.dataset, e.label, e.fold, e.seed, text) for e in Ledger(root / "ledger").entries()
            for text in e.flags]  # fmt: skip
    assert sorted(told) == sorted(
        (flag["dataset"], flag["row"], cell["fold"], cell["seed"], cell["text"])
        for flag in ran.json["flags"]
        for cell in flag["per_cell"]
        if flag["name"] not in FLAGS  # those of a table, which are stored nowhere
    )
    assert any(flag["name"] == "no_gt_gap" for flag in ran.json["flags"])
    value = ran.json
    assert (value["folds"], value["seeds"], value["preset"]) == ([0, 1], [0], "quick")
    assert (value["part"], value["verdict_possible"]) == ("test", False)
    lines = ran.err.splitlines()
    for flag in value["flags"]:
        assert any(line.startswith("flag: ") and flag["text"] in line for line in lines)
    assert any(line.startswith("preset quick:") and "no verdict" in line for line in lines)


def test_the_ceilings_stand_above_the_rows(done: Path) -> None:
    """Those of the native grid; a row on another grid has its own, by its name."""
    ran = bench(*suite_argv(done, ROWS))
    lines = [[cell.strip() for cell in x.split("│")] for x in ran.out.splitlines() if "│" in x]
    names = [line[1] for line in lines]
    assert ran.code == 0, ran.err
    first = ["target ceiling", "grid ceiling", "mean shape", "constant predictor"]
    assert names[:4] == first and "unet" in names[4:], ran.out
    assert set(lines[0][2:7]) == set(lines[1][2:7]) == {"100.0"}
    assert all(30 < float(text) < 100 for line in lines[2:4] for text in line[2:7])
    assert ran.out.count("target ceiling: the DSC of") == 1
    sentence = "what size of difference this table could have shown is not known: 3 patients: "
    assert ran.out.count(sentence) == 1
    both = "unet,unet[ground.size=16]"
    ran = bench(*suite_argv(done, both, "--name", "grids"))
    assert ran.code == 0, ran.err
    shown = {x["row"]: x["target"] for x in bench(*suite_argv(done, both, "--name", "grids",
             "--json")).json["ceilings"] if x["organ"] == "liver"}  # fmt: skip
    assert sorted(value == 100 for value in shown.values()) == [False, True]
    assert ran.out.count("target ceiling of") == 2


def test_one_worker_gives_the_same(two: tuple[Path, Ran], tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    ran = bench(*suite_argv(root, ROWS, "--json", "--workers", "1"))
    assert ran.code == 0, ran.err
    assert rows(root) == rows(two[0]) != {}
    assert weights(root) == weights(two[0]) != {}
    assert {**ran.json, "resumed": []} == two[1].json


def test_bench_run_gives_the_same(two: tuple[Path, Ran], tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    for row in ROWS.split(","):
        assert bench(*run_argv(root, row, "--folds", "0,1")).code == 0
    assert rows(root) == rows(two[0])


def test_again_trains_nothing_and_says_what_is_stored(done: Path) -> None:
    before = tree(done)
    ran = bench(*suite_argv(done, ROWS, "--json"))
    assert (ran.code, ran.json["trained"], ran.json["reused"]) == (0, 0, 8)
    assert "6 cells, 6 of them done; 0 trainings to do" in ran.err
    assert {n: v for n, v in tree(done).items() if "logs" not in n and ".lock" not in n} == {
        n: v for n, v in before.items() if "logs" not in n and ".lock" not in n
    }


def test_table_for_people(done: Path) -> None:
    ran = bench(*suite_argv(done, ROWS))
    assert "│ fsm@stage2 " in ran.out and "INCOMPLETE" not in ran.out and "post hoc" not in ran.out
    assert "8 reused" in ran.out and "ct.width=4" in ran.out and "demonstration" in ran.out


def test_status_counts_the_suite(done: Path) -> None:
    status = bench("status", "--root", str(done), "--json").json["suites"]
    assert status == [
        {"name": "main", "planned": 6, "earlier_stages": 2, "done": 6, "running": 0,
         "failed": 0, "stopped": 0, "not_run": 0, "post_hoc": "", "command": ""}
    ]  # fmt: skip


def test_missing_cell_makes_it_incomplete_and_the_command_fills_it(
    done: Path, two: tuple[Path, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FIELD F30: delete one of rows x folds x seeds."""
    files = sorted((done / "ledger" / "main").glob("*.json"))
    lost = next(f for f in files if json.loads(f.read_text())["label"].startswith("unet["))
    entry = json.loads(lost.read_text())
    lost.unlink()
    shutil.rmtree(done / "results" / entry["key"])
    status = bench("status", "--root", str(done))
    assert "suite main: 5 of 6 cells done (2 of them of NAME@stage, a row at" in status.out
    compared = bench("compare", "fsm", "unet", "--root", str(done))
    assert compared.code == 1 and "gain" not in compared.out
    assert f"fold {entry['fold']} seed 0 (not run)" in compared.out
    only_fsm = bench(*suite_argv(done, "fsm"))  # a part of the plan is no other plan
    assert only_fsm.code == 0 and "post hoc" not in only_fsm.out
    line = next(x for x in only_fsm.out.splitlines() if "INCOMPLETE: no result" in x)
    assert "│ unet " in only_fsm.out and "│ INCOMPLETE │" in only_fsm.out
    monkeypatch.setenv("BENCH_ROOT", str(done))
    command = shlex.split(line.partition("fill it with: bench ")[2])
    ran = bench(*command, "--threads", "1", "--mlflow", "none", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["incomplete"] == [] and ran.json["table"] == two[1].json["table"]


def test_growing_after_a_result_is_post_hoc(done: Path) -> None:
    ran = bench(*suite_argv(done, ROWS, "--seeds", "0,1"))
    assert ran.code == 0, ran.err
    assert "suite main: post hoc: the plan was changed (seeds, analysis) when 6" in ran.out
    assert "post hoc" in bench("status", "--root", str(done)).out
    assert "post hoc" in bench("compare", "fsm", "unet", "--root", str(done)).out
    plans = sorted((done / "ledger" / "main" / "plan").iterdir())
    assert [json.loads(plan.read_text())["results"] for plan in plans] == [0, 6]


def test_plan_after_results_elsewhere_is_post_hoc(done: Path) -> None:
    """Another name is no way around a plan."""
    ran = bench(*suite_argv(done, ROWS, "--name", "second"))
    assert ran.code == 0, ran.err
    assert "suite second: post hoc: the plan was written when 6 of its cells had a" in ran.out


def refused(ran: Ran, *words: str) -> None:
    assert ran.code == 2, ran
    assert ran.out == ""
    assert 1 <= len(ran.err.splitlines()) <= 2 and "Traceback" not in ran.err, ran.err
    for word in words:
        assert word in ran.err, ran.err


BAD: dict[str, tuple[list[str], list[str]]] = {
    "row": (["--rows", "unet,fms"], ["fms", "did you mean fsm"]),
    "no rows": (["--rows", ""], ["--rows", "no rows"]),
    "empty row": (["--rows", "unet,,fsm"], ["--rows"]),
    "data set": (["--datasets", "tiny,tinny"], ["tinny", "known: phantom", "tiny"]),
    "no data set": (["--datasets", ""], ["--datasets"]),
    "name": (["--name", "../x"], ["--name", "../x"]),
    "name of a sweep": (["--name", "sweep-xi"], ["--name", "sweep-"]),
    "workers": (["--workers", "0"], ["--workers", "from 1 to"]),
    "threads": (["--threads", "0"], ["--threads", "from 1 to"]),
    "fold": (["--folds", "7"], ["7", "0 to 4"]),
    "seeds": (["--seeds", "x"], ["--seeds"]),
    "preset": (["--preset", "huge"], ["huge", "quick, lite, study, paper"]),
    "another preset": (["--preset", "lite"], ["main is planned with --preset quick"]),
    "field": (["--set", "gt.wide=3"], ["gt.wide"]),
    "field of no row": (["--set", "wide=3"], ["wide", "none of the rows"]),
    "last part of a field": (["--set", "epochs=3"], ["did you mean schedule.epochs? none of"]),
    "value": (["--set", "xi=-1"], ["xi", "range"]),
    "other values": (["--set", "xi=0.5"], ["main is planned with --set"]),
    "device": (["--device", "banana"], ["banana"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(two: tuple[Path, Ran], name: str) -> None:
    root, _ = two
    before = tree(root)
    refused(bench(*suite_argv(root, ROWS), *BAD[name][0]), *BAD[name][1])
    assert tree(root) == before


def test_workspace_that_cannot_be_made(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    refused(bench(*suite_argv(place / "below", ROWS)), "cannot be written", "--root")
    assert place.read_text() == "mine"


def test_mixed_splits_are_refused(done: Path) -> None:
    """Another split of the set under the same name: other patients are tested in each fold."""
    shutil.rmtree(done / "data" / "tiny")
    tiny_workspace(done, patients=7)
    before = tree(done / "ledger")
    refused(bench(*suite_argv(done, ROWS)), "another split of data set tiny", "--name")
    assert tree(done / "ledger") == before


def test_damaged_plan_is_refused(done: Path) -> None:
    plan = done / "ledger" / "main" / "plan" / "0001.json"
    plan.write_text(plan.read_text().replace('"margin": 1', '"margin": 2'))
    refused(bench(*suite_argv(done, ROWS)), "0001.json", "does not match its hash")
    status = bench("status", "--root", str(done))
    assert status.code == 0 and "unet" in status.out, "the cells are shown all the same"
    assert "0001.json" in status.err and "does not match its hash" in status.err
    verified = bench("store", "verify", "--root", str(done))
    assert verified.code == 1 and "ledger/main/plan/0001.json" in verified.out


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """Rows that fail, each in its way."""
    yield package(tmp_path / "site", "faulty", FAULTY, "beyond_loss.methods", "faulty")


@pytest.mark.long
def test_failing_rows_fail_alone(tmp_path: Path, site: Path) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    argv = suite_argv(root, "raises,unet,diverges,dies", "--folds", "0", "--json")
    ran = finish(spawn_warm(*argv, site=site), 300)
    assert ran.code == 1, ran.err
    assert {line["row"].partition("[")[0] for line in ran.json["table"]} == {"unet"}
    lost = {cell["row"].partition("[")[0]: cell for cell in ran.json["incomplete"]}
    assert {cell["state"] for cell in lost.values()} == {"failed"}
    assert "step 0" in lost["diverges"]["error"] or "step 1" in lost["diverges"]["error"]
    assert "OSError: no space left on device" in lost["raises"]["error"]
    assert "killed (SIGKILL" in lost["dies"]["error"] and "2 times" in lost["dies"]["error"]
    assert "trying once more" in ran.err and "INCOMPLETE: no result of" in ran.err
    assert "costs cannot be estimated (OSError" in ran.err
    assert "Traceback" not in ran.err, "what a worker prints is in its log"
    logs = "".join(path.read_text() for path in (root / "logs").iterdir())
    assert "no space left on device" in logs
    status = bench("status", "--root", str(root), "--json").json["suites"][0]
    assert (status["done"], status["failed"], status["not_run"]) == (1, 3, 0)
    argv[argv.index("raises,unet,diverges,dies")] = "raises,unet"  # each death costs seconds
    again = finish(spawn_warm(*argv, site=site), 300)  # a failure is never taken for a result
    assert (again.code, again.json["trained"], again.json["reused"]) == (1, 0, 1)


@pytest.mark.long
def test_killed_worker_is_tried_again(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    monkeypatch.setenv("DIES_ONCE", str(tmp_path / "died"))
    argv = suite_argv(root, "dies-once,unet", "--folds", "0", "--json")
    ran = finish(spawn_warm(*argv, site=site), 300)
    assert ran.code == 0, ran.err
    assert (tmp_path / "died").exists() and ran.err.count("trying once more") == 1
    assert ran.json["incomplete"] == [] and ran.json["trained"] == 2


@pytest.mark.long
def test_parent_alone_writes_to_mlflow(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    argv = suite_argv(root, "unet", "--folds", "0,1")
    argv[argv.index("--mlflow") + 1] = f"sqlite:///{root / 'mlflow.db'}"
    ran = bench(*argv)
    assert ran.code == 0, ran.err
    assert "did not take everything" not in ran.err
    from mlflow import MlflowClient

    client: Any = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    found = client.search_runs([x.experiment_id for x in client.search_experiments()])
    levels = sorted(run.data.tags["level"] for run in found)
    assert sorted(levels) == ["fold", "fold", "row", "suite"]  # a suite, a row, its two folds
    assert {run.data.tags["suite"] for run in found} == {"main"}
    assert {run.info.status for run in found} == {"FINISHED"}
    (whole,) = (run for run in found if run.data.tags["level"] == "suite")
    assert whole.data.metrics == {"suite/rows": 1, "suite/cells": 2}
    assert bench("report", "--root", str(root), "--suite", "main").code == 0
    names = [item.path for item in client.list_artifacts(whole.info.run_id, "report")]
    assert "report/index.html" in names


def test_a_row_brings_overrides_of_its_own(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    ran = bench(*suite_argv(root, "unet,unet[ct.levels=2]", "--folds", "0"))
    assert ran.code == 0 and "unet[ct.levels=2]" in ran.out, ran.err
    label = "unet[ct.levels=2]"
    assert label in bench("compare", "unet", label, "--root", str(root)).out
