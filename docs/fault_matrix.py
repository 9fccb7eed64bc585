"""Write docs/faults.md: every fault of the matrix, what a user sees of it, and the same rows.

python docs/fault_matrix.py --anew  # all faults, 200 kills here and 100 on Ray
python docs/fault_matrix.py --kills 20 --ray-kills 0  # fewer kills
python docs/fault_matrix.py --only 'damage,out of memory' --kills 0 --ray-kills 0  # groups, anew
python docs/fault_matrix.py --only '' --kills 0 --ray-kills 0  # the page alone

Faults lie in tests/chaos. docs/faults.json is written after each: what stands there is not run
again, and kills are counted on from it, so the command can be stopped and given again; `--anew`
begins with nothing, `--only` runs its groups again. It ends with exit code 1 where a fault lost or
changed something.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "chaos"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chaos import FAULTS, Fault, Place, place
from fault_ray import missing as no_ray
from fault_table import MODULES
from faults_page import GROUPS, page
from random_kills import a_round

DOCS = Path(__file__).parent
VALUES, PAGE = DOCS / "faults.json", DOCS / "faults.md"
ON_RAY = ", on Ray"


def run_faults(known: dict[str, Any], only: list[str] | None, where: Place) -> bool:
    """Run the faults of some groups (None: all) and keep what was seen; return whether all held."""
    good = True
    for one in sorted(FAULTS.values(), key=lambda one: GROUPS.index(one.group)):
        there = one.name in known["faults"].get(one.group, {})
        if there if only is None else one.group not in only:
            continue
        if why := one.missing():
            print(f"left out: {one.group}: {one.name}: {why}", flush=True)
            continue
        found = _tried(one, where)
        if found is None:
            good = False
            continue
        good &= found["same"] and found["again"] == 0
        known["faults"].setdefault(one.group, {})[one.name] = found
        write(known)
        print(f"{one.group}: {one.name}: {found}", flush=True)
    return good


def _tried(one: Fault, where: Place) -> dict[str, Any] | None:
    try:
        return asdict(one.do(where))
    except Exception:  # the fault's own assertions too
        print(f"FAILED: {one.group}: {one.name}", flush=True)
        traceback.print_exc()
        return None


def run_kills(known: dict[str, Any], wanted: int, where: Place, *, on_ray: bool) -> None:
    """Add rounds of random kills until as many are counted. Raises `AssertionError` where one lost
    or changed something."""
    kind = "ray" if on_ray else "here"
    while killed(known, on_ray=on_ray) < wanted:
        made = a_round(where, known["rounds"][kind], on_ray=on_ray)
        known["rounds"][kind] += 1
        known["kills"] = dict(Counter(known["kills"]) + made)
        write(known)
        print(f"round {known['rounds'][kind]}: {dict(made)}", flush=True)


def killed(known: dict[str, Any], *, on_ray: bool) -> int:
    """Return how many kills are counted, on Ray or on processes of this machine."""
    return sum(n for who, n in known["kills"].items() if who.endswith(ON_RAY) == on_ray)


def write(known: dict[str, Any]) -> None:
    """Keep what was seen and what was not, and write the page of it."""
    ordered = sorted(FAULTS.values(), key=lambda one: GROUPS.index(one.group))
    found: dict[str, dict[str, Any]] = {}
    for one in ordered:  # what the table has no more goes
        if seen := known["faults"].get(one.group, {}).get(one.name):
            found.setdefault(one.group, {})[one.name] = seen
    known["faults"] = found
    known["left"] = left(known)
    VALUES.write_text(json.dumps(known, indent=1) + "\n")
    PAGE.write_text("\n".join(page(known)) + "\n")


def left(known: dict[str, Any]) -> list[str]:
    """Return the faults of which nothing is known, as group: name."""
    ordered = sorted(FAULTS.values(), key=lambda one: GROUPS.index(one.group))
    return [
        f"{one.group}: {one.name}"
        for one in ordered
        if one.name not in known["faults"].get(one.group, {})
    ]


def machine() -> str:
    """Return where this was run, in words."""
    names = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {names}"


def main() -> int:
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="GROUP,GROUP")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--ray-kills", type=int, default=100)
    parser.add_argument("--anew", action="store_true")
    asked = parser.parse_args()
    for name in MODULES:
        importlib.import_module(name)
    known = json.loads(VALUES.read_text()) if VALUES.exists() and not asked.anew else {}
    known = {"faults": {}, "kills": {}, "rounds": {"here": 0, "ray": 0}, **known}
    known["machine"] = machine()
    only = None if asked.only is None else [name for name in asked.only.split(",") if name]
    with place() as where:
        good = run_faults(known, only, where)
        run_kills(known, asked.kills, where, on_ray=False)
        if asked.ray_kills and not no_ray():
            run_kills(known, asked.ray_kills, where, on_ray=True)
    write(known)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
