"""What is stored of a run's cells and of the rows beside them, for the sentence below its table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmark.analysis.seen_row import (
    CONTROL,
    OTHER,
    PLAIN,
    SUBJECT,
    WHOLE,
    WITH_OTHERS,
    Beside,
    Range,
    Seen,
    range_of,
    value_of,
)
from benchmark.analysis.tables import probe_means
from benchmark.errors import BadInput
from benchmark.parts.objectives import Segmentation
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.budget import budget
from benchmark.plan.nodes import Method, in_order
from benchmark.plan.presets import demonstration
from benchmark.settings.registry import Registry, load_registry
from benchmark.settings.resolve import GROUND, Setting, label, resolve, settings_of
from benchmark.store.ledger import MAIN, SCRATCH, Entry
from benchmark.store.workspace import Workspace

PLAN = AnalysisPlan()
LONG = PLAN.controls[0]  # the plain network with the subject's epochs on CT
EPOCHS = "schedule.epochs"
NEAR = 0.1  # lengths of training on CT that differ by less than this share count as one
M, XI = "m", "xi"


def seen_of(workspace: Workspace, entries: Iterable[Entry], *, root: str = "") -> Seen:
    """Return what is stored of the cells of one row; `root` as `Seen` has it."""
    own = tuple(entry for entry in entries if "@" not in entry.row)
    first, registry = own[0], load_registry()
    if first.row not in registry.rows:  # its package is gone, or made it in this process alone
        return Seen(entries=own, kind=OTHER, rows=(first.row,), root=root)
    setting = resolve(registry, first.row, first.preset, first.overrides)
    setting = replace(setting, tuned=first.tuned)
    kind = _kind(setting, registry)
    beside, others = _beside(setting, kind, registry)
    suites = _suites(workspace, first.suite)
    lies_in = _lies_in(workspace, own, others, suites)
    ways = [way for entry in own if (way := _way_of_m(workspace, entry))]
    return Seen(
        entries=own,
        kind=kind,
        about=registry.rows[first.row].about,
        means=tuple(found for entry in own if (found := probe_means(workspace, entry))),
        m=tuple((way.first, way.last) for way in ways),
        pulled=range_of(way.pulled for way in ways if way.pulled is not None),
        beside_m=_m_beside(workspace, own, {way.steps for way in ways}, others, suites),
        **vars(beside),
        lies_in=lies_in,
        mixed=bool(lies_in) and _is_mixed(workspace, lies_in, first, beside.pair),
        planned=tuple(workspace.plans.suites()),
        root=root,
    )


def _kind(setting: Setting, registry: Registry) -> str:
    if is_plain(setting.method):
        return PLAIN
    if setting.row == PLAN.subject:
        return SUBJECT
    control = setting.row in PLAN.controls or registry.rows[setting.row].group == "controls"
    return CONTROL if control else OTHER


def is_plain(method: Method) -> bool:
    """Return whether a method trains the whole of N_CT on the shared loss and nothing else."""
    return all(
        isinstance(node.objective, Segmentation)
        and list(node.nets) == ["ct"]
        and node.nets["ct"].trainable == ("",)
        for node in in_order(method.plan().node)
    )


def _beside(setting: Setting, kind: str, registry: Registry) -> tuple[Beside, list[Setting]]:
    """The rows without which this one says little: for the method in question the plain network
    of the same length and two controls, for a control and for a plain row that method; and the
    settings of the other rows."""
    rows: tuple[str, ...]
    try:
        if kind in (PLAIN, CONTROL):
            subject = _with_values(PLAN.subject, setting, registry)
            alone = (subject.row, subject.overrides) if kind == PLAIN or setting.tuned else None
            rows, others, pair = (PLAN.subject, setting.row), [subject], (subject, setting)
        else:
            text, plain = _reference(setting, registry)
            names = _controls(setting, registry) if kind == SUBJECT else []
            others = [plain, *(_with_values(name, setting, registry) for name in names)]
            alone = (plain.row, plain.overrides) if setting.tuned else None
            rows, pair = (text, setting.row, *names), (setting, plain)
            if kind == SUBJECT and not demonstration(setting.preset):
                rows = ("controls",)
    except BadInput:  # values that the other row cannot have: nothing like it can stand beside
        return Beside(rows=(setting.row,), values=setting.overrides), []
    labels = pair[0].label, pair[1].label
    return Beside(rows=rows, values=setting.overrides, alone=alone, pair=labels), others


def _controls(setting: Setting, registry: Registry) -> list[str]:
    """The controls to run with the method in question. A value that was set must not be the one
    that makes a control."""
    names = list(WITH_OTHERS) if demonstration(setting.preset) else list(PLAN.controls[1:])
    fields = [n.partition(".")[0] for n in setting.overrides if not n.startswith(GROUND)]
    own = registry.rows[setting.row].method
    return [
        name
        for name in names
        if all(
            getattr(registry.rows[name].method, field, None) == getattr(own, field, None)
            for field in fields
        )
    ]


def _reference(setting: Setting, registry: Registry) -> tuple[str, Setting]:
    """The plain network that trains on CT as long as the row does, as `--rows` takes it."""
    epochs = budget(setting.plan.node).ct_epochs
    for name in (PLAN.baseline, LONG):
        plain = _with_values(name, setting, registry)
        if abs(budget(plain.plan.node).ct_epochs - epochs) <= NEAR * epochs:
            return name, plain
    text = label(LONG, {EPOCHS: epochs})
    return text, _with_values(text, setting, registry)


def _with_values(text: str, setting: Setting, registry: Registry) -> Setting:
    """Another row with those values of this one that it has; of a tuned row the ground's alone,
    since each of its folds has values of its own."""
    values = dict(setting.overrides)
    if setting.tuned:
        values = {name: value for name, value in values.items() if name.startswith(GROUND)}
    return settings_of(registry, [setting.row, text], setting.preset, values)[-1]


@dataclass(frozen=True, kw_only=True)
class Way:
    """M in the first and in the last epoch of a training with FSM, its steps, and the mean pull of
    FSM in the middle third in percent of the loss's, None where that was not measured."""

    first: float
    last: float
    steps: int
    pulled: float | None


def _way_of_m(workspace: Workspace, entry: Entry) -> Way | None:
    """The way of M in the cell's training with FSM. What is stored is M times its weight."""
    weight = value_of(entry, XI)
    for key in entry.nodes if weight else ():
        if workspace.objects.has(key):
            record = workspace.objects.record(key)
            epochs = record.get("epochs", [])
            if epochs and all(M in epoch["terms"] for epoch in epochs):
                first, last = (epochs[place]["terms"][M] / weight for place in (0, -1))
                pulls = [e["pulls"][M] for e in epochs if M in e.get("pulls", ())]
                pulled = WHOLE * fmean(pulls) if pulls else None
                return Way(first=first, last=last, steps=record["steps"], pulled=pulled)
    return None


def _m_beside(
    workspace: Workspace,
    own: Sequence[Entry],
    steps: set[int],
    others: Iterable[Setting],
    suites: Sequence[str],
) -> dict[str, Range]:
    """M at the end of the same training, of as many `steps`, of the controls that have every cell
    of the row."""
    found = {}
    for other in others:
        if other.row in WITH_OTHERS:
            cells = [_any_stored(workspace, entry, other, suites) for entry in own]
            ways = [_way_of_m(workspace, cell) for cell in cells if cell]
            ends = [way.last for way in ways if way and {way.steps} == steps]
            if len(ends) == len(own) and (ends_range := range_of(ends)):
                found[other.row] = ends_range
    return found


def _suites(workspace: Workspace, own: str) -> list[str]:
    """The suites in which rows may lie side by side, those of `bench run` and `main` first."""
    return list(dict.fromkeys([own, SCRATCH, MAIN, *workspace.plans.suites()]))


def _any_stored(
    workspace: Workspace, like: Entry, other: Setting, suites: Iterable[str]
) -> Entry | None:
    cells = (_stored(workspace, like, other, suite) for suite in suites)
    return next(filter(None, cells), None)


def _stored(workspace: Workspace, like: Entry, other: Setting, suite: str) -> Entry | None:
    """The cell of another row with the place of a cell, where it has a result."""
    asked = replace(
        like, suite=suite, row=other.row, label=other.label, overrides=other.overrides, tuned=""
    )
    cell = workspace.ledger.stored(asked)
    return cell if cell and cell.split == like.split and _has_result(workspace, cell) else None


def _has_result(workspace: Workspace, entry: Entry) -> bool:
    return entry.state != "failed" and workspace.results.has(entry.key, entry.evaluation)


def _lies_in(
    workspace: Workspace, own: Sequence[Entry], others: Sequence[Setting], suites: Iterable[str]
) -> str:
    """The first suite in which the row and all others have a result in the same folds and seeds,
    those of the run among them; "" where there is none."""
    first = own[0]
    labels = [first.label, *(other.label for other in others)]
    for suite in suites if others else ():
        if all(_stored(workspace, first, other, suite) for other in others):
            there = [e for e in workspace.ledger.entries(suite) if _is_like(e, first)]
            places = [
                {(e.fold, e.seed) for e in there if e.label == name and _has_result(workspace, e)}
                for name in labels
            ]
            asked = {(entry.fold, entry.seed) for entry in own}
            if asked <= places[0] and all(found == places[0] for found in places):
                return suite
    return ""


def _is_mixed(workspace: Workspace, suite: str, first: Entry, labels: Sequence[str]) -> bool:
    """Whether a suite holds these labels in more than one split of the data set."""
    return any(
        entry.label in labels and entry.dataset == first.dataset and entry.split != first.split
        for entry in workspace.ledger.entries(suite)
        if entry.part == first.part
    )


def _is_like(entry: Entry, first: Entry) -> bool:
    """Whether two cells may stand in one comparison."""
    names = ("dataset", "preset", "split", "part")
    return all(getattr(entry, name) == getattr(first, name) for name in names)
