"""A planted suite and its report, made once for all tests that only read them."""

from __future__ import annotations

import pytest

from planted_suite import plant, workspace  # isort: skip
from reported_suite import Reported, report  # isort: skip


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
