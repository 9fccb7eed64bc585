"""The section of docs/cluster.md about a bucket: each of its commands is given, in its order."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import s3_server
from bench_process import REPOSITORY, SMALL
from nnunet_files import make

if reason := s3_server.missing():
    pytest.skip(reason, allow_module_level=True)
pytestmark = pytest.mark.long
PAGE = (REPOSITORY / "docs" / "cluster.md").read_text(encoding="utf-8")
BENCH = '#!/bin/sh\nexec "{python}" -m benchmark.cli.main "$@"\n'


def test_each_command_of_the_page(tmp_path: Path) -> None:
    section = PAGE.split("<!-- object storage: begin -->")[1].split("<!-- object storage: end")[0]
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL))
    assert lines.count("\nbench ") == 6
    make(tmp_path / "Dataset007_Mine", cases=5)
    write_study(tmp_path / "study.toml")
    program = tmp_path / "bin" / "bench"
    program.parent.mkdir()
    program.write_text(BENCH.format(python=sys.executable))
    program.chmod(0o755)
    with s3_server.server() as address:
        s3_server.emptied(address)
        script = lines.replace("https://s3.example.org", address)
        ran = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    assert "0 damaged" in ran.stdout and "Traceback" not in ran.stderr


def write_study(path: Path) -> None:
    """A suite that takes seconds."""
    values = ", ".join(f'"{n}" = {json.dumps(v)}' for n, v in SMALL.items() if v is not None)
    path.write_text(
        'datasets = "mine"\nfolds = [0]\nseeds = [0]\n[suites.main]\nrows = "unet"\n'
        f"set = {{ {values} }}\n"
    )


def environment(folder: Path) -> dict[str, str]:
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(paths),
        "BENCH_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
