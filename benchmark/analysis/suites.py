"""Which suite a reader means, how far it is, and the command that runs what it lacks.

A pure pass over plan, ledger and results.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from benchmark.data.library import stored_dataset
from benchmark.errors import BadInput, near
from benchmark.plan.suite import Planned, SuitePlan
from benchmark.plan.wording import counted
from benchmark.store.ledger import MAIN, ON, SCRATCH, Entry, shown_suite
from benchmark.store.plans import post_hoc
from benchmark.store.workspace import Workspace

NOT_RUN = "not run"
OLDER = "scored by an older definition of distance: bench score scores it again"


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A cell that has no rows: a table is incomplete without it."""

    dataset: str
    row: str
    fold: int
    seed: int
    state: str
    error: str


def missing_cell(cell: Planned, entry: Entry | None, state: str = "") -> Missing:
    """Return a cell without rows, in its entry's state: "not run" without an entry, "lost" where it
    ended and its rows are gone. `state` says it otherwise."""
    known = entry.state if entry else NOT_RUN
    return Missing(
        dataset=cell.dataset,
        row=cell.label,
        fold=cell.fold,
        seed=cell.seed,
        state=state or ("lost" if known == "done" else known),
        error=entry.error if entry else "",
    )


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a suite is: its planned cells with a result, those without, and "" or "post hoc".

    `plan` is None for a suite that was never planned (what `bench run` filled): then all its
    cells count as planned. Of a set that was kept apart, `trained` are the cells that may be scored
    there: those of the folds, as they would be of that set.
    """

    name: str
    plan: SuitePlan | None
    done: tuple[Entry, ...]
    missing: tuple[Missing, ...]
    post_hoc: str
    trained: tuple[Entry, ...] = ()

    def complete(self) -> list[Entry]:
        """Return the results of the labels and data sets that lack none: what a table may show.
        A label with a missing cell has no line, never a smaller n."""
        lacking = {(cell.dataset, cell.row) for cell in self.missing}
        return [entry for entry in self.done if (entry.dataset, entry.label) not in lacking]


def standing(workspace: Workspace, name: str, apart: str = "") -> Standing:
    """Return how far a suite is; with `apart`, what it has on that set which was kept apart, of
    which nothing is planned. A pure pass over ledger and results.

    A cell with other values of the plan's preset is none of it. Raises `BadInput` where a planned
    cell was tested on another split alone. What was never planned may hold several presets and
    splits: whoever compares must see that it mixes none.
    """
    versions = workspace.plans.versions(name)
    plan = versions[-1].plan if versions and not apart else None
    part = f"{ON}{apart}" if apart else "test"
    everything = of_one_definition(workspace.ledger.entries(name))
    entries = [entry for entry in everything if entry.part == part]
    folds = [entry for entry in everything if apart and entry.part == "test"]
    wanted = _wanted(plan, entries, name) if plan else [(planned_cell(e), e) for e in entries]
    done: list[Entry] = []
    missing: list[Missing] = []
    for cell, entry in wanted:
        if entry and has_result(workspace, entry):
            done.append(replace(entry, state="done"))
        else:
            missing.append(missing_cell(cell, entry))
    return Standing(
        name=name,
        plan=plan,
        done=tuple(done),
        missing=tuple(missing),
        post_hoc="" if apart else post_hoc(versions),
        trained=tuple(replace(entry, part=part) for entry in folds),
    )


def _wanted(
    plan: SuitePlan, entries: Iterable[Entry], name: str
) -> list[tuple[Planned, Entry | None]]:
    """Every planned cell with its entry, one of the planned split before any other; and those of
    rows that another tool predicted, which stand in all folds and seeds or have no line."""
    ours = [entry for entry in entries if entry.preset == plan.preset]
    ours.sort(key=lambda entry: on_plan(entry, plan))
    there = {planned_cell(entry): entry for entry in ours}
    outside = dict.fromkeys((e.dataset, e.label) for e in ours if e.outside and on_plan(e, plan))
    cells = (*plan.cells(), *(cell for row in outside for cell in plan.cells_of(*row)))
    wanted = [(cell, there.get(cell)) for cell in cells]
    check_one_split((entry for _, entry in wanted if entry), f"suite {name}", plan.splits)
    return wanted


def on_plan(entry: Entry, plan: SuitePlan) -> bool:
    """Return whether an entry has the plan's preset values and split; its label may be another."""
    return entry.preset == plan.preset and entry.split == plan.splits.get(entry.dataset)


def of_one_definition(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries; where those of a data set were scored by two definitions of distance, the
    older ones count as failed, with what to do, so that no table mixes them. Of a set that was kept
    apart, which may alone have crop boxes, they are told apart from those of the folds."""
    found = list(entries)
    latest: dict[tuple[str, str], str] = {}
    for entry in found:
        place = entry.dataset, entry.tested_on
        latest[place] = max(latest.get(place, ""), entry.definition)
    return [
        entry
        if entry.definition == latest[entry.dataset, entry.tested_on]
        else replace(entry, state="failed", error=OLDER)
        for entry in found
    ]


def with_rows(workspace: Workspace, entries: Iterable[Entry]) -> list[Entry]:
    """Return, as done, the entries whose rows are on disk and whole, whatever the ledger says."""
    return [
        replace(entry, state="done")
        for entry in of_one_definition(entries)
        if has_result(workspace, entry)
    ]


def check_one_split(
    entries: Iterable[Entry],
    what: str,
    splits: Mapping[str, str] | None = None,
    remedy: str = "run the rows again under a new --name",
) -> None:
    """Raise `BadInput`, which ends with the remedy, where the entries of a data set come from more
    than one split, or from another one than planned: their patients were not tested in the same
    folds."""
    known = dict(splits or {})
    for entry in entries:
        first = known.setdefault(entry.dataset, entry.split)
        if first != entry.split:
            both = " and ".join(sorted((first[:8], entry.split[:8])))
            raise BadInput(
                f"{what} mixes splits of data set {entry.dataset}, {both} ({entry.label} fold "
                f"{entry.fold} was tested on other patients): {remedy}"
            )


def older_line(workspace: Workspace, entries: Iterable[Entry]) -> str:
    """Return the line on the cells that were scored when the faces of a crop box were no borders,
    "" where there are none. A data set that is not in the workspace is not asked about."""
    found = [entry for entry in entries if not entry.definition]
    boxed = {name for name in {entry.tested_on for entry in found} if _has_boxes(workspace, name)}
    number = sum(entry.tested_on in boxed for entry in found)
    if not number:
        return ""
    were = "was" if number == 1 else "were"
    return (
        f"{counted(number, 'cell')} {were} scored by an older definition of distance, without the "
        "faces of the crop box: bench score scores the stored label maps again"
    )


def _has_boxes(workspace: Workspace, name: str) -> bool:
    try:
        return any(case.box for case in stored_dataset(workspace.root, name).cases)
    except BadInput:  # not there, or damaged: whoever needs it will say so
        return False


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The suite that a reader means, and the others that are there."""

    name: str
    others: tuple[str, ...]

    @property
    def line(self) -> str:
        """What to tell the reader."""
        others = ", ".join(map(shown_suite, self.others))
        more = f" (--suite chooses another: {others})" if others else ""
        return f"suite {shown_suite(self.name)}{more}"


def chosen_suite(workspace: Workspace, name: str | None) -> Chosen:
    """Return the suite that a reader means: the one named, else `main`, else the one whose cells
    were written to last.

    Raises `BadInput` for a name without cells and plan, and where there is no suite at all.
    """
    newest = dict.fromkeys(workspace.plans.suites(), 0.0) | workspace.ledger.newest()
    known = sorted(newest)
    if not known:
        raise BadInput(
            "no rows yet: nothing has been run in this workspace; bench run --method fsm"
        )
    if name is None:
        name = MAIN if MAIN in newest else max(known, key=lambda suite: newest[suite])
    asked = name
    if name not in newest and name == shown_suite(SCRATCH):
        name = SCRATCH
    if name not in newest:
        there = [*map(shown_suite, known)]
        raise BadInput(f"no suite {asked!r}: {near(asked, there)}there is {', '.join(there)}")
    return Chosen(name=name, others=tuple(suite for suite in known if suite != name))


def fill_command(name: str, plan: SuitePlan) -> str:
    """Return the command that runs what a suite lacks; what is stored it reuses."""
    words = ["bench", "suite", "--name", name, "--rows", ",".join(plan.rows)]
    words += ["--datasets", ",".join(plan.splits), "--preset", plan.preset]
    words += ["--folds", numbers_text(plan.folds), "--seeds", numbers_text(plan.seeds)]
    for field_name, value in plan.overrides.items():
        words += ["--set", f"{field_name}={json.dumps(value)}"]
    return shlex.join(words)


def places_of(missing: Iterable[Missing]) -> list[tuple[int, int]]:
    """Return the fold and seed of each cell."""
    return [(cell.fold, cell.seed) for cell in missing]


def numbers_text(values: Iterable[int]) -> str:
    """Return folds or seeds as an option takes them: `0,1`."""
    return ",".join(map(str, values))


def planned_cell(entry: Entry) -> Planned:
    """Return the planned cell that an entry is of."""
    return Planned(dataset=entry.dataset, label=entry.label, fold=entry.fold, seed=entry.seed)


def has_result(workspace: Workspace, entry: Entry) -> bool:
    """Return whether a cell's rows are on disk and whole."""
    return entry.state != "failed" and workspace.results.intact(entry.key, entry.evaluation)
