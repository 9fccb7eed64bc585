"""`bench speed`: how fast this processor trains, beside the least that trains the same network."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmark.cli.options import add_json, flag
from benchmark.cli.out import put, put_json, say

if TYPE_CHECKING:
    from benchmark.running.speed import SpeedLine

HELP = "how fast this processor trains: the real loop beside a bare step"
PRESETS = ("quick", "lite")
ROUNDS, QUICK_ROUNDS = 9, 3
STEPS = {"quick": 8, "lite": 3}  # a block, so that both presets' blocks take about a second
QUICK_STEPS = {"quick": 4, "lite": 1}
TIMES = ("bare step, ms", "real loop, ms", "loop / bare", "speed, of the fastest form")
HEAD = ("preset", "precision", "layout", *TIMES)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    flag(parser, "--quick-look", "fewer rounds: about a minute, not five")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table, in Markdown, or the values."""
    import torch

    from benchmark.running.speed import processor_lines
    from benchmark.training.precision import processor_name

    torch.set_num_threads(1)  # time of the process would count threads that wait
    rounds = QUICK_ROUNDS if args.quick_look else ROUNDS
    steps = QUICK_STEPS if args.quick_look else STEPS
    lines: list[SpeedLine] = []
    for preset in PRESETS:
        say(f"measuring {preset}")
        lines += processor_lines(preset, rounds=rounds, steps=steps[preset])
    machine = {"processor": processor_name(), "torch": torch.__version__, "rounds": rounds}
    if args.json:
        put_json({**machine, "lines": [asdict(line) for line in lines]})
    else:
        put(table(lines))
        put(f"\n{processor_name()}, torch {torch.__version__}, one thread, {rounds} rounds.")
    return 0


def table(lines: list[SpeedLine]) -> str:
    """Return the lines as a Markdown table."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_cells, lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cells(line: SpeedLine) -> tuple[str, ...]:
    times = f"{statistics.median(line.times):.2f} ({min(line.times):.2f}-{max(line.times):.2f})"
    form = (line.preset, line.precision, line.layout + (" (taken)" if line.taken else ""))
    return (*form, f"{line.bare_ms:.1f}", f"{line.loop_ms:.1f}", times, f"{line.of_fastest:.2f}")
