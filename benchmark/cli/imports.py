"""`bench import`: masks that another tool predicted become a row beside ours."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import add_common, add_split, flag, numbers, option
from benchmark.cli.out import put, put_json, say, warn
from benchmark.cli.session import mlflow_there
from benchmark.cli.which import split_for
from benchmark.errors import BadInput
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.data.library import DataSet
    from benchmark.data.readers.predictions import NnUNetFolder, Numbers
    from benchmark.running.outside import Imported, Order
    from benchmark.running.places import Place
    from benchmark.running.tested import Tested
    from benchmark.store.ledger import Entry
    from benchmark.store.workspace import Workspace

HELP = "score what another tool predicted, as a row beside ours: bench import nnunet DIR --row NAME"
NNUNET = "a folder TRAINER__PLANS__CONFIGURATION of nnUNet_results, with fold_K/validation"
UNNAMED = "another tool, which nobody named (--source)"
TEST_ON = (
    "a data set that was kept apart as a test: DIR has a mask for each of its patients, by the "
    "network of fold K; counts as a look"
)
MAP = "which number is which organ: liver=5,left_kidney=3; all others are background"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each kind of folder."""
    kinds = parser.add_subparsers(required=True, metavar="nnunet|predictions")
    nnunet = kinds.add_parser("nnunet", help="what nnU-Net v2 left", description=NNUNET)
    option(nnunet, "path", "DIR", NNUNET, type=Path)
    about = (
        "its splits_final.json (default: in DIR, or in nnUNet_preprocessed beside nnUNet_results)"
    )
    option(nnunet, "--splits", "FILE", about, type=Path)
    option(nnunet, "--folds", "0,1,...", "default: all that have predictions", type=numbers)
    nnunet.set_defaults(test_on=None)
    plain = kinds.add_parser("predictions", help="a folder with CASE.nii.gz of any tool")
    option(plain, "path", "DIR", "CASE.nii.gz for each test patient of the fold", type=Path)
    option(plain, "--fold", "K", "whose network predicted them", type=int, required=True)
    option(plain, "--test-on", "SET", TEST_ON)
    add_split(plain)
    for each, orders in ((nnunet, _nnunet), (plain, _predictions)):
        each.set_defaults(orders=orders)
        option(each, "--row", "NAME", "what the row is called in every table", required=True)
        option(each, "--dataset", "NAME", "default: the only one in the workspace")
        option(each, "--map", "ORGAN=N,...", MAP)
        option(each, "--source", "TEXT", "what predicted them: it is shown with the row")
        option(each, "--suite", "NAME", "beside the rows of this suite (default: as bench compare)")
        option(each, "--preset", "NAME", "beside the rows of this preset, where there are several")
        option(each, "--seed", "N", "beside this seed alone (default: beside all)", type=int)
        flag(each, "--replace", "take the place of other masks of that row")
        option(each, "--mlflow", "URI", "send it there too, or none (default: local, if there)")
        add_common(each)


def run(args: argparse.Namespace) -> int:
    """Import, print what became of each fold; returns 0. Raises `BadInput`."""
    from benchmark.data.feeding.splits import keep_split
    from benchmark.running.outside import import_row
    from benchmark.running.places import place_for
    from benchmark.store.workspace import open_workspace

    workspace = open_workspace(args.root, warn=warn)
    dataset = _dataset(args)
    tested, order = args.orders(args, dataset)
    place = place_for(workspace, tested, suite=args.suite, preset=args.preset, seed=args.seed)
    found = import_row(workspace, tested, order, place, say)
    keep_split(dataset, tested.split)
    if uri := mlflow_there(args):
        _mirror(workspace, found, place, uri, warn)
    looks = _looks(workspace, tested, order)
    if args.json:
        put_json(_json(found, place, order, looks))
    else:
        _print(workspace, found, place, order)
        _print_next(workspace, found[0].entry, place, looks)
    return 0


def _dataset(args: argparse.Namespace) -> DataSet:
    from benchmark.data.library import known_names, list_datasets, open_dataset

    if args.dataset:
        return open_dataset(args.root, args.dataset, say=say)
    stored = [each for each in list_datasets(args.root, say=warn) if each.name != args.test_on]
    if len(stored) != 1:
        names = ", ".join(each.name for each in stored) or ", ".join(known_names(args.root))
        raise BadInput(f"--dataset NAME: say which data set these are of: {names}")
    return stored[0]


def _kept(args: argparse.Namespace, dataset: DataSet) -> DataSet | None:
    """The set that was kept apart; raises `BadInput` for one that is not a test."""
    from benchmark.data.library import open_dataset
    from benchmark.running.held_out import check_apart

    if args.test_on is None:
        return None
    kept = open_dataset(args.root, args.test_on, say=say)
    check_apart(dataset, kept)
    return kept


def _looks(workspace: Workspace, tested: Tested, order: Order) -> int:
    """Count the look at a set that was kept apart; return how many there were, 0 without one."""
    from benchmark.running.held_out import look

    return look(workspace.root, tested.kept.name, [order.row]) if tested.kept else 0


def _nnunet(args: argparse.Namespace, dataset: DataSet) -> tuple[Tested, Order]:
    from benchmark.data.feeding.splits import read_split
    from benchmark.data.readers.predictions import nnunet_folder
    from benchmark.running.outside import Order
    from benchmark.running.tested import Tested

    given = _numbers(args.map) if args.map else None
    found = nnunet_folder(args.path, args.splits, given)
    split = read_split(found.splits, dataset, say)
    chosen = _chosen(args, found)
    if found.unfinished and args.folds is None:
        lost = ", ".join(map(str, found.unfinished))
        say(f"fold {lost} of {args.path.name} has no predictions and is left out")
    order = Order(
        row=args.row,
        folders={fold: found.validation[fold] for fold in chosen},
        numbers=found.numbers,
        source=args.source or found.source,
        replaces=args.replace,
    )
    return Tested(dataset=dataset, split=split), order


def _chosen(args: argparse.Namespace, found: NnUNetFolder) -> list[int]:
    chosen: list[int] = args.folds if args.folds is not None else sorted(found.validation)
    if lost := [fold for fold in chosen if fold not in found.validation]:
        there = ", ".join(map(str, sorted(found.validation)))
        raise BadInput(f"fold {lost[0]} has no validation in {args.path}: there is fold {there}")
    return chosen


def _predictions(args: argparse.Namespace, dataset: DataSet) -> tuple[Tested, Order]:
    from benchmark.data.readers.predictions import own_numbers
    from benchmark.running.outside import Order
    from benchmark.running.tested import Tested

    kept = _kept(args, dataset)
    meant = _numbers(args.map) if args.map else own_numbers((kept or dataset).organs)
    if not args.map:
        said = ", ".join(f"{number} {organ}" for number, organ in meant.organ.items())
        of = f"those of {kept.name}: " if kept else ""
        say(f"the masks' numbers are taken for {of}{said} (--map says otherwise)")
    tested = Tested(dataset=dataset, split=split_for(args.split, dataset), kept=kept)
    order = Order(
        row=args.row,
        folders={args.fold: args.path},
        numbers=meant,
        source=args.source or UNNAMED,
        replaces=args.replace,
    )
    return tested, order


def _numbers(text: str) -> Numbers:
    from benchmark.data.readers.pairs import parse_map
    from benchmark.data.readers.predictions import Numbers

    pairs: dict[int, str] = {}
    for organ, found in parse_map(text).items():
        for number in [found] if isinstance(found, int | str) else found:
            if not isinstance(number, int):
                raise BadInput(f"--map {text!r}: write organs and numbers, liver=5,left_kidney=3")
            pairs[number] = organ
    return Numbers(organ=pairs, rest=True)


def _mirror(
    workspace: Workspace,
    found: list[Imported],
    place: Place,
    uri: str,
    say: Callable[[str], None],
) -> None:
    from benchmark.running.mlflow_runs import mirror_again

    entries = [replace(one.entry, seed=seed) for one in found for seed in place.seeds]
    mirror_again(workspace, entries, uri, say)


def _print(workspace: Workspace, found: list[Imported], place: Place, order: Order) -> None:
    from benchmark.analysis.tables import number_text, table
    from benchmark.store.ledger import shown_suite

    for one in found:
        done = replace(one.entry, state="done")
        lines, _ = table([done], lambda e: workspace.results.rows(e.key, e.evaluation))
        dsc = [line for line in lines if line.metric == "dsc"]
        means = ", ".join(f"{line.organ} {number_text(line, 'dsc')}" for line in dsc)
        patients = counted(max((line.n for line in dsc), default=0), "patient")
        where = f"{order.row} on {done.tested_on}, fold {done.fold}"
        put(f"{where}: {one.state}, {patients}, DSC % {means}")
    seeds = ", ".join(map(str, place.seeds))
    put(
        f"{order.row} ({order.source}) stands beside the rows of suite {shown_suite(place.suite)}, "
        f"preset {place.preset}, seed {seeds}"
    )


def _print_next(workspace: Workspace, entry: Entry, place: Place, looks: int) -> None:
    """What to type next; of a set that was kept apart there is a comparison alone."""
    from benchmark.cli.show_rows import looks_text
    from benchmark.store.ledger import shown_suite

    suite = shlex.quote(shown_suite(place.suite))
    both = shlex.join(_beside(workspace, entry))
    if looks:
        on = shlex.quote(entry.tested_on)
        put(f"both rows' scores, and the gain: bench compare {both} --suite {suite} --test-on {on}")
        say(f"{entry.tested_on}: {looks_text(looks)}")
        return
    put(f"both rows' scores, and the gain: bench compare {both} --suite {suite}")
    put(f"one table of all rows: bench report --suite {suite}")


def _beside(workspace: Workspace, entry: Entry) -> list[str]:
    """A row of ours beside which an imported one stands (ROW where there is none) and that one, as
    `compare` takes them; with the split where either is there in another too."""
    like = ("dataset", "preset", "split", "part")
    entries = workspace.ledger.entries(entry.suite)
    same = (e for e in entries if all(getattr(e, n) == getattr(entry, n) for n in like))
    label = next((e.label for e in same if not e.outside), "ROW")
    both = [e for e in entries if e.label in (label, entry.label) and e.dataset == entry.dataset]
    mixed = any(e.split != entry.split for e in both if e.part == entry.part)
    return [label, entry.label, *(["--split", entry.split[:8]] if mixed else [])]


def _json(found: list[Imported], place: Place, order: Order, looks: int) -> dict[str, Any]:
    folds = [
        {"fold": one.entry.fold, "key": one.entry.key, "evaluation": one.entry.evaluation,
         "state": one.state}
        for one in found
    ]  # fmt: skip
    first = found[0].entry
    return {
        "row": order.row, "source": order.source, "dataset": first.dataset, "split": first.split,
        "own_split": first.own_split, "suite": place.suite, "preset": place.preset,
        "seeds": list(place.seeds), "folds": folds,
        **({"test_on": first.tested_on, "looks": looks} if looks else {}),
    }  # fmt: skip
