"""The code behind all built-in rows as it was: `golden_code.json`, and how it is renewed.

A change of a definition that numbers reach turns `tests/running/test_golden_code.py` red. Then

    python tests/equal_code.py --equal "why no number moves"    # proven: adds to the kept list
    python tests/equal_code.py --moved                          # numbers move: this file alone

`--equal` is for a change under which the same rows and weights came out, to the bit. What is
stored from before is then used, and its checkpoints go on, without a word; else it is named.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmark.analysis.controls import measuring_code
from benchmark.files.code import KEPT, Code, by_name, definitions_from
from benchmark.files.source import reached
from benchmark.running.renewal import code_behind
from benchmark.settings.registry import built_in, load_registry

GOLDEN = Path(__file__).with_name("golden_code.json")
OURS = ("methods", "baselines")


def code_of_all_rows() -> Code:
    """Return the code behind every row of this distribution, whatever its fields say."""
    parts = [one for one in built_in().values() if not one.__module__.startswith("benchmark.plan.")]
    code = measuring_code() | reached(parts)
    for row in load_registry().rows.values():
        if type(row.method).__module__.partition(".")[0] in OURS:
            code |= code_behind(row.method)
    return code


def golden() -> frozenset[tuple[str, str]]:
    """Return the definitions as they were."""
    return definitions_from(json.loads(GOLDEN.read_text()))


def main() -> None:
    """Renew the golden file, and add a step to the kept list where the change is proven equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--equal", metavar="WHY")
    how.add_argument("--moved", action="store_true")
    args = parser.parse_args()
    before, after = golden(), code_of_all_rows().ours
    if args.equal and before != after:
        kept = json.loads(KEPT.read_text())
        step = {"why": args.equal, "from": by_name(before - after), "to": by_name(after - before)}
        kept["steps"].append(step)
        write(KEPT, kept)
    write(GOLDEN, by_name(after))


def write(path: Path, value: object) -> None:
    """Write JSON, sorted, so that a change is one of few lines."""
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
