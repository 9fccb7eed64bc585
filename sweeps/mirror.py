"""Sweeps in MLflow: the sweep is a parent run, each trial a child, and on request each fold and
seed a grandchild. Written by a thread of its own, which never holds a trial up.

The study is the truth. A run is found again by a tag, what is there is not sent again, and the
same `bench sweep run` command fills in what is missing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.study import Study

from benchmark.plan.keys import digest
from benchmark.tracking import naming
from benchmark.tracking.batches import Batches
from benchmark.tracking.runs import Known, known_from
from benchmark.tracking.server import Store, connect, one_line
from sweeps import studies
from sweeps.cells import cell_metrics
from sweeps.summary import Summary

if TYPE_CHECKING:
    from mlflow.entities import Metric

SECONDS = 3.0
CLOSE_SECONDS = 60.0  # a sweep took far longer


@dataclass(frozen=True, kw_only=True)
class Child:
    """A run below another, from `began_ms` to `at_ms`. `curve` holds (metric, value, step, time).

    Times are Unix milliseconds.
    """

    name: str
    level: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    began_ms: int
    at_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Child, ...] = ()
    curve: tuple[tuple[str, float, int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class View:
    """What MLflow shall show of one study. `files` are attached."""

    dataset: str
    top: Child
    files: tuple[Path, ...]


class Mirror:
    """Takes views of studies and writes them in the background. Without `uri` it does nothing."""

    def __init__(
        self, uri: str | None, root: Path, cells: bool, say: Callable[[str], None]
    ) -> None:
        self._uri, self._root, self._cells, self._say = uri, root, cells, say
        self._waiting: queue.Queue[View | None] = queue.Queue()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="mlflow-sweeps", daemon=True)
        if uri:
            self._thread.start()

    def take(self, study: Study, summary: Summary, files: tuple[Path, ...] = ()) -> None:
        """Take a study as it is now and return at once."""
        if self._uri:
            self._waiting.put(self._view(study, summary, files))

    def close(self, seconds: float) -> None:
        """Wait for what was taken, at most so long; say once what did not arrive."""
        if not self._uri:
            return
        self._waiting.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive() or self._problem:
            why = self._problem or "it does not answer"
            self._say(
                f"MLflow at {self._uri} did not take the sweep ({why}); the study has everything, "
                "and the same command fills MLflow again"
            )

    def _run(self) -> None:
        writer: _Writer | None = None
        while (view := self._waiting.get()) is not None:
            try:
                assert self._uri is not None
                writer = writer or _Writer(connect(self._uri, self._root / "mlartifacts", SECONDS))
                writer.write(view)
                self._problem = ""
            except Exception as error:  # no failure of MLflow may reach the sweep
                writer, self._problem = None, one_line(error)

    def _view(self, study: Study, summary: Summary, files: tuple[Path, ...]) -> View:
        about = summary.about
        trials = tuple(self._trial(study, about, t) for t in studies.counted(study))
        params = {
            "method": about.method, "sweep": about.sweep, "preset": about.preset,
            "sampler": f"{about.sampler} (seed {about.sampler_seed})",
            "folds": ",".join(map(str, about.folds)), "seeds": ",".join(map(str, about.seeds)),
            "tuning": about.tuning, "organs": ",".join(about.organs),
        }  # fmt: skip
        top = Child(
            name=summary.study,
            level="sweep",
            params=params,
            metrics=_top_metrics(summary),
            began_ms=min((trial.began_ms for trial in trials), default=0),
            at_ms=max((trial.at_ms for trial in trials), default=0),
            tags={
                "method": about.method, "dataset": about.dataset, "preset": about.preset,
                "mlflow.note.content": "\n\n".join([summary.response.sentence, *summary.edges]),
            },
            children=trials,
            curve=_curve(trials),
        )  # fmt: skip
        return View(dataset=about.dataset, top=top, files=files)

    def _trial(self, study: Study, about: studies.About, trial: Any) -> Child:
        measured = studies.evaluation(trial)
        overrides = trial.user_attrs[studies.OVERRIDES]
        began_ms, at_ms = (
            int(moment.timestamp() * 1000)
            for moment in (trial.datetime_start, trial.datetime_complete)
        )
        values = ", ".join(f"{name}={value}" for name, value in overrides.items())
        folds = {f"trial/dsc_fold{fold}": value for fold, value in measured["folds"].items()}
        cells: dict[str, dict[str, float]] = {}
        if self._cells:
            name, preset = study.study_name, about.preset
            cells = cell_metrics(self._root, name, preset, overrides, about.seeds)
        return Child(
            name=f"trial {trial.number}: {values}",
            level="trial",
            params={name: str(value) for name, value in overrides.items()},
            metrics={"trial/dsc": trial.value, "time/seconds": measured["seconds"], **folds},
            began_ms=began_ms,
            at_ms=at_ms,
            tags={"diverged": measured["diverged"]} if measured["diverged"] else {},
            children=tuple(
                Child(
                    name=name,
                    level="cell",
                    params={},
                    metrics=metrics,
                    began_ms=began_ms,
                    at_ms=at_ms,
                )
                for name, metrics in cells.items()
            ),
        )


@contextmanager
def mirror_of(
    uri: str | None, root: Path, cells: bool, say: Callable[[str], None]
) -> Iterator[Mirror]:
    """Yield the mirror at an address, None for none; at the end wait for it, within bounds."""
    mirror = Mirror(uri, root, cells, say)
    try:
        yield mirror
    except BaseException:
        mirror.close(SECONDS)
        raise
    mirror.close(CLOSE_SECONDS)


def _top_metrics(summary: Summary) -> dict[str, float]:
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


def _curve(trials: tuple[Child, ...]) -> tuple[tuple[str, float, int, int], ...]:
    points, best = [], 0.0
    for step, trial in enumerate(trials):
        best = max(best, trial.metrics["trial/dsc"])
        points.append(("sweep/dsc", trial.metrics["trial/dsc"], step, trial.at_ms))
        points.append(("sweep/best_so_far", best, step, trial.at_ms))
    return tuple(points)


class _Writer:
    """Writes views through one open store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batches = Batches(store.client)
        self._known: dict[str, Known] = {}
        self._sent: dict[str, str] = {}

    def write(self, view: View) -> None:
        """Write a sweep with all below it, as far as it is not there."""
        experiment = self._store.experiment(view.dataset)
        run = self._child(experiment, view.top, "", "")
        for path in view.files:
            self._store.client.log_artifact(run.run_id, str(path))

    def _child(self, experiment: str, child: Child, parent: str, below: str) -> Known:
        identity = digest(["sweep", below, child.level, child.name])
        run = self._known.get(identity) or self._open(experiment, child, parent, identity)
        self._known[identity] = run
        state = digest([dict(child.metrics), dict(child.params), dict(child.tags)])
        if self._sent.get(identity) != state:
            self._fill(run, child)
            self._sent[identity] = state
        for inner in child.children:
            self._child(experiment, inner, run.run_id, identity)
        return run

    def _fill(self, run: Known, child: Child) -> None:
        from mlflow.entities import Metric

        metrics: list[Metric] = [
            Metric(naming.clean_name(name), value, child.at_ms, 0)
            for name, value in naming.finite(child.metrics).items()
            if run.metrics.get(name) != value
        ]
        metrics += [Metric(name, value, at, step) for name, value, step, at in child.curve]
        params = {naming.clean_name(n): naming.short(v) for n, v in child.params.items()}
        tags = {name: naming.short(value) for name, value in child.tags.items()}
        self._batches.log(run, metrics, params, tags)
        self._store.client.set_terminated(run.run_id, "FINISHED", end_time=child.at_ms or None)

    def _open(self, experiment: str, child: Child, parent: str, identity: str) -> Known:
        client = self._store.client
        tags = {
            naming.IDENTITY: identity, "level": child.level, "mlflow.source.name": "bench",
            **({naming.PARENT: parent} if parent else {}),
        }  # fmt: skip
        with self._store.lock:
            found = client.search_runs([experiment], f"tags.{naming.IDENTITY} = '{identity}'")
            if found:
                return known_from(found[0])
            name = child.name[: naming.LONGEST_NAME]
            made = client.create_run(
                experiment, start_time=child.began_ms or None, tags=tags, run_name=name
            )
            return known_from(client.get_run(made.info.run_id), trusted=True)
