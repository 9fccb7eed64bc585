"""Is all that a workspace holds as it was written? A pure pass over its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmark.data.library import list_datasets
from benchmark.errors import BadInput
from benchmark.store.ledger import HEAL
from benchmark.store.workspace import Workspace

AGAIN = "the next run sets it aside and makes it again"
Fault = tuple[str, str]  # a name and "" or what is wrong


def faults(workspace: Workspace) -> Iterator[Fault]:
    """Yield (name, "" or what is wrong and what becomes of it) for every object and evaluation,
    case of a data set, entry of the ledger, plan and code; changes nothing."""
    yield from _with(AGAIN, workspace.objects.faults())
    yield from _with(AGAIN, workspace.results.faults())
    yield from _under("ledger", _with(f"remove it; {HEAL}", workspace.ledger.faults()))
    yield from _under("ledger", workspace.plans.faults())
    yield from _under("code", workspace.codes.faults())
    yield from _under("data", _of_data(workspace))


def _of_data(workspace: Workspace) -> Iterator[Fault]:
    unreadable: list[str] = []
    for dataset in list_datasets(workspace.root, say=unreadable.append):
        for case in dataset.cases:
            try:
                dataset.load(case.name)
                yield f"{dataset.name}/{case.name}", ""
            except BadInput as error:
                yield f"{dataset.name}/{case.name}", str(error)
    for number, fault in enumerate(unreadable, start=1):
        yield f"a set that cannot be opened ({number})", fault


def _with(remedy: str, found: Iterable[Fault]) -> Iterator[Fault]:
    for name, fault in found:
        yield name, f"{fault} ({remedy})" if fault else ""


def _under(folder: str, found: Iterable[Fault]) -> Iterator[Fault]:
    for name, fault in found:
        yield f"{folder}/{name}", fault
