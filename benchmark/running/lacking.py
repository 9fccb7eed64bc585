"""What to say of a row that was asked for and was not run: the command that runs it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from benchmark.errors import BadInput
from benchmark.running.standing import Standing, fill_command, numbers_text, short
from benchmark.settings.overrides import parse, pieces
from benchmark.settings.registry import load_registry
from benchmark.store.ledger import DEFAULT_SUITE, Entry

TYPED = re.compile(r"(?P<row>[^\[\]@]+)(?P<bracket>\[(?P<values>.*)\])?(?:@[^\[\]@]+)?")


def not_there(
    suite: Standing, name: str, labels: Sequence[str], dataset: str | None = None
) -> BadInput:
    """Return what is wrong with a name of which a suite has no result: a data set that it lacks, a
    row that was not run, or a slip. `labels` are those that the suite has."""
    known = dict.fromkeys([e.dataset for e in suite.done] + [m.dataset for m in suite.missing])
    if dataset is not None and dataset not in known:
        sets = ", ".join(known) or "none"
        where = f"suite {suite.name} with --dataset {dataset}: its data sets are {sets}"
        return BadInput(f"no row or key {name!r} in {where}")
    held = list(dict.fromkeys(map(short, labels)))
    said = f"no row or key {name!r} in suite {suite.name}: it holds {', '.join(held) or 'nothing'}"
    if command := command_for(suite, name, dataset):
        return BadInput(f"{said}; run it with: {command}")
    near = get_close_matches(name, dict.fromkeys([*held, *load_registry().rows]), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return BadInput(f"{said}{hint} (bench methods lists all rows)")


def command_for(suite: Standing, name: str, dataset: str | None = None) -> str:
    """Return the command that adds a row to a suite; "" for a name that is no row, and for a suite
    of other origin than `bench run` and `bench suite`."""
    typed = TYPED.fullmatch(name)
    if typed is None or typed["row"] not in load_registry().rows:
        return ""
    if suite.plan:
        row = typed["row"] + (typed["bracket"] or "")
        rows = tuple(dict.fromkeys([*suite.plan.rows, row]))
        return fill_command(suite.name, replace(suite.plan, rows=rows))
    done = [entry for entry in suite.done if dataset in (None, entry.dataset)]
    return run_command(name, done) if suite.name == DEFAULT_SUITE else ""


def run_command(label: str, beside: Iterable[Entry]) -> str:
    """Return the `bench run` of a label (`fsm[xi=1]@stage2`) on the data set, with the preset,
    folds and seeds of the first of these results and of those like it; "" where there are none."""
    typed, done = TYPED.fullmatch(label), list(beside)
    if typed is None or not done:
        return ""
    dataset, preset = done[0].dataset, done[0].preset
    like = [entry for entry in done if (entry.dataset, entry.preset) == (dataset, preset)]
    words = ["bench", "run", "--method", typed["row"], "--dataset", dataset, "--preset", preset]
    words += ["--folds", numbers_text(sorted({entry.fold for entry in like}))]
    words += ["--seeds", numbers_text(sorted({entry.seed for entry in like}))]
    for name, value in parse(pieces(typed["values"]) if typed["values"] else []).items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    return shlex.join(words)
