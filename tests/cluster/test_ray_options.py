"""`--executor ray`: what is wrong with it is one line, before anything is trained."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from bench_process import REPOSITORY, Ran, bench, run_argv, tiny_workspace, tree

from benchmark.data.library import open_dataset
from benchmark.running.bench import Options
from benchmark.running.cells import plan_cells
from benchmark.running.executors.remote import Call, Sign, run
from benchmark.running.tasks import Work
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve

WITHOUT = "import sys; sys.modules['ray'] = None; from benchmark.cli.main import main; "


def refused(ran: Ran, *words: str) -> None:
    line = ran.err.splitlines()[-1]
    assert ran.code == 2 and all(word in line for word in words), ran.err
    assert ran.out == "" and "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("given", "word"),
    [("--num-gpus 1.5", "--num-gpus"), ("--num-gpus -1", "--num-gpus"),
     ("--num-gpus nan", "--num-gpus"), ("--num-gpus 0.00001", "--num-gpus"),
     ("--num-cpus 0", "--num-cpus"), ("--num-cpus 1.5", "--num-cpus"),
     ("--num-cpus two", "--num-cpus"), ("--executor slum", "--executor"),
     ("--num-gpus 0.5 --executor local", "--executor ray"),
     ("--address here:1 --executor local", "--executor ray"),
     ("--detach", "give its --address"), ("--detach --executor local", "--executor ray"),
     ("--device cuda:1", "the cluster says which GPU"), ("--device gpu", "the cluster says"),
     ("--device cpu --num-gpus 1", "leave one"), ("--device cuda --num-gpus 0", "leave one")],
)  # fmt: skip
def test_a_wrong_share_is_one_line(tmp_path: Path, given: str, word: str) -> None:
    root = tiny_workspace(tmp_path / "w")
    argv = ["--executor", "ray"] if "--executor" not in given else []
    refused(bench(*run_argv(root, "unet", "--folds", "0", *argv, *given.split())), word)
    assert not list((root / "objects").glob("*"))


@pytest.mark.long
def test_without_the_package(tmp_path: Path) -> None:
    """All else works, and what to install is said."""
    root = tiny_workspace(tmp_path / "w")
    argv = run_argv(root, "unet", "--folds", "0", "--executor", "ray")
    ran = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT} sys.exit(main({argv!r}))"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    refused(Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr), "pip install", "[ray]")


@pytest.mark.long
def test_ray_is_imported_only_when_asked_for() -> None:
    names = "cli.run, cli.suite, running.crew, running.conduct, running.executors.ray"
    code = "; ".join(f"import benchmark.{name.strip()}" for name in names.split(","))
    code += "; import sweeps.driver, sys; print('ray' in sys.modules, 'torch' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
    )  # fmt: skip
    assert ran.stdout.split() == ["False", "True"], ran.stderr


def test_what_runs_in_the_cluster_loads_no_torch_by_itself() -> None:
    """The ear is a process of its own, and OpenMP reads its environment when torch loads it."""
    code = "import benchmark.running.executors.remote, sys; print('torch' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert ran.stdout.split() == ["False"], ran.stderr


def test_where_the_workspace_is_not_seen_a_task_trains_nothing(tmp_path: Path) -> None:
    """A node may join the cluster after the start, without the shared folder."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'beyond-loss[ray]'")
    root = tiny_workspace(tmp_path / "w")
    options = Options(root=root, device="cpu", threads=1)
    cells = plan_cells(
        resolve(load_registry(), "unet"), open_dataset(root, "tiny"), folds=[0], seeds=[0]
    )
    work = Work()
    work.add(cells, options.open(), "default")
    before = tree(root)
    sign = Sign(path=root / "logs" / "sign", text="of the driver")
    for left in ("", "of another folder"):
        if left:
            sign.path.parent.mkdir(exist_ok=True)
            sign.path.write_text(left)
            before = tree(root)
        call = Call(number=1, task=work.graph.left[0], options=options, sign=sign)
        back = pickle.loads(run(pickle.dumps(call), None))
        assert f"the workspace {root} is not seen" in back.unfit and back.unfit.startswith("node ")
        assert tree(root) == before


def test_a_cluster_without_a_token_is_not_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'beyond-loss[ray]'")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tiny_workspace(tmp_path / "w")
    argv = ["--executor", "ray", "--address", "127.0.0.8:1"]
    ran = bench(*run_argv(root, "unet", "--folds", "0", *argv))
    refused(ran, "token", "RAY_AUTH_TOKEN_PATH", "docs/cluster.md")
    assert "RAY_AUTH_MODE" not in os.environ, "what was set is taken back"
