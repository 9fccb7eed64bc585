"""Progress on a terminal: bars are drawn, and the result comes alone."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bench_process import REPOSITORY, run_argv, tiny_workspace
from rich.console import Console
from suite_process import suite_argv

from benchmark.cli.view import Screen, bars, terms_text

pty = pytest.importorskip("pty")


def on_a_terminal(
    argv: list[str], columns: int = 300, result: bool = False, **more: str
) -> tuple[int, str, str]:
    """Run a command whose standard error (with `result`, standard output) is a terminal; return
    code, what goes to the other one, and what is drawn."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": str(columns), "TERM": "xterm"}
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **size, **more}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli.main", *argv],
        stdout=theirs if result else subprocess.PIPE,
        stderr=subprocess.PIPE if result else theirs,
        text=True,
        env=environment,
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += (part := os.read(ours, 65536))
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
    os.close(ours)
    out, err = process.communicate(timeout=60)
    plain = drawn.decode() if more else re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    return process.returncode, err if result else out, plain


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_draws_its_bars(tmp_path: Path, workers: int) -> None:
    argv = run_argv(tiny_workspace(tmp_path), "unet", "--folds", "0,1", "--workers", str(workers))
    code, out, drawn = on_a_terminal(argv)
    assert code == 0 and "Traceback" not in drawn, drawn
    assert "trainings: 2 done now" in out and "epoch 0" not in out
    for number, fold in ((1, 0), (2, 1)):
        assert re.search(rf"\[{number}/2\] unet\S* fold {fold} seed 0: N_CT \(1/1\).*epoch", drawn)


@pytest.mark.long
def test_a_suite_draws_its_bars(tmp_path: Path) -> None:
    code, out, drawn = on_a_terminal(suite_argv(tiny_workspace(tmp_path), "unet"))
    assert code == 0 and "Traceback" not in drawn, drawn
    assert "trainings: 2 done now" in out and "of 2 cells done" in drawn


COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)\d(?:;\d+)*m")


def test_sixty_columns_show_every_number_and_no_colour(tmp_path: Path) -> None:
    """A table that is too wide is a block of lines a row; a wide terminal has the table."""
    argv = run_argv(tiny_workspace(tmp_path), "unet", "--folds", "0")
    _, _, wide = on_a_terminal(argv, 200, result=True, NO_COLOR="1")
    code, _, narrow = on_a_terminal(argv, 60, result=True, NO_COLOR="1")
    assert code == 0 and not COLOUR.search(narrow + wide)
    (row,) = [line for line in wide.splitlines() if line.startswith("│ liver ")]
    values = [cell.strip() for cell in row.strip("│ \r").split("│")][1:]
    heads = next(line for line in wide.splitlines() if "target ceiling" in line)
    heading = [re.sub(r"\x1b\[[0-9;]*m", "", cell).strip() for cell in heads.split("┃")][2:-1]
    lines = [line.rstrip("\r") for line in narrow.splitlines()]
    block = lines[lines.index("liver") + 1 :][: len(values)]
    assert len(values) > 5
    for line, name, value in zip(block, heading, values, strict=True):
        assert re.fullmatch(rf"  {re.escape(name)} +{re.escape(value)}", line) and len(line) <= 60
    assert "│" not in narrow and "…" not in narrow


def test_bars_of_sixty_columns_are_whole() -> None:
    """What a bar is of, and the time left, stand there to the last letter."""
    words = "[1/10] fsm[gt=smp:unet/resnet18,xi=0.1] fold 0 seed 0: N_CT + FSM (2/3)"
    for columns, shown in ((60, ("9 min left",)), (200, ("9 min left", "epoch 3", "dsc 0.123"))):
        console = Console(width=columns, force_terminal=True, no_color=True, file=io.StringIO())
        progress = bars(console)
        fields = {"epoch": "epoch 3", "terms": "dsc 0.123", "left": "9 min left"}
        Screen(progress).draw(0, words, 5, 10, **fields)
        with console.capture() as drawn:
            console.print(progress.get_renderable())
        lines = re.sub(r"\x1b\[[0-9;]*m", "", drawn.get()).splitlines()
        text = " ".join(lines)
        assert max(map(len, lines)) <= columns and "…" not in text
        assert all(word in text for word in shown)
        letters = re.sub(r"\s", "", text.replace(shown[0], "", 1))
        assert re.sub(r"\s", "", words) in letters


def test_a_loss_is_not_called_as_a_score_is() -> None:
    assert terms_text({"dsc": 0.0204, "ce": 0.5}) == "dice loss 0.020 ce 0.500"
