"""Measure a candidate for a preset: docs/quick-choice.jsonl, docs/study/choice.jsonl, a line a
training.

python docs/quick_choice.py unet --root ROOT --name NAME --seeds 0,1 --set schedule.lr=0.002 ...
python docs/quick_choice.py fsm --root ROOT --name NAME --seeds 0,1,2 --set ...
python docs/quick_choice.py table   # what the file holds, a line a candidate
python docs/quick_choice.py unet-200 --preset study --dataset phantom-60 --out FILE ...
python docs/quick_choice.py unet --early 10 ...   # the first 10 epochs: their loss alone

Values that --set does not name are those of `quick-1`, which was `quick` when this was measured.

`unet`: the plain row is trained on each fold's training patients without the inner ones; the DSC of
the inner patients at each fifth of its steps is kept. `fsm`: stages 1 and 2 alone, on the outer
fold's training patients; what is kept are the curve of M and how strongly xi * M pulled at F in the
middle third. No row but `unet` and `unet-200` is scored, and no test patient is looked at.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import nn

from benchmark.data.library import open_dataset
from benchmark.errors import Stopped
from benchmark.parts.measures import FIFTH, last_rise
from benchmark.parts.objectives import DSC
from benchmark.parts.probes import SATURATED
from benchmark.plan.keys import key
from benchmark.running.bench import Bench, Options
from benchmark.running.cells import Cell, plan_cells
from benchmark.running.events import Warnings
from benchmark.running.execute import execute, prepared
from benchmark.running.measure import measured
from benchmark.settings.overrides import parse
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import Setting, resolve
from benchmark.training.meter import Epoch
from benchmark.training.trainer import Control, fit

FOUND = Path(__file__).with_name("quick-choice.jsonl")
ALL_FOUND = 0.25


def unet(cell: Cell, bench: Bench) -> dict[str, Any]:
    """Train the plain row in a cell; return the inner patients' mean DSC of each organ at each
    fifth of its steps, and how many (patient, organ) pairs had nothing predicted at the end."""
    node = cell.final.node
    nets, draw, chosen = prepared(node, cell.data, cell.seed, {}, bench.hardware)
    last = round(node.schedule.epochs)
    found: list[dict[str, list[float]]] = []

    def look(epoch: Epoch) -> None:
        done = epoch.index + 1
        if done * FIFTH // last > len(found):
            found.append(_scored(nets["ct"], cell, bench))
            nets["ct"].train()

    control = Control(epoch=look)
    history = fit(node, nets, draw, seed=cell.seed, hardware=chosen, control=control)
    curve = [{organ: fmean(values) for organ, values in one.items()} for one in found]
    missed = sum(value == 0 for values in found[-1].values() for value in values)
    rise = last_rise([{"terms": epoch.terms} for epoch in history.epochs])
    return {"curve": curve, "missed": missed, "rise": rise}


def _scored(network: nn.Module, cell: Cell, bench: Bench) -> dict[str, list[float]]:
    """The DSC of the inner patients by organ, on the native grid."""
    found: dict[str, list[float]] = {}
    for _, _, scores in measured(network, cell.data, bench.hardware):
        for score in scores:
            if score.metric == "dsc":
                found.setdefault(score.organ, []).append(score.value)
    return found


def fsm(cell: Cell, bench: Bench) -> dict[str, Any]:
    """Train stages 1 and 2 in a cell; return M at each fifth and the pulls of the middle third."""
    node = cell.setting.stages["stage2"].node
    execute(node, cell.data, cell.seed, bench)
    node_key = key(node, cell.context)
    epochs = bench.objects.record(node_key)["epochs"]
    xi = float(cell.setting.params()["xi"])
    m = [epoch["terms"]["m"] / xi for epoch in epochs]
    pulls = [epoch["pulls"]["m"] for epoch in epochs if "pulls" in epoch]
    fifths = [m[round(len(m) * part / FIFTH) - 1] for part in range(1, FIFTH + 1)]
    return {"m": [m[0], *fifths], "pulls": pulls}


def early(cell: Cell, bench: Bench, epochs: int) -> dict[str, Any]:
    """Begin the plain row's training in a cell; return 1 - soft Dice of its first epochs."""
    node = cell.final.node
    nets, draw, chosen = prepared(node, cell.data, cell.seed, {}, bench.hardware)
    losses: list[float] = []
    control = Control(
        epoch=lambda epoch: losses.append(round(epoch.terms[DSC], 3)),
        stop=lambda: len(losses) >= epochs,
    )
    with suppress(Stopped):
        fit(node, nets, draw, seed=cell.seed, hardware=chosen, control=control)
    return {"losses": losses}


WAYS = {"unet": unet, "fsm": fsm}


def measure(args: argparse.Namespace) -> None:
    """Append a line for each fold and seed that has none yet."""
    torch.set_num_threads(1)
    setting = resolve(load_registry(), args.row, args.preset, parse(args.set))
    done = {(one["row"], one["name"], one["fold"], one["seed"]) for one in lines(args.out)}
    for cell, bench in _cells(setting, args):
        place = args.row, args.name, cell.data.fold.index, cell.seed
        if place in done:
            continue
        began = time.process_time()
        way = partial(early, epochs=args.early) if args.early else WAYS[args.row.partition("-")[0]]
        found = way(cell, bench)
        about = dict(zip(("row", "name", "fold", "seed"), place, strict=True))
        about |= {"preset": args.preset, "set": setting.overrides}
        about |= {"seconds": round(time.process_time() - began, 1), **found}
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(about) + "\n")
        print(json.dumps(about)[:200], flush=True)


def _cells(setting: Setting, args: argparse.Namespace) -> Iterator[tuple[Cell, Bench]]:
    bench = Options(root=args.root, device="cpu", precision="fp32").open(Warnings(print))
    dataset = open_dataset(args.root, args.dataset, say=print)
    part = "inner" if args.row.startswith("unet") else "test"
    for cell in plan_cells(setting, dataset, folds=args.folds, seeds=args.seeds, part=part):
        if not cell.stage:
            yield cell, bench


def lines(path: Path) -> list[dict[str, Any]]:
    """Return what was measured so far."""
    return (
        [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    )


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line a candidate."""
    for row, name in dict.fromkeys((one["row"], one["name"]) for one in found):
        these = [one for one in found if (one["row"], one["name"]) == (row, name)]
        text = (early_line if "losses" in these[0] else TEXTS[row.partition("-")[0]])(these)
        yield f"{row} | {name} | {len(these)} | {text}"


def unet_line(found: Sequence[Mapping[str, Any]]) -> str:
    """Mean inner DSC by organ, the least of any training, the mean rise over the last fifth."""
    ends, before = ([one["curve"][place] for one in found] for place in (-1, -2))
    organs = {organ: [one[organ] for one in ends] for organ in ends[0]}
    means = " | ".join(
        f"{organ} {fmean(dsc):.1f} ({min(dsc):.1f})" for organ, dsc in organs.items()
    )
    rises = [fmean(a.values()) - fmean(b.values()) for a, b in zip(ends, before, strict=True)]
    missed, seconds = sum(one["missed"] for one in found), fmean(one["seconds"] for one in found)
    return f"{means} | missed {missed} | last fifth {fmean(rises):+.2f} | {seconds:.0f} s"


def fsm_line(found: Sequence[Mapping[str, Any]]) -> str:
    """The range of M at the end and of the mean pull, and how many are saturated or negligible."""
    ends = [one["m"][-1] for one in found]
    pulls = [100 * fmean(one["pulls"]) for one in found]
    least = [100 * min(one["pulls"]) for one in found]
    saturated, took = sum(end >= SATURATED for end in ends), fmean(one["seconds"] for one in found)
    return (
        f"M {min(ends):.4f} to {max(ends):.4f} | pull {min(pulls):.2f} to {max(pulls):.2f} %, "
        f"least {min(least):.2f} % | saturated {saturated} | {took:.0f} s"
    )


def early_line(found: Sequence[Mapping[str, Any]]) -> str:
    """The first epoch of each training in which all organs were found, "-" where none was: one that
    is missing keeps 1 - soft Dice above a quarter, being one of four classes."""
    epochs = [[loss < ALL_FOUND for loss in one["losses"]] for one in found]
    return "all organs from epoch " + ", ".join(
        str(each.index(True) + 1) if any(each) else "-" for each in sorted(epochs, reverse=True)
    )


TEXTS = {"unet": unet_line, "fsm": fsm_line}


def main() -> None:
    """Measure, or print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("row")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--name", default="")
    parser.add_argument("--preset", default="quick-1", help="whose other values are kept")
    parser.add_argument("--dataset", default="phantom")
    parser.add_argument(
        "--folds", type=lambda text: [int(x) for x in text.split(",")], default=[*range(5)]
    )
    parser.add_argument("--seeds", type=lambda text: [int(x) for x in text.split(",")], default=[0])
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--early", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--out", type=Path, default=FOUND)
    args = parser.parse_args()
    if args.row == "table":
        print("\n".join(table(lines(args.out))))
    else:
        measure(args)


if __name__ == "__main__":
    main()
