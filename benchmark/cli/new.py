"""`bench new metric NAME`: a package of one's own from a template, which conforms at once."""

from __future__ import annotations

import argparse
import importlib.util
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from benchmark.cli.options import option
from benchmark.cli.out import put
from benchmark.errors import BadInput

HELP = "a package of your own from a template: bench new metric NAME"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What may be written, what it is, and the commands that use it."""

    about: str
    then: str


KINDS = {
    "method": Kind(
        about="a row: a loss, a network, a way of training",
        then="bench run --method {name}",
    ),
    "metric": Kind(
        about="a metric of two masks, beside DSC and ASSD",
        then="bench score --metric {name}",
    ),
    "dataset": Kind(about="a data set", then="bench run --method unet --dataset {name}"),
    "space": Kind(
        about="a space of values for bench sweep",
        then="bench sweep run {name} --method fsm --trials 8",
    ),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    about = "; ".join(f"{name}: {kind.about}" for name, kind in KINDS.items())
    parser.add_argument("kind", choices=KINDS, metavar="|".join(KINDS), help=about)
    option(parser, "name", "NAME", "what it is called in options and tables")
    about = "where its folder is made (default: here)"
    parser.add_argument("-o", "--out", type=Path, default=Path(), metavar="DIR", help=about)


def run(args: argparse.Namespace) -> int:
    """Write the package and say what comes next; returns 0. Raises `BadInput`."""
    name, module = args.name, _module(args.name)
    _check_free(args.kind, name, module)
    folder: Path = args.out / name
    if folder.exists():
        raise BadInput(f"{folder} is there already: choose another name, or -o DIR")
    try:
        _write(args.kind, name, module, folder)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror or error}") from None
    put(f"{folder}: {module}.py is {KINDS[args.kind].about}, with its test")
    put("next: " + _steps(args.kind, name, str(folder)))
    return 0


def _module(name: str) -> str:
    """The name of the module. Raises `BadInput` for what can be none."""
    if not NAME.fullmatch(name):
        raise BadInput(f"the name {name!r}: write letters, digits, '-', '_', a letter first")
    return name.lower().replace("-", "_")


def _check_free(kind: str, name: str, module: str) -> None:
    """Raise `BadInput` where the name is taken, of the thing or of a Python module."""
    from benchmark.data.embedded import embedded
    from benchmark.scoring.cases import METRIC_UNITS
    from benchmark.settings.metrics import load_metrics
    from benchmark.settings.registry import load_registry

    taken: dict[str, Callable[[], Container[str]]] = {
        "method": lambda: load_registry().rows,
        "metric": lambda: {*load_metrics().metrics, *METRIC_UNITS},
        "dataset": embedded,
        "space": lambda: (),
    }
    if name in taken[kind]():
        raise BadInput(f"there is a {kind} {name!r} already: choose another name")
    try:
        found = importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        found = True
    if found or module in ("test", "src"):
        raise BadInput(f"there is a Python module {module!r} already: choose another name")


def _write(kind: str, name: str, module: str, folder: Path) -> None:
    from benchmark.files.atomic import commit_folder

    project = name.lower().replace("_", "-").strip("-")
    words = {"@NAME@": name, "@MODULE@": module, "@PROJECT@": project}
    texts = {
        path.name.removesuffix(".txt").replace("module", module): path.read_text(encoding="utf-8")
        for path in (files("benchmark.cli") / "templates" / kind).iterdir()
        if path.name.endswith(".txt")
    }
    steps = _steps(kind, name, name).replace("; ", "\n")
    texts["README.md"] = (
        f"# {name}\n\n{KINDS[kind].about[0].upper()}{KINDS[kind].about[1:]}, for bench. Change "
        f"`{module}.py`; it is found by the entry point in `pyproject.toml`. In the folder that "
        f"holds `{name}`:\n\n"
        f"```\n{steps}\n```\n"
    )
    with commit_folder(folder) as temporary:
        for file, text in texts.items():
            for word, value in words.items():
                text = text.replace(word, value)
            (temporary / file).write_text(text, encoding="utf-8")


def _steps(kind: str, name: str, folder: str) -> str:
    return f"pip install -e {folder}; pytest {folder}; {KINDS[kind].then.format(name=name)}"
