"""A planted suite and its report, made once for all tests that only read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench_process import Ran, bench

from planted_suite import plant, workspace  # isort: skip


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A workspace, its report, and what the command printed."""

    root: Path
    out: Path
    ran: Ran

    def text(self, name: str) -> str:
        """A file of the report, without what figures hold."""
        return re.sub(r"data:image[^\"]*", "", (self.out / name).read_text(encoding="utf-8"))


def report(root: Path, out: Path, *more: str) -> Ran:
    """Run `bench report`."""
    return bench("report", "--root", str(root), "--out", str(out), *more)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: for tests that look at something else."""
    monkeypatch.setattr("benchmark.reporting.report.pictures_of", lambda chapter: {})


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """The report of unet, fsm (with its stage 2), no-noise and a control, two seeds, `quick`."""
    place = tmp_path_factory.mktemp("reported")
    root, out = place / "workspace", place / "report"
    plant(workspace(root), {"unet": 0.1, "no-noise": 0.12, "fsm": 0.05, "fsm-constant": 0.06})
    ran = report(root, out, "--json")
    assert ran.code == 0, ran.err
    return Reported(root=root, out=out, ran=ran)
