"""The graph of a suite's tasks, who gets which device, and what makes a plan post hoc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.suite import SuitePlan
from benchmark.running.bench import Options as Settings
from benchmark.running.cells import CellName
from benchmark.running.crew import dealt as settings_for
from benchmark.running.tasks import Graph, Task
from benchmark.scoring.claims import OTHER_ARCHITECTURE
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve, rows_named, settings_of, without
from benchmark.store.plans import Plans, post_hoc

REGISTRY = load_registry()
CELL = CellName(setting=resolve(REGISTRY, "unet"), dataset="d", fold=0, seed=0, stage="")


def task(name: str, *needs: str, seconds: float = 1.0, group: int = 0) -> Task:
    return Task(
        name=name, title=name, scores=name.isupper(), cell=CELL, entry=name, group=group,
        needs=frozenset(needs), seconds=seconds,
    )  # fmt: skip


def diamond() -> Graph:
    """One teacher t behind two students a and b, each scored; u stands alone."""
    return Graph(
        [task("u"), task("U", "u"), task("t", seconds=2), task("a", "t"), task("A", "a"),
         task("b", "t", seconds=5), task("B", "t", "b"), task("v", group=1, seconds=99)]
    )  # fmt: skip


def drain(graph: Graph) -> list[str]:
    names = []
    while taken := graph.take():
        names.append(taken.name)
    return names


def test_nothing_is_handed_out_before_what_it_needs() -> None:
    graph = diamond()
    assert drain(graph) == ["t", "u", "v"], "the longest way first, and the first group before all"
    graph.done(graph.tasks["t"])
    assert drain(graph) == ["b", "a"]
    graph.done(graph.tasks["b"])
    graph.done(graph.tasks["a"])
    assert sorted(drain(graph)) == ["A", "B"]
    assert {left.name for left in graph.left} == {"u", "U", "A", "B", "v"}


def test_a_failure_takes_what_needs_it_and_nothing_else() -> None:
    graph = diamond()
    drain(graph)
    assert [lost.name for lost in graph.give_up(graph.tasks["t"])] == ["A", "B"]
    assert {left.name for left in graph.left} == {"u", "U", "v"}
    assert graph.give_up(graph.tasks["t"]) == [], "each cell fails once"
    graph.put_back(graph.tasks["u"])
    assert drain(graph) == ["u"]


def test_a_graph_grows_while_it_runs() -> None:
    """A training under way is waited for, one that is done is not, one given up is tried anew."""
    graph = Graph([task("t"), task("A", "t")], in_turn=True)
    assert drain(graph) == ["t"]
    graph.add([task("t"), task("b", "t", seconds=9), task("B", "b", "t")])
    assert drain(graph) == [], "nobody trains t twice"
    graph.done(graph.tasks["t"])
    assert drain(graph) == ["A", "b"], "who came first goes first"
    assert [lost.name for lost in graph.give_up(graph.tasks["b"])] == ["B"]
    graph.add([task("b", "t"), task("C", "b")])
    assert drain(graph) == ["b"]
    graph.done(graph.tasks["b"])
    assert drain(graph) == ["C"] and {left.name for left in graph.left} == {"A", "C"}


def test_one_process_a_gpu() -> None:
    shared = Settings(
        root=Path("r"), device="", precision="auto", threads=1, checkpoint_seconds=1,
        log=Path("logs/suite-s"),
    )  # fmt: skip
    dealt = settings_for(shared, 3, ["cuda:0", "cuda:1"])
    assert [each.device for each in dealt] == ["cuda:0", "cuda:1", "cuda:0"]
    assert len({each.log for each in dealt}) == 3


def test_rows_by_group() -> None:
    assert len(rows_named(REGISTRY, "table1")) == 7
    assert set(rows_named(REGISTRY, "controls")) >= {"fsm", *AnalysisPlan().controls}
    assert rows_named(REGISTRY, "all") == list(REGISTRY.rows)
    assert rows_named(REGISTRY, "fsm,table1,unet")[0] == "fsm"
    assert len(rows_named(REGISTRY, "fsm,table1,unet")) == 7


def test_a_value_goes_to_the_rows_that_have_the_field() -> None:
    unet, fsm = settings_of(REGISTRY, ["unet", "fsm"], "quick", {"xi": 0.5, "ground.batch": 4})
    assert (unet.label, fsm.label) == ("unet[ground.batch=4]", "fsm[ground.batch=4,xi=0.5]")
    with pytest.raises(BadInput, match="none of the rows unet"):
        settings_of(REGISTRY, ["unet"], "quick", {"xi": 0.5})


def test_a_row_with_values_of_its_own() -> None:
    named = rows_named(REGISTRY, "unet,fsm[taps=[[-1,-1]],xi=1]")
    assert named == ["unet", "fsm[taps=[[-1,-1]],xi=1]"]
    shared = {"xi": 0.5, "ground.batch": 4}
    _, fsm = settings_of(REGISTRY, named, "quick", shared)
    assert fsm.overrides["xi"] == 1 and fsm.overrides["taps"] == [[-1, -1]]
    assert without(fsm.label + "@stage2", shared) == "fsm[taps=[[-1,-1]],xi=1]@stage2"
    assert without("fsm[ground.batch=4]", shared) == "fsm"
    many = {"a": 1, "b": [1, 2], "c": 2, "xi": 0.5}
    assert without("fsm[a=1,b=[1,2],c=2,d=3]", many) == "fsm[d=3]"
    assert without("fsm[a=1,b=[1,2],c=2,xi=0.5]@stage2", many) == "fsm@stage2"
    assert OTHER_ARCHITECTURE in rows_named(REGISTRY, OTHER_ARCHITECTURE)
    for wrong in ("fsm[xi=1", "fsm[xi]", "nobody[xi=1]"):
        with pytest.raises(BadInput):
            rows_named(REGISTRY, wrong)


def plan(**changes: Any) -> SuitePlan:
    whole = SuitePlan(
        rows=("unet",), labels=("unet",), splits={"d": "s"}, folds=(0,), seeds=(0,), preset="paper"
    )
    return replace(whole, **changes)


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., str]:
    """Record a plan when so many results are there; return what a table says."""

    def run(results: int, **changes: Any) -> str:
        plans = Plans(tmp_path)
        plans.record("main", plan(**changes), lambda whole: results)
        return post_hoc(plans.versions("main"))

    return run


def test_post_hoc_is_what_was_planned_after_a_result(record: Callable[..., str]) -> None:
    assert record(0) == ""
    assert record(0, seeds=(0, 1)) == "", "nothing was known yet"
    assert record(9, seeds=(1,)) == "", "a part of the plan is no change"
    said = record(3, rows=("fsm",), labels=("fsm", "fsm@stage2"))
    assert said.startswith("post hoc: the plan was changed (rows) when 3 of its cells")
    assert record(0, seeds=(0,)) == said, "it stays"


def test_a_plan_made_after_results_is_post_hoc(record: Callable[..., str]) -> None:
    assert post_hoc([]).startswith("post hoc")
    assert record(1).startswith("post hoc: the plan was written when 1 of its cells")


def test_a_margin_changed_after_a_result_is_post_hoc(record: Callable[..., str]) -> None:
    assert record(0) == ""
    wider = replace(AnalysisPlan().metrics[0], margin=2.0)
    analysis = AnalysisPlan(metrics=(wider,))
    assert "the plan was changed (analysis) when 4" in record(4, analysis=analysis)


def test_a_plan_only_grows_and_survives_the_disk(tmp_path: Path) -> None:
    plans = Plans(tmp_path)
    plans.record("main", plan(seeds=(0, 1)), lambda whole: 0)
    whole = plans.record("main", plan(rows=("fsm",), labels=("fsm",), folds=(1,)), lambda _: 0)
    assert len(list(whole.cells())) == 2 * 2 * 2
    assert whole.rows == ("unet", "fsm"), "else the command that fills a table would lose a row"
    assert whole.analysis.seeds == (0, 1) and whole.analysis.datasets == ("d",)
    latest = plans.latest("main")
    assert latest and latest.fingerprint == whole.fingerprint
    assert plans.suites() == ["main"]
