"""Score stored label maps by metrics of people's own: rows beside ours, made again where the metric
was edited. No training, no network, no prediction, and no row of the registry is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmark.data.library import DataSet, stored_dataset
from benchmark.data.volume import Volume, slices_of
from benchmark.errors import BadInput, failure
from benchmark.files.code import Code
from benchmark.scoring.own import OwnMetric, own_scores
from benchmark.settings.metrics import metric_code
from benchmark.store.ledger import Entry
from benchmark.store.results import BESIDE, ResultRow, rows_of
from benchmark.store.workspace import Workspace

State = Literal["scored", "already current", "not scored"]


@dataclass(frozen=True, kw_only=True)
class OwnScored:
    """What became of a metric of one's own in a cell; `why` says why it has no rows of now."""

    entry: Entry
    metric: str
    state: State
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A metric with its name and the code behind it, which is read once."""

    name: str
    metric: OwnMetric
    code: Code


@dataclass(kw_only=True)
class _Maps:
    """Stored label maps with their truth; a volume is read once for all metrics of a cell."""

    workspace: Workspace
    sets: dict[str, DataSet] = field(default_factory=dict)
    volumes: dict[tuple[str, str], Volume] = field(default_factory=dict)

    def dataset(self, name: str) -> DataSet:
        if name not in self.sets:
            self.sets[name] = stored_dataset(self.workspace.root, name)
        return self.sets[name]

    def volume(self, dataset: str, case: str) -> Volume:
        if (dataset, case) not in self.volumes:
            self.volumes[dataset, case] = self.dataset(dataset).load(case)
        return self.volumes[dataset, case]


def score_own(
    entries: Iterable[Entry],
    metrics: Mapping[str, OwnMetric],
    workspace: Workspace,
    done: Callable[[OwnScored], None] = lambda one: None,
) -> list[OwnScored]:
    """Score the label maps of finished cells by each metric; `done` is told of each. A cell that
    failed, or was stopped before it had any, is left out."""
    maps, found = _Maps(workspace=workspace), []
    codes = {name: metric_code(name, metric) for name, metric in metrics.items()}
    for entry in entries:
        ended = entry.state == "done" or workspace.results.intact(entry.key, entry.evaluation)
        if entry.state == "failed" or not ended:
            continue
        for name, metric in metrics.items():
            one = _scored(entry, _Known(name=name, metric=metric, code=codes[name]), maps)
            done(one)
            found.append(one)
        maps.volumes.clear()  # those of the next cell are other patients, as a rule
    return found


def _scored(entry: Entry, known: _Known, maps: _Maps) -> OwnScored:
    name = known.name
    try:
        made = _make(entry, known, maps)
    except (Exception, SystemExit) as error:  # a metric of somebody's own may raise anything
        whole = error.__cause__ or error if isinstance(error, BadInput) else error
        line = failure(whole, f"{entry.where}, metric {name}", maps.workspace.root)
        why = str(error) if isinstance(error, BadInput) else line
        return OwnScored(entry=entry, metric=name, state="not scored", why=why)
    state: State = "scored" if made else "already current"
    return OwnScored(entry=entry, metric=name, state=state)


def _make(entry: Entry, known: _Known, maps: _Maps) -> bool:
    """Write a metric's rows of a cell where those of now are not there; return whether they were
    not. Raises `BadInput` where they cannot be made."""
    workspace, results = maps.workspace, maps.workspace.results
    if not results.intact(entry.key, entry.evaluation):
        raise BadInput("its rows are not there: bench run or bench suite makes the cell again")
    place, code = (entry.key, f"{entry.evaluation}{BESIDE}{known.name}"), known.code
    with results.lock(*place):
        there = results.intact(*place)
        if there and not workspace.codes.difference(results.code(*place), code):
            return False
        rows = _rows(entry, known, maps, workspace.codes.note(code))
        if results.path(*place).exists():
            results.discard(*place)
        results.commit(*place, rows, {})
    return True


def _rows(entry: Entry, metric: _Known, maps: _Maps, code: str) -> list[ResultRow]:
    results, dataset = maps.workspace.results, maps.dataset(entry.tested_on)
    ours = results.rows(entry.key, entry.evaluation)
    voxels = {(row.case, row.organ): row.n_voxels_true for row in ours}
    cases = results.label_cases(entry.key, entry.evaluation)
    if not cases:
        raise BadInput("no label maps are stored: bench run or bench suite makes the cell again")
    rows: list[ResultRow] = []
    for case in cases:
        volume = maps.volume(entry.tested_on, case)
        annotated = volume.annotated
        if entry.tested_on != entry.dataset:  # organs that the networks do not know are left out
            annotated = tuple(organ for organ in annotated if (case, organ) in voxels)
        try:
            scores = own_scores(
                metric.name,
                metric.metric,
                volume.label,
                results.labels(entry.key, entry.evaluation, case),
                spacing_mm=volume.geometry.spacing_mm,
                organs=dataset.organs,
                annotated=annotated,
                box=slices_of(volume.box) if volume.box else None,
                unknown_ZYX=volume.unknown,  # of sets that can say so
            )
        except BadInput as error:
            raise BadInput(f"case {case}: {error}") from error.__cause__
        if any(voxels.get((case, x.organ)) != x.n_voxels_true for x in scores):
            raise BadInput(f"the truth of case {case} is another now than when the cell was scored")
        rows += rows_of(
            scores, key=entry.key, seed=entry.seed, fold=entry.fold, case=case, code=code
        )
    return rows
