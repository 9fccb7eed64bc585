"""Write the table of rows over the number of CTs, docs/learning-curve.md, from finished suites.

bench suite --config docs/study/curve.toml --root ROOT
python docs/learning_curve.py --root ROOT --suites cts-2,cts-4,cts-8,cts-all

How many CTs a suite has is read from its cells, not from its name. With every CT a row with an
atlas has the weights of its twin, whose values stand there. All suites must share the preset; what
a suite lacks is "-". DSC is the endpoint of docs/methods.md section 7, as are the intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.analysis.comparisons import Asked, Named, named_row, paired
from benchmark.analysis.rows import gathered, patients_of, read_cells
from benchmark.analysis.suites import Standing, standing
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.scoring.statistics.components import interval
from benchmark.scoring.statistics.layout import Incomplete, endpoint_organs
from benchmark.store.workspace import Workspace, open_workspace

PAGE = Path(__file__).with_name("learning-curve.md")
CTS = "ground.train_cases"
SUBJECT = "fsm-atlas"
TWINS = {SUBJECT: "fsm", "refine-gt-atlas": "refine-gt", "fsm-atlas-shuffled": "fsm-shuffled"}
CONTROLS = ("fsm", "refine-gt-atlas", "fsm-atlas-shuffled", "unet-200", "unet")
ROWS = (SUBJECT, *CONTROLS)
NONE = "-"
Curve = Mapping[int | None, Standing]  # by the number of CTs, None: all


def curve_of(workspace: Workspace, suites: Sequence[str]) -> Curve:
    """Return the suites by their number of CTs, the fewest first. Raises `BadInput` where one is
    empty or mixes numbers, where two have the same, and where they differ in their preset."""
    found: dict[int | None, Standing] = {}
    presets: set[str] = set()
    for name in suites:
        suite = standing(workspace, name)
        counts = {entry.overrides.get(CTS) for entry in suite.done}
        if len(counts) != 1:
            raise BadInput(f"suite {name} has {len(counts)} values of {CTS}: give one suite each")
        if (count := counts.pop()) in found:
            raise BadInput(f"suites {found[count].name} and {name} have the same {CTS}: drop one")
        found[count] = suite
        presets |= {entry.preset for entry in suite.done}
    if len(presets) != 1:
        raise BadInput(f"the suites were run with presets {', '.join(sorted(presets))}: give one")
    return dict(sorted(found.items(), key=lambda one: (one[0] is None, one[0])))


def _row(suite: Standing, count: int | None, row: str, dataset: str) -> Named | None:
    """A row of a suite on one data set, its twin's where every CT is there; None without cells."""
    name = TWINS.get(row, row) if count is None else row
    try:
        found = named_row(suite, name, dataset=dataset)
    except BadInput:
        return None
    return None if found.missing or not found.entries else found


def _dsc(workspace: Workspace, row: Named, dataset: str, plan: AnalysisPlan) -> str:
    """The mean DSC of the endpoint with its interval, where there is one."""
    cells = [
        ("a", fold, seed, (entry.key, entry.evaluation))
        for (fold, seed), entry in sorted(row.on(dataset).items())
    ]
    frame, _ = read_cells(workspace.results, cells)
    patients = patients_of(frame)
    organs = endpoint_organs(patients, anchor=plan.anchor_organ, share=plan.organ_share)
    seeds = sorted({seed for _, _, seed, _ in cells})
    values = gathered(row.name, frame[frame["metric"] == "dsc"], patients, organs, seeds)
    if isinstance(values, Incomplete):
        return NONE
    found = interval(values.value_nS, values.fold_n)
    mean = f"{values.value_nS.mean():.1f}"
    return f"{mean} ({found.low:.1f} to {found.high:.1f})" if found else mean


def _gain(
    workspace: Workspace, first: Named, second: Named, dataset: str, plan: AnalysisPlan
) -> str:
    """The gain in DSC with its interval and the word that the suite has for it."""
    (pair,) = paired(workspace, first, second, Asked(plan=plan, metrics=(plan.metric("dsc"),)))
    if pair.missing or pair.dataset != dataset:
        return NONE
    found = pair.comparisons[0]
    if (ends := found.primary) is None:
        return f"{found.mean:+.1f}"
    return f"{found.mean:+.1f} ({ends.low:+.1f} to {ends.high:+.1f}), {found.word}"


def _lines(workspace: Workspace, curve: Curve, dataset: str) -> list[str]:
    """The two tables of one data set."""
    scores: dict[str, list[str]] = {row: [] for row in ROWS}
    gains: dict[str, list[str]] = {row: [] for row in CONTROLS}
    for count, suite in curve.items():
        plan = suite.plan.analysis if suite.plan else AnalysisPlan()
        rows = {row: _row(suite, count, row, dataset) for row in ROWS}
        for row, named in rows.items():
            scores[row].append(_dsc(workspace, named, dataset, plan) if named else NONE)
        subject = rows[SUBJECT]
        for row in CONTROLS:
            named, same = rows[row], count is None and row == TWINS[SUBJECT]
            there = subject and named and not same
            found = _gain(workspace, subject, named, dataset, plan) if there else NONE
            gains[row].append("the same" if same else found)
    return [
        *(f"## {dataset}", ""),
        *_table("mean DSC in %", curve, scores),
        "",
        *_table(f"`{SUBJECT}` minus, in points", curve, gains),
        "",
    ]


def _table(title: str, curve: Curve, cells: Mapping[str, Sequence[str]]) -> list[str]:
    heads = [title, *("all" if count is None else f"{count} CTs" for count in curve)]
    body = [f"| {' | '.join([f'`{row}`', *found])} |" for row, found in cells.items()]
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *body]


def page(workspace: Workspace, suites: Sequence[str]) -> str:
    """Return the page. Raises `BadInput` as `curve_of`."""
    curve = curve_of(workspace, suites)
    cells = [entry for suite in curve.values() for entry in suite.done]
    datasets = list(dict.fromkeys(entry.dataset for entry in cells))
    folds, seeds = ({getattr(entry, name) for entry in cells} for name in ("fold", "seed"))
    shared = f"preset `{cells[0].preset}`, {len(folds)} folds, {len(seeds)} seeds"
    return "\n".join(
        [
            *("# Rows over the number of CTs", ""),
            f"Written by `python docs/learning_curve.py --suites {','.join(suites)}` ({shared}).",
            "In brackets: 95 % intervals. With all CTs a row with an atlas is its twin.",
            "",
            *(line for name in datasets for line in _lines(workspace, curve, name)),
        ]
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--suites", required=True, help="NAME,...: one for each number of CTs")
    args = parser.parse_args()
    workspace = open_workspace(args.root, reading=True, warn=print)
    PAGE.write_text(page(workspace, args.suites.split(",")), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
