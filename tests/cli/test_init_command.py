"""`bench init` writes an experiment that runs as it is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from bench_process import SMALL, SMALL_GT, bench

SMALL_ALL = {n: value for n, value in (SMALL | SMALL_GT).items() if value is not None}


@pytest.mark.long
def test_its_experiment_runs_and_its_comments_can_be_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained with networks and steps that take seconds, typed over the file; then planned with
    every line that was a comment."""
    monkeypatch.chdir(tmp_path)
    made = bench("init", "study")
    assert made.code == 0 and {p.name for p in Path("study").iterdir()} == {
        "experiment.toml", ".gitignore"
    }  # fmt: skip
    assert "next: cd study; bench plan --config experiment.toml" in made.out
    monkeypatch.chdir("study")
    small = [w for n, v in SMALL_ALL.items() for w in ("--set", f"{n}={json.dumps(v)}")]
    ran = bench("run", "--config", "experiment.toml", *small, "--mlflow", "none", "--json")
    assert ran.code == 0 and (ran.json["folds"], ran.json["preset"]) == ([0], "quick"), ran.err
    text = Path("experiment.toml").read_text()
    head, _, below = text.partition("[set]\n")
    values = re.sub(r"^# (?=\S+ = )", "", below, flags=re.MULTILINE)
    assert len(tomllib.loads(values)) == 4
    Path("experiment.toml").write_text(f"{head}[set]\n{values}")
    planned = bench("plan", "--config", "experiment.toml", "--json")
    assert planned.code == 0, planned.err


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    assert bench("init", str(tmp_path)).code == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    (tmp_path / "experiment.toml").write_text("changed")
    again = bench("init", str(tmp_path))
    assert again.code == 2 and "is there already" in again.err
    assert (tmp_path / "experiment.toml").read_text() == "changed"
    assert bench("init", str(tmp_path / "experiment.toml" / "x")).code == 2
