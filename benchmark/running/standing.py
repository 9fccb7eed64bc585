"""How far a suite is: a pure pass over its plan, the ledger and the results."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from benchmark.errors import BadInput
from benchmark.plan.suite import Planned, SuitePlan
from benchmark.reporting.tables import Missing
from benchmark.store.ledger import Entry
from benchmark.store.plans import post_hoc
from benchmark.store.workspace import Workspace

MAIN = "main"  # the suite that `bench suite` fills without --name
NOT_RUN = "not run"
OLDER = "scored by an older definition of distance: bench score scores it again"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a suite is: its planned cells with a result, those without, and "" or "post hoc".

    `plan` is None for a suite that was never planned (what `bench run` filled): then all its
    cells count as planned.
    """

    name: str
    plan: SuitePlan | None
    done: tuple[Entry, ...]
    missing: tuple[Missing, ...]
    post_hoc: str

    def complete(self) -> list[Entry]:
        """Return the results of the labels and data sets that lack none: what a table may show.
        A label with a missing cell has no line, never a smaller n."""
        lacking = {(cell.dataset, cell.row) for cell in self.missing}
        return [entry for entry in self.done if (entry.dataset, entry.label) not in lacking]


def standing(workspace: Workspace, name: str) -> Standing:
    """Return how far a suite is. A pure pass over ledger and results.

    A cell with other values of the plan's preset is none of it. Raises `BadInput` where a planned
    cell was tested on another split alone. What was never planned may hold several presets and
    splits: whoever compares must see that it mixes none.
    """
    plans = workspace.plans
    versions = plans.versions(name)
    plan = versions[-1].plan if versions else None
    entries = [e for e in of_one_definition(workspace.ledger.entries(name)) if e.part == "test"]
    wanted = _wanted(plan, entries, name) if plan else [(place_of(e), e) for e in entries]
    done: list[Entry] = []
    missing: list[Missing] = []
    for cell, entry in wanted:
        if entry and _has_result(workspace, entry):
            done.append(replace(entry, state="done"))
        else:
            missing.append(_missing(cell, entry))
    return Standing(
        name=name,
        plan=plan,
        done=tuple(done),
        missing=tuple(missing),
        post_hoc=post_hoc(versions),
    )


def _wanted(
    plan: SuitePlan, entries: Iterable[Entry], name: str
) -> list[tuple[Planned, Entry | None]]:
    """Every planned cell with its entry, one of the planned split before any other."""
    ours = [entry for entry in entries if entry.preset == plan.preset]
    ours.sort(key=lambda entry: on_plan(entry, plan))
    there = {place_of(entry): entry for entry in ours}
    wanted = [(cell, there.get(cell)) for cell in plan.cells()]
    check_one_split((entry for _, entry in wanted if entry), f"suite {name}", plan.splits)
    return wanted


def on_plan(entry: Entry, plan: SuitePlan) -> bool:
    """Return whether an entry has the plan's preset values and split; its label may be another."""
    return entry.preset == plan.preset and entry.split == plan.splits.get(entry.dataset)


def of_one_definition(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries; where those of a data set were scored by two definitions of distance, the
    older ones count as failed, with what to do, so that no table mixes them."""
    found = list(entries)
    latest: dict[str, str] = {}
    for entry in found:
        latest[entry.dataset] = max(latest.get(entry.dataset, ""), entry.definition)
    return [
        entry
        if entry.definition == latest[entry.dataset]
        else replace(entry, state="failed", error=OLDER)
        for entry in found
    ]


def check_one_split(
    entries: Iterable[Entry], what: str, splits: Mapping[str, str] | None = None
) -> None:
    """Raise `BadInput` where the entries of a data set come from more than one split, or from
    another one than planned: their patients were not tested in the same folds."""
    known = dict(splits or {})
    for entry in entries:
        first = known.setdefault(entry.dataset, entry.split)
        if first != entry.split:
            both = " and ".join(sorted((first[:8], entry.split[:8])))
            raise BadInput(
                f"{what} mixes splits of data set {entry.dataset}, {both} ({entry.label} fold "
                f"{entry.fold} was tested on other patients): run the rows again under a new --name"
            )


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The suite that a reader means, and the others that are there."""

    name: str
    others: tuple[str, ...]

    @property
    def line(self) -> str:
        """What to tell the reader."""
        more = f" (--suite chooses another: {', '.join(self.others)})" if self.others else ""
        return f"suite {self.name}{more}"


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
    if name not in newest:
        raise BadInput(f"no suite {name!r}: there is {', '.join(known)}")
    return Chosen(name=name, others=tuple(suite for suite in known if suite != name))


def fill_command(name: str, plan: SuitePlan) -> str:
    """Return the command that runs what a suite lacks; what is stored it reuses."""
    words = ["bench", "suite", "--name", name, "--rows", ",".join(plan.rows)]
    words += ["--datasets", ",".join(plan.splits), "--preset", plan.preset]
    words += ["--folds", numbers_text(plan.folds), "--seeds", numbers_text(plan.seeds)]
    for field_name, value in plan.overrides.items():
        words += ["--set", f"{field_name}={json.dumps(value)}"]
    return shlex.join(words)


def short(label: str) -> str:
    """Return a label without its overrides: `fsm[xi=1]@stage2` is `fsm@stage2`."""
    return re.sub(r"\[.*\]", "", label)


def numbers_text(values: Iterable[int]) -> str:
    """Return folds or seeds as an option takes them: `0,1`."""
    return ",".join(map(str, values))


def place_of(entry: Entry) -> Planned:
    """Return the planned cell that an entry is of."""
    return Planned(dataset=entry.dataset, label=entry.label, fold=entry.fold, seed=entry.seed)


def _has_result(workspace: Workspace, entry: Entry) -> bool:
    return entry.state != "failed" and workspace.results.intact(entry.key, entry.evaluation)


def _missing(cell: Planned, entry: Entry | None) -> Missing:
    state = NOT_RUN if entry is None else entry.state
    return Missing(
        dataset=cell.dataset,
        row=cell.label,
        fold=cell.fold,
        seed=cell.seed,
        state="lost" if state == "done" else state,
        error=entry.error if entry else "",
    )
