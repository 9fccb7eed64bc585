"""`bench completion`: the script of a shell knows commands, options and the names of now."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from bench_process import bench

pytest.importorskip("shtab", reason="shtab is not installed: pip install -e .[dev]")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = bench("completion", "bash")
    assert made.code == 0, made.err
    path = tmp_path_factory.mktemp("completion") / "bench.bash"
    path.write_text(made.out)
    return path


TYPED = {
    "bench ru": {"run"},
    "bench data ": {"add", "list", "audit", "phantom"},
    "bench run --meth": {"--method"},
    "bench run --method fsm-sh": {"fsm-shuffled"},
    "bench run --preset st": {"study", "study-1"},
    "bench run --dataset phantom-60-s": {
        "phantom-60-seed1", "phantom-60-seed2", "phantom-60-shapeless"
    },
    "bench sweep run xi --qui": {"--quiet"},
}  # fmt: skip


@pytest.mark.parametrize("typed", TYPED)
def test_bash_completes(typed: str, script: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    words = typed.split(" ")
    ask = (
        f"source {script}; COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}'); "
        f"COMP_CWORD={len(words) - 1}; "
        "$(complete -p bench | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=60)
    found = {line.strip() for line in done.stdout.splitlines()}
    assert TYPED[typed] <= found and len(found - TYPED[typed]) <= 2 * (words[-1] == ""), done


def test_other_shells_and_a_slip() -> None:
    for shell in ("zsh", "tcsh"):
        made = bench("completion", shell)
        assert made.code == 0 and "fsm-shuffled" in made.out
    assert "did you mean bash" in bench("completion", "bsh").err
