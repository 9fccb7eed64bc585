"""What every command that trains or reads results opens: workspace, hardware, data set."""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.options import options_of
from benchmark.cli.out import say, warn
from benchmark.errors import BadInput, install
from benchmark.files.roots import shown

if TYPE_CHECKING:
    from benchmark.cli.view import View
    from benchmark.data.library import DataSet
    from benchmark.running.bench import Bench
    from benchmark.running.events import Listener
    from benchmark.settings.resolve import Setting
    from benchmark.store.ledger import Entry
    from benchmark.store.workspace import Workspace


def open_session(
    args: argparse.Namespace,
    setting: Setting,
    listener: Listener | None = None,
    *,
    may_read: bool = False,
) -> tuple[Bench, DataSet]:
    """Return the bench and the data set of a command's options; a command that `may_read` alone
    takes a workspace that cannot be written. Raises `BadInput`."""
    from benchmark.data.library import open_dataset
    from benchmark.running.crew import threads_for
    from benchmark.store.workspace import is_read_only

    options = options_of(args)
    threads = options.threads or threads_for(setting.ground.size)
    reading = may_read and is_read_only(args.root)
    bench = replace(options, threads=threads).open(listener, reading=reading)
    bench.stop.say = say
    return bench, open_dataset(args.root, args.dataset, say=say)


def stored(args: argparse.Namespace, *, writing: bool = False) -> Workspace:
    """Return the workspace of a command that trains nothing, and that writes only where it says so.
    Raises `BadInput` where there is none."""
    from benchmark.store.workspace import open_workspace

    check_workspace(args.root)
    return open_workspace(args.root, reading=not writing, warn=warn)


def check_workspace(root: Path) -> None:
    """Raise `BadInput` where there is no workspace."""
    from benchmark.files.mirror import mirror_of

    mirror_of(root)  # a bucket's is brought here
    if not (root / "format").exists():
        raise BadInput(f"no workspace at {shown(root)}: run something first, or give --root")


def need(module: str) -> None:
    """Raise `BadInput` where a part of `errors.PARTS` is not installed."""
    if find_spec(module) is None:
        raise BadInput(install(module))


def mlflow_there(args: argparse.Namespace) -> str | None:
    """Return the MLflow that `--mlflow` names, else the workspace's own; None for `none`, and where
    the workspace has none yet."""
    from benchmark.tracking.database import OFF, default_uri, sqlite_path

    uri: str = args.mlflow or default_uri(args.root)
    local = sqlite_path(uri)
    return None if uri == OFF or (not args.mlflow and local and not local.exists()) else uri


def keep_references(bench: Bench, entries: list[Entry], mlflow: str | None, view: View) -> None:
    """Measure the reference lines of cells before their rows reach the MLflow that `--mlflow` asks
    for, which is told of what is kept alone; the table measures them where there is none."""
    from benchmark.running.following import mirror_uri

    if mirror_uri(mlflow, bench.root):
        from benchmark.analysis.ceilings import ceilings_of

        ceilings_of(bench, entries, say=lambda text: view.print(f"bench: {text}"))
