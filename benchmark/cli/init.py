"""`bench init`: a folder with an experiment file that runs as it is and says what to change."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from benchmark.cli.out import put
from benchmark.errors import BadInput

HELP = "a folder with an experiment file, to run and to change: bench init my-study"
FILE = "experiment.toml"
NAMES = {f"{FILE}.txt": FILE, "gitignore.txt": ".gitignore"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    about = "the folder, made where there is none (default: here)"
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="DIR", help=about)


def run(args: argparse.Namespace) -> int:
    """Write the files and say what comes next; returns 0. Raises `BadInput`, also where a file is
    there already."""
    folder: Path = args.folder
    there = [name for name in NAMES.values() if (folder / name).exists()]
    if FILE in there:
        raise BadInput(f"{folder / FILE} is there already: choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for template, name in NAMES.items():
            if name not in there:  # somebody's own .gitignore stays
                text = (files("benchmark.cli") / "templates" / "init" / template).read_text("utf-8")
                (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror or error}") from None
    put(f"{folder / FILE} is an experiment that runs as it is; its comments say what to change")
    go = "" if folder == Path() else f"cd {folder}; "
    put(f"next: {go}bench plan --config {FILE}; bench run --config {FILE}")
    return 0
