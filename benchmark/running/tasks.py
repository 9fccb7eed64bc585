"""Cells as a graph of tasks: each training once, and each cell's scoring after its trainings.

A task is handed out when all that it needs is done, so no worker waits for another one's
training. In a suite folds and seeds go one after the other, and within one the longest way to the
end goes first (list scheduling by critical path), so workers run idle at the very end at most. In
a run by several workers all folds start at once: one row has too few trainings a
fold to share. Where one process trains, and for trials, cell goes after cell (`in_turn`).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from benchmark.plan.keys import key
from benchmark.plan.nodes import Train, in_order
from benchmark.running.bench import Bench
from benchmark.running.cells import Cell, CellName
from benchmark.running.probing import is_probed
from benchmark.store.ledger import SCRATCH, Entry

SCORING_SECONDS = 5.0  # the guess for predicting and scoring a cell, and for each of its probes


@dataclass(frozen=True, kw_only=True)
class Task:
    """Train `name`, a key; or score the cell whose name in the ledger is `name`.

    `cell` is a cell that needs it, of `suite`, and `entry` that cell's name in the ledger; `needs`
    are the tasks before it, `seconds` is what it will take, `spent` what the cell took so far.
    `fresh`: a stored one does not count.
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
    suite: str = SCRATCH
    spent: float = 0.0

    @property
    def where(self) -> str:
        """The cell and the training, for people."""
        cell = self.cell
        label = cell.setting.label + (f"@{cell.stage}" if cell.stage else "")
        return f"{label} on {cell.dataset}, fold {cell.fold} seed {cell.seed}, {self.title}"


class Graph:
    """Tasks by what they wait for. Parents come before children in `tasks`; `in_turn`, who came
    first goes first."""

    def __init__(self, tasks: Iterable[Task] = (), *, in_turn: bool = False) -> None:
        self.in_turn = in_turn
        self.tasks: dict[str, Task] = {}
        self._waits: dict[str, set[str]] = {}
        self._children: dict[str, set[str]] = defaultdict(set)
        self._way: dict[str, float] = {}
        self._place: dict[str, int] = {}
        self._left: set[str] = set()
        self._ready: list[tuple[int, float, int, str]] = []
        self.add(tasks)

    def add(self, tasks: Iterable[Task]) -> None:
        """Take tasks on, parents first; one that is left to do already is the same, and one that
        was done or given up is to do again. What they need and is not left to do is there."""
        by_name = {task.name: task for task in tasks if task.name not in self._left}
        new = list(by_name.values())
        for task in new:
            self.tasks[task.name] = task
            self._place[task.name] = len(self._place)
            self._left.add(task.name)
            self._waits[task.name] = set(task.needs & self._left)
            for parent in self._waits[task.name]:
                self._children[parent].add(task.name)
        for task in reversed(new):  # seconds from its start to the end of the last that needs it
            later = max((self._way[child] for child in self._needing(task.name)), default=0.0)
            self._way[task.name] = task.seconds + later
        for task in new:
            if not self._waits[task.name]:
                self._push(task.name)

    @property
    def left(self) -> list[Task]:
        """The tasks that are not done and not given up, those handed out too."""
        return [task for name, task in self.tasks.items() if name in self._left]

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return not self._left

    def take(self) -> Task | None:
        """Hand out the next task, or None where all that is left waits for others."""
        return self.tasks[heapq.heappop(self._ready)[-1]] if self._ready else None

    def put_back(self, task: Task) -> None:
        """Take back a task that was handed out and not done."""
        self._push(task.name)

    def done(self, task: Task) -> None:
        """A task is done: what waited for it may be next."""
        self._left.discard(task.name)
        for child in self._needing(task.name):
            self._waits[child].discard(task.name)
            if not self._waits[child]:
                self._push(child)

    def give_up(self, task: Task) -> list[Task]:
        """A task failed: give up all that needs it; return the cells that fail with it."""
        lost, names = set(), [task.name]
        while names:
            name = names.pop()
            if name not in lost:
                lost.add(name)
                names += self._needing(name)
        failed = [self.tasks[name] for name in lost & self._left]
        self._left -= lost
        return sorted((t for t in failed if t.scores), key=lambda t: (self._place[t.name], t.name))

    def _needing(self, name: str) -> list[str]:
        """The tasks that wait for one."""
        return [c for c in self._children[name] if c in self._left and name in self._waits[c]]

    def _push(self, name: str) -> None:
        way = 0.0 if self.in_turn else self._way[name]
        heapq.heappush(self._ready, (self.tasks[name].group, -way, self._place[name], name))


@dataclass(kw_only=True)
class Work:
    """What is to be done: the graph, the ledger's entry of each cell by its name, the cells that
    have their result already, and the trainings found in the store."""

    graph: Graph = field(default_factory=lambda: Graph(in_turn=True))
    entries: dict[str, Entry] = field(default_factory=dict)
    cached: list[Entry] = field(default_factory=list)
    reused: set[str] = field(default_factory=set)
    probes_only: set[str] = field(default_factory=set)

    def add(
        self,
        cells: Iterable[Cell],
        bench: Bench,
        suite: str,
        seconds: Mapping[str, float] | None = None,
        *,
        as_suite: bool = False,
    ) -> None:
        """Take cells on, while others are run, too; `seconds` is what trainings will take, by key.

        `as_suite`: cells that are done are not looked at again, and folds and seeds go one after
        the other.
        """
        stored = {e.name: e for e in bench.ledger.entries(suite)} if as_suite else {}
        open_cells = []
        for cell in cells:
            entry = cell.entry(suite)
            self.entries[entry.name] = entry
            self.reused |= {key for key in entry.nodes if _is_stored(key, bench)}
            found = stored.get(entry.name)
            if found and _is_done(found, entry, bench):
                self.cached.append(found)
            else:
                open_cells.append((cell, entry))
        if not self.graph.in_turn:
            open_cells.sort(key=lambda both: (both[1].seed, both[1].fold))
        self.probes_only |= _probes_only(open_cells)
        self.graph.add(_tasks(open_cells, bench, seconds or {}, as_suite))


def _is_done(stored: Entry, entry: Entry, bench: Bench) -> bool:
    places = [(entry.key, entry.evaluation), *((k, e) for _, k, e in stored.probes)]
    same = (stored.state, stored.key, stored.evaluation) == ("done", entry.key, entry.evaluation)
    return same and all(bench.results.intact(*place) for place in places)


def _is_stored(node_key: str, bench: Bench) -> bool:
    return not bench.fresh and bench.objects.has(node_key)


def _tasks(
    open_cells: Iterable[tuple[Cell, Entry]],
    bench: Bench,
    seconds: Mapping[str, float],
    grouped: bool,
) -> Iterator[Task]:
    made: set[str] = set()
    groups: dict[tuple[str, int, int], int] = {}
    for cell, entry in open_cells:
        place = entry.dataset, entry.seed, entry.fold
        group = groups.setdefault(place, len(groups)) if grouped else 0
        scoring = Task(
            name=entry.name,
            title="scoring",
            scores=True,
            cell=cell.name,
            entry=entry.name,
            needs=frozenset(),
            group=group,
            seconds=SCORING_SECONDS * (1 + len(cell.setting.probes) * is_probed(cell)),
            suite=entry.suite,
        )
        needed = []
        for node_key, node, parents in trainings_of(cell):
            if _is_stored(node_key, bench):
                continue
            needed.append(node_key)
            if node_key not in made:
                made.add(node_key)
                yield replace(
                    scoring,
                    name=node_key,
                    title=node.title,
                    scores=False,
                    needs=parents & made,
                    seconds=seconds.get(node_key, 0.0),
                    fresh=bench.fresh,
                )
        yield replace(scoring, needs=frozenset(needed))


def trainings_of(cell: Cell) -> Iterator[tuple[str, Train, frozenset[str]]]:
    """Yield the trainings of a cell and of its probes, parents first: key, training, parents."""
    context = cell.context
    for final in (cell.final.node, *_probed(cell)):
        for node in in_order(final):
            yield key(node, context), node, frozenset(key(p, context) for p in node.parents())


def _probed(cell: Cell) -> list[Train]:
    """What `benchmark.running.probing` will want trained for the cell."""
    return [probe.node for probe in cell.setting.probes] if is_probed(cell) else []


def _probes_only(open_cells: Iterable[tuple[Cell, Entry]]) -> set[str]:
    own = {node_key for _, entry in open_cells for node_key in entry.nodes}
    return {k for cell, _ in open_cells for k, _, _ in trainings_of(cell)} - own
