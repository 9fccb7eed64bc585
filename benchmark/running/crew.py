"""How many worker processes a run is worth, and whether they can make its row: guesses that read
no image and ask no worker."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmark.plan.keys import values_in
from benchmark.plan.nodes import Schedule
from benchmark.running.bench import Bench
from benchmark.running.cells import Cell
from benchmark.running.code import is_outdated
from benchmark.running.execute import training_code
from benchmark.running.failing import one_line
from benchmark.running.renewal import codes_of
from benchmark.running.resolve import Setting
from benchmark.running.tasks import trainings_of

STEP_SECONDS = 0.06  # of the preset quick on one core
PASS_STEPS = 100  # the guess for an epoch without a fixed length
START_SECONDS = 5.0  # for a worker to load torch and open the data set


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a run has to train: the guessed seconds of each training by key, and in how many folds
    and seeds there is one."""

    seconds: Mapping[str, float]
    places: int

    @property
    def workers(self) -> int:
        """The most workers that pay: one a fold and seed, each with more to do than its start."""
        worth = int(sum(self.seconds.values()) / START_SECONDS)
        return max(1, min(self.places, worth))


def left_of(cells: Iterable[Cell], bench: Bench) -> Left:
    """Return what is left to train for the cells of a row and for their probes; what other people's
    code made counts where it changed since."""
    seconds: dict[str, float] = {}
    places: set[tuple[int, int]] = set()
    theirs: dict[str, bool] = {}  # by stage: all folds and seeds share their code
    for cell in cells:
        if cell.stage not in theirs:
            theirs[cell.stage] = codes_of(cell).has_others
        for node_key, node, _ in trainings_of(cell):
            stored = not bench.fresh and bench.objects.has(node_key)
            if stored and theirs[cell.stage]:
                stored = not is_outdated(node_key, training_code(node), bench)
            if not stored:
                seconds[node_key] = _seconds(node.schedule)
                places.add((cell.data.fold.index, cell.seed))
    return Left(seconds=seconds, places=len(places))


def _seconds(schedule: Schedule) -> float:
    return STEP_SECONDS * schedule.epochs * (schedule.steps_per_epoch or PASS_STEPS)


def why_not_sent(setting: Setting) -> str:
    """Return why a fresh process cannot be sent a setting, "" where it can."""
    try:
        pickle.dumps(setting)
    except Exception as error:  # what other people's values raise
        return one_line(error)
    for value in values_in(setting):
        kind = type(value)
        if not _is_found(kind.__module__):
            return (
                f"{kind.__qualname__} is defined in {kind.__module__}, which is no module on disk"
            )
    return ""


def _is_found(module: str) -> bool:
    """Whether a fresh process can import a module."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: a module made in memory
        return False
    return module != "__main__" and spec is not None and spec.has_location
