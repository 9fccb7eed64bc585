"""A suite as a graph of tasks: each training once, and each cell's scoring after its trainings.

A task is handed out when all that it needs is done, so no worker waits for another one's
training. In a suite folds and seeds go one after the other, and within one the longest way to the
end goes first (list scheduling by critical path), so workers run idle at the very end at most. In
a run all folds start at once (`breadth_first`): one row has too few trainings a fold to share.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from benchmark.plan.keys import Context, key
from benchmark.plan.nodes import Train, in_order
from benchmark.running.bench import Bench
from benchmark.running.cells import Cell
from benchmark.running.probing import is_probed
from benchmark.settings.resolve import Setting
from benchmark.store.ledger import Entry

SCORING_SECONDS = 5.0  # the guess for predicting and scoring a cell


@dataclass(frozen=True, kw_only=True)
class CellName:
    """All that another process needs to make a cell of its own; it can be sent through a pipe."""

    setting: Setting
    dataset: str
    fold: int
    seed: int
    stage: str
    part: str = "test"


@dataclass(frozen=True, kw_only=True)
class Task:
    """Train `name`, a key; or score the cell whose name in the ledger is `name`.

    `cell` is a cell that needs it and `entry` that cell's name in the ledger; `needs` are the
    tasks before it, `seconds` is what it will take. `fresh`: a stored one does not count.
    """

    name: str
    title: str
    scores: bool
    cell: CellName
    entry: str
    needs: frozenset[str]
    group: int
    seconds: float
    fresh: bool = False

    @property
    def where(self) -> str:
        """The cell and the training, for people."""
        cell = self.cell
        label = cell.setting.label + (f"@{cell.stage}" if cell.stage else "")
        return f"{label} on {cell.dataset}, fold {cell.fold} seed {cell.seed}, {self.title}"


class Graph:
    """Tasks by what they wait for. Parents come before children in `tasks`."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.tasks = {task.name: task for task in tasks}
        self._waits = {task.name: set(task.needs) for task in self.tasks.values()}
        self._children: dict[str, list[str]] = defaultdict(list)
        for task in self.tasks.values():
            for parent in task.needs:
                self._children[parent].append(task.name)
        self._way = self._ways()
        self._place = {name: place for place, name in enumerate(self.tasks)}
        self._left = set(self.tasks)
        self._ready: list[tuple[int, float, int, str]] = []
        for name, waits in self._waits.items():
            if not waits:
                self._push(name)

    @property
    def left(self) -> list[Task]:
        """The tasks that are not done and not given up, those handed out too."""
        return [task for name, task in self.tasks.items() if name in self._left]

    def take(self) -> Task | None:
        """Hand out the next task, or None where all that is left waits for others."""
        return self.tasks[heapq.heappop(self._ready)[-1]] if self._ready else None

    def put_back(self, task: Task) -> None:
        """Take back a task that was handed out and not done."""
        self._push(task.name)

    def done(self, task: Task) -> None:
        """A task is done: what waited for it may be next."""
        self._left.discard(task.name)
        for child in self._children[task.name]:
            self._waits[child].discard(task.name)
            if not self._waits[child] and child in self._left:
                self._push(child)

    def give_up(self, task: Task) -> list[Task]:
        """A task failed: give up all that needs it; return the cells that fail with it."""
        lost = set()
        names = [task.name]
        while names:
            name = names.pop()
            if name not in lost:
                lost.add(name)
                names += self._children[name]
        failed = [t for n, t in self.tasks.items() if n in lost & self._left and t.scores]
        self._left -= lost
        return failed

    def _push(self, name: str) -> None:
        task, way = self.tasks[name], self._way[name]
        heapq.heappush(self._ready, (task.group, -way, self._place[name], name))

    def _ways(self) -> dict[str, float]:
        """Seconds from each task's start to the end of the last that needs it."""
        ways: dict[str, float] = {}
        for name, task in reversed(self.tasks.items()):
            later = max((ways[child] for child in self._children[name]), default=0.0)
            ways[name] = task.seconds + later
        return ways


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a suite has to do: the graph, the ledger's entry of each cell by its name, the cells
    that have their result already, and the trainings found in the store."""

    graph: Graph
    entries: Mapping[str, Entry]
    cached: tuple[Entry, ...]
    reused: frozenset[str]
    probes_only: frozenset[str]


def work_of(
    cells: list[Cell],
    bench: Bench,
    suite: str,
    seconds: Mapping[str, float],
    *,
    every_cell: bool = False,
    breadth_first: bool = False,
) -> Work:
    """Return what is to be done for the cells; `seconds` is what trainings will take, by key.

    `every_cell`: the done ones are looked at again too, as `run_cells` does.
    """
    known = {entry.name: entry for entry in bench.ledger.entries(suite)}
    entries = {}
    cached: list[Entry] = []
    open_cells: list[tuple[Cell, Entry]] = []
    for cell in cells:
        entry = cell.entry(suite)
        entries[entry.name] = entry
        stored = known.get(entry.name)
        if stored and not every_cell and _is_done(stored, entry, bench):
            cached.append(stored)
        else:
            open_cells.append((cell, entry))
    return Work(
        graph=Graph(_tasks(open_cells, bench, seconds, breadth_first)),
        entries=entries,
        cached=tuple(cached),
        reused=frozenset(k for e in entries.values() for k in e.nodes if _is_stored(k, bench)),
        probes_only=_probes_only(open_cells),
    )


def _is_done(stored: Entry, entry: Entry, bench: Bench) -> bool:
    places = [(entry.key, entry.evaluation), *((k, e) for _, k, e in stored.probes)]
    same = (stored.state, stored.key, stored.evaluation) == ("done", entry.key, entry.evaluation)
    return same and all(bench.results.intact(*place) for place in places)


def _is_stored(node_key: str, bench: Bench) -> bool:
    return not bench.fresh and bench.objects.has(node_key)


def _tasks(
    open_cells: list[tuple[Cell, Entry]],
    bench: Bench,
    seconds: Mapping[str, float],
    breadth_first: bool,
) -> Iterator[Task]:
    made: set[str] = set()
    groups: dict[tuple[str, int, int], int] = {}
    ordered = sorted(open_cells, key=lambda both: (both[1].seed, both[1].fold))
    for cell, entry in ordered:
        place = entry.dataset, entry.seed, entry.fold
        group = 0 if breadth_first else groups.setdefault(place, len(groups))
        name = _name(cell)
        needed = []
        for node_key, node, parents in trainings_of(cell):
            if _is_stored(node_key, bench):
                continue
            needed.append(node_key)
            if node_key not in made:
                made.add(node_key)
                yield Task(
                    name=node_key, title=node.title, scores=False, cell=name,
                    entry=entry.name, group=group,
                    needs=parents & made, seconds=seconds.get(node_key, 0.0), fresh=bench.fresh,
                )  # fmt: skip
        yield Task(
            name=entry.name, title="scoring", scores=True, cell=name, entry=entry.name,
            group=group, needs=frozenset(needed), seconds=SCORING_SECONDS,
        )  # fmt: skip


def trainings_of(cell: Cell) -> Iterator[tuple[str, Train, frozenset[str]]]:
    """Yield the trainings of a cell and of its probes, parents first: key, training, parents."""
    context = Context(fold=cell.data.fingerprint, seed=cell.seed)
    for final in (cell.final.node, *_probed(cell)):
        for node in in_order(final):
            yield key(node, context), node, frozenset(key(p, context) for p in node.parents())


def _probed(cell: Cell) -> list[Train]:
    """What `benchmark.running.probing` will want trained for the cell."""
    return [probe.node for probe in cell.setting.probes] if is_probed(cell) else []


def _probes_only(open_cells: list[tuple[Cell, Entry]]) -> frozenset[str]:
    own = {node_key for _, entry in open_cells for node_key in entry.nodes}
    return frozenset(k for cell, _ in open_cells for k, _, _ in trainings_of(cell)) - own


def _name(cell: Cell) -> CellName:
    return CellName(
        setting=cell.setting,
        dataset=cell.data.dataset.name,
        fold=cell.data.fold.index,
        seed=cell.seed,
        stage=cell.stage,
        part=cell.part,
    )
