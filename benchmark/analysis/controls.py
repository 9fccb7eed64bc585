"""The comparison's own controls of a group (docs/methods.md section 7), and what they and the hard
cases need from images, truths and label maps: measured once, and kept beside the rows.

    results/KEY/hard1-EVALUATION     hard-case metrics of every row
    results/KEY/moved1-EVALUATION    the baseline's label maps moved by 5 mm: known to be worse
    results/TRUTH/truth1             the ground truth scored against itself

Like any evaluation `bench store gc` may drop them. Raise a number with any change of what it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd

from benchmark.analysis.judgement import Analysis
from benchmark.analysis.rows import (
    Pair,
    Scores,
    Values,
    cells_of,
    gathered,
    numbered,
    read_cells,
    read_rows,
)
from benchmark.data.library import DataSet
from benchmark.data.volume import Label, Volume, slices_of
from benchmark.errors import BadInput
from benchmark.files.code import Code
from benchmark.files.source import code_of
from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.plan.keys import digest
from benchmark.scoring.cases import Score, known, score_case, scoring_identity
from benchmark.scoring.controls import (
    ControlCheck,
    degraded,
    permuted_names,
    seeds_agree,
    truth_itself,
)
from benchmark.scoring.hard_cases import HardCase, hard_case, score_prepared
from benchmark.scoring.overlap import dice_percent
from benchmark.scoring.statistics.layout import Incomplete
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow, Results, rows_of
from benchmark.store.workspace import Workspace

HARD, MOVED, TRUTH = "hard1", "moved1", "truth1"
MOVED_MM = 5.0
WRITERS = 8
Say = Callable[[str], None]

Due = Mapping[Pair, tuple[str, Entry]]  # where a measurement goes, its kind, and the cell


def measured_pair(kind: str, entry: Entry) -> Pair:
    """Return where a measurement of a cell lies."""
    return entry.key, f"{kind}-{entry.evaluation}"


def truth_pair(dataset: DataSet) -> Pair:
    """Return where the truth's scores against itself lie."""
    return digest(["truth", dataset.fingerprint, *scoring_identity(dataset.organs)]), TRUTH


def measuring_code() -> Code:
    """Return the code behind what is measured here."""
    return code_of((), (score_prepared, _prepared, _moved_scores, score_case))


def measure_group(scores: Scores, workspace: Workspace, baseline: str, say: Say) -> None:
    """Measure what is not kept yet; nothing where the data set is not in the workspace."""
    if scores.dataset is None:
        return
    wanted = _wanted(scores, baseline)
    _, damaged = read_rows(workspace.results, wanted)
    due = {into: cell for into, cell in wanted.items() if into in damaged}
    if due:
        say(f"measuring hard cases and controls of {len(due)} evaluations, once")
    for fold in sorted({entry.fold for _, entry in due.values()}):
        members = {into: cell for into, cell in due.items() if cell[1].fold == fold}
        _measure_fold(fold, members, scores, workspace)
    truth = truth_pair(scores.dataset)
    if read_rows(workspace.results, [truth])[1]:
        rows = _truth_rows(scores.dataset, workspace.codes.note(measuring_code()))
        _commit(workspace.results, truth, rows)


def measured_frame(scores: Scores, workspace: Workspace, kind: str, of: str = "") -> pd.DataFrame:
    """Return the rows of a kind that are kept, of all or `of` one row: as `Scores.frame`."""
    cells = [
        (row, e.fold, e.seed, measured_pair(kind, e))
        for row, e in cells_of(scores.group)
        if of in ("", row)
    ]
    frame, _ = read_cells(workspace.results, cells)
    return numbered(frame, scores.numbers)


def truth_frame(scores: Scores, workspace: Workspace) -> pd.DataFrame:
    """Return the truth's scores against itself, the tested patients' alone; empty where they
    were not measured."""
    pairs = [truth_pair(scores.dataset)] if scores.dataset else []
    frame, _ = read_rows(workspace.results, pairs)
    frame["case"] = frame["case"].astype(str).map(scores.numbers)
    tested = {patient.case for patient in scores.patients}
    return frame[frame["case"].isin(tested)].assign(seed=0)


def _wanted(scores: Scores, baseline: str) -> Due:
    """What should be measured of the cells that have rows."""
    damaged = {(m.row, m.fold, m.seed) for m in scores.missing}
    return {
        measured_pair(kind, entry): (kind, entry)
        for row, members in scores.group.cells.items()
        for entry in members
        if (row, entry.fold, entry.seed) not in damaged
        for kind in ((HARD, MOVED) if row == baseline else (HARD,))
    }


def _measure_fold(fold: int, due: Due, scores: Scores, workspace: Workspace) -> None:
    """Every case is loaded and prepared once for all rows."""
    assert scores.dataset is not None
    results = workspace.results
    due = {
        into: (kind, entry)
        for into, (kind, entry) in due.items()
        if (results.path(entry.key, entry.evaluation) / "labels.npz").is_file()
    }
    rows: dict[Pair, list[ResultRow]] = {into: [] for into in due}
    noted = workspace.codes.note(measuring_code())
    names = {number: name for name, number in scores.numbers.items()}
    for case in [names[p.case] for p in scores.patients if p.fold == fold] if due else []:
        volume = scores.dataset.load(case)
        prepared = _prepared(volume, scores.dataset.organs)
        for into, (kind, entry) in due.items():
            predicted = results.labels(entry.key, entry.evaluation, case)
            found = (
                score_prepared(prepared, predicted)
                if kind == HARD
                else _moved_scores(volume, predicted, scores.dataset.organs)
            )
            rows[into] += rows_of(
                found, key=into[0], seed=entry.seed, fold=fold, case=case, code=noted
            )
    with ThreadPoolExecutor(WRITERS) as pool:  # a commit waits for the disk, not for us
        list(pool.map(lambda item: _commit(results, *item), rows.items()))


def _prepared(volume: Volume, organs: tuple[str, ...]) -> HardCase:
    return hard_case(
        volume.image,
        volume.label,
        spacing_mm=volume.geometry.spacing_mm,
        organs=organs,
        annotated=volume.annotated,
        box=slices_of(volume.box) if volume.box else None,
        unknown_ZYX=volume.unknown,
    )


def _moved_scores(volume: Volume, predicted: Label, organs: tuple[str, ...]) -> list[Score]:
    """DSC of the label map moved to the patient's left, inside the crop box."""
    box = slices_of(volume.box)
    voxels = max(1, round(MOVED_MM / volume.geometry.spacing_mm[2]))
    moved = np.zeros_like(predicted)
    moved[..., voxels:] = predicted[..., :-voxels]
    moved = known(moved, volume.unknown)
    scores = []
    for k, organ in enumerate(organs):
        truth, found = volume.label[box] == k + 1, moved[box] == k + 1
        if organ in volume.annotated and truth.any():
            scores.append(
                Score(
                    organ=organ,
                    state="overlap" if found.any() else "missed",
                    metric="dsc",
                    value=dice_percent(truth, found),
                    unit="percent",
                    n_voxels_true=int(truth.sum()),
                )
            )
    return scores


def _truth_rows(dataset: DataSet, noted: str) -> list[ResultRow]:
    key, rows = truth_pair(dataset)[0], []
    for case in dataset.cases:
        label = dataset.label(case.name)
        found = score_case(
            label,
            label,
            spacing_mm=case.geometry.spacing_mm,
            organs=dataset.organs,
            annotated=case.annotated,
            unknown_ZYX=dataset.unknown(case.name),
        )
        rows += rows_of(found, key=key, seed=0, fold=0, case=case.name, code=noted)
    return rows


def _commit(results: Results, pair: Pair, rows: list[ResultRow]) -> None:
    with results.lock(*pair):
        if not results.whole(*pair):
            results.commit(*pair, rows, {})


TENTH = 0.1  # of the steps: what a row must be trained for at most to count as degraded


def checks_of(
    scores: Scores, analysis: Analysis, plan: AnalysisPlan, workspace: Workspace
) -> tuple[ControlCheck, ...]:
    """Return the checks in a fixed order; one that could not be made says why, and one of rows that
    were neither run nor planned is left out."""
    first, base, subject = plan.metrics[0], plan.baseline, plan.subject
    there = {*scores.group.rows, *scores.group.unstarted}
    values = {row: analysis.values.get((row, first.name)) for row in (base, subject)}
    found = [
        _check("A/A", partial(seeds_agree, metric=first, plan=plan), f"{row} was not run", each)
        for row, each in values.items()
        if row in there
    ]
    permuted = partial(permuted_names, metric=first, plan=plan)
    both = (values[subject], values[base])
    if {subject, base} <= there:
        found.append(_check("permuted names", permuted, f"needs {subject} and {base}", *both))
    worse = partial(degraded, metric=first, plan=plan)
    made = _worse(scores, analysis, first, base, workspace) if values[base] else [None]
    for each in made if base in there else []:
        found.append(_check("degraded row", worse, f"needs {base}", each, values[base]))
    truth = truth_frame(scores, workspace)
    for metric in plan.metrics:
        told = _values("truth", truth, scores, analysis, metric, (0,))
        found.append(truth_itself(told, metric=metric))
    return tuple(found)


def _check(
    name: str, make: Callable[..., ControlCheck], lacking: str, *values: Values | None
) -> ControlCheck:
    """A check of these values; one that cannot be made says what it is `lacking`, or why not."""
    if any(each is None for each in values):
        return ControlCheck(name=name, passed=None, sentence=f"{lacking}.")
    try:
        return make(*values)
    except BadInput as error:
        row = f"{values[0].row}: " if name == "A/A" and values[0] else ""
        return ControlCheck(name=name, passed=None, sentence=f"{row}{error}.")


def _worse(
    scores: Scores, analysis: Analysis, metric: Metric, base: str, workspace: Workspace
) -> list[Values]:
    """The baseline made worse: its label maps moved by 5 mm, and any row of it that was trained
    for a tenth of its steps or less."""
    frame = measured_frame(scores, workspace, MOVED, base)
    name = f"{base}, moved by {MOVED_MM:g} mm"
    moved = _values(name, frame, scores, analysis, metric, scores.group.seeds)
    return [moved, *(analysis.values[row, metric.name] for row in short_rows(scores, base))]


def short_rows(scores: Scores, baseline: str) -> list[str]:
    """Return the rows that are the baseline trained for a tenth of its steps or less."""
    whole = scores.group.cells.get(baseline, ())
    if not whole:
        return []
    steps = _length(whole[0].params)
    return [
        row
        for row, members in scores.group.cells.items()
        if members[0].row == baseline and _length(members[0].params) <= TENTH * steps
    ]


def _length(params: Mapping[str, str]) -> float:
    per_epoch = params.get("schedule.steps_per_epoch", "null")
    epochs = float(params.get("schedule.epochs", "nan"))
    return epochs * (1.0 if per_epoch == "null" else float(per_epoch))


def _values(
    name: str,
    frame: pd.DataFrame,
    scores: Scores,
    analysis: Analysis,
    metric: Metric,
    seeds: Sequence[int],
) -> Values:
    chosen = frame[(frame["metric"] == metric.name) & frame["organ"].isin(analysis.organs)]
    found = gathered(name, chosen, scores.patients, analysis.organs, seeds)
    if isinstance(found, Incomplete) and chosen.empty:
        return Incomplete(row=f"{name} (no label maps or no data set here)", missing=found.missing)
    return found
