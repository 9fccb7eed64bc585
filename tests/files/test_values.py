"""What is stored comes back as it was, and a value of a wrong type is named by its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmark.data.library import Case, DataSet
from benchmark.errors import BadInput
from benchmark.files.values import read_as
from benchmark.plan.keys import canonical
from benchmark.plan.suite import SuitePlan
from benchmark.store.ledger import Entry
from benchmark.store.plans import Plans
from benchmark.training.meter import Epoch
from sweeps.studies import About

ENTRY = Entry(
    dataset="set", row="fsm", label="fsm", preset="quick", overrides={"xi": [1, None]}, fold=0,
    seed=0, part="test", key="k", evaluation="e", split="s", nodes=("p", "k"), seconds=2,
    probes=(("gap", "k", "e"),), params={"xi": "1"},
)  # fmt: skip
EPOCH = Epoch(index=3, terms={"dsc": 0.5}, at_ms=7, pulls={"M": 1})
PLAN = SuitePlan(
    rows=("fsm",), labels=("fsm",), splits={"set": "s"}, folds=(0, 1), seeds=(0,), preset="quick"
)
ABOUT = About(
    sweep="xi", method="fsm", dataset="set", cases="c", preset="quick", overrides={}, folds=(0,),
    seeds=(0,), tuning="fold 0", organs=("liver",), sampler="tpe", sampler_seed=0, space={},
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Inner:
    kind: ClassVar[str] = "inner"
    place: tuple[tuple[float, ...], ...]
    box: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: tuple[Inner, ...]
    told: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


def plain(value: Any) -> dict[str, Any]:
    return dict(json.loads(json.dumps(asdict(value))))


@pytest.mark.parametrize("value", [ENTRY, EPOCH, ABOUT], ids=lambda value: type(value).__name__)
def test_what_was_stored_comes_back(value: Any) -> None:
    read = read_as(type(value), plain(value))
    assert read == value and repr(read) == repr(value), "an int for a float stays what it was"


def test_a_plan_comes_back_with_its_hash() -> None:
    read = read_as(SuitePlan, json.loads(json.dumps(canonical(PLAN))) | {"kind": "suite-plan"})
    assert read.fingerprint == PLAN.fingerprint and read.analysis.metrics == PLAN.analysis.metrics


def test_a_stored_case_comes_back(tiny_dataset: DataSet) -> None:
    case = tiny_dataset.cases[0]
    read = read_as(Case, {**tiny_dataset.record(case.name), "name": case.name}, more=True)
    assert read == case and isinstance(read.geometry.affine[0], tuple)


OUTER = {"inner": [{"kind": "inner", "place": [[1, 2.5], []], "box": [1, 2]}], "told": True}


def test_lists_are_tuples_at_any_depth() -> None:
    inner = Inner(place=((1, 2.5), ()), box=(1, 2))
    assert read_as(Outer, OUTER) == Outer(inner=(inner,), told=True)
    assert read_as(Outer, {"inner": [{"place": [], "box": None}]}).inner == (Inner(place=()),)


FAULTS: list[tuple[type, Any, Any, str]] = [
    (Entry, ENTRY, {"fold": "0"}, "fold is not a whole number"),
    (Entry, ENTRY, {"fold": 1.0}, "fold is not a whole number"),
    (Entry, ENTRY, {"seed": True}, "seed is not a whole number"),
    (Entry, ENTRY, {"own_split": 1}, "own_split is not true or false"),
    (Entry, ENTRY, {"nodes": ["p", 1]}, "nodes[1] is not a text"),
    (Entry, ENTRY, {"nodes": "pk"}, "nodes is not a list"),
    (Entry, ENTRY, {"probes": [["gap", "k"]]}, "probes[0] is not a list of 3 values"),
    (Entry, ENTRY, {"probes": [["gap", "k", 1]]}, "probes[0][2] is not a text"),
    (Entry, ENTRY, {"params": {"xi": 1}}, "params.xi is not a text"),
    (Entry, ENTRY, {"overrides": []}, "overrides is not a table of names and values"),
    (Entry, ENTRY, {"seconds": "3"}, "seconds is not a number"),
    (Entry, ENTRY, {"seconds": False}, "seconds is not a number"),
    (Epoch, EPOCH, {"terms": {"dsc": None}}, "terms.dsc is not a number"),
    (Epoch, EPOCH, {"at_ms": 0.5}, "at_ms is not a whole number"),
    (Epoch, EPOCH, {"lost": 1}, "lost is not known here"),
    (About, ABOUT, {"folds": ["0"]}, "folds[0] is not a whole number"),
    (About, ABOUT, {"space": {"xi": 1}}, "space.xi is not a text"),
    (SuitePlan, PLAN, {"splits": {"set": 5}}, "splits.set is not a text"),
    (SuitePlan, PLAN, {"analysis": {"folds": "5"}}, "analysis.folds is not a whole number"),
    (SuitePlan, PLAN, {"analysis": {"metrics": [{"name": "dsc", "unit": "points",
     "higher_is_better": True, "margin": "1"}]}}, "analysis.metrics[0].margin is not a number"),
    (SuitePlan, PLAN, {"analysis": {"alhpa": 0.1}}, "analysis.alhpa is not known here"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "good", "change", "said"), FAULTS, ids=lambda x: str(x)[:30])
def test_a_wrong_type_is_named_by_its_place(kind: type, good: Any, change: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_as(kind, plain(good) | change)
    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["box", "geometry", "shape", "annotated", "sha256", "source"])
def test_every_field_of_a_case_is_checked(tiny_dataset: DataSet, name: str) -> None:
    record = {**tiny_dataset.record(tiny_dataset.cases[0].name), "name": "p00"}
    for wrong in ({"spacing_mm": 1}, [[0, 1], [0, "1"], [0, 1]], 7):
        with pytest.raises(ValueError, match=rf"^{name}\b.* is"):
            read_as(Case, record | {name: wrong}, more=True)


def test_what_is_missing_and_what_no_class_knows() -> None:
    short = plain(ENTRY)
    del short["key"]
    with pytest.raises(ValueError, match=r"^key is missing$"):
        read_as(Entry, short)
    with pytest.raises(ValueError, match=r"^later is not known here$"):
        read_as(Entry, plain(ENTRY) | {"later": 1})
    assert read_as(Entry, plain(ENTRY) | {"later": 1}, more=True) == ENTRY
    for value in ([1], None, "x", 5):
        with pytest.raises(ValueError, match=r"^is not a table"):
            read_as(Entry, value)


def test_a_type_without_a_plain_form_is_our_fault() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Strange:
        path: Path

    Strange.__annotations__["path"] = Path
    with pytest.raises(TypeError, match="has no plain form"):
        read_as(Strange, {"path": "x"})


def test_a_plan_changed_by_hand_names_file_and_place(tmp_path: Path) -> None:
    plans = Plans(tmp_path)
    plans.record("main", PLAN, lambda plan: 0)
    (path,) = tmp_path.rglob("0001.json")
    value = json.loads(path.read_text())
    value["plan"]["analysis"]["metrics"][1]["margin"] = "wide"
    path.write_text(json.dumps(value))
    with pytest.raises(BadInput) as caught:
        plans.versions("main")
    assert f"{path} is damaged (plan.analysis.metrics[1].margin is not a number)" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
