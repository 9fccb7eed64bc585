"""What a chapter lacks, in sentences with the command that makes it, and as a table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from benchmark.analysis.commands import row_command
from benchmark.analysis.groups import set_text
from benchmark.analysis.suites import Missing, fill_command, numbers_text, places_of
from benchmark.plan.wording import counted
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.look import Sheet

MOST_NAMED = 12  # missing cells that are named in a sentence; all are in the table
MOST_COMMANDS = 3


def incomplete(chapter: Chapter) -> tuple[str, ...]:
    """Return what is missing, by row, and the folds that no row was run in, each with the command
    that fills it."""
    lines = _absent_folds(chapter)
    by_row: dict[str, list[Missing]] = {}
    for cell in chapter.scores.missing:
        by_row.setdefault(cell.row, []).append(cell)
    for row, cells in list(by_row.items())[:MOST_NAMED]:
        named = ", ".join(f"fold {c.fold} seed {c.seed} {c.state}" for c in cells[:MOST_NAMED])
        more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
        lines.append(f"{row}: {named}{more}.{_to_fill(row, cells, chapter)}")
    if len(by_row) > MOST_NAMED:
        lines.append(f"{len(by_row) - MOST_NAMED} more rows lack cells: see the table of them.")
    if lines and chapter.group.plan:
        lines.append(f"To fill it: {fill_command(chapter.group.suite, chapter.group.plan)}")
    return tuple(lines)


def _absent_folds(chapter: Chapter) -> list[str]:
    """A sentence on the folds that no row was run in; none where there are all."""
    folds, seeds = chapter.scores.absent_folds, chapter.group.seeds
    if not folds:
        return []
    text = f"No row was run in fold {', '.join(map(str, folds))}: their patients are in no number"
    if chapter.group.plan or _past_split(chapter):
        return [f"{text} here."]
    places = [(fold, seed) for fold in folds for seed in seeds]
    rows = [row for row in chapter.group.rows if "@" not in row]
    commands = [row_command(chapter.group.cells[row], places) for row in rows[:MOST_COMMANDS]]
    more = f"; and so on for {len(rows) - MOST_COMMANDS} more" if rows[MOST_COMMANDS:] else ""
    return [f"{text} here. To fill it: {'; '.join(commands)}{more}"]


def _to_fill(row: str, cells: Sequence[Missing], chapter: Chapter) -> str:
    """How to make a row's missing cells; a planned suite has one command for all of them."""
    if chapter.group.plan or _past_split(chapter):
        return ""
    return f" To fill it: {row_command(chapter.group.cells[row], places_of(cells))}"


def _past_split(chapter: Chapter) -> bool:
    """Whether no command runs on the chapter's split: the data set has another one by itself now,
    and `--split` takes those that somebody brought."""
    entries = next(iter(chapter.group.cells.values()))
    return bool(chapter.group.split_shown) and not entries[0].own_split


def missing_sheet(chapter: Chapter) -> Sheet:
    """Return every missing cell as a table."""
    cells = chapter.scores.missing
    hidden = (str(chapter.workspace.root), *chapter.scores.numbers)
    return Sheet(
        name="missing",
        title="Missing cells",
        columns=("row", "fold", "seed", "state", "why"),
        rows=tuple(
            (c.row, str(c.fold), str(c.seed), c.state, _clean(c.error, hidden)) for c in cells
        ),
        about="Cells that other rows have, or that were started. With one of them missing a row "
        "is in no statistic; its means are of what is there.",
        long=len(cells) > MOST_NAMED,
    )


def _clean(text: str, hidden: Sequence[str]) -> str:
    """The text without the workspace's place and the names of cases."""
    for name in sorted(hidden, key=len, reverse=True):
        text = text.replace(name, "...")
    return text


def wanted(chapter: Chapter) -> tuple[str, ...]:
    """Return what the question needs and nobody planned, each with the command that runs it;
    nothing on a split that no command runs any more."""
    if _past_split(chapter):
        return ()
    if chapter.asks_subject:
        return _controls_wanted(chapter)
    if len(chapter.told) == 1:
        return (
            "One row: what it gains, only a row beside it can tell. bench methods lists them; to "
            f"run one: {_run('ROW', chapter)}",
        )
    return ()


def without_baseline(chapter: Chapter) -> str:
    """Return why no row is compared with the baseline, and the command that changes that."""
    base, group = chapter.plan.baseline, chapter.group
    found = [row for row in group.rows if row.partition("[")[0] == base and "@" not in row]
    if len(found) > 1:
        return (
            f"{base}, which rows are compared with, was run with several values and not without: "
            f"bench compare ROW {shlex.quote(found[0])} compares with one of {', '.join(found)}"
        )
    return f"{base}, which rows are compared with, was not run. To run it: {_run(base, chapter)}"


def _controls_wanted(chapter: Chapter) -> tuple[str, ...]:
    """The rows that a verdict reads and that were neither run nor planned."""
    plan, group = chapter.plan, chapter.group
    asked = dict.fromkeys((plan.baseline, plan.subject, *plan.controls))
    absent = [row for row in asked if row not in chapter.told]
    if not absent:
        return ()
    there = [row for row in asked if row in chapter.told]
    if group.plan:
        planned = tuple(dict.fromkeys((*group.plan.rows, *absent)))
        command = fill_command(group.suite, replace(group.plan, rows=planned))
    else:
        command = _run(",".join(absent), chapter, method="suite --rows")
    beside = f"; beside {', '.join(there)} here" if there else ""
    return (f"A verdict needs {counted(len(absent), 'more row')}{beside}. To run: {command}",)


def _run(rows: str, chapter: Chapter, method: str = "run --method") -> str:
    """The command that runs rows on what this chapter is of."""
    group = chapter.group
    sets = "--datasets" if method.startswith("suite") else "--dataset"
    words = ["bench", *method.split(), rows, sets, group.dataset, "--preset", group.preset]
    words += ["--split", group.split_shown] if group.split_shown else []
    words += ["--folds", numbers_text(group.folds), "--seeds", numbers_text(group.seeds)]
    for name, value in group.common.items():
        words += ["--set", f"{name}={set_text(value)}"]
    return shlex.join(words)
