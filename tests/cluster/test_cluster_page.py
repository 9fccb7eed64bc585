"""Every command of docs/cluster.md, as it stands there: addresses and folders alone are others."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from bench_process import REPOSITORY, SMALL, tiny_workspace
from ray_nodes import Node, free_port
from suite_process import rows

pytestmark = pytest.mark.long
PAGE = (REPOSITORY / "docs" / "cluster.md").read_text()
PART = PAGE.partition("\n## A Ray cluster\n")[2].partition("\n## ")[0]
ALONE = PAGE.partition("\n## ")[0]
NODE = "--num-cpus=1 --num-gpus=1 --memory=2000000000"  # else both think that they have it all
SECONDS = 150


def commands(text: str) -> list[str]:
    """The commands of a text, in their order."""
    return [
        line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()
    ]


class Shell:
    """A shell on each machine: what it exports stays."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.roots = folder, free_port(), 0
        self.exported: list[str] = []
        self.nodes: list[Node] = []

    def run(self, line: str) -> None:
        """Run a command of the page to its end, a node in the background."""
        if line.startswith("export"):
            self.exported.append(line)
        elif line.startswith("ray start"):
            self.start(line)
        else:
            ran = subprocess.run(
                self.bash(line), cwd=self.folder, env=self.environment, timeout=SECONDS,
                capture_output=True, text=True,
            )  # fmt: skip
            assert ran.returncode == 0, f"{line}: {ran.stderr}"
            if "--detach" in line:
                assert ran.stdout.startswith("detached: process "), ran.stdout

    def start(self, line: str) -> None:
        more = f"{NODE} --temp-dir={self.folder}/r" if "--head" in line else NODE
        log = self.folder / f"node{len(self.nodes)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self.bash(line.replace("--block", f"--block {more}")), cwd=self.folder,
                env=self.environment, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        self.nodes.append(Node(address="", process=process))
        self.nodes[-1].wait_started(log)

    def bash(self, line: str) -> list[str]:
        """The command with our addresses, and a workspace of its own for each that trains."""
        if line.startswith("bench suite"):
            self.roots += 1
            tiny_workspace(self.root(self.roots))
        ours = {
            "10.0.0.1": "127.0.0.8",
            "10.0.0.2": "127.0.0.7",
            ":6379": f":{self.port}",
            "=6379": f"={self.port}",
            "/shared/workspace": str(self.root(self.roots)),
        }
        for theirs, mine in ours.items():
            line = line.replace(theirs, mine)
        return [
            "bash",
            "-ec",
            "; ".join([*self.exported, f"exec {line}" if line[0] != "(" else line]),
        ]

    def root(self, number: int) -> Path:
        return self.folder / f"workspace{number}"

    @property
    def environment(self) -> dict[str, str]:
        import ray

        programs = [str(Path(sys.executable).parent), str(Path(ray.__file__).parents[1] / "bin")]
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        known = {name: v for name, v in os.environ.items() if not name.startswith("RAY_")}
        return {
            **known,
            "HOME": str(self.folder),
            "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(paths),
        }


@pytest.fixture
def shell() -> Iterator[Shell]:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'beyond-loss[ray]'")
    found = Shell(Path(tempfile.mkdtemp(prefix="rp-", dir="/tmp")))
    values = "\n".join(f'"{n}" = {v}' for n, v in SMALL.items() if v is not None)
    (found.folder / "study.toml").write_text(
        'datasets = "tiny"\nfolds = [0]\nseeds = [0]\n[suites.mine]\nrows = "unet"\n'
        f"[suites.mine.set]\n{values}\n"
    )
    try:
        yield found
    finally:
        for node in reversed(found.nodes):
            node.end()
        with suppress(OSError):
            shutil.rmtree(found.folder)


def test_every_command_of_the_page(shell: Shell) -> None:
    for line in (*commands(ALONE), *commands(PART)):
        shell.run(line)
    until = time.monotonic() + SECONDS  # what was left to the cluster comes to its end
    wanted = rows(shell.root(1))
    while rows(shell.root(shell.roots)) != wanted and time.monotonic() < until:
        time.sleep(0.5)
    found = [rows(shell.root(number)) for number in range(1, shell.roots + 1)]
    assert shell.roots == 5 and wanted
    assert [one == wanted for one in found] == [True] * shell.roots
