"""Worker processes of a command: how many it is worth, on which devices, with how many threads,
and whether they can make its row. Guesses that read no image and ask no worker."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch

from benchmark.errors import BadInput, one_line
from benchmark.files.locks import cores
from benchmark.plan.keys import values_in
from benchmark.plan.nodes import Schedule
from benchmark.running.bench import Bench, Options
from benchmark.running.cells import Cell
from benchmark.running.executors import Executor
from benchmark.running.executors.cluster import Wanted
from benchmark.running.executors.inline import Inline
from benchmark.running.executors.local import Local
from benchmark.running.renewal import Stored
from benchmark.running.tasks import trainings_of
from benchmark.settings.resolve import Setting

SMALL_GRID = 64
MOST_WORKERS = 8  # by default
STEP_SECONDS = 0.06  # of the preset quick on one core
PASS_STEPS = 100  # the guess for an epoch without a fixed length
START_SECONDS = 5.0  # for a worker to load torch and open the data set
Crew = list[Options]


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
    stored = Stored(bench)
    for cell in cells:
        for node_key, node, _ in trainings_of(cell):
            if bench.fresh or not stored.counts(cell, node, node_key):
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
            place = f"{kind.__module__}, which is not a module on disk"
            return f"{kind.__qualname__} is defined in {place}"
    return ""


def _is_found(module: str) -> bool:
    """Whether a fresh process can import a module."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: a module made in memory
        return False
    return module != "__main__" and spec is not None and spec.has_location


def threads_for(size: int | None, workers: int = 1) -> int:
    """Return the threads of each of N workers: its share of the cores, but one for a small grid:
    there a second one gains little on an idle machine and loses a lot beside other work
    (docs/decisions/0005)."""
    return 1 if size is not None and size <= SMALL_GRID else max(1, cores() // workers)


def default_workers(device: str, threads: int) -> int:
    """Return how many workers suit the machine: one a GPU, or as many as cores allow."""
    found = devices(device)
    return len(found) if found != ["cpu"] else max(1, min(MOST_WORKERS, cores() // threads))


def run_workers(options: Options, asked: int | None, size: int | None, left: Left) -> int:
    """Return the workers of a run: those asked for, else what suits machine and work; never more
    than there are trainings."""
    threads = options.threads or threads_for(size)
    wanted = asked or min(left.workers, default_workers(options.device, threads))
    return max(1, min(wanted, len(left.seconds)))


def devices(name: str) -> list[str]:
    """Return the devices of an option; `auto` and `cuda` are all GPUs that are there. The name was
    checked before."""
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu" if name == "auto" else name]


def crew(options: Options, size: int | None, workers: int, sharing: int | None = None) -> Crew:
    """Return the options of each of N workers for grids of a size: devices are dealt out in turn,
    on a CPU each has its share of the cores (as one of `sharing`), and logs are named by number."""
    threads = options.threads or threads_for(size, sharing or workers)
    return dealt(replace(options, threads=threads), workers, devices(options.device))


def dealt(shared: Options, workers: int, devices: list[str]) -> Crew:
    """Return each worker's options: devices in turn, and a log of its own."""
    return [
        replace(
            shared,
            device=devices[number % len(devices)],
            log=shared.log and shared.log.with_name(f"{shared.log.name}-worker{number}.log"),
        )
        for number in range(workers)
    ]


def executor_on_ray(options: Options, wanted: Wanted, settings: Iterable[Setting]) -> Executor:
    """Return who runs the tasks of rows in a Ray cluster. Each task has as many threads as the
    options say, else as `wanted` gives it CPUs. Raises `BadInput` for a row that cannot be sent."""
    from benchmark.running.executors.ray import OnRay

    for setting in settings:
        if why := why_not_sent(setting):
            raise BadInput(f"no worker can be sent the row {setting.row}: {why}")
    threads = options.threads or max(1, int(wanted.num_cpus))
    log = options.log or options.root / "logs" / "ray"
    return OnRay(options=replace(options, threads=threads, log=log), wanted=wanted)


def executor_for(bench: Bench, cells: Iterable[Cell], suite: str, crew: Crew) -> Executor:
    """Return who runs the tasks of a row's cells: this process alone, or several."""
    return Local(options=crew) if len(crew) > 1 else Inline.of(cells, bench, suite)
