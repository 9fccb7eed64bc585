"""The table of a suite's rows on standard output, with the reference lines above them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from benchmark.analysis.ceilings import NAMES, Ceilings, alike, ceiling_texts
from benchmark.analysis.suites import Standing
from benchmark.analysis.tables import HEADLINE, MEAN, ScoreLine, number_text
from benchmark.cli.out import print_rows, put
from benchmark.plan.wording import counted
from benchmark.scoring.cases import METRIC_UNITS
from benchmark.scoring.surface import described
from benchmark.settings.resolve import without

if TYPE_CHECKING:
    from benchmark.running.held_out import Apart
    from benchmark.store.ledger import Entry


def print_suite(lines: list[ScoreLine], suite: Standing, ceilings: Ceilings) -> None:
    """Print a table a data set: reference lines, and a line a row; one that lacks a cell has no
    number."""
    missing = suite.missing
    for dataset in dict.fromkeys([*(x.dataset for x in lines), *(x.dataset for x in missing)]):
        chosen = [line for line in lines if line.dataset == dataset]
        organs = list(dict.fromkeys(x.organ for x in chosen if x.metric == "dsc"))
        own = own_titles(chosen)
        body = [
            (name, *cells, *["-"] * (3 + len(own)))
            for name, cells in _reference_rows(chosen, organs, suite, ceilings)
        ]
        for row in dict.fromkeys(line.row for line in chosen):
            found = [x for x in chosen if x.row == row]
            body.append((row_name(row, suite), *_cells(found, organs, own)))
        for row in dict.fromkeys(x.row for x in missing if x.dataset == dataset):
            body.append((row_name(row, suite), *["-"] * (len(organs) + len(own) + 2), "INCOMPLETE"))
        titles = (f"{title} (mean)" for title in own.values())
        headings = ("row", *organs, "ASSD mm (mean)", *titles, "patients", "missed")
        in_folds = folds_text(entry for entry in suite.done if entry.dataset == dataset)
        title = f"{dataset}: DSC %, mean +- sd over patients{in_folds}"
        print_rows(title, headings, body, width=140)
    put(described(["assd"]))


def folds_text(entries: Iterable[Entry]) -> str:
    """Return in whose folds cells were tested, as a table's title says it; "" without cells."""
    splits = {(entry.split[:8], entry.own_split) for entry in entries}
    texts = [f"split {split}" if own else "folds: the set's own" for split, own in sorted(splits)]
    return "".join(f", {text}" for text in dict.fromkeys(texts))


def _reference_rows(
    lines: list[ScoreLine], organs: list[str], suite: Standing, ceilings: Ceilings
) -> list[tuple[str, list[str]]]:
    """The reference lines of a data set's rows by organ; rows of another grid or of other
    patients have their own, with their names."""
    found = alike(
        (row_name(row, suite), tuple(ceiling_texts(beside.get(organ)) for organ in organs))
        for row, dataset in dict.fromkeys((line.row, line.dataset) for line in lines)
        if (beside := ceilings.of(row, dataset))
    )
    return [
        (name + of, [each[place] for each in texts])
        for of, texts in found
        for place, name in enumerate(NAMES)
    ]


def words_of(lines: list[ScoreLine]) -> list[str]:
    """Return what the words in a table mean that are neither organs nor metrics."""
    organs = {line.organ for line in lines}
    shared = " and ".join(organ for organ in HEADLINE if organ in organs)
    stages = dict.fromkeys(line.row.rpartition("@")[2] for line in lines if "@" in line.row)
    told = ["mean: the mean over all organs of the set"]
    told += [f"headline: the mean over {shared}"] if "headline" in organs else []
    return [*told, *(f"NAME@{stage}: the row before its later trainings" for stage in stages)]


def row_name(label: str, suite: Standing) -> str:
    """The row in its suite, without the overrides that all its rows share."""
    return without(label, suite.plan.overrides) if suite.plan else label


def own_titles(lines: Iterable[ScoreLine]) -> dict[str, str]:
    """Return the headings of the metrics of one's own among lines, by metric."""
    return {x.metric: f"{x.metric} {x.unit}" for x in lines if x.metric not in METRIC_UNITS}


def _cells(lines: list[ScoreLine], organs: list[str], own: Iterable[str]) -> list[str]:
    found = {(line.metric, line.organ): line for line in lines}
    whole, assd = found["dsc", MEAN], number_text(found.get(("assd", MEAN)), "assd")
    values = [number_text(found.get(("dsc", organ)), "dsc") for organ in organs]
    more = [number_text(found.get((metric, MEAN)), metric) for metric in own]
    return [*values, assd, *more, str(whole.n), str(whole.n_missed)]


def apart_headings(apart: Apart | None) -> tuple[str, ...]:
    """Return the headings of what was scored on a set that was kept apart."""
    if apart is None:
        return ()
    titles = _apart_titles(apart).values()
    return (*(f"{apart.dataset}: {title}" for title in titles), "patients there")


def _apart_titles(apart: Apart) -> dict[str, str]:
    """The metrics that stand in the columns of a set that was kept apart, with their titles."""
    return {"dsc": "DSC %", "assd": "ASSD mm"} | own_titles(apart.lines)


def apart_cells(row: str, organ: str, apart: Apart | None) -> tuple[str, ...]:
    """Return a row's scores there and its patients; "-" where the set has no such organ, and for
    means over several where it lacks one of them."""
    if apart is None:
        return ()
    metrics = _apart_titles(apart)
    if not (apart.all_organs or organ in apart.organs):
        return tuple("-" for _ in (*metrics, "patients"))
    found = {x.metric: x for x in apart.lines if (x.row, x.organ) == (row, organ)}
    values = [number_text(found.get(metric), metric) for metric in metrics]
    return *values, str(found["dsc"].n) if "dsc" in found else "-"


def apart_text(apart: Apart) -> str:
    """Return how often the set was looked at, and what that means."""
    of_them = f"{len(apart.folds)} of {counted(apart.of_folds, 'fold')}"
    return (
        f"{apart.dataset} was kept apart: the mean of the networks of {of_them} over its patients, "
        f"+- sd over patients; {looks_text(apart.looks)}"
    )


def looks_text(looks: int) -> str:
    """Return how often a set that was kept apart was looked at, and what that means."""
    times = "once" if looks == 1 else f"{looks} times"
    return f"looked at {times} in this workspace. What is chosen by it is no longer tested by it."
