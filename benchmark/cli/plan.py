"""`bench plan`: the graph of a row with keys, what is stored, and what the rest will cost."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.cli.experiment import complete
from benchmark.cli.options import add_common, add_hardware, add_setting, part_of, setting_of
from benchmark.cli.out import put, put_json, say
from benchmark.cli.session import open_session
from benchmark.cli.which import folds_of, split_for
from benchmark.plan.wording import counted, duration

if TYPE_CHECKING:
    from benchmark.analysis.ceiling_means import Mean
    from benchmark.running.bench import Bench
    from benchmark.running.cost import PlannedTraining

LONG = 3600.0  # seconds from which it is worth to ask what a GPU takes
HELP = "the trainings of a row: keys, what is stored, what it will cost"
JSON_FIELDS = ("key", "title", "parents", "steps", "cached", "final", "fold", "seed", "seconds")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_setting(parser)
    add_hardware(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print the plan; trains nothing. Raises `BadInput`."""
    from benchmark.analysis.ceilings import set_ceilings
    from benchmark.running.cells import plan_cells
    from benchmark.running.cost import planned

    complete(args)
    setting = setting_of(args)
    bench, dataset = open_session(args, setting, may_read=True)
    split = split_for(args.split, dataset)
    chosen, part = folds_of(args, split), part_of(args)
    cells = plan_cells(setting, dataset, folds=chosen, seeds=args.seeds, part=part, split=split)
    nodes, probes = planned(cells, bench)
    ceilings = set_ceilings(dataset, split.folds, setting.ground, say)
    if args.json:
        shown = {"nodes": _shown(nodes), "probes": _shown(probes)}
        put_json({**shown, "ceilings": _ceilings_json(ceilings)})
    else:
        put(f"{setting.label} on {dataset.name}, preset {setting.preset}")
        _print(nodes, probes)
        for line in _gpu_lines(bench, [*nodes, *probes]):
            put(line)
        for line in (*_ceiling_lines(ceilings, dataset.name), *_flag_lines(setting.flags)):
            put(line)
    return 0


def _ceilings_json(found: Mapping[str, Mean]) -> list[dict[str, object]]:
    return [{"organ": organ, **mean._asdict()} for organ, mean in found.items()]


def _ceiling_lines(found: Mapping[str, Mean], dataset: str) -> list[str]:
    """The reference lines over all patients of the set: what the grid leaves to be scored, and what
    a prediction scores that never looks at the CT."""
    from benchmark.analysis.ceilings import WHAT, WHAT_BLIND, headed, organ_texts

    if not found:
        return []
    patients = counted(max(mean.n for mean in found.values()), "patient")
    lines = headed("", organ_texts(found))
    what = (WHAT, WHAT_BLIND)[: len(lines)]
    return [*(f"{line} ({patients} of {dataset})" for line in lines), *what]


def _flag_lines(flags: Sequence[str]) -> list[str]:
    """The flags that the values alone raise, and where they are explained."""
    from benchmark.analysis.flag_guide import how_to_read

    told = [f"flag: {flag}" for flag in flags]
    return [*told, *filter(None, [how_to_read(flag.partition(":")[0] for flag in flags)])]


def _gpu_lines(bench: Bench, nodes: list[PlannedTraining]) -> list[str]:
    """What a long plan on a CPU would take on a GPU, as far as the store knows."""
    from benchmark.running.cost import gpu_seconds, total_seconds

    if bench.hardware.device.type != "cpu" or total_seconds(nodes) < LONG:
        return []
    return [
        f"on {name}: about {duration(seconds)}, by trainings like these in the store"
        for name, seconds in gpu_seconds(nodes, bench).items()
    ] or [
        "on a GPU: not known, since no GPU has made trainings like these in this workspace; "
        "bench plan on a machine with one measures it there"
    ]


def _shown(nodes: list[PlannedTraining]) -> list[dict[str, object]]:
    return [{name: getattr(node, name) for name in JSON_FIELDS} for node in nodes]


def _print(nodes: list[PlannedTraining], probes: list[PlannedTraining]) -> None:
    from benchmark.running.cost import total_seconds

    put("fold seed  key                   steps  stored  training, after")
    for node in nodes:
        parents = ", ".join(parent[:8] for parent in node.parents)
        after = f" after {parents}" if parents else ""
        final = "  <- scored" if node.final else ""
        put(
            f"{node.fold:4d} {node.seed:4d}  {node.key}  {node.steps:6d}  "
            f"{'yes' if node.cached else 'no':6s}  {node.title}{after}{final}"
        )
    left = [node for node in nodes if not node.cached]
    steps = sum(node.steps for node in left)
    put(
        f"{len(left)} of {counted(len(nodes), 'training')} to do, {counted(steps, 'step')}, "
        f"about {duration(total_seconds(nodes))} on this machine when nothing else runs on it"
    )
    missing = [node for node in probes if not node.cached]
    if missing:
        put(
            f"then {counted(len(missing), 'training')} for probes alone, "
            f"about {duration(total_seconds(probes))}"
        )
