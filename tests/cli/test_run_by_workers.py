"""`bench run --workers 2`: what it stores, prints and counts is what one process would."""

from __future__ import annotations

import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_process import (
    Ran,
    bench,
    finish,
    flip,
    package,
    run_argv,
    spawn,
    tiny_workspace,
    weights,
)
from suite_process import rows

from benchmark.data.library import open_dataset
from benchmark.running import crew as machine
from benchmark.running.bench import Bench, Options
from benchmark.running.cells import Cell, plan_cells
from benchmark.running.crew import Left, left_of, run_workers, why_not_sent
from benchmark.running.tasks import Graph, Work
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Entry, Ledger

FULL = """
from dataclasses import dataclass
from typing import ClassVar
from benchmark.errors import BadInput
from benchmark.parts.networks import UNet
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, field_from

@dataclass(frozen=True, kw_only=True)
class Raises:
    kind: ClassVar[str] = "test/raises"
    net: str = "ct"
    reads: str = "image"
    how: str = "full"
    def __call__(self, nets, batch):
        if self.how == "full":
            raise OSError(28, "No space left on device")
        if self.how == "bad":
            raise BadInput("the case is no CT")
        raise RuntimeError("mat1 and mat2 cannot be multiplied")

@dataclass(frozen=True, kw_only=True)
class Method:
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "C", "of the training")
    how: str = field_from("full", "C", "what it raises")
    def plan(self):
        return Train(title="N_CT", nets={"ct": Net(arch=self.ct)}, objective=Raises(how=self.how),
                     schedule=self.schedule)["ct"]

METHODS = {"raises": Row(method=Method(), group="x", title="raises", about="-", source="-")}
"""


def told(ran: Ran) -> dict[str, Any]:
    """The result but for the workspace's name in the next command."""
    shows = ran.json["shows"]
    command, _, _ = shows["next"].partition(" --root ")
    return {**ran.json, "shows": {**shows, "next": command}}


def run(root: Path, workers: int, *more: str, method: str = "fsm", folds: str = "0,1") -> Ran:
    return bench(*run_argv(root, method, "--folds", folds, "--workers", str(workers), *more))


def raising(root: Path, workers: int, how: str) -> list[str]:
    """A run of the row that raises, in two folds."""
    argv = run_argv(root, "unet", "--folds", "0,1", "--workers", str(workers), how=how)
    argv[argv.index("unet")] = "raises"
    return argv


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, Ran]]:
    """Two workspaces in which one process and two workers ran the same; nobody writes to them."""
    found = {}
    for workers in (1, 2):
        root = tiny_workspace(tmp_path_factory.mktemp(f"by{workers}"))
        found[workers] = root, run(root, workers, "--json")
    return found


@pytest.fixture
def copies(both: dict[int, tuple[Path, Ran]], tmp_path: Path) -> dict[int, Path]:
    """A copy of each."""
    return {n: Path(shutil.copytree(root, tmp_path / str(n))) for n, (root, _) in both.items()}


def cells_of(root: Path) -> list[Entry]:
    """All cells, but for their time."""
    return [replace(entry, seconds=0.0) for entry in Ledger(root / "ledger").entries()]


def trained_lines(ran: Ran) -> list[str]:
    return sorted(line for line in ran.err.splitlines() if ", key " in line)


def same(one: Path, two: Path) -> None:
    assert weights(one) == weights(two) != {}
    assert rows(one) == rows(two) != {}
    assert cells_of(one) == cells_of(two)


def test_rows_weights_and_cells_are_those_of_one_process(
    both: dict[int, tuple[Path, Ran]],
) -> None:
    (one, alone), (two, ran) = both[1], both[2]
    assert (alone.code, ran.code) == (0, 0), ran.err
    same(one, two)
    assert told(ran) == told(alone)
    assert (ran.json["trained"], ran.json["reused"]) == (6, 0)
    assert trained_lines(ran) == trained_lines(alone) and len(trained_lines(ran)) == 8
    assert "warning" not in ran.err
    places = [line.partition("]")[0] for line in ran.err.splitlines() if ", key " in line]
    assert set(places[:2]) == {"[1/4", "[2/4"}, "both folds start at once"


def test_the_same_again_trains_nothing(copies: dict[int, Path]) -> None:
    said = {n: run(root, n) for n, root in copies.items()}
    outs = [said[n].out.replace(str(root), "") for n, root in copies.items()]
    assert outs[0] == outs[1] and "0 done now, 6 reused" in said[2].out
    assert said[1].err == said[2].err and said[2].code == 0


@pytest.mark.long
def test_one_more_fold_and_a_damaged_network(copies: dict[int, Path]) -> None:
    """What is stored is checked before it counts, in the folds that are done too."""
    said = {}
    for n, root in copies.items():
        (entry,) = (e for e in cells_of(root) if e.fold == 0 and "@" not in e.row)
        flip(root / "objects" / entry.nodes[1] / "ct.safetensors")
        said[n] = run(root, n, "--json", folds="0,1,2,3")
        assert said[n].code == 0 and "damaged" in said[n].err, said[n].err
    assert told(said[1]) == told(said[2]) and said[2].json["trained"] == 7
    same(copies[1], copies[2])


@pytest.mark.long
def test_fresh_trains_and_scores_again(copies: dict[int, Path]) -> None:
    root = copies[2]
    before = {path: path.stat().st_mtime_ns for path in root.glob("[or]*s/*/**/r*.*")}
    ran = run(root, 2, "--json", "--fresh")
    assert (ran.code, ran.json["trained"], ran.json["reused"]) == (0, 6, 0), ran.err
    after = {path: path.stat().st_mtime_ns for path in before if path.exists()}
    assert before.keys() == after.keys() and not set(before.values()) & set(after.values())
    assert len(list((root / "objects" / "aside").iterdir())) == 8, "each training is replaced once"
    assert told(run(copies[1], 1, "--json", "--fresh")) == told(ran)
    same(copies[1], root)


def test_inner_and_seeds(tmp_path: Path) -> None:
    roots = {n: tiny_workspace(tmp_path / str(n)) for n in (1, 2)}
    said = {
        n: run(root, n, "--json", "--inner", "--seeds", "0,1", method="unet", folds="0")
        for n, root in roots.items()
    }
    assert told(said[1]) == told(said[2]) and said[2].json["part"] == "inner", said[2].err
    same(roots[1], roots[2])


def last_line(ran: Ran) -> str:
    return ran.err.splitlines()[-1]


@pytest.mark.parametrize(("how", "code"), [("full", 1), ("bad", 2), ("other", 1)])
def test_a_failure_ends_as_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, code: int
) -> None:
    site = package(tmp_path / "site", "raising", FULL, "beyond_loss.methods", "raising")
    monkeypatch.syspath_prepend(str(site))
    said, failed = [], []
    for n in (1, 2):
        root = tiny_workspace(tmp_path / str(n))
        said.append(bench(*raising(root, n, how)))
        failed.append(any(entry.state == "failed" for entry in cells_of(root)))
    assert [ran.code for ran in said] == [code, code], said[1].err
    places = [str(tmp_path / str(n)) for n in (1, 2)]
    assert last_line(said[0]).replace(*places) == last_line(said[1])
    assert said[0].out.replace(*places) == said[1].out and "Traceback" not in said[1].err
    assert failed == [how != "full"] * 2, "with a full disk nothing can be noted"


@pytest.mark.long
def test_what_a_method_prints_is_seen_and_kept_off_the_result(tmp_path: Path) -> None:
    code = FULL.replace(
        "        if self", "        print('in a step', flush=True)\n        if self"
    )
    site = package(tmp_path / "site", "printing", code, "beyond_loss.methods", "printing")
    root = tiny_workspace(tmp_path / "workspace")
    ran = finish(spawn(*raising(root, 2, "other"), site=site))
    assert ran.code == 1 and "in a step" in ran.err and "in a step" not in ran.out


def test_a_row_that_no_other_process_can_make_is_run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = load_registry().rows["unet"]
    module = types.ModuleType("made_in_memory")
    made = type("Here", (type(unet.method),), {"__module__": module.__name__})
    module.Here = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    registry = load_registry()
    values = {name: getattr(unet.method, name) for name in unet.method.__dataclass_fields__}
    monkeypatch.setitem(registry.rows, "here", replace(unet, method=made(**values)))
    monkeypatch.setattr("benchmark.settings.registry.load_registry", lambda: registry)
    root = tiny_workspace(tmp_path)
    argv = run_argv(root, "unet", "--folds", "0,1", "--workers", "2")
    argv[argv.index("unet")] = "here"
    ran = bench(*argv)
    assert ran.code == 0 and ran.err.count("one worker alone trains") == 1, ran.err
    assert "made_in_memory" in ran.err
    assert not why_not_sent(resolve(load_registry(), "unet"))


def planned(root: Path, row: str, **values: Any) -> tuple[list[Cell], Bench]:
    setting = resolve(load_registry(), row, overrides=values)
    bench_there = Options(root=root, device="cpu", precision="fp32").open()
    return plan_cells(setting, open_dataset(root, "tiny"), folds=range(5), seeds=[0]), bench_there


def test_all_folds_start_at_once(tmp_path: Path) -> None:
    cells, there = planned(tiny_workspace(tmp_path), "fsm")
    seconds = left_of(cells, there).seconds

    def waves(breadth_first: bool) -> list[list[tuple[str, int]]]:
        graph = Graph()
        Work(graph=graph).add(cells, there, "default", seconds, as_suite=not breadth_first)
        found = []
        while graph.left:
            taken = [task for _ in range(2) if (task := graph.take())]
            found.append([(task.title, task.cell.fold) for task in taken])
            for task in taken:
                graph.done(task)
        return found

    first = [one for wave in waves(True) for one in wave]
    assert first[:5] == [("N_GT", fold) for fold in range(5)]
    assert [title for title, _ in first[5:10]] == ["N_CT + FSM"] * 5
    idle = {order: sum(len(wave) < 2 for wave in waves(order)) for order in (True, False)}
    assert idle[True] <= 1 < idle[False], "the fifth fold does not keep one worker waiting"


@pytest.mark.parametrize(
    ("row", "values", "workers"),
    [("fsm", {}, 5), ("unet", {}, 5), ("unet", {"schedule.epochs": 1.0}, 1)],
)
def test_as_many_workers_as_there_is_work(
    tmp_path: Path, row: str, values: dict[str, Any], workers: int
) -> None:
    left = left_of(*planned(tiny_workspace(tmp_path), row, **values))
    assert (left.places, left.workers) == (5, workers)


@pytest.mark.parametrize(
    ("asked", "threads", "size", "places", "workers"),
    [(None, None, 64, 5, 4), (None, None, 64, 3, 3), (None, None, 128, 5, 1), (None, 2, 128, 5, 2),
     (3, None, 128, 5, 3), (200, None, 64, 5, 9), (None, None, 64, 0, 1), (9, None, 64, 0, 1)],
)  # fmt: skip
def test_workers_by_machine_and_work(
    monkeypatch: pytest.MonkeyPatch,
    asked: int | None,
    threads: int | None,
    size: int,
    places: int,
    workers: int,
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 4)
    options = Options(root=Path(), threads=threads, device="cpu")
    seconds = {str(n): 100.0 for n in range(9 if places else 0)}
    assert run_workers(options, asked, size, Left(seconds=seconds, places=places)) == workers


@pytest.mark.parametrize("text", ["0", "two", "", "257", "-1"])
def test_a_wrong_number_is_one_line(tmp_path: Path, text: str) -> None:
    ran = bench(*run_argv(tmp_path / "w", "unet"), "--workers", text)
    assert ran.code == 2 and "--workers" in ran.err and len(ran.err.splitlines()) == 1
