"""Try rates for every row of the study, as often for each: docs/study/rates.jsonl, a line a trial.

python docs/study_rates.py run --root ROOT [--rows A,B]   # trains what has no line yet
python docs/study_rates.py table   # inner DSC by row and rate, and the rate taken
python docs/study_rates.py apply   # write the rates taken into study.toml, suites few-labels...

Each row is trained as it is in the suite few-labels-2-percent, on the training patients of fold 0
without the inner ones, and scored on these: no test patient is looked at. A rate other than the
preset's is taken where its mean DSC over the organs is better by more than a point: less is the
luck of a run. A line names the share of labels that the loss saw; one without it is of 0.01.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmark.cli.main import main as bench_main
from benchmark.cli.suite_file import SuiteOrder, read_suites

HERE = Path(__file__).parent / "study"
FOUND = HERE / "rates.jsonl"
USUAL, RATES, POINTS = 0.004, (0.002, 0.004, 0.008), 1.0
SUITE = "few-labels-2-percent"


def order() -> SuiteOrder:
    """Return the suite that the rates are for."""
    (found,) = (one for one in read_suites(HERE / "study.toml") if one.name == SUITE)
    return found


def rows() -> list[str]:
    """Return the rows that are compared."""
    return [row.partition("[")[0] for row in order().rows.split(",")]


def labelled() -> float:
    """Return the share of labels that their loss sees."""
    return float(order().set["ground.labelled"])


def trial(row: str, rate: float, root: Path) -> dict[str, Any]:
    """Train a row with a rate; return its inner DSC, the mean over the organs, in percent."""
    argv = ["run", "--method", row, "--dataset", "phantom-60", "--preset", "study", "--inner"]
    argv += ["--folds", "0", "--seeds", "0", "--workers", "1", "--threads", "1"]
    argv += ["--set", f"ground.labelled={labelled()}"]
    argv += ["--set", f"schedule.lr={rate}", "--root", str(root), "--mlflow", "none", "--json"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = bench_main(argv)
    if code:
        raise SystemExit(f"{row} at {rate}: bench run ended with {code}")
    table = json.loads(out.getvalue())["table"]
    found = {x["row"]: x["mean"] for x in table if (x["metric"], x["organ"]) == ("dsc", "mean")}
    means = {name.partition("@")[2] or "end": mean for name, mean in found.items()}
    return {"row": row, "rate": rate, "labelled": labelled(), "fold": 0, "seed": 0, "dsc": means}


def lines() -> list[dict[str, Any]]:
    """Return the trials so far with this share of labels."""
    if not FOUND.exists():
        return []
    known = [json.loads(line) for line in FOUND.read_text(encoding="utf-8").splitlines()]
    return [one for one in known if one.get("labelled", 0.01) == labelled()]


def run(root: Path, chosen: list[str]) -> None:
    """Append a line for each trial that has none."""
    for row in chosen:
        for rate in RATES:
            if (row, rate) in {(one["row"], one["rate"]) for one in lines()}:
                continue
            found = trial(row, rate, root)
            with FOUND.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            print(json.dumps(found), flush=True)


def choice(found: dict[float, float]) -> float:
    """Return the rate of a row, by its DSC with each."""
    best = max(found, key=lambda rate: found[rate])
    return best if found[best] > found.get(USUAL, 0.0) + POINTS else USUAL


def table() -> str:
    """Return the trials as a table in Markdown."""
    known = {(one["row"], one["rate"]): one["dsc"]["end"] for one in lines()}
    text = ["| row | " + " | ".join(f"{rate:g}" for rate in RATES) + " | taken |"]
    text.append("|---" * (len(RATES) + 2) + "|")
    for row in dict.fromkeys(name for name, _ in known):
        found = {rate: known[row, rate] for rate in RATES if (row, rate) in known}
        cells = " | ".join(f"{found[rate]:.1f}" if rate in found else "-" for rate in RATES)
        text.append(f"| `{row}` | {cells} | {choice(found):g} |")
    values = list(known.values())
    return "\n".join([*text, "", f"{len(values)} trials, mean {fmean(values):.1f}"])


def taken() -> dict[str, float]:
    """Return the rate of each row; raises `SystemExit` where a trial is missing."""
    known = {(one["row"], one["rate"]): one["dsc"]["end"] for one in lines()}
    left = [(row, rate) for row in rows() for rate in RATES if (row, rate) not in known]
    if left:
        raise SystemExit(f"{len(left)} trials are left, such as {left[0][0]} at {left[0][1]:g}")
    return {row: choice({rate: known[row, rate] for rate in RATES}) for row in rows()}


def applied(text: str, rates: dict[str, float]) -> str:
    """Return study.toml with the rates in the rows and analysis plans of its suites few-labels; a
    rate that is the preset's is not written."""
    found, inside = [], False
    for line in text.splitlines(keepends=True):
        inside = line.startswith(f"[suites.{SUITE}") or (inside and not line.startswith("["))
        for row, rate in rates.items() if inside and line.startswith(("rows", "analysis")) else ():
            label = row if rate == USUAL else f"{row}[schedule.lr={rate:g}]"
            line = re.sub(rf'(?<=[",]){re.escape(row)}(\[[^\]]*\])?(?=[",])', label, line)
        found.append(line)
    return "".join(found)


def main() -> None:
    """Try what was not tried, print the table, or write the rates down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("run", "table", "apply"))
    parser.add_argument("--root", type=Path)
    parser.add_argument("--rows", type=lambda text: text.split(","))
    args = parser.parse_args()
    study = HERE / "study.toml"
    if args.what == "table":
        print(table())
    elif args.what == "apply":
        study.write_text(applied(study.read_text(encoding="utf-8"), taken()), encoding="utf-8")
    else:
        run(args.root, args.rows or rows())


if __name__ == "__main__":
    main()
