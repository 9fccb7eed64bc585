"""For tests: cells in this process, as `bench run --workers 1` runs them."""

from __future__ import annotations

from benchmark.running.bench import Bench
from benchmark.running.cells import Cell
from benchmark.running.conduct import Conductor
from benchmark.running.executors.inline import Inline
from benchmark.running.tasks import Work
from benchmark.store.ledger import SCRATCH, Entry


def run_cells(cells: list[Cell], bench: Bench, *, suite: str = SCRATCH) -> list[Entry]:
    """Run cells one after the other and return their entries. Raises `BadInput`, and `OSError`
    where the disk is full."""
    work = Work()
    work.add(cells, bench, suite)
    executor = Inline.of(cells, bench, suite)
    return Conductor(work=work, executor=executor, bench=bench, as_run=True).run()
