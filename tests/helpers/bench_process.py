"""For tests: `bench` on the tiny set, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warm_process import Warm

from benchmark.cli.main import main
from benchmark.data.library import add
from benchmark.testing import TinySource

Process = subprocess.Popen[str] | Warm
REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = {
    "ground.size": None,
    "ct.width": 4,
    "ct.levels": 3,
    "schedule.epochs": 2,
    "schedule.steps_per_epoch": 3,
}
SMALL_GT = {"gt.width": 4, "gt.levels": 3}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def tiny_workspace(root: Path, patients: int = 6, name: str = "tiny") -> Path:
    """Store the tiny set in `root`; for fixtures of a wider scope."""
    add(root, name, TinySource(patients=patients))
    return root


def run_argv(root: Path, method: str, *more: str, **small: Any) -> list[str]:
    """The arguments of a tiny `bench run`; `small` changes values (`__` stands for a dot)."""
    values: dict[str, Any] = dict(SMALL) if method == "unet" else {**SMALL, **SMALL_GT}
    values |= {name.replace("__", "."): value for name, value in small.items()}
    return ["run", "--method", method, "--mlflow", "none", *setting_argv(root, values), *more]


def setting_argv(root: Path, values: Mapping[str, Any] = SMALL) -> list[str]:
    """Workspace, data set, values and one thread."""
    sets = [part for n, v in values.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    return ["--root", str(root), "--dataset", "tiny", "--threads", "1", *sets]


def bench(*argv: str) -> Ran:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(argv))
        except SystemExit as end:  # --help
            code = int(end.code or 0)
    return Ran(code=code, out=out.getvalue(), err=err.getvalue())


def spawn(*argv: str, site: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a process of its own, with `site` before other packages."""
    return spawn_in(_environment(site) | environment, *argv)


def spawn_in(
    environment: Mapping[str, str], *argv: str, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """The same with this whole environment, in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli.main", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment,
    )


def spawn_warm(*argv: str, site: Path | None = None, **environment: str) -> Process:
    """The same, forked where torch is loaded: for tests that are not about how a process starts."""
    if sys.platform != "linux":
        return spawn(*argv, site=site, **environment)
    return Warm(list(argv), _environment(site) | environment)


def _environment(site: Path | None) -> dict[str, str]:
    paths = [str(path) for path in (site, REPOSITORY) if path]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}


def finish(process: Process, seconds: float = 60) -> Ran:
    """Wait for a spawned command."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Ran(code=process.returncode, out=out, err=err)


def weights(root: Path) -> dict[str, bytes]:
    """All stored weights by KEY/FILE."""
    files = sorted((root / "objects").glob("[0-9a-f]*/*.safetensors"))
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def flip(path: Path, place: int = -1) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def package(site: Path, name: str, code: str, group: str, target: str) -> Path:
    """Install a third-party module `name` with one entry point; returns `site`."""
    site.mkdir(exist_ok=True)
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    return site
