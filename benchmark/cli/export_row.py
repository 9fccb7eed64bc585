"""`bench export --method fsm -o DIR`: what a row left, as files that any program reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import (
    add_common,
    add_hardware,
    flag,
    numbers,
    option,
    options_of,
)
from benchmark.cli.out import put, put_json, say, warn
from benchmark.cli.session import stored
from benchmark.cli.which import add_which_split, which_split
from benchmark.errors import BadInput, near
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.store.ledger import Entry
    from benchmark.store.workspace import Workspace

FORMATS = ("csv", "parquet")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    option(parser, "--method", "NAME", "a row, or a label as tables print it")
    about = "a new folder; a README.md in it says what is what"
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help=about)
    option(parser, "--dataset", "NAME", "where the row was run on several")
    option(parser, "--preset", "NAME", "where the row was run with several")
    option(parser, "--suite", "NAME", "default: all suites")
    add_which_split(parser)
    option(parser, "--fold", "N", "one fold (or several: 0,1); default: all", type=numbers)
    option(parser, "--seed", "N", "where the row was run with several", type=int)
    about = "its label maps and scores on a set that was kept apart (bench run --test-on); counts "
    about += "as a look"
    option(parser, "--test-on", "SET", about)
    flag(parser, "--probabilities", "each organ's probability too: a NIfTI file of floats an organ")
    option(parser, "--rows", "csv|parquet", "the format of the scores", default="csv")
    add_hardware(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Write the folder, whole or not at all, and print what is in it. Raises `BadInput`."""
    from benchmark.cli.export_files import Order, write

    if not args.method or not args.out:
        raise BadInput("give a row and a folder: bench export --method fsm -o DIR")
    if args.rows not in FORMATS:
        raise BadInput(f"--rows {args.rows!r}: the formats are {' and '.join(FORMATS)}")
    if args.test_on and args.probabilities:
        raise BadInput("--probabilities are of the folds' own test patients: leave --test-on out")
    out: Path = args.out
    if out.exists():
        raise BadInput(f"{out} is there already: give the name of a new folder with -o")
    workspace = stored(args)
    entries = _chosen(args, workspace)
    looked = _looked(args, workspace, entries[0]) if args.test_on else ""
    if args.probabilities:
        _check_networks(entries, workspace)
    order = Order(
        entries=tuple(entries),
        rows=args.rows,
        bench=_bench(args) if args.probabilities else None,
        command=_command(args),
        say=say,
    )
    try:
        value = write(order, workspace, out)
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror or error}") from None
    if args.json:
        put_json(value)
    else:
        _show(value)
    if looked:
        say(looked)
    return 0


def _check_networks(entries: list[Entry], workspace: Workspace) -> None:
    """Raise `BadInput` where no network is here that could give probabilities."""
    for entry in entries:
        why = ""
        if entry.outside:
            why = f"another tool predicted it ({entry.outside}), and bench has none of its networks"
        elif not workspace.objects.weight_files(entry.key):
            why = f"fold {entry.fold} has no weights in this workspace; bench run trains it again"
        if why:
            raise BadInput(f"--probabilities of {entry.label}: {why}")


def _looked(args: argparse.Namespace, workspace: Workspace, entry: Entry) -> str:
    """Count the look at a set that was kept apart, and say how many there were."""
    from benchmark.cli.show_rows import looks_text
    from benchmark.running.held_out import look

    return f"{args.test_on}: {looks_text(look(workspace.root, args.test_on, [entry.label]))}"


def _bench(args: argparse.Namespace) -> Any:
    import torch

    from benchmark.running.events import Warnings

    bench = options_of(args).open(Warnings(warn), reading=True)
    torch.set_num_threads(args.threads or 1)
    return bench


def _command(args: argparse.Namespace) -> str:
    """What makes the folder again, without the places of this machine."""
    words = ["bench export", "--method", args.method]
    for name in ("dataset", "preset", "suite", "seed", "split", "test_on"):
        if getattr(args, name) is not None:
            words += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    words += ["--fold", ",".join(map(str, args.fold))] if args.fold is not None else []
    words += ["--probabilities"] if args.probabilities else []
    return " ".join([*words, "--rows", args.rows, "-o", "DIR"])


def _chosen(args: argparse.Namespace, workspace: Workspace) -> list[Entry]:
    """The cells of one row on one data set, one a fold. Raises `BadInput` for what is not there,
    and where the options leave a choice."""
    from benchmark.analysis.naming import labels_named, short
    from benchmark.analysis.suites import chosen_suite
    from benchmark.store.ledger import ON

    suite = chosen_suite(workspace, args.suite).name if args.suite else None
    part = f"{ON}{args.test_on}" if args.test_on else "test"
    known = [e for e in workspace.ledger.compared() if e.state == "done" and e.part == part]
    known = [e for e in known if suite in (None, e.suite)]
    labels = labels_named(args.method, (e.label for e in known))
    found = [e for e in known if e.label in labels]
    if not found:
        rows = dict.fromkeys(short(e.label) for e in known)
        how = f"bench run --test-on {args.test_on}; bench import predictions, of other tools"
        on = f" on {args.test_on} ({how})" if args.test_on else ""
        there = f"{near(args.method, rows)}there is {', '.join(rows) or 'nothing'}"
        raise BadInput(f"no finished cell of a row {args.method!r}{on}: {there}")
    digits = which_split(args, found)
    found = [e for e in found if e.split.startswith(digits)]
    for name in ("dataset", "preset", "seed", "label"):
        wanted = getattr(args, name, None)
        held = list(dict.fromkeys(getattr(e, name) for e in found))
        if wanted is not None and wanted not in held:
            shown = ", ".join(map(str, held))
            raise BadInput(f"{args.method} was not run with {name} {wanted}: there is {shown}")
        found = [e for e in found if wanted in (None, getattr(e, name))]
        _check_one(args.method, name, [str(getattr(e, name)) for e in found])
    _check_one(args.method, "split", [e.split[:8] for e in found])
    by_fold: dict[int, Entry] = {}
    for entry in found:
        other = by_fold.setdefault(entry.fold, entry)
        if (other.key, other.evaluation) != (entry.key, entry.evaluation):
            suites = f"{other.suite} and {entry.suite}"
            raise BadInput(f"fold {entry.fold} is not the same in suites {suites}: give a --suite")
    folds = sorted(by_fold) if args.fold is None else args.fold
    if lost := [fold for fold in folds if fold not in by_fold]:
        known_folds = ", ".join(map(str, sorted(by_fold)))
        raise BadInput(
            f"{args.method} has no result of fold {lost[0]}: there is fold {known_folds}"
        )
    return [by_fold[fold] for fold in folds]


def _check_one(method: str, name: str, values: list[str]) -> None:
    from benchmark.analysis.naming import split_choice

    several = list(dict.fromkeys(values))
    if len(several) > 1:
        how = {
            "label": "write one of them in full",
            "split": f"choose with {split_choice(several)}",
        }
        raise BadInput(
            f"{method} has results of {counted(len(several), name)} ({', '.join(several)}): "
            f"{how.get(name, f'choose with --{name}')}"
        )


def _show(value: dict[str, Any]) -> None:
    folds = ", ".join(map(str, value["folds"]))
    put(f"{value['row']} on {value['dataset']}, preset {value['preset']}, fold {folds}")
    parts = {"label map": "cases", "row": "rows", "weight file": "weights"}
    counts = [counted(value[name], what) for what, name in parts.items()]
    if value["probabilities"]:
        counts.append(counted(value["probabilities"], "probability map"))
    put(", ".join(counts))
    for text in value["notes"]:
        put(text)
    put(f"folder: {value['out']} (README.md says what is what)")
