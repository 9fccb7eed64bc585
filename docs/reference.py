"""Write the pages that are made of the code: docs/commands.md, docs/python-api.md,
docs/findings.md and docs/decisions/index.md.

    python docs/reference.py

A test fails where a page is not what this writes.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
FINDINGS = DOCS.parent / "findings"
MADE = "Written by `python docs/reference.py`; a test fails when it is stale."
API: dict[str, dict[str, tuple[str, ...]]] = {
    "Scores of two masks": {
        "benchmark.scoring.overlap": ("dice_percent", "dice_slicewise_percent"),
        "benchmark.scoring.surface": ("surface_distances", "assd_mm", "hd95_mm", "nsd_percent"),
        "benchmark.scoring.cases": ("score_case", "Score"),
        "benchmark.scoring.own": ("OwnMetric",),
    },
    "Two rows compared": {
        "benchmark.scoring.statistics.layout": (
            "ScoredPatient",
            "RowValues",
            "endpoint_organs",
            "gather",
        ),
        "benchmark.scoring.comparison": ("compare", "compare_gain", "Comparison"),
        "benchmark.scoring.statistics.components": ("interval", "Interval", "interval_text"),
        "benchmark.plan.analysis": ("AnalysisPlan",),
    },
    "A method": {
        "benchmark.plan.nodes": ("Row", "Train", "Net", "Weights", "Schedule", "field_from"),
        "benchmark.parts.networks": ("UNet",),
        "benchmark.parts.batch": ("Batch",),
        "benchmark.parts.objectives": (
            "Segmentation",
            "segmentation_terms",
            "labelled_samples",
            "fold_unknown",
            "target",
            "soft_dice",
        ),
        "benchmark.parts.stages": ("TwoNetworks", "plain", "again", "teacher", "frozen", "refine"),
    },
    "A data set": {
        "benchmark.data.volume": ("Volume", "Geometry", "from_canonical"),
        "benchmark.data.library": ("open_dataset", "DataSet"),
        "benchmark.data.source": ("Source",),
    },
    "Tests of your own": {
        "benchmark.testing": (
            "MethodConformance",
            "MetricConformance",
            "SourceConformance",
            "TinySource",
        ),
        "sweeps.conformance": ("SpaceConformance",),
    },
    "Errors": {"benchmark.errors": ("BadInput",)},
}
ABOUT_API = """
What is on this page is stable: a name, its arguments and its meaning change with a new minor
version only, and a line in the list of changes says so. Everything else in `benchmark`,
`methods`, `baselines` and `sweeps` may change with any version. What a program should read is
`--json` of the commands and the files of a workspace
([architecture.md](architecture.md#what-lies-in-a-workspace)).

Names of arrays end in their axes: Z to the head, Y to the back, X to the left; B samples, C
channels, H and W the pixels of a slice, K organs; n patients, S seeds. Lines with `>>>` are run
by a test, and give what stands below them.
"""
ABOUT_COMMANDS = """
All options of all commands, as `bench COMMAND --help` prints them. Exit codes and what goes to
which stream: [running.md](running.md#stopping-and-going-on).
"""
ABOUT_FINDINGS = """
Faults and surprises of libraries that were met on the way. Each is a file in the folder
`findings/` of the repository: a script that makes an environment of its own, shows the fault, and
fails where it is gone.
"""


def commands_page() -> str:
    """Return the reference of the command line, from its parsers."""
    from benchmark.cli.main import MODULES, OURS
    from benchmark.cli.options import Parser

    parts = [f"# Commands\n\n{MADE}\n{ABOUT_COMMANDS}"]
    files = {name: f"benchmark.cli.{MODULES.get(name, name)}" for name in OURS}
    for name, file in [*files.items(), ("sweep", "sweeps.command")]:
        module = importlib.import_module(file)
        parser = Parser(prog=f"bench {name}", description=module.HELP)
        module.configure(parser)
        parts += _command(parser, parser.description or "", 2)
    return "\n".join(parts)


def _command(parser: argparse.ArgumentParser, about: str, depth: int) -> Iterator[str]:
    """Yield the part of a command, and then those of its own commands."""
    yield f"{'#' * depth} {parser.prog}\n\n{_escaped(about)}\n"
    below: list[tuple[argparse.ArgumentParser, str]] = []
    lines = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help or "" for one in action._choices_actions}
            below += [(sub, helps.get(name, "")) for name, sub in action.choices.items()]
        elif not isinstance(action, argparse._HelpAction) and action.help != argparse.SUPPRESS:
            lines.append(f"| {_name(action)} | {_escaped(_about(action))} |")
    if lines:
        yield "\n".join(["| option | what it says |", "|---|---|", *lines]) + "\n"
    for sub, said in below:
        yield from _command(sub, said, depth + 1)


def _name(action: argparse.Action) -> str:
    """Return how an option is written."""
    value = "" if action.nargs == 0 else action.metavar or action.dest.upper()
    value = " ".join(value) if isinstance(value, tuple) else str(value)
    names = list(action.option_strings) or [value]
    if action.option_strings and value:
        names[-1] += f" {value}"
    needed = " (needed)" if action.option_strings and action.required else ""
    return ", ".join(f"`{name}`".replace("|", "\\|") for name in names) + needed


def _about(action: argparse.Action) -> str:
    """Return what is said of an option, with the default that the code has where none is said."""
    text = (action.help or "").replace("%%", "%")
    plain = isinstance(action.default, str | int | float) and not isinstance(action.default, bool)
    if "default" in text or not plain or action.default in ("", argparse.SUPPRESS):
        return text
    return f"{text} (default: {action.default})".strip()


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def api_page() -> str:
    """Return the public Python API, from its docstrings."""
    parts = [f"# Python API\n\n{MADE}\n{ABOUT_API}"]
    for title, modules in API.items():
        parts.append(f"## {title}\n")
        for module, names in modules.items():
            for name in names:
                parts += _entry(module, name, getattr(importlib.import_module(module), name))
    return "\n".join(parts)


def _entry(module: str, name: str, thing: Any) -> Iterator[str]:
    """Yield a name, how it is imported and called, and its docstring."""
    yield f"### {name}\n"
    kind = "class" if inspect.isclass(thing) else "def"
    yield f"```text\nfrom {module} import {name}\n{kind} {name}{_signature(thing)}\n```\n"
    words, mark, examples = inspect.cleandoc(thing.__doc__ or "").partition(">>>")
    yield _paragraphs(words)
    if mark:
        yield f"```pycon\n>>>{examples}\n```\n"


def _signature(thing: Any) -> str:
    """Return how it is called; a class of tests, or a protocol, is not."""
    if name_of(thing).endswith("Conformance") or getattr(thing, "_is_protocol", False):
        return ""
    found = inspect.signature(thing)
    shown = re.sub(r"<factory>|<function [^>]*>|<benchmark[^>]*>", "...", str(found))
    shown = _unquoted(re.sub(r" at 0x[0-9a-f]+", "", shown))
    return shown if len(shown) < 100 else _over_lines(found, shown)


def _unquoted(text: str) -> str:
    """Return a signature whose annotations are not in quotes."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def _over_lines(found: inspect.Signature, shown: str) -> str:
    """Return the signature with an argument a line."""
    lines, keyword = [], False
    for one in found.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not keyword:
            lines.append("    *,")
            keyword = True
        text = _unquoted(str(one)).replace("<factory>", "...")
        lines.append(f"    {text},")
    return "(\n" + "\n".join(lines) + "\n)" + shown.rpartition(")")[2]


def name_of(thing: Any) -> str:
    """Return its name."""
    return str(getattr(thing, "__name__", ""))


def _paragraphs(text: str) -> str:
    """Return a docstring as Markdown: a line may not look like a tag."""
    return re.sub(r"(?<!`)<(?=\w)", "&lt;", text).strip() + "\n"


def findings_page() -> str:
    """Return the index of findings/, from the heads of its files."""
    parts = [f"# Findings\n\n{MADE}\n{ABOUT_FINDINGS}"]
    for file in sorted(FINDINGS.glob("*.sh")):
        head = _head(file.read_text(encoding="utf-8"))
        title = file.stem.replace("-", " ")
        parts.append(f"## {title}\n\n{head}\n\nThe file: `findings/{file.name}`.\n")
    return "\n".join(parts)


def _head(text: str) -> str:
    """Return the comment at a script's head as Markdown; lines under "Seen" keep their form."""
    lines = []
    for line in text.splitlines()[1:]:
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    shown: list[str] = []
    for line in lines:
        listed = line.startswith("  ")
        if listed and not (shown and shown[-1].startswith("    ")):
            shown.append("")
        shown.append(f"    {line.strip()}" if listed else _plain(line))
        if line.startswith("What helps:"):
            shown[-1] = shown[-1].replace("What helps:", "**What it means for you:**")
    return "\n".join(shown).strip()


def _plain(line: str) -> str:
    """Return a line in which no underscore is a mark, but within backticks."""
    parts = _escaped(line).split("`")
    return "`".join(re.sub("_", r"\\_", one) if n % 2 == 0 else one for n, one in enumerate(parts))


def decisions_page() -> str:
    """Return the list of decisions, by the titles of their files."""
    lines = []
    for file in sorted(file for file in (DOCS / "decisions").glob("*.md") if file.stem != "index"):
        title = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"- [{file.stem[:4]}]({file.name}): {title[4:].lstrip(': ')}")
    about = "What was chosen where paper and design are silent, and why. The newest is the last."
    return f"# Decisions\n\n{MADE}\n\n{about}\n\n" + "\n".join(lines) + "\n"


PAGES = {
    "commands.md": commands_page,
    "python-api.md": api_page,
    "findings.md": findings_page,
    "decisions/index.md": decisions_page,
}

if __name__ == "__main__":
    for path, made in PAGES.items():
        (DOCS / path).write_text(made(), encoding="utf-8")
