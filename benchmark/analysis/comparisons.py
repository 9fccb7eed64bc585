"""Two rows of a suite, or two cells by key, paired patient by patient."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from benchmark.analysis.apart import networks_line, over_networks
from benchmark.analysis.commands import in_folds_of, not_there, row_command, run_command
from benchmark.analysis.groups import values_apart
from benchmark.analysis.naming import labels_named, split_choice
from benchmark.analysis.own import own_of, secondary
from benchmark.analysis.pairs import Paired, score_of
from benchmark.analysis.rows import gathered, patients_of, read_cells
from benchmark.analysis.suites import (
    Missing,
    Standing,
    check_one_split,
    missing_cell,
    places_of,
)
from benchmark.data.feeding.splits import count_of
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.plan.suite import Planned
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.statistics.layout import Incomplete, endpoint_organs, gain
from benchmark.scoring.statistics.paired import Word
from benchmark.settings.metrics import load_metrics
from benchmark.settings.resolve import without
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace

ONE_SET = (
    "one set of predictions, the same beside each of our seeds: intervals and words are about "
    "these predictions, and not about the training behind them"
)
KEY = re.compile(r"[0-9a-f]{6,20}")
FoldSeed = tuple[int, int]  # fold, seed


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a person named: the cells of one row with a result, and those without. Of a key, its
    one cell. `shown` is its label as tables have it, or the key."""

    name: str
    label: str
    shown: str
    entries: tuple[Entry, ...]
    missing: tuple[Missing, ...]
    by_key: bool

    @property
    def datasets(self) -> list[str]:
        """The data sets with a cell, each once."""
        found = [*(e.dataset for e in self.entries), *(m.dataset for m in self.missing)]
        return list(dict.fromkeys(found))

    @property
    def outside(self) -> str:
        """What predicted the row's masks where bench did not, else ""."""
        return self.entries[0].outside if self.entries else ""

    def on(self, dataset: str) -> dict[FoldSeed, Entry]:
        """Return the results on one data set by fold and seed."""
        return {(e.fold, e.seed): e for e in self.entries if e.dataset == dataset}

    def lacking_on(self, dataset: str) -> dict[FoldSeed, Missing]:
        """Return what is planned on one data set and has no result."""
        return {(m.fold, m.seed): m for m in self.missing if m.dataset == dataset}


def named_row(
    suite: Standing,
    name: str,
    *,
    dataset: str | None = None,
    preset: str | None = None,
    split: str | None = None,
) -> Named:
    """Return the cells of a label (`fsm[xi=1]`), of a row, or of a key's first 6 or more digits;
    with `split` those of the splits whose fingerprint begins so.

    Raises `BadInput` where nothing or more than one thing has that name, and where its cells mix
    presets or splits.
    """
    done = [e for e in suite.done if dataset in (None, e.dataset) and preset in (None, e.preset)]
    done = [e for e in done if e.split.startswith(split or "")]
    lost = [m for m in suite.missing if dataset in (None, m.dataset)]
    labels = list(dict.fromkeys([*(e.label for e in done), *(m.row for m in lost)]))
    shared = suite.plan.overrides if suite.plan else {}
    chosen = labels_named(name, labels, shared)
    by_key = not chosen and bool(KEY.fullmatch(name))
    if by_key:
        done = [entry for entry in done if entry.key.startswith(name)][:1]
        chosen = [entry.label for entry in done]
    if len(chosen) > 1:
        raise BadInput(f"{name!r} may be {' or '.join(chosen)}: write one of them in full")
    if not chosen:
        raise not_there(suite, name, labels, dataset)
    found = [entry for entry in done if entry.label == chosen[0]]
    if len(presets := sorted({entry.preset for entry in found})) > 1:
        raise BadInput(f"{name} was run with presets {', '.join(presets)}: choose with --preset")
    choice = split_choice(sorted(entry.split for entry in found))
    check_one_split(found, name, remedy=f"choose one with {choice}")
    missing = () if by_key else tuple(m for m in lost if m.row == chosen[0])
    return Named(
        name=name,
        label=chosen[0],
        shown=name if by_key else without(chosen[0], shared),
        entries=tuple(found),
        missing=missing,
        by_key=by_key,
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What two rows are compared in: tested metrics of a plan, and metrics of one's own by name
    (None: all that both rows have), which are secondary endpoints. Their split has `of_folds`
    folds (None: as many as the plan)."""

    plan: AnalysisPlan
    metrics: tuple[Metric, ...]
    own: tuple[str, ...] | None = ()
    of_folds: int | None = None


def paired(workspace: Workspace, first: Named, second: Named, asked: Asked) -> list[Paired]:
    """Return the comparison of two rows on every data set that both were planned for.

    Raises `BadInput` where they share none, for cells of other patients, for a row of another tool
    before one of ours (a word is never about a training that bench did not see), and for a metric
    of one's own that was asked for by name and is not on all of their cells.
    """
    if first.outside and not second.outside:
        on = "".join(f" --test-on {e.tested_on}" for e in first.entries[:1] if e.part != "test")
        raise BadInput(
            f"{first.name} comes from another tool ({first.outside}), and no word is said of what "
            f"bench did not train: write it second, bench compare {second.name} {first.name}{on}"
        )
    ours, theirs = first.datasets, second.datasets
    shared = [dataset for dataset in ours if dataset in theirs]
    if not shared:
        raise _apart(first, second)
    return [_on(workspace, first, second, dataset, asked) for dataset in shared]


def _apart(first: Named, second: Named) -> BadInput:
    sets = [f"{one.name} was run on {', '.join(one.datasets)}" for one in (first, second)]
    command = run_command(second.label, first.entries)
    return BadInput(
        f"{first.name} and {second.name} share no data set: {', '.join(sets)}"
        + (f"; run it there with: {command}" if command else "")
    )


def compared(first: Named, second: Named, dataset: str) -> list[Entry]:
    """Return the cells on one data set that stand in the comparison of two rows."""
    ours, theirs = first.on(dataset), second.on(dataset)
    if not (first.by_key and second.by_key):  # else a cell each, perhaps of two seeds
        both = ours.keys() & theirs.keys()
        ours, theirs = ({p: e for p, e in x.items() if p in both} for x in (ours, theirs))
    return [*ours.values(), *theirs.values()]


def _on(workspace: Workspace, first: Named, second: Named, dataset: str, asked: Asked) -> Paired:
    ours, theirs = first.on(dataset), second.on(dataset)
    if first.by_key and second.by_key:
        _check_same_fold(first, second)
        ours, theirs = ({(fold, 0): e for (fold, _), e in x.items()} for x in (ours, theirs))
    places = _places(first, second, dataset, ours, theirs)
    entries = [*ours.values(), *theirs.values()]
    preset = entries[0].preset if entries else ""
    if len({entry.preset for entry in entries}) > 1:
        raise BadInput(f"{first.name} and {second.name} differ in their presets: use --preset")
    remedy = in_folds_of([*ours.values()], [*theirs.values()])
    check_one_split(entries, f"{first.name} with {second.name}", remedy=remedy)
    pair = Paired(dataset=dataset, preset=preset)
    lost = [(x, _lacking(one, dataset, x, places)) for one, x in ((first, ours), (second, theirs))]
    if missing := tuple(cell for _, each in lost for cell in each):
        commands = [row_command([*x.values()], places_of(each)) for x, each in lost if each and x]
        return replace(pair, missing=missing, commands=tuple(commands))
    both = (("a", ours), ("b", theirs))
    cells = [(row, fold, seed, x[fold, seed]) for row, x in both for fold, seed in places]
    own = own_of(workspace, [entry for *_, entry in cells])
    extra = own.shared(entry for *_, entry in cells)
    lines = own.lines if asked.own is None or asked.own else ()
    pair = replace(pair, notes=(*values_apart(first.entries[0], second.entries[0]), *lines))
    if absent := [name for name in asked.own or () if name not in extra]:
        raise BadInput(
            f"the metric {absent[0]} is not on all cells of {first.name} and {second.name} on "
            f"{dataset}: bench score --metric {absent[0]}"
        )
    tested = secondary(extra if asked.own is None else asked.own, load_metrics().metrics)
    frame, _ = read_cells(
        workspace.results, [(row, f, s, where) for row, f, s, e in cells for where in own.of(e)]
    )
    seeds = sorted({seed for _, seed in places})
    names = {"a": first.shown, "b": second.shown}
    count = count_of(workspace.root, dataset, entries[0].split)
    if (kept := entries[0].tested_on) != dataset:
        pair = replace(
            pair, notes=(*pair.notes, networks_line(kept, {f for f, _ in places}, count))
        )
        frame, count = over_networks(frame), 1
    found = _compared(pair, frame, names, seeds, replace(asked, of_folds=count), tested)
    if not second.outside:
        return found
    shown = tuple(_of_one_set(each, first, second) for each in found.comparisons)
    return replace(found, comparisons=shown)


def _of_one_set(found: Comparison, first: Named, second: Named) -> Comparison:
    """The comparison with a row of another tool, with what its figures are of; between two such
    rows without a word."""
    notes = [f"{row.shown}: {row.outside}; {ONE_SET}" for row in (first, second) if row.outside]
    word: Word = "values only" if first.outside else found.word
    return replace(found, word=word, notes=(*found.notes, *notes))


def _compared(
    pair: Paired,
    frame: pd.DataFrame,
    names: Mapping[str, str],
    seeds: list[int],
    asked: Asked,
    own: list[Metric],
) -> Paired:
    """The pair with what its frame of rows "a" and "b" says; `names` are theirs."""
    plan, patients, notes, beside = asked.plan, patients_of(frame), [*pair.notes], []
    organs = endpoint_organs(patients, anchor=plan.anchor_organ, share=plan.organ_share)
    comparisons, gains, scores = [], {}, {}
    for metric in (*asked.metrics, *own):
        chosen = frame[frame["metric"] == metric.name]
        a, b = (
            gathered(name, chosen[chosen["row"] == row], patients, organs, seeds)
            for row, name in names.items()
        )
        found = compare(a, b, metric=metric, plan=plan, of_folds=asked.of_folds)
        if isinstance(found, Incomplete) or isinstance(a, Incomplete) or isinstance(b, Incomplete):
            if metric in own:  # undefined where an organ was missed
                notes.append(f"{metric.name} is not tested: {found.sentence}")
                continue
            raise BadInput(f"{found.sentence}: `bench store verify` looks for damage")
        comparisons.append(found)
        beside += [metric.name] if metric in own else []
        mean_n = gain(a, b, higher_is_better=metric.higher_is_better).mean(axis=1)
        scores[metric.name] = score_of(a), score_of(b)
        gains[metric.name] = dict(zip(a.cases, map(float, mean_n), strict=True))
    return replace(
        pair,
        organs=organs,
        comparisons=tuple(comparisons),
        gains=gains,
        scores=scores,
        secondary=tuple(beside),
        notes=tuple(notes),
    )


def _check_same_fold(first: Named, second: Named) -> None:
    (ours,), (theirs,) = first.entries, second.entries
    if ours.fold != theirs.fold:
        raise BadInput(
            f"{first.name} and {second.name} were tested on other patients "
            f"(fold {ours.fold} and fold {theirs.fold}): they cannot be paired"
        )


def _places(
    first: Named, second: Named, dataset: str, ours: Iterable[FoldSeed], theirs: Iterable[FoldSeed]
) -> list[FoldSeed]:
    """The folds and seeds to compare on: a key's own, else all that either row has or should."""
    keyed = [x for one, found in ((first, ours), (second, theirs)) if one.by_key for x in found]
    everything = [*ours, *theirs, *first.lacking_on(dataset), *second.lacking_on(dataset)]
    return sorted({*(keyed or everything)})


def _lacking(
    one: Named, dataset: str, found: Mapping[FoldSeed, Entry], places: list[FoldSeed]
) -> list[Missing]:
    known = one.lacking_on(dataset)
    return [
        known.get((fold, seed))
        or missing_cell(
            Planned(dataset=dataset, label=one.label, fold=fold, seed=seed),
            None,
            "not imported" if one.outside else "",
        )
        for fold, seed in places
        if (fold, seed) not in found
    ]
