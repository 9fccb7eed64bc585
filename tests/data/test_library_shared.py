from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from few_source import entries

from benchmark.data import library
from benchmark.errors import BadInput

HELPERS = Path(__file__).parents[1] / "helpers"
MODULE = """
import sys
sys.path[:0] = {paths!r}
import time
from pathlib import Path
import few_source as here
from benchmark.data import library

class Slow(here.Few):
    def volumes(self):
        for found in self.found:
            time.sleep(0.1)
            Path({root!r}, "drawn").open("a").write("x")
            yield found
SLOW = Slow()
"""


def start(root: Path, code: str) -> subprocess.Popen[str]:
    paths = [str(Path(library.__file__).parents[2]), str(HELPERS)]
    text = MODULE.format(paths=paths, root=str(root)) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", text],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_two_processes_end_with_one_whole_set(tmp_path: Path) -> None:
    code = f"print(library.add(Path({str(tmp_path)!r}), 'few', SLOW).fingerprint)"
    both = [start(tmp_path, code) for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    found = library.open_dataset(tmp_path, "few")
    assert {out.strip() for out, _ in ends} == {found.fingerprint}
    assert (tmp_path / "drawn").read_text() == "xxx"  # the second waited and found it done
    assert entries(tmp_path) == ["few"]
    assert [found.load(case.name).case for case in found.cases]


def test_embedded_set_is_written_on_first_use(tmp_path: Path, monkeypatch) -> None:
    site = tmp_path / "site"
    (site / "other-1.dist-info").mkdir(parents=True)
    points = "[beyond_loss.datasets]\nembedded-few = other_few:FEW\nbroken = other_few:NOTHING\n"
    (site / "other-1.dist-info" / "entry_points.txt").write_text(points)
    (site / "other-1.dist-info" / "METADATA").write_text("Name: other\nVersion: 1\n")
    (site / "other_few.py").write_text("import few_source\nFEW = few_source.Few()\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(HELPERS))
    root = tmp_path / "root"
    assert {"embedded-few", "broken"} <= set(library.known_names(root))
    said: list[str] = []
    first = library.open_dataset(root, "embedded-few", say=said.append)
    assert len(said) == 1
    assert library.open_dataset(root, "embedded-few", say=said.append) == first
    assert len(said) == 1
    with pytest.raises(BadInput, match="'broken' cannot be loaded: other_few:NOTHING"):
        library.open_dataset(root, "broken")
