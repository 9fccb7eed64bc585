"""`bench store`: verify what is stored, say what takes how much room, and remove a row or what
nothing refers to."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from benchmark.cli import store_space
from benchmark.cli.options import add_common, flag
from benchmark.cli.out import put, put_json, say
from benchmark.cli.session import stored
from benchmark.errors import BadInput
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.store.workspace import Workspace

HELP = "verify, measure or clean up what is stored"
AGAIN = "the next run sets it aside and makes it again"
Fault = tuple[str, str]  # a name and "" or what is wrong
ABANDONED_SECONDS = 24 * 3600.0  # adding a large data set may take hours


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(required=True, metavar="verify|du|rm|gc")
    verify = commands.add_parser("verify", help="check every stored file against its checksum")
    verify.set_defaults(action=_verify)
    add_common(verify)
    store_space.configure(commands)
    gc = commands.add_parser("gc", help="remove what no row of the ledger refers to")
    flag(gc, "--dry-run", "only say what would go")
    gc.set_defaults(action=_gc)
    add_common(gc)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; verify returns 1 where something is damaged. Raises `BadInput`."""
    code: int = args.action(args, stored(args))
    return code


def _verify(args: argparse.Namespace, workspace: Workspace) -> int:
    found = list(_faults(workspace))
    bad = [(name, fault) for name, fault in found if fault]
    if args.json:
        put_json({"checked": len(found), "damaged": dict(bad)})
    else:
        for name, fault in bad:
            put(f"damaged: {name}: {fault}")
        put(f"{len(found)} objects, results, cases, plans and notes checked, {len(bad)} damaged")
    return 1 if bad else 0


def _faults(workspace: Workspace) -> Iterator[Fault]:
    """The (name, "" or what is wrong and what becomes of it) for every object and evaluation,
    case of a data set, entry of the ledger, plan and code; changes nothing."""
    from benchmark.store.ledger import HEAL

    yield from _with(AGAIN, workspace.objects.faults())
    yield from _with(AGAIN, workspace.results.faults())
    yield from _under("ledger", _with(f"remove it; {HEAL}", workspace.ledger.faults()))
    yield from _under("ledger", workspace.plans.faults())
    yield from _under("code", workspace.codes.faults())
    yield from _under("data", _of_data(workspace))


def _of_data(workspace: Workspace) -> Iterator[Fault]:
    from benchmark.data.library import list_datasets

    unreadable: list[str] = []
    for dataset in list_datasets(workspace.root, say=unreadable.append):
        for case in dataset.cases:
            try:
                dataset.load(case.name)
                yield f"{dataset.name}/{case.name}", ""
            except BadInput as error:
                yield f"{dataset.name}/{case.name}", str(error)
    for number, fault in enumerate(unreadable, start=1):
        yield f"a set that cannot be opened ({number})", fault


def _with(remedy: str, found: Iterable[Fault]) -> Iterator[Fault]:
    for name, fault in found:
        yield name, f"{fault} ({remedy})" if fault else ""


def _under(folder: str, found: Iterable[Fault]) -> Iterator[Fault]:
    for name, fault in found:
        yield f"{folder}/{name}", fault


def _gc(args: argparse.Namespace, workspace: Workspace) -> int:
    """Remove what no entry refers to. A damaged entry may refer to anything: then all is kept."""
    from benchmark.store.workspace import open_workspace

    objects, results = _unreferred(workspace)
    damaged = workspace.ledger.damaged()
    if not args.dry_run:
        open_workspace(args.root)  # else one that is only read
    if damaged:
        objects, results = [], []
    elif not args.dry_run:
        objects = _remove(workspace, objects, results)
    if args.json:
        told = {"objects": objects, "results": results, "dry_run": args.dry_run}
        put_json({**told, "damaged": damaged}, indent=None)
        return 1 if damaged else 0
    if damaged:
        names = ", ".join(damaged)
        put(
            f"nothing is removed: {names} in the ledger cannot be read, and what it refers to is "
            "not known; remove it or run its row again, then give the same command"
        )
        return 1
    verb = "would remove" if args.dry_run else "removed"
    put(f"{verb} {len(objects)} objects and {len(results)} results that no row refers to")
    return 0


def _unreferred(workspace: Workspace) -> tuple[list[str], list[tuple[str, str]]]:
    """The objects and results to which no entry of the ledger refers."""
    from benchmark.store.results import BESIDE

    # listed before the ledger is read: a run writes there first, so what it makes meanwhile stays
    objects, results = workspace.objects.unused(set()), workspace.results.unused(set())
    workspace.ledger.refresh()
    nodes, evaluations = store_space.referred(workspace.ledger.entries())
    return (
        [key for key in objects if key not in nodes],
        [
            (key, name)
            for key, name in results
            if (key, name.partition(BESIDE)[0]) not in evaluations
        ],
    )


def _remove(workspace: Workspace, objects: list[str], results: list[tuple[str, str]]) -> list[str]:
    """Remove them, what was set aside and what killed writers left; return the objects' keys."""
    from benchmark.files.atomic import sweep_temporaries
    from benchmark.files.mirror import mirror_of

    gone = [key for key in objects if workspace.objects.remove(key)]
    for key, evaluation in results:
        workspace.results.remove(key, evaluation)
    workspace.objects.clear_aside()
    workspace.results.clear_aside()
    sweep_temporaries(workspace.root, ABANDONED_SECONDS)
    if (mirror := mirror_of(workspace.root)) and (swept := mirror.sweep(ABANDONED_SECONDS)):
        say(f"removed from the bucket: {counted(swept, 'file')} of commits that were broken off")
    return gone
