"""A workspace that an earlier commit left behind (see make.py): it opens, shows the same numbers,
goes on, and says what of it is old."""

from __future__ import annotations

import json
import platform
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bench_process import bench, setting_argv, tiny_workspace, tree, weights

from benchmark.files.code import KeptList
from benchmark.training.precision import hardware

ARCHIVES = sorted(Path(__file__).parent.glob("*.tar.xz"))
SMALL: dict[str, Any] = {"ground.size": None, "ct.width": 4, "ct.levels": 3, "schedule.epochs": 2,
                         "schedule.steps_per_epoch": 3}  # fmt: skip
SMALL_GT = SMALL | {"gt.width": 4, "gt.levels": 3}
LONG = SMALL | {"schedule.epochs": 60}
FOLDS = ("--folds", "0,1", "--preset", "quick-1", "--json")  # what quick was then
OTHER_CODE = "made by other code"


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace as it was packed."""
    folder = tmp_path_factory.mktemp("kept")
    with tarfile.open(request.param) as packed:
        packed.extractall(folder, filter="data")
    return folder / "workspace"


@pytest.fixture
def root(unpacked: Path, tmp_path: Path) -> Path:
    """A copy of it, to write in."""
    return Path(shutil.copytree(unpacked, tmp_path / "workspace"))


def run(root: Path, row: str, values: dict[str, Any], *more: str) -> list[str]:
    mlflow = () if "--mlflow" in more else ("--mlflow", "none")
    return ["run", "--method", row, *setting_argv(root, values), *FOLDS, *mlflow, *more]


def rows(root: Path) -> dict[str, list[dict[str, Any]]]:
    files = sorted(root.glob("results/[0-9a-f]*/*/rows.parquet"))
    return {str(path.relative_to(root)): pq.read_table(path).to_pylist() for path in files}


def test_it_opens_and_says_what_is_there(unpacked: Path) -> None:
    status = bench("status", "--root", str(unpacked), "--json")
    assert status.code == 0, status.err
    states = [cell["state"] for cell in status.json["cells"]]
    assert states.count("stopped") == 1 and set(states) == {"done", "stopped"}
    (stopped,) = [cell for cell in status.json["cells"] if cell["state"] == "stopped"]
    assert stopped["step"] == 20
    assert {cell["preset"] for cell in status.json["cells"]} == {"quick-1"}
    (suite,) = status.json["suites"]
    assert (suite["name"], suite["done"], suite["planned"]) == ("kept", 6, 6)
    verified = bench("store", "verify", "--root", str(unpacked))
    assert verified.code == 0 and " 0 damaged" in verified.out


FORMATS = {"2": "newer bench", "0": "knows of no older one", "": "damaged", "\u0661": "damaged"}


@pytest.mark.parametrize("found", FORMATS)
def test_another_format_is_refused_in_one_line(root: Path, found: str) -> None:
    """Whoever reads or writes it; and nothing in it is touched."""
    assert (root / "format").read_text() == "1\n", "as it was kept: what opens below"
    (root / "format").write_text(found, encoding="utf-8")
    before = tree(root)
    for command in (["status"], ["report"], ["store", "verify"], ["sync"], ["sweep", "show", "xi"]):
        ran = bench(*command, "--root", str(root))
        (line,) = ran.err.splitlines()
        assert (ran.code, ran.out) == (2, "") and FORMATS[found] in line, (command, ran)
    trained = bench(*run(root, "unet", SMALL))
    assert trained.code == 2 and FORMATS[found] in trained.err
    assert tree(root) == before


def test_both_rows_are_used_as_they_are(root: Path) -> None:
    before = {**weights(root), **{name: str(found) for name, found in rows(root).items()}}
    for row, values, trainings in (("unet", SMALL, 2), ("fsm", SMALL_GT, 6)):
        ran = bench(*run(root, row, values))
        assert ran.code == 0, ran.err
        assert (ran.json["trained"], ran.json["reused"]) == (0, trainings)
        assert OTHER_CODE not in ran.err, ran.err
    after = {**weights(root), **{name: str(found) for name, found in rows(root).items()}}
    assert before == {name: after[name] for name in before}
    added = {name.rpartition("/")[2] for name in after.keys() - before.keys()}
    fitted = {f"{net}.safetensors" for net in ("adapter", "ct", "gt")} | {"rows.parquet"}
    assert added <= fitted, "the probe headroom is fitted by another schedule (decision 0012)"


def test_the_suite_is_done_and_compares(root: Path) -> None:
    sets = [part for n, v in SMALL_GT.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    suite = ["suite", "--name", "kept", "--rows", "unet,fsm", "--datasets", "tiny", "--threads",
             "1", "--workers", "1", "--root", str(root), "--mlflow", "none", *sets]  # fmt: skip
    ran = bench(*suite, *FOLDS)
    assert ran.code == 0 and ran.json["trained"] == 0, ran.err
    assert OTHER_CODE not in ran.err
    compared = bench("compare", "fsm", "unet", "--suite", "kept", "--root", str(root), "--json")
    assert compared.code == 0, compared.err
    assert {found["metric"] for found in compared.json["comparisons"]} == {"dsc", "assd_penalised"}
    assert compared.json["analysis"] == "analysis 1: patients and trainings random", "as planned"
    reported = bench("report", "--suite", "kept", "--root", str(root))
    assert "fsm on tiny: demonstration" in reported.out, reported.err
    (facts,) = (root / "reports/kept/tables").glob("*-provenance.csv")
    assert "made by other code,-\n" in facts.read_text()
    assert "primary analysis,analysis 1: patients and trainings random\n" in facts.read_text()


def test_the_sweep_is_done(root: Path) -> None:
    best = bench("sweep", "best", "xi", "--root", str(root), "--json")
    assert best.code == 0 and best.json["params"] == {"xi": 1.2}, best.err
    sets = [part for n, v in SMALL_GT.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    again = bench("sweep", "run", "xi", "--method", "fsm", "--dataset", "tiny", "--trials", "2",
                  "--repeats", "0", "--threads", "1", "--folds", "0,1", "--mlflow", "none",
                  "--preset", "quick-1", "--root", str(root), *sets)  # fmt: skip
    assert again.code == 0, again.err


def test_mlflow_finds_its_runs_again(root: Path) -> None:
    synced = bench("sync", "--root", str(root))
    assert synced.code == 0 and "sent now: 0 runs" in synced.out, synced


def test_a_training_in_mid_way_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began in another layout of records, and in the memory layout of then, which it keeps: it
    ends with the weights of an undisturbed one."""
    ran = bench(*run(root, "unet", LONG, "--folds", "0"))
    assert ran.code == 0 and [found["step"] for found in ran.json["resumed"]] == [20], ran.err
    (key,) = [found["key"] for found in ran.json["resumed"]]
    record = json.loads((root / "objects" / key / "record.json").read_text())
    assert record["resumed"] == [20] and record["hardware"]["layout"] == "channels_last"
    monkeypatch.setenv("BENCH_LAYOUT", "channels_last")
    same = (record["hardware"]["name"], record["hardware"]["torch"])
    undisturbed = tiny_workspace(tmp_path / "new", patients=15)
    assert bench(*run(undisturbed, "unet", LONG, "--folds", "0")).code == 0
    made_here = json.loads(next(root.glob("objects/[0-9a-f]*/record.json")).read_text())
    if (made_here["hardware"]["name"], made_here["hardware"]["torch"]) != same:
        pytest.skip(f"made on another processor or torch than this {platform.processor()}")
    name = f"{key}/ct.safetensors"
    assert weights(root)[name] == weights(undisturbed)[name]


def test_code_that_is_not_known_to_be_equal_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the kept list all of it is old: it is used, and the checkpoint begins again."""
    nothing = KeptList(snapshots={}, steps=())
    monkeypatch.setattr("benchmark.store.workspace.kept_list", lambda: nothing)
    ran = bench(*run(root, "unet", SMALL))
    assert ran.json["trained"] == 0
    (line,) = [line for line in ran.err.splitlines() if OTHER_CODE in line]
    assert "4 stored results" in line and "--fresh" in line
    resumed = bench(*run(root, "unet", LONG, "--folds", "0"))
    assert resumed.json["resumed"] == [] and "starting anew" in resumed.err
    bench("report", "--suite", "kept", "--root", str(root))
    report = (root / "reports/kept/report.md").read_text()
    assert "of the stored results here were made by other code than this bench's" in report


def test_this_machine_trains_the_same(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only is the code named equal: the same weights and rows come out of it, in the memory
    layout of then."""
    monkeypatch.setenv("BENCH_LAYOUT", "channels_last")
    kept = weights(root)
    new = tiny_workspace(tmp_path / "new", patients=15)
    for row, values in (("unet", SMALL), ("fsm", SMALL_GT)):
        assert bench(*run(new, row, values)).code == 0
    record = json.loads(next(root.glob("objects/[0-9a-f]*/record.json")).read_text())
    here = hardware("cpu").record()
    if any(record["hardware"][name] != here[name] for name in ("name", "torch")):
        pytest.skip(f"kept by {record['hardware']}, this is {here}: the bits may differ")
    made = weights(new)
    anew = {name.partition("/")[0] for name in made if "adapter" in name}  # see above
    made = {name: there for name, there in made.items() if name.partition("/")[0] not in anew}
    assert len(made) > 10 and all(kept[name] == made[name] for name in made)
    ours, theirs = rows(new), rows(root)
    shared = ours.keys() & theirs.keys()
    assert len(shared) >= 6
    for name in shared:
        assert _values(ours[name]) == _values(theirs[name])


def _values(found: list[dict[str, Any]]) -> list[str]:
    return [str({n: v for n, v in row.items() if n != "code"}) for row in found]
