"""Tables of scores: the rows with the paper's own numbers beside ours, organ by organ, and the sets
of a suite side by side; the reference lines stand above the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmark.analysis.ceilings import FLAGS, NAMES
from benchmark.analysis.comparisons import ONE_SET
from benchmark.analysis.flags import flags_of_rows
from benchmark.analysis.sight import METRIC, Sight, sight
from benchmark.analysis.tables import MEAN, MEAN3, ScoreLine, over_text
from benchmark.reporting.beside import (
    ByOrgan,
    ceiling_notes,
    dsc_head,
    gain_over,
    lead_organ,
    more_organs,
    reference_rows,
    shown_groups,
)
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.look import NOTHING, Sheet, digits_of, gain_text, mean_sd_text, number
from benchmark.scoring.cases import METRIC_UNITS
from benchmark.scoring.paper import IRCADB, MARKS, MULTI_ORGAN, printed
from benchmark.scoring.surface import described
from benchmark.settings.registry import OUTSIDE

PAPER = {IRCADB: "3D-IRCADb", MULTI_ORGAN: "Multi-Organ"}
NOT_CONVERGED = "not_converged"  # the name of a flag (parts/measures.py)
SYMBOLS = {"percent": "%", "mm": "mm", "ml": "ml"}
MEANS = (
    "Means over patients of the mean over seeds, then over organs; ± is the sd over patients. "
    + described(["assd"])
)


def score_sheets(chapter: Chapter) -> list[Sheet]:
    """Return the first table, the other rows where they do not stand in it, and a table for each
    organ."""
    first, others = _first_rows(chapter)
    sheets = [_table1(first, chapter)] if first else []
    if others:
        sheets.append(_beyond(others, chapter))
    return [*sheets, *(_organ(organ, chapter) for organ in shown_groups(chapter))]


def _first_rows(chapter: Chapter) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The rows of the first table, those of other tools too, and of the second; controls have a
    table of their own. Where the layout is not the paper's, the first holds all rows."""
    group = chapter.group
    if not chapter.is_table1:
        return group.rows, ()
    first, controls = group.of_kind("paper", OUTSIDE), group.of_kind("controls")
    return first, tuple(row for row in group.rows if row not in first + controls)


def _table1(rows: Sequence[str], chapter: Chapter) -> Sheet:
    dataset = chapter.group.dataset
    whole = tuple(PAPER) if chapter.is_table1 else ()
    sets = (dataset,) if dataset in PAPER else whole
    body = [
        (*line, *(NOTHING for _ in sets))
        for line in reference_rows(rows, chapter, _reference(chapter))
    ]
    found = [[_printed(row, each) for each in sets] for row in rows]
    body += [(*_scored(row, chapter), *texts) for row, texts in zip(rows, found, strict=True)]
    return Sheet(
        name="table1",
        title="Scores",
        columns=(*_columns(chapter), *(f"paper, {PAPER[s]}: DSC / ASSD" for s in sets)),
        rows=tuple(body),
        about=("In the layout of the paper's Table 1. " if sets else "") + MEANS,
        notes=(*_notes(rows, chapter), *_paper_notes(sets, found, dataset)),
    )


def _paper_notes(
    sets: Sequence[str], found: Sequence[Sequence[str]], dataset: str
) -> tuple[str, ...]:
    """What the paper's columns are, and the marks that occur in them."""
    if not sets:
        return ()
    text = "".join(cell for texts in found for cell in texts)
    marks = {mark: "(*)" if mark == "*" else mark for mark in MARKS}
    return (
        "The paper's columns are what it prints of its own runs on its own data; none of our "
        "numbers uses them." + ("" if dataset in PAPER else f" {dataset} is not one of its sets."),
        *(f"{marks[mark]}: {about}." for mark, about in MARKS.items() if marks[mark] in text),
    )


def _beyond(rows: Sequence[str], chapter: Chapter) -> Sheet:
    return Sheet(
        name="beyond",
        title="Rows beyond the paper",
        columns=_columns(chapter),
        rows=(
            *reference_rows(rows, chapter, _reference(chapter)),
            *(_scored(row, chapter) for row in rows),
        ),
        about=f"Rows that the paper's table does not have. {MEANS}",
        notes=_notes(rows, chapter),
        long=len(rows) > 30,
    )


def _notes(rows: Sequence[str], chapter: Chapter) -> tuple[str, ...]:
    """What stands below a table of rows: its endpoint and the difference that it could have shown,
    where it compares any; which rows had no room or no time or failed; the reference lines."""
    several = len({chapter.plan.baseline, *rows} & set(chapter.group.rows)) > 1
    compares = (_endpoint(chapter), shown_difference(rows, chapter)) if several else ()
    told = (*compares, _outside(rows, chapter), _no_room(rows, chapter))
    return (*filter(None, told), *ceiling_notes(chapter))


def could_show(rows: Sequence[str], chapter: Chapter) -> Sight:
    """Return what a table of these rows could have shown."""
    names = dict.fromkeys((chapter.plan.baseline, *rows))
    found = {row: chapter.analysis.values.get((row, METRIC)) for row in names}
    return sight({row: one for row, one in found.items() if one}, chapter.plan)


def shown_difference(rows: Sequence[str], chapter: Chapter) -> str:
    """Return the same as a sentence."""
    text = could_show(rows, chapter).text
    return f"{text[0].upper()}{text[1:]}."


def _outside(rows: Sequence[str], chapter: Chapter) -> str:
    """Which rows bench did not train; "" where there are none."""
    theirs = [row for row in rows if row in chapter.group.of_kind(OUTSIDE)]
    return f"Rows of other tools: {', '.join(theirs)}; each is {ONE_SET}." if theirs else ""


def _no_room(rows: Sequence[str], chapter: Chapter) -> str:
    """Which rows have the flags that bind what a table can show; "" where none has."""
    found: dict[str, dict[str, None]] = {}
    for flag in flags_of_rows(chapter.ceilings.entries):
        if flag.name in (*FLAGS, NOT_CONVERGED) and flag.row in rows:
            found.setdefault(flag.name, {})[flag.row] = None
    each = [f"{name}: {', '.join(names)}" for name, names in found.items()]
    return f"Flagged {'; '.join(each)} (see Flags)." if each else ""


def _endpoint(chapter: Chapter) -> str:
    return f"The gain is in the test endpoint: {', '.join(chapter.analysis.organs)}."


def _columns(chapter: Chapter) -> tuple[str, ...]:
    gain = f"DSC gain over {chapter.plan.baseline} (95 %)"
    more = (dsc_head(organ, chapter) for organ in more_organs(chapter))
    dsc = dsc_head(lead_organ(chapter), chapter)
    return ("row", "what it is", dsc, "ASSD mm", "n", "missed", "n ASSD", *more, gain)


def _scored(row: str, chapter: Chapter) -> tuple[str, ...]:
    index, plan = chapter.index, chapter.plan
    found = gain_over(row, plan.baseline, plan.metrics[0].name, chapter)
    return (
        row,
        _title(row, chapter),
        *lead(row, chapter),
        *(value(index.get((row, "dsc", organ))) for organ in more_organs(chapter)),
        gain_text(found.interval) if found else NOTHING,
    )


def _reference(chapter: Chapter) -> Callable[[ByOrgan], tuple[str, ...]]:
    """A reference line under the columns of `_scored`, behind its name."""

    def cells(texts: ByOrgan) -> tuple[str, ...]:
        dsc, *more = (texts.get(x, NOTHING) for x in (lead_organ(chapter), *more_organs(chapter)))
        return (NOTHING, dsc, *(NOTHING,) * 4, *more, NOTHING)

    return cells


def lead(row: str, chapter: Chapter) -> tuple[str, str, str, str, str]:
    """Return a row's DSC and ASSD of the organs of `lead_organ`, n, missed, and n of the ASSD."""
    of = lead_organ(chapter)
    dsc, assd = (chapter.index.get((row, metric, of)) for metric in ("dsc", "assd"))
    return value(dsc), value(assd), *_counts(dsc, assd)


def _counts(dsc: ScoreLine | None, assd: ScoreLine | None) -> tuple[str, str, str]:
    """n, missed, and n of the ASSD."""
    n, missed = (str(dsc.n), str(dsc.n_missed)) if dsc else (NOTHING, NOTHING)
    return n, missed, str(assd.n) if assd else NOTHING


def _organ(organ: str, chapter: Chapter) -> Sheet:
    """Every metric of one organ, or of a mean over organs, for all rows."""
    metrics = [metric for metric in METRIC_UNITS if metric != "assd_penalised"]
    titles = [f"{metric} {SYMBOLS[METRIC_UNITS[metric]]}" for metric in metrics]
    own = {x.metric: x.unit for x in chapter.lines if x.metric not in METRIC_UNITS}
    metrics, titles = [*metrics, *own], [*titles, *map(" ".join, own.items())]
    rest, told = (NOTHING,) * (len(metrics) + 2), over_text(organ, chapter.scores.organs)
    body = reference_rows(chapter.group.rows, chapter, lambda texts: (texts[organ], *rest))
    for row in chapter.group.rows:
        found = [chapter.index.get((row, metric, organ)) for metric in metrics]
        dsc, assd = (chapter.index.get((row, metric, organ)) for metric in ("dsc", "assd"))
        body.append((row, *map(value, found), *_counts(dsc, assd)))
    return Sheet(
        name=f"organ-{organ.replace('_', '-')}",
        title=f"Organ: {told}" if organ in chapter.scores.organs else told[0].upper() + told[1:],
        columns=("row", *titles, "n", "missed", "n ASSD"),
        rows=tuple(body),
        about=f"Mean ± sd over patients. {described(['assd', 'hd95', 'nsd'])}",
        aside=True,
    )


def value(line: ScoreLine | None) -> str:
    """Return a line's "mean ± sd"."""
    return NOTHING if line is None else mean_sd_text(line.mean, line.sd, digits_of(line.metric))


def _printed(row: str, dataset: str) -> str:
    """The paper's pair in its own layout; "(*)" once where both are so marked."""
    both = [printed_text(row, dataset, metric) for metric in ("dsc", "assd")]
    return both[0] if len(set(both)) == 1 else " / ".join(both)


def printed_text(row: str, dataset: str, metric: str) -> str:
    """Return what the paper prints of a row, with its mark; "-" where it prints nothing."""
    found = printed(row, dataset, metric)
    if found is None:
        return NOTHING
    if found.mean is None:
        return "(*)"
    cut = found.mark == "?"
    text = number(found.mean, digits_of(metric))
    if found.sd is not None:
        text += f" ± {found.sd:.{1 if cut else digits_of(metric)}f}"
    return text + ("?" if cut else f" ({found.mark})" if found.mark else "")


def _title(row: str, chapter: Chapter) -> str:
    name, _, stage = row.partition("@")
    found = chapter.registry.get(name.partition("[")[0])
    source = chapter.group.cells[row][0].outside or NOTHING
    title = (found.table1 or found.title) if found else source
    return f"{title}, before stage 3" if stage == "stage2" else title


NOTES = {
    "phantom-shapeless": "phantom-shapeless has the very images of phantom; its labels end where "
    "shape does not tell."
}


def sets_sheet(chapters: Sequence[Chapter]) -> Sheet:
    """Return one line a row and a pair of columns a data set (and preset); empty for one set."""
    several = chapters if len(chapters) > 1 else ()
    rows = dict.fromkeys(row for chapter in several for row in chapter.group.rows)
    heads = [
        f"{x.group.title}: {what}"
        for x in several
        for what in ("DSC %", f"{x.plan.subject} over it, points (95 %)")
    ]
    names = {chapter.group.dataset for chapter in several}
    body = _references(several)
    body += [(row, *(cell for chapter in several for cell in _cells(row, chapter))) for row in rows]
    return Sheet(
        name="sets",
        title="The sets side by side",
        columns=("row", *heads),
        rows=tuple(body),
        about="DSC: mean ± sd over patients, mean over liver, left kidney and right kidney where a "
        "set has these three, else over all its organs. Gain: the subject's over the row, "
        "paired, in the test endpoint, with the primary interval; a row that explains the "
        "subject's scores without ground-truth features leaves nothing to gain over it.",
        notes=tuple(note for name, note in NOTES.items() if name in names),
    )


def _references(chapters: Sequence[Chapter]) -> list[tuple[str, ...]]:
    """The reference lines of each set, where all its rows have the same."""
    found = []
    for chapter in chapters:
        rows = reference_rows(chapter.group.rows, chapter, lambda x: (x.get(MEAN3, x[MEAN]),))
        found.append(
            [text for _, text in rows] if len(rows) == len(NAMES) else [NOTHING] * len(NAMES)
        )
    if all(set(texts) == {NOTHING} for texts in found):
        return []
    return [
        (name, *(cell for texts in found for cell in (texts[place], NOTHING)))
        for place, name in enumerate(NAMES)
    ]


def _cells(row: str, chapter: Chapter) -> tuple[str, str]:
    organ = MEAN3 if (row, "dsc", MEAN3) in chapter.index else MEAN
    metric = chapter.plan.metrics[0].name
    found = chapter.analysis.comparison(chapter.plan.subject, row, metric)
    gain = gain_text(found.primary) if found else NOTHING
    return value(chapter.index.get((row, "dsc", organ))), gain
