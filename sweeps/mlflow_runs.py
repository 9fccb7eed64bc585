"""Sweeps in MLflow: the sweep is a run, each trial a run below it, and on request each fold and
seed a run below that. The study is the truth: the same `bench sweep run` command fills in what is
missing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.study import Study
from optuna.trial import FrozenTrial

from benchmark.analysis.suites import with_rows
from benchmark.running.following import mirror_uri
from benchmark.running.mlflow_runs import cell_report
from benchmark.store.workspace import open_workspace
from benchmark.tracking.follower import Changes, Follower, following
from benchmark.tracking.report import CurvePoint, TrialReport
from sweeps import studies
from sweeps.objective import suite
from sweeps.summary import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURES = ("response", "matrix", "importance")  # see `figures.figures`
CLOSE_SECONDS = 60.0  # a sweep took far longer
LOST = (
    "MLflow at {uri} did not take the sweep ({why}); the study has everything, and the same "
    "command fills MLflow again"
)


def follow(
    asked: str | None,
    studied: Iterable[Study],
    root: Path,
    cells: bool,
    warn: Callable[[str], None],
) -> AbstractContextManager[Follower | None]:
    """Return what fills MLflow while a block works at studies; `cells`: below every trial too."""
    source = Studies(studies=tuple(studied), root=root, cells=cells)
    uri, where = mirror_uri(asked, root), root / "mlartifacts"
    return following(uri, source, artifacts=where, warn=warn, patience=CLOSE_SECONDS, lost=LOST)


@dataclass(frozen=True, kw_only=True)
class Studies:
    """A source: studies as they are, each when a trial got its value, with its pictures at last."""

    studies: tuple[Study, ...]
    root: Path
    cells: bool
    _taken: dict[str, list[int]] = field(default_factory=dict)

    def __call__(self, last: bool) -> Changes:
        """Yield the runs of each study that has new values; see `tracking.follower.Source`."""
        for study in self.studies:
            trials = studies.counted(study)
            numbers = [trial.number for trial in trials]
            if not trials or (self._taken.get(study.study_name) == numbers and not last):
                continue
            files = _pictures(self.root, study.study_name) if last else ()
            sweep = _sweep(summarise(study), trials, files)
            below = [_trial(trial, sweep) for trial in trials]
            arrived = bool((yield sweep, False))
            for trial, report in zip(trials, below, strict=True):
                arrived &= bool((yield report, False))
                for cell in self._cells(study, trial, report):
                    arrived &= bool((yield cell, False))
            if arrived:
                self._taken[study.study_name] = numbers

    def _cells(self, study: Study, trial: FrozenTrial, above: TrialReport) -> list[TrialReport]:
        """The cells of a trial; none that another machine trained. Their metrics are named
        `inner/...`: no test patient is in them."""
        if not self.cells:
            return []
        about, overrides = studies.about(study), trial.user_attrs[studies.OVERRIDES]
        workspace = open_workspace(self.root, reading=True)
        entries = workspace.ledger.entries(suite(study.study_name))
        mine = [  # a study may have been deleted and made anew; repeats have other seeds
            entry
            for entry in entries
            if entry.preset == about.preset and entry.seed in about.seeds
            if overrides.items() <= dict(entry.overrides).items()
        ]
        cell = replace(above, level="cell", params={}, more={}, above=above)
        return [
            replace(
                cell,
                title=f"fold{entry.fold}/seed{entry.seed}",
                metrics={
                    name.replace("test/", "inner/", 1): value
                    for name, value in cell_report(workspace, entry).metrics.items()
                },
            )
            for entry in with_rows(workspace, mine)
        ]


def _sweep(summary: Summary, trials: list[FrozenTrial], files: tuple[Path, ...]) -> TrialReport:
    about = summary.about
    texts = {name: str(getattr(about, name)) for name in ("method", "sweep", "preset", "tuning")}
    lists = {n: ",".join(map(str, getattr(about, n))) for n in ("folds", "seeds", "organs")}
    note = "\n\n".join([summary.response.sentence, *summary.edges])
    tags = {name: getattr(about, name) for name in ("method", "dataset", "preset")}
    return TrialReport(
        dataset=about.dataset,
        level="sweep",
        title=summary.study,
        params={**texts, **lists, "sampler": f"{about.sampler} (seed {about.sampler_seed})"},
        metrics=_metrics(summary),
        points=_curve(trials),
        more={**tags, "mlflow.note.content": note},
        start_ms=min(_milliseconds(trial.datetime_start) for trial in trials),
        end_ms=max(_milliseconds(trial.datetime_complete) for trial in trials),
        artifacts=files,
    )


def _pictures(root: Path, study_name: str) -> tuple[Path, ...]:
    """The pictures of a study, but none of another whose name goes on after this one's."""
    found = sorted((root / "reports" / "sweeps").glob(f"{escape(study_name)}-*.png"))
    first = (path.name.removeprefix(f"{study_name}-").partition("-")[0] for path in found)
    return tuple(p for p, kind in zip(found, first, strict=True) if kind.split(".")[0] in PICTURES)


def _trial(trial: FrozenTrial, above: TrialReport) -> TrialReport:
    measured = studies.evaluation(trial)
    overrides = trial.user_attrs[studies.OVERRIDES]
    values = ", ".join(f"{name}={value}" for name, value in overrides.items())
    folds = {f"trial/dsc_fold{fold}": value for fold, value in measured["folds"].items()}
    broken = ", ".join(f"{name} = {value:.3g}" for name, value in studies.broken(trial).items())
    told = {"diverged": measured["diverged"], "broken": broken}
    return TrialReport(
        dataset=above.dataset,
        level="trial",
        title=f"trial {trial.number}: {values}",
        params={name: str(value) for name, value in overrides.items()},
        metrics={"trial/dsc": _value(trial), "time/seconds": measured["seconds"], **folds},
        more={name: text for name, text in told.items() if text},
        above=above,
        start_ms=_milliseconds(trial.datetime_start),
        end_ms=_milliseconds(trial.datetime_complete),
    )


def _metrics(summary: Summary) -> dict[str, float]:
    found = {
        "sweep/best_dsc": summary.best.value if summary.best else None,
        "sweep/default_dsc": summary.default,
        "sweep/trials": float(len(summary.points)),
        "sweep/trainings": float(summary.sharing.needed),
        "sweep/trainings_without_sharing": float(summary.sharing.alone),
        "sweep/sd_settings": summary.response.spread,
        "sweep/sd_seeds": summary.response.noise,
        "sweep/gain": summary.response.gain,
    }
    return {name: value for name, value in found.items() if value is not None}


def _curve(trials: list[FrozenTrial]) -> tuple[CurvePoint, ...]:
    points, best = [], 0.0
    for step, trial in enumerate(trials):
        value, at_ms = _value(trial), _milliseconds(trial.datetime_complete)
        best = best if studies.broken(trial) else max(best, value)
        for name, shown in (("sweep/dsc", value), ("sweep/best_so_far", best)):
            points.append(CurvePoint(name=name, epoch=step, value=shown, at_ms=at_ms))
    return tuple(points)


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None  # it counts
    return trial.value


def _milliseconds(moment: datetime | None) -> int:
    assert moment is not None  # of a trial that has its value
    return int(moment.timestamp() * 1000)
