"""Makes docs/faults.md of docs/faults.json, for docs/fault_matrix.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

HEAD = """# What a fault does to a run

Written by `make chaos`; do not edit by hand. The values lie in `faults.json`.

Each fault meets a real `bench` command on a set of six small patients. The table has the line that
`bench` printed about it and the exit code, then the exit code of the same command given again, and
whether rows (all scores) and weights are then, bit for bit, those of a run that nothing disturbed.
The small set's own values, which `bench` prints behind a row's name, are left out, and
`WORKSPACE`, `HOST`, `KEY`, `TIME`, `PORT`, `N` stand for what differs from run to run.
"""
KILLED = """## Kills at random moments

`kill -9`, at moments that chance chooses, up to ten times in one workspace; then the command is let
end, and rows, weights and `bench store verify` have to be those of an undisturbed run.
"""
END = """Where nothing stands in the second column, nothing was said: nobody was left to say it, or
the run made again what was damaged.

More kills run in `make long`: at disk operations, in suites, sweeps and a bucket. `make faults`
kills, and fills the disk, at every single disk operation of a run.
"""
GROUPS = (
    "kill -9",
    "kill -9 on a Ray cluster",
    "a signal with 30 s of grace",
    "a full disk",
    "damage",
    "two machines on one key",
    "a clock that jumps",
    "MLflow",
    "PostgreSQL",
    "an object storage (S3)",
    "out of memory",
    "somebody else's method",
)
LONGEST = 420  # letters of a line in a table


def page(known: dict[str, Any]) -> Iterator[str]:
    """Yield the page's lines; `known["left"]` are the faults that were not run."""
    yield HEAD
    yield f"Run on {known['machine']}.\n"
    for group in sorted(known["faults"], key=GROUPS.index):
        yield f"## {group[0].upper()}{group[1:]}\n"
        yield "| fault | what the user sees | exit code | again | rows equal |"
        yield "|---|---|---|---|---|"
        for name, seen in known["faults"][group].items():
            said = "" if seen["said"] == "(nothing)" else f"`{_short(seen['said'])}`"
            same = "yes" if seen["same"] else "**no**"
            yield f"| {name} | {said} | {_code(seen['code'])} | {_code(seen['again'])} | {same} |"
        yield ""
    if known["left"]:
        yield "## Not run yet\n"
        yield "These faults of the table were not run for this page; `make chaos ANEW=` does it:\n"
        for name in known["left"]:
            yield f"- {name}"
        yield ""
    yield END
    yield KILLED
    yield "| who was killed | how often | rows equal |"
    yield "|---|---|---|"
    for who, number in sorted(known["kills"].items()):
        yield f"| {who} | {number} | yes |"
    rounds = known["rounds"]
    yield ""
    yield f"In {rounds['here']} workspaces on this machine and {rounds['ray']} on a Ray cluster of"
    yield "three nodes. The seed of each is its number."


def _code(code: int) -> str:
    return "killed" if code == -9 else str(code)


def _short(said: str) -> str:
    text = re.sub(r"\[ct\.[^]]*\]", "", said).replace("|", "/").replace("`", "'")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
