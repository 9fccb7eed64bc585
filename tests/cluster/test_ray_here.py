"""`--executor ray` without a cluster: an instance of our own here, for a run and a sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from bench_process import REPOSITORY, Ran, bench, package, run_argv, tiny_workspace, weights
from suite_process import rows
from sweep_process import objects, sweep_argv, workspace

from benchmark.store.ledger import Ledger

pytestmark = pytest.mark.long


ROW = """
import os, sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, field_from

@dataclass(frozen=True, kw_only=True)
class Untidy:
    kind: ClassVar[str] = "test/untidy"
    net: str = "ct"
    reads: str = "image"
    def __call__(self, nets, batch):
        mine, first = str(id(nets["ct"])), Path(__file__).with_name("first")
        if os.environ.setdefault("LEFT", mine) != mine or os.environ.get("CWD", "/") != "/":
            raise RuntimeError("the environment of another training is left over")
        if not first.exists():
            first.write_text(mine)
        if first.read_text() != mine:
            sys.exit(3)
        os.chdir("/")
        print("said in a step", flush=True)
        return Segmentation()(nets, batch)

@dataclass(frozen=True, kw_only=True)
class Method:
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "C", "of the training")
    def plan(self):
        return Train(title="N_CT", nets={"ct": Net(arch=self.ct)}, objective=Untidy(),
                     schedule=self.schedule)["ct"]

METHODS = {"untidy": Row(method=Method(), group="x", title="untidy", about="-", source="-")}
"""


def by_ray(*argv: str, site: Path | None = None) -> Ran:
    """Run a command by an instance of Ray, and see that nothing of it is left, nor of one whose
    command was killed."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'beyond-loss[ray]'")
    found = [site and str(site), str(REPOSITORY), os.environ.get("PYTHONPATH")]
    paths = [path for path in found if path]
    known = {name: v for name, v in os.environ.items() if not name.startswith("RAY_")}
    with tempfile.TemporaryDirectory(prefix="rh-", dir="/tmp") as temporary:  # short, for sockets
        of_killed = Path(temporary, f"bench-ray-{2**31 - 1}-x")
        of_killed.mkdir()
        ran = subprocess.run(
            [sys.executable, "-m", "benchmark.cli.main", *argv, "--executor", "ray"],
            capture_output=True, text=True, timeout=240,
            env={**known, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths),
                 "TMPDIR": temporary},
        )  # fmt: skip
        assert not list(Path(temporary).glob("bench-ray-*"))
    return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def trained_lines(ran: Ran) -> list[str]:
    return sorted(line for line in ran.err.splitlines() if ", key " in line)


def test_a_run_stores_and_says_what_one_process_does(tmp_path: Path) -> None:
    roots = [tiny_workspace(tmp_path / name) for name in ("here", "ray")]
    argv = ["--folds", "0,1", "--json"]
    alone = bench(*run_argv(roots[0], "fsm", *argv, "--workers", "1"))
    ran = by_ray(*run_argv(roots[1], "fsm", *argv))
    assert (alone.code, ran.code) == (0, 0), ran.err
    assert rows(roots[0]) == rows(roots[1]) != {}
    assert weights(roots[0]) == weights(roots[1]) != {}
    assert ran.json["table"] == alone.json["table"] != []
    assert trained_lines(ran) == trained_lines(alone) and len(trained_lines(ran)) == 8
    assert (ran.json["trained"], ran.json["reused"]) == (6, 0)
    again = bench(*run_argv(roots[1], "fsm", *argv, "--executor", "ray"))  # needs no Ray
    assert (again.code, again.json["trained"]) == (0, 0), again.err


def test_a_sweep_has_the_values_of_this_machine(tmp_path: Path) -> None:
    roots = [workspace(tmp_path / name) for name in ("here", "ray")]
    more = ["--trials", "2", "--repeats", "0", "--json", "--workers", "2"]
    alone = bench(*sweep_argv(roots[0], "xi", *more))
    ran = by_ray(*sweep_argv(roots[1], "xi", *more))
    assert (alone.code, ran.code) == (0, 0), ran.err
    assert values(ran) == values(alone) and len(values(ran)) == 2
    assert objects(roots[0]) == objects(roots[1]) != set()


def test_a_row_that_leaves_and_is_untidy_harms_no_other_training(tmp_path: Path) -> None:
    """Both folds are trained by one worker: the second one calls sys.exit."""
    site = package(tmp_path / "site", "untidy", ROW, "beyond_loss.methods", "untidy")
    root = tiny_workspace(tmp_path / "workspace")
    argv = run_argv(root, "unet", "--folds", "0,1", "--workers", "1")
    argv[argv.index("unet")] = "untidy"
    ran = by_ray(*argv, site=site)
    lines = [line for line in ran.err.splitlines() if "failed: " in line]
    assert ran.code == 1 and len(lines) == 1, ran.err
    assert "its code called sys.exit(3)" in lines[0] and "once more" not in ran.err
    assert [entry.state for entry in Ledger(root / "ledger").entries()] == ["done", "failed"]
    assert "said in a step" in (root / "logs" / "ray-worker0.log").read_text()
    assert "said in a step" not in ran.out + ran.err


def values(ran: Ran) -> dict[str, Any]:
    (study,) = ran.json["studies"]
    return {json.dumps(trial["overrides"]): trial["value"] for trial in study["trials"]}
