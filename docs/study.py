"""Write docs/study/ from the workspace in which the study ran.

make study                                   # run what is left of docs/study/study.toml: resumes
python docs/study.py --root ROOT             # then write the pages; what was not run is said
python docs/study.py --root ROOT --again     # the reports of suites that were whole before, too
python docs/study.py --root ROOT --losses    # the first losses of one cell, which CI trains again

docs/study/README.md has what was found, in sentences made by rule from the figures (study_page.py),
docs/study/SUITE/ a whole suite's report, tables and rows (Parquet), docs/study/study.json machine,
plans and keys. README's sentence is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nnunet_anchor
import pandas as pd
import torch
from study_page import page, sentence

from benchmark.analysis.groups import groups_of
from benchmark.analysis.judgement import Analysis, analyse
from benchmark.analysis.rows import Scores, group_scores
from benchmark.analysis.suites import Standing, standing
from benchmark.cli.main import main as bench_main
from benchmark.cli.suite_file import SuiteOrder, read_suites
from benchmark.data.library import open_dataset
from benchmark.files.atomic import write_json
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.folds import FOLDS
from benchmark.plan.wording import counted, duration
from benchmark.running.bench import Bench, Options
from benchmark.running.cells import Cell, plan_cells
from benchmark.running.cost import planned
from benchmark.running.events import Warnings
from benchmark.running.execute import prepared
from benchmark.running.suites import suite_cells
from benchmark.scoring.comparison import Comparison
from benchmark.scoring.statistics.components import interval_text
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve, rows_named, settings_of
from benchmark.store.plans import post_hoc
from benchmark.training.meter import Epoch
from benchmark.training.precision import processor_name
from benchmark.training.trainer import Control, fit

HERE = Path(__file__).parent / "study"
KEPT = ("index.html", "report.md", "tables/*.csv", "figures/*.png", "figures/*.csv")
STEPS = 20  # of the one cell that CI trains again: unet on the phantom, fold 0, seed 0
VALUES = {"ground.labelled": 0.01}


@dataclass(frozen=True, kw_only=True)
class Found:
    """A suite of the study: how far it is, and its statistics by data set."""

    order: SuiteOrder
    suite: Standing
    judged: tuple[tuple[Scores, Analysis], ...]
    left: str  # what the rest will cost, "" where nothing is left


def found_in(order: SuiteOrder, bench: Bench) -> Found:
    """Return what is stored of a suite."""
    suite = standing(bench, order.name)
    plan, timing = suite.plan, post_hoc(bench.plans.versions(order.name))
    groups = groups_of(bench.ledger.entries(order.name), load_registry().rows, plan)
    scored = [scores for group in groups if not (scores := group_scores(group, bench)).frame.empty]
    judged = [(scores, analyse(scores, plan.analysis, timing)) for scores in scored if plan]
    whole = plan is not None and not suite.missing
    return Found(
        order=order,
        suite=suite,
        judged=tuple(judged),
        left="" if whole else _cost(order, bench),
    )


def _cost(order: SuiteOrder, bench: Bench) -> str:
    """The trainings that a suite lacks, and their time on one core of this machine."""
    nodes, _ = planned(cells_of(order, bench), bench)
    left = [node for node in nodes if not node.cached]
    seconds = sum(node.seconds or 0.0 for node in left)
    return f"{counted(len(left), 'training')}, {duration(seconds)} of one core"


def cells_of(order: SuiteOrder, bench: Bench) -> list[Cell]:
    """Return the cells of a suite."""
    registry = load_registry()
    settings = settings_of(registry, rows_named(registry, order.rows), order.preset, order.set)
    sets = [open_dataset(bench.root, name) for name in order.datasets.split(",")]
    return suite_cells(settings, sets, list(range(FOLDS)), list(order.seeds or (0,)))


def said(found: Found) -> Iterator[dict[str, Any]]:
    """Yield what a suite says on each data set: the outcome, and the verdict's own sentences with
    what size of gain would have shown."""
    for scores, analysis in found.judged:
        plan, verdict = scores.group.plan, analysis.verdict
        shown = _would_show(analysis, plan.analysis) if plan else []
        yield {
            "dataset": scores.group.dataset,
            "outcome": verdict.outcome,
            "least": least(analysis, plan.analysis) if plan else "",
            "sentences": [*verdict.sentences, *shown],
        }


def _over_controls(analysis: Analysis, plan: AnalysisPlan) -> list[Comparison]:
    """The subject against each control, in the first metric, where that could be compared."""
    metric = plan.metrics[0].name
    found = [analysis.comparison(plan.subject, control, metric) for control in plan.controls]
    return [one for one in found if one]


def least(analysis: Analysis, plan: AnalysisPlan) -> str:
    """Return the subject's least gain over a control with its interval; "" where one is missing."""
    compared = _over_controls(analysis, plan)
    found = [(one.primary, one.reference) for one in compared if one.primary]
    if len(found) < len(plan.controls):
        return ""
    interval, reference = min(found, key=lambda each: each[0].estimate)
    return f"over {reference} {interval_text(interval, plan.metrics[0].unit)}"


def _would_show(analysis: Analysis, plan: AnalysisPlan) -> list[str]:
    """The gain that would have been found, against the control against which least can be seen."""
    sizes = {
        one.reference: one.smallest_detectable
        for one in _over_controls(analysis, plan)
        if one.smallest_detectable is not None
    }
    if not sizes:
        return []
    most = max(sizes, key=lambda control: sizes[control])
    return [
        f"With this spread, {100 * plan.power:.0f} of 100 studies would show a true gain of "
        f"{sizes[most]:.1f} points over {most}, and a smaller one over any other control."
    ]


def anchor() -> str:
    """Return what stands beside `unet` of nnU-Net on the same folds, "" where nobody measured."""
    if not nnunet_anchor.OUT.exists():
        return ""
    return nnunet_anchor.line(json.loads(nnunet_anchor.OUT.read_text(encoding="utf-8")))


def keep_report(found: Found, bench: Bench) -> None:
    """Copy a suite's page, tables and figures to docs/study/NAME, and its rows."""
    name, target = found.order.name, HERE / found.order.name
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report"
        argv = ["report", "--root", str(bench.root), "--suite", name, "--out", str(out)]
        with contextlib.redirect_stdout(io.StringIO()):
            code = bench_main(argv)
        if code:
            raise SystemExit(code)
        shutil.rmtree(target, ignore_errors=True)
        for pattern in KEPT:
            for path in sorted(out.glob(pattern)):
                kept = target / path.relative_to(out)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, kept)
    rows_of(found).to_parquet(target / "rows.parquet", compression="zstd", index=False)


def rows_of(found: Found) -> pd.DataFrame:
    """Return every row of a suite with its data set and key; patients have numbers."""
    parts = []
    for scores, _ in found.judged:
        cells = scores.group.cells.items()
        keys = [(row, e.fold, e.seed, e.key) for row, members in cells for e in members]
        named = pd.DataFrame(keys, columns=["row", "fold", "seed", "key"])
        frame = scores.frame.astype({"row": str})
        parts.append(
            frame.merge(named, on=["row", "fold", "seed"]).assign(dataset=scores.group.dataset)
        )
    return pd.concat(parts, ignore_index=True)


def facts(everything: list[Found], bench: Bench) -> dict[str, Any]:
    """Return the machine, and what each suite says, with its plans and keys."""
    return {
        "machine": machine(),
        "suites": [
            {
                "name": found.order.name,
                "about": found.order.about,
                "said": list(said(found)),
                "left": found.left,
                "cells": len(cells_of(found.order, bench)),
                "plans": [
                    {"fingerprint": v.fingerprint, "results": v.results, "made_at": v.made_at}
                    for v in bench.plans.versions(found.order.name)
                ],
                "done": len(found.suite.done),
                "keys": sorted({entry.key for entry in found.suite.done}),
            }
            for found in everything
        ],
    }


def reported(suite: dict[str, Any], before: list[dict[str, Any]]) -> bool:
    """Whether the report of a whole suite was written from these very cells: then it stays, for the
    label maps that its figures were made of may be gone (study_cells.py)."""
    written = {each["name"]: each for each in before if not each["left"]}.get(suite["name"])
    there = (HERE / suite["name"] / "index.html").exists()
    return bool(there and written and written["keys"] == suite["keys"])


def machine() -> dict[str, Any]:
    """Return what decides the last bits of a training on a CPU."""
    listing = Path("/proc/cpuinfo")
    words = listing.read_text(encoding="utf-8").split() if listing.exists() else []
    vectors = sorted({word for word in words if word.startswith(("avx", "amx", "fma"))})
    return {"processor": processor_name(), "vectors": vectors, "torch": torch.__version__}


def first_losses(root: Path) -> list[float]:
    """Return the sum of the terms of each of the first steps of one cell, trained anew."""
    setting = resolve(load_registry(), "unet", "study", VALUES)
    bench = Options(root=root, device="cpu", precision="fp32", threads=1).open(Warnings(print))
    (cell,) = plan_cells(setting, open_dataset(root, "phantom"), folds=[0], seeds=[0])
    node = cell.final.node
    node = replace(node, schedule=replace(node.schedule, epochs=float(STEPS), steps_per_epoch=1))
    nets, draw, chosen = prepared(node, cell.data, cell.seed, {}, bench.hardware)
    found: list[float] = []

    def look(epoch: Epoch) -> None:
        found.append(sum(epoch.terms.values()))

    fit(node, nets, draw, seed=cell.seed, hardware=chosen, control=Control(epoch=look))
    return found


def main() -> None:
    """Write the pages of every suite that has results, or the first losses."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--losses", action="store_true")
    parser.add_argument("--again", action="store_true", help="reports of whole suites too")
    args = parser.parse_args()
    if args.losses:
        write_json(HERE / "losses.json", {"machine": machine(), "losses": first_losses(args.root)})
        return
    bench = Options(root=args.root, device="cpu", precision="fp32").open(Warnings(print))
    everything = [found_in(order, bench) for order in read_suites(HERE / "study.toml")]
    path, known = HERE / "study.json", facts(everything, bench)
    before = json.loads(path.read_text(encoding="utf-8"))["suites"] if path.exists() else []
    for found, suite in zip(everything, known["suites"], strict=True):
        if found.judged and not found.left and (args.again or not reported(suite, before)):
            keep_report(found, bench)
    write_json(path, known)
    (HERE / "README.md").write_text(page(known, anchor()), encoding="utf-8")
    print(sentence(known))


if __name__ == "__main__":
    main()
