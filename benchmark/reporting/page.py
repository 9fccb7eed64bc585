"""A report as files: one HTML page, Markdown, LaTeX, CSV, and the figures.

index.html                    everything, in one file, without network or script
report.md                     the same for reading in a repository
tables/NAME.csv|.tex          each table; scores.csv has every number at full precision
figures/NAME.png|.svg|.csv    each figure, and the numbers in it
"""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmark.analysis.tables import ScoreLine
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_folder
from benchmark.reporting.facts import KEYS, keys_of
from benchmark.reporting.heads import word_of
from benchmark.reporting.look import Picture, Sheet, csv_text, filled
from benchmark.reporting.report import Part, Report

MARKER = "index.html"
NUMBER = re.compile(r"[-+<]? ?[0-9(].*|-")
LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
}


def write_report(report: Report, out: Path) -> None:
    """Write the report as the folder `out`, which appears whole or not at all; an older report
    there is replaced. Raises `BadInput` where it cannot be written or holds anything else."""
    check_place(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(mkdtemp(prefix=f".old-{out.name}-", dir=out.parent)) / "old"
        try:
            _replace(report, out, aside)
        finally:
            if aside.exists() and not out.exists():
                aside.rename(out)
            shutil.rmtree(aside.parent, ignore_errors=True)
    except OSError as error:
        raise BadInput(
            f"the report cannot be written to {out} ({error.strerror or error}): choose another "
            "folder with --out"
        ) from error


def _replace(report: Report, out: Path, aside: Path) -> None:
    """Write beside `out`, and move an older report away only when the new one is whole."""
    fresh = aside.parent / "new"
    with commit_folder(fresh) as folder:
        _write(report, folder)
    if out.exists():
        out.rename(aside)
    fresh.rename(out)


def check_place(out: Path) -> None:
    """Raise `BadInput` where `out` is not empty and no report, or cannot be written: better now
    than after all the work."""
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise BadInput(
            f"{out} holds something that is not a report: choose another folder with --out"
        )
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file: choose a folder with --out")


def _write(report: Report, folder: Path) -> None:
    for name, content in text_files(report).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")
    (folder / "figures").mkdir(exist_ok=True)
    for part in report.parts:
        for picture in part.pictures.values():
            (folder / "figures" / f"{picture.name}.png").write_bytes(picture.png)
            (folder / "figures" / f"{picture.name}.svg").write_bytes(picture.svg)
            text = csv_text(picture.data[0], picture.data[1])
            (folder / "figures" / f"{picture.name}.csv").write_text(text, "utf-8", newline="\n")


def text_files(report: Report) -> dict[str, str]:
    """Return every text file by its path: the same texts for the same ledger."""
    texts = {
        MARKER: _render("page.html.j2", report=report),
        "report.md": _render("report.md.j2", report=report),
        "tables/scores.csv": _scores(report),
        "tables/keys.csv": csv_text(KEYS, keys_of(part.chapter for part in report.parts)),
    }
    for sheet in (report.gains, report.sets):
        if sheet.rows:
            texts[f"tables/{sheet.name}.csv"] = csv_text(sheet.columns, sheet.rows)
    for part in report.parts:
        for sheet in (sheet for sheet in part.sheets.values() if sheet.rows):
            stem = f"tables/{part.chapter.name}-{sheet.name}"
            texts[f"{stem}.csv"] = csv_text(sheet.columns, sheet.rows)
            texts[f"{stem}.tex"] = _render("table.tex.j2", sheet=filled(sheet))
    return texts


def _scores(report: Report) -> str:
    names = [*(item.name for item in fields(ScoreLine)), "split"]
    chapters = [part.chapter for part in report.parts]
    return csv_text(
        names,
        ([*map(_number, asdict(x).values()), c.group.split] for c in chapters for x in c.lines),
    )


def _number(value: object) -> object:
    """Ten digits: sums in another order do not show."""
    return f"{value:.10g}" if isinstance(value, float) else value


def _render(template: str, **shown: Report | Sheet) -> str:
    return _environment().get_template(template).render(**shown)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("benchmark.reporting", "templates"),
        autoescape=lambda name: bool(name) and ".html" in str(name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "latex": lambda text: text.translate(str.maketrans(LATEX)),
        "cell": lambda text: _markdown(text).replace("|", "\\|"),
        "line": _markdown,
        "numeric": lambda text: bool(NUMBER.fullmatch(text)),
        "data_uri": _data_uri,
        "anchor": anchor,
        "command": _command,
        "head": _head,
    }
    environment.filters |= filters
    environment.globals["sections"] = _sections
    return environment


def _markdown(text: str) -> str:
    """One line in which nothing starts a tag of HTML: a row's title may be anybody's."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text.replace("\n", " "))


def anchor(text: str) -> str:
    """Return the text as the name of a place in the page."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _head(column: str) -> Markup:
    """A column's head, as a link to what it means where that is told."""
    word = word_of(column)
    if not word:
        return escape(column)
    return Markup('<a href="#word-{}">{}</a>').format(anchor(word), column)


def _command(line: str) -> Markup:
    """A sentence whose commands, at its end, stand as what is typed."""
    text, there, commands = line.partition(": bench ")
    return escape(line) if not there else escape(f"{text}: ") + _typed(f"bench {commands}")


def _typed(text: str) -> Markup:
    return Markup("<code>{}</code>").format(text)


def _data_uri(picture: Picture) -> Markup:
    """The figure inside the page: as an image, so that no id of one meets that of another."""
    coded = base64.b64encode(picture.svg).decode("ascii")
    return Markup("data:image/svg+xml;base64,") + coded


SECTIONS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Scores", ("table1", "beyond"), ("forest", "patients")),
    ("Ablation", ("ablation",), ()),
    ("Controls", ("controls",), ("forest-controls",)),
    ("Rows of other tools", ("outside",), ()),
    ("Claims and readings", ("claims", "readings"), ("readings",)),
    ("Does the comparison work?", ("checks",), ()),
    ("Ranks", ("ranks",), ("ranks",)),
    ("Patients", (), ("qualitative",)),
    ("Hard cases", ("hard-cases",), ("hard-cases",)),
    ("GT gap and teacher", ("diagnostics",), ("gt-gap",)),
    ("Organs", ("organ-",), ()),
    ("Every comparison", ("comparisons", "folds", "secondary"), ()),
    ("Training curves", (), ("curves",)),
    ("Cost", ("cost",), ()),
    ("Provenance", ("provenance", "flags", "missing"), ()),
)
"""The page's order: a heading, its tables (a name that ends in "-" stands for all that start so),
its figures."""


def _sections(part: Part) -> Iterable[tuple[str, list[Sheet], list[Picture]]]:
    for title, names, figures in SECTIONS:
        sheets = [
            filled(sheet)
            for wanted in names
            for name, sheet in part.sheets.items()
            if name == wanted or (wanted.endswith("-") and name.startswith(wanted))
        ]
        pictures = [part.pictures[name] for name in figures if name in part.pictures]
        pictures = [picture for picture in pictures if picture is not part.first]
        if sheets or pictures:
            yield title, sheets, pictures
