"""`bench sweep` from end to end on the tiny set: real trainings, workers, storage and MLflow."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bench_process import Ran, bench, finish, package, spawn, tiny_workspace, tree
from sweep_process import VALUES, objects, sweep_argv, workspace

pytestmark = pytest.mark.long
FOLDS, TRIALS = 2, 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def swept(root: Path) -> Ran:
    """Three settings of xi on two workers, nothing repeated."""
    argv = sweep_argv(root, "xi", "--trials", f"{TRIALS}", "--workers", "2", "--json")
    return bench(*argv, "--repeats", "0")


def settings(ran: Ran) -> dict[str, float]:
    (study,) = ran.json["studies"]
    return {json.dumps(trial["overrides"]): trial["value"] for trial in study["trials"]}


def test_trials_share_trainings(root: Path, swept: Ran) -> None:
    assert swept.code == 0, swept.err
    assert not (root / "mlflow.db").exists()  # --mlflow none
    (study,) = swept.json["studies"]
    assert len(settings(swept)) == TRIALS and study["running"] == 0
    assert len(objects(root)) == FOLDS + 2 * TRIALS * FOLDS == 14
    assert study["sharing"]["needed"] == 14 and study["sharing"]["alone"] == 18
    assert "sharing saved 4 (22 %)" in study["sharing"]["line"]
    assert "not known" in study["response"]["sentence"]


@pytest.fixture(scope="module")
def plain(root: Path, swept: Ran) -> Ran:
    """The same settings without stage 3, one after the other."""
    more = ["--set", "refine=false", "--study", "plain", "--repeats", "0", "--json"]
    return bench(*sweep_argv(root, "xi", "--trials", f"{TRIALS}", *more))


def test_without_stage_three(root: Path, swept: Ran, plain: Ran) -> None:
    """Settings that both tried are there already."""
    (study,) = plain.json["studies"]
    assert study["sharing"]["needed"] == FOLDS + TRIALS * FOLDS == 8
    new = settings(plain).keys() - settings(swept).keys()
    assert len(objects(root)) == 14 + FOLDS * len(new) and len(new) < TRIALS


def test_the_same_command_goes_on_and_repeats_fill_in(root: Path, swept: Ran) -> None:
    uri = f"sqlite:///{root / 'mlflow.db'}"
    argv = sweep_argv(root, "xi", "--trials", f"{TRIALS}", "--workers", "2", "--json")
    argv[argv.index("none")] = uri
    for _ in range(3):  # a slow machine may need another call to fill MLflow, as it is told then
        ran = bench(*argv, "--repeats", "2", "--mlflow-cells")
        assert ran.code == 0, ran.err
        if "did not take the sweep" not in ran.err:
            break
    (study,) = ran.json["studies"]
    assert study["trials"] == swept.json["studies"][0]["trials"]
    assert study["response"]["exceeds"] in (True, False) and study["default"] > 0
    assert study["default_values"] == {"xi": 0.3}
    files = sorted(path.name for path in (root / "reports" / "sweeps").glob("xi-*"))
    assert files == [f"xi-fsm-tiny-quick-response-xi.{kind}" for kind in ("png", "svg")]
    check_mlflow(uri)


def check_mlflow(uri: str) -> None:
    """One parent, a child a trial, and the cells below them, as they were asked for."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    by_level: dict[str, list[Any]] = {"sweep": [], "trial": [], "cell": []}
    for run in runs:
        by_level[run.data.tags["level"]].append(run)
    (top,) = by_level["sweep"]
    parents = {level: {r.data.tags["mlflow.parentRunId"] for r in by_level[level]}
               for level in ("trial", "cell")}  # fmt: skip
    assert parents["trial"] == {top.info.run_id} and len(by_level["trial"]) == TRIALS
    assert parents["cell"] == {run.info.run_id for run in by_level["trial"]}
    assert len(by_level["cell"]) == TRIALS * FOLDS
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert top.data.metrics["sweep/trials"] == TRIALS
    assert len(client.get_metric_history(top.info.run_id, "sweep/dsc")) == TRIALS
    assert [f.path for f in client.list_artifacts(top.info.run_id)] == [
        "xi-fsm-tiny-quick-response-xi.png"
    ]
    assert all("xi" in run.data.params for run in by_level["trial"])
    assert all("inner/dsc/liver" in run.data.metrics for run in by_level["cell"])


def test_sync_makes_no_rows_of_trials(root: Path, swept: Ran) -> None:
    ran = bench("sync", "--root", str(root))
    assert ran.out.startswith("0 rows and 0 cells"), ran.out


def test_two_sequential_sweeps_are_identical(root: Path, swept: Ran, tmp_path: Path) -> None:
    """In another workspace and in this one; every value is that of two workers."""
    more = ["--trials", "2", "--repeats", "0", "--json"]
    first = bench(*sweep_argv(workspace(tmp_path), "xi", *more))
    second = bench(*sweep_argv(root, "xi", *more, "--study", "again"))
    runs = [ran.json["studies"][0]["trials"] for ran in (first, second)]
    assert runs[0] == runs[1] and len(runs[0]) == 2
    both = settings(first).keys() & settings(swept).keys()
    assert both and all(settings(first)[k] == settings(swept)[k] for k in both)


def test_best_is_what_bench_run_takes(root: Path, swept: Ran, tmp_path: Path) -> None:
    file = tmp_path / "best.json"
    best = bench("sweep", "best", "xi-fsm-tiny-quick", "--root", str(root), "--json",
        "--out", str(file)).json  # fmt: skip
    (study,) = swept.json["studies"]
    assert best == {
        "params": study["best"]["overrides"], "value": study["best"]["value"], "trials": TRIALS,
    }  # fmt: skip
    assert json.loads(file.read_text()) == {**VALUES, **best["params"]}
    plain = ["--root", str(root), "--dataset", "tiny", "--folds", "0,1", "--config", str(file)]
    nodes = {
        inner: bench("plan", "--method", "fsm", "--json", *plain, *inner).json["nodes"]
        for inner in ((), ("--inner",))
    }
    assert all(node["cached"] for node in nodes[("--inner",)])  # a trial is `bench run --inner`
    assert len(nodes[()]) == 6 and not any(node["cached"] for node in nodes[()])


def test_best_of_several_studies_is_asked_for(root: Path, swept: Ran, plain: Ran) -> None:
    ran = bench("sweep", "best", "xi", "--root", str(root))
    assert ran.code == 2 and "plain" in ran.err and "name one" in ran.err
    text = bench("sweep", "best", "xi-fsm-tiny-quick", "--root", str(root)).out
    assert "bench run --method fsm --dataset tiny --preset quick --folds 0,1 --config" in text


OUTSIDE = "def space(trial):\n    return {'noise': trial.suggest_float('noise', 0.5, 2)}\n"
FAILS = "def space(trial):\n    return {'noise': 1 / 0}\n"
BAD: dict[str, tuple[list[str], list[str]]] = {
    "sweep": (["xl"], ["no sweep 'xl'", "xi, noise, taps, joint"]),
    "file": (["nowhere.py"], ["no file nowhere.py"]),
    "function": (["{outside}:other"], ["no function 'other'"]),
    "range": (["{outside}"], ["reaches noise = 2", "range"]),
    "code": (["{fails}"], ["ZeroDivisionError"]),
    "levels": (["taps", "--set", "ct.levels=2"], ["reaches taps.ct = -3"]),
    "row": (["xi", "--method", "fsn"], ["no method 'fsn'", "fsm"]),
    "field": (["xi", "--rows", "fsm,refine-gt"], ["no field 'xi'"]),
    "fixed": (["xi", "--set", "xi=1"], ["xi is set"]),
    "sampler": (["xi", "--sampler", "best"], ["tpe, grid, random, qmc"]),
    "trials": (["xi", "--trials", "0"], ["--trials 0"]),
    "grid": (["joint", "--sampler", "grid"], ["36 points"]),
    "workers": (["xi", "--workers", "0"], ["--workers", "from 1 to"]),
    "data set": (["xi", "--dataset", "tinny"], ["tinny"]),
    "fold": (["xi", "--folds", "9"], ["fold 9"]),
    "patients": (["xi", "--folds", "0"], ["at most 3 for an organ", "4 are needed"]),
    "per fold": (["xi", "--per-fold"], ["at most 3 for an organ in folds 0,"]),
    "device": (["xi", "--device", "toaster"], ["toaster"]),
    "study": (["xi", "--study", "a/b"], ["--study 'a/b'"]),
    "storage": (["xi", "--storage", "postgresql://x@127.0.0.1:1/x"], ["cannot be used"]),
    "other row": (["xi", "--study", "xi-fsm-tiny-quick", "--method", "no-noise"], ["method fsm"]),
    "other values": (["xi", "--seeds", "0,1"], ["seeds 0, not 0, 1"]),
}  # fmt: skip


def content(root: Path) -> dict[str, object]:
    """Every file, and what the study's database says: whoever closes it last may move rows from
    its log into its file."""
    files: dict[str, object] = {
        n: d for n, d in tree(root).items() if not n.startswith("sweeps.db")
    }
    with closing(sqlite3.connect(root / "sweeps.db")) as database:
        return {**files, "sweeps.db": list(database.iterdump())}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(root: Path, swept: Ran, tmp_path: Path, case: str) -> None:
    """One line, exit code 2, and nothing changed; the study neither."""
    argv, words = BAD[case]
    spaces = {"outside": OUTSIDE, "fails": FAILS}
    for name, code in spaces.items():
        (tmp_path / f"{name}.py").write_text(code)
    paths = {name: str(tmp_path / f"{name}.py") for name in spaces}
    name, *more = [text.format(**paths) for text in argv]
    before = content(root)
    ran = bench(*sweep_argv(root, name, "--trials", "3", *more))
    assert ran.code == 2 and ran.out == "", ran
    assert 1 <= len(ran.err.splitlines()) <= 2 and "Traceback" not in ran.err, ran.err
    assert all(word in ran.err for word in words), ran.err
    assert content(root) == before


@pytest.mark.parametrize("command", ["show", "best", "ui"])
def test_nothing_to_show(tmp_path: Path, command: str) -> None:
    name = [] if command == "ui" else ["xi"]
    ran = bench("sweep", command, *name, "--root", str(tmp_path))
    assert ran.code == 2 and "no sweep has been run" in ran.err
    assert not list(tmp_path.iterdir())


def test_too_few_patients(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path, patients=6)
    ran = bench(*sweep_argv(root, "xi", "--trials", "3"))
    assert ran.code == 2 and "too few inner validation patients" in ran.err
    assert not (root / "sweeps.db").exists()


def test_somebody_elses_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweeps.spaces import find_sweep

    code = "def drop(trial):\n    return {'drop': trial.suggest_float('drop', 0, 1)}\n"
    site = package(tmp_path / "site", "her_spaces", code, "beyond_loss.sweeps", "her_spaces:drop")
    monkeypatch.syspath_prepend(site)
    sweep = find_sweep("her_spaces")
    from optuna.trial import FixedTrial

    assert sweep.overrides(FixedTrial({"drop": 0.5})) == {"drop": 0.5}


def test_rows_get_equal_trials_and_folds_studies_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps import driver
    from sweeps.planning import StudyPlan, plan_studies

    found: list[StudyPlan] = []

    def only_plan(options: Any) -> None:
        found.extend(plan_studies(options))

    monkeypatch.setattr(driver, "run_sweep", only_plan)
    root = tiny_workspace(tmp_path, patients=25)
    rows = ["--rows", "fsm,fsm-shuffled", "--trials", "5"]
    bench(*sweep_argv(root, "xi", *rows, "--per-fold"))
    assert [(p.name, p.about.method, p.about.folds, p.trials) for p in found] == [
        (f"xi-{row}-tiny-quick-fold{fold}", row, (fold,), 5)
        for row in ("fsm", "fsm-shuffled")
        for fold in (0, 1)
    ]
    found.clear()
    bench(*sweep_argv(root, "xi", *rows, "--study", "mine"))
    assert [(p.name, p.about.folds, p.trials) for p in found] == [
        ("mine-fsm", (0, 1), 5), ("mine-fsm-shuffled", (0, 1), 5),
    ]  # fmt: skip


def test_the_dashboard_shows_the_studies(root: Path, swept: Ran) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = spawn("sweep", "ui", "--root", str(root), "--port", str(port))
    try:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}/" in process.stdout.readline()
        names = {study["study_name"] for study in ask(f"http://127.0.0.1:{port}/api/studies")}
        assert "xi-fsm-tiny-quick" in names
        ask(f"http://localhost:{port}/api/studies")
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil"):
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/studies")
            asked.add_header("Host", host)
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(asked, timeout=10)
        taken = bench("sweep", "ui", "--root", str(root), "--port", str(port))
        assert taken.code == 2 and f"port {port}" in taken.err
    finally:
        process.terminate()
        finish(process)


def ask(url: str) -> list[dict[str, Any]]:
    """What the dashboard answers, once it does."""
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return list(json.load(answer)["study_summaries"])
        except OSError:
            assert time.monotonic() < until, "no answer"
            time.sleep(0.2)
