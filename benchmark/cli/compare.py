"""`bench compare A B`: two rows, or two cells by key, paired patient by patient."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benchmark.cli.options import (
    add_common,
    add_preset,
    add_suite,
    option,
)
from benchmark.cli.out import put_json, say, warn
from benchmark.cli.session import stored
from benchmark.cli.which import add_which_split, which_split
from benchmark.errors import BadInput, near

if TYPE_CHECKING:
    from benchmark.analysis.comparisons import Asked, Named
    from benchmark.analysis.pairs import Paired
    from benchmark.analysis.suites import Standing
    from benchmark.plan.analysis import AnalysisPlan
    from benchmark.store.workspace import Workspace

HELP = "two rows or keys, paired: bench compare fsm unet"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    option(parser, "row", "A", "a row, a label as tables print it, or a key")
    option(parser, "reference", "B", "what it is compared with")
    option(parser, "--dataset", "NAME", "default: all that both were run on")
    add_suite(parser)
    add_preset(parser, None)
    add_which_split(parser)
    about = "their scores on a set that was kept apart (bench run --test-on); counts as a look"
    option(parser, "--test-on", "SET", about)
    about = "dsc, assd_penalised or a metric of your own; may be repeated (default: all)"
    option(parser, "--metric", "NAME", about, action="append", default=[])
    about = "show ASSD and HD95 of another library too, from the stored label maps: medpy-0.4, "
    about += "medpy-0.5, pooled-hd95, monai or metrics-reloaded"
    option(parser, "--as", "NAME", about, dest="other")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print the comparison; returns 1 where a planned cell is missing. Raises `BadInput`."""
    from benchmark.analysis.comparisons import named_row, paired
    from benchmark.analysis.flags import value_mixtures
    from benchmark.analysis.suites import chosen_suite, older_line, standing
    from benchmark.plan.analysis import AnalysisPlan
    from benchmark.running.renewal import outdated_line
    from benchmark.scoring.surface import elsewhere
    from benchmark.settings.registry import load_registry
    from benchmark.store.ledger import SCRATCH

    if args.other:
        elsewhere(args.other)  # a name that is not known ends here, before anything is read
    if args.other and args.test_on:
        raise BadInput("--as is of the folds' own test patients: leave --test-on out")
    workspace = stored(args)
    chosen = chosen_suite(workspace, args.suite or (SCRATCH if args.test_on else None))
    suite = standing(workspace, chosen.name, args.test_on or "")
    plan = suite.plan.analysis if suite.plan else AnalysisPlan()
    split = which_split(args, suite.done)
    first, second = (
        named_row(suite, name, dataset=args.dataset, preset=args.preset, split=split)
        for name in (args.row, args.reference)
    )
    found = paired(workspace, first, second, _asked(args.metric, plan))
    entries = (*first.entries, *second.entries)
    old = outdated_line(workspace, entries, load_registry().rows)
    for line in filter(None, (*value_mixtures(entries), old, older_line(workspace, entries))):
        warn(line)
    say(chosen.line)
    if args.test_on:
        _look(args.test_on, workspace, (first, second))
    _show(args, workspace, suite, plan, (first, second), found)
    return 1 if any(pair.missing for pair in found) else 0


def _look(dataset: str, workspace: Workspace, rows: tuple[Named, Named]) -> None:
    """Count the look at a set that was kept apart, and say how many there were."""
    from benchmark.cli.show_rows import looks_text
    from benchmark.running.held_out import look

    looks = look(workspace.root, dataset, [one.label for one in rows])
    say(f"{dataset}: {looks_text(looks)}")


def _asked(names: list[str], plan: AnalysisPlan) -> Asked:
    """What to compare in: without names all of the plan, and all metrics of one's own that are
    stored. Raises `BadInput` for a name that is neither's."""
    from benchmark.analysis.comparisons import Asked
    from benchmark.settings.metrics import load_metrics

    if not names:
        return Asked(plan=plan, metrics=plan.metrics, own=None)
    installed = load_metrics().metrics
    known = (*(metric.name for metric in plan.metrics), *installed)
    if lost := [name for name in names if name not in known]:
        told = f"{near(lost[0], known)}there is {', '.join(known)}"
        hint = "; one of your own scores what is stored with: bench score --metric NAME"
        raise BadInput(f"{lost[0]} is not a tested metric: {told}{hint if installed else ''}")
    own = tuple(name for name in dict.fromkeys(names) if name in installed)
    planned = (plan.metric(name) for name in dict.fromkeys(names) if name not in own)
    return Asked(plan=plan, metrics=tuple(planned), own=own)


def _show(
    args: argparse.Namespace,
    workspace: Workspace,
    suite: Standing,
    plan: AnalysisPlan,
    rows: tuple[Named, Named],
    found: list[Paired],
) -> None:
    """Print what was compared, with ceilings and, for `--as`, another library's values beside."""
    from benchmark.analysis.ceilings import ceilings_of
    from benchmark.analysis.comparisons import compared
    from benchmark.analysis.differences import in_other
    from benchmark.cli import show_compared as show
    from benchmark.scoring.surface import elsewhere

    cells = {pair.dataset: compared(*rows, pair.dataset) for pair in found if pair.organs}
    other = elsewhere(args.other) if args.other else None
    there = {d: in_other(workspace, of, d, other) for d, of in cells.items()} if other else {}
    folds = [entry for of in cells.values() for entry in of if entry.part == "test"]
    ceilings = ceilings_of(workspace, folds, say=say)
    if args.json:
        shown = {**show.comparison_json(found, suite, plan), **show.ceilings_json(ceilings)}
        if other:
            tables = there.items()
            shown["elsewhere"] = [show.elsewhere_json(d, of, other, args.other) for d, of in tables]
        put_json(shown)
        for text in ceilings.why_not:
            say(text)
        return
    for pair in found:
        show.show_comparison(pair, suite, plan)
        show.show_ceilings(pair, ceilings)
        if other and pair.dataset in there:
            show.show_elsewhere(pair.dataset, there[pair.dataset], other)
