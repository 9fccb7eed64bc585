"""No trial ever reads a test-fold case; what counts in the objective; a training that diverges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep_process import PATIENTS, VALUES, Evaluator, Job, workspace

from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import Case, DataSet, open_dataset
from benchmark.data.volume import Volume
from benchmark.errors import BadInput, Diverged
from benchmark.running import execute as executing
from benchmark.running.cells import inner_folds
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from sweeps.objective import WORST, organs_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("inner"))


@pytest.fixture(scope="module")
def dataset(root: Path) -> DataSet:
    return open_dataset(root, "tiny")


def job(folds: tuple[int, ...] = (0, 1), **more: Any) -> Job:
    organs = ("liver", "left_kidney")
    return Job(row="fsm", overrides={**VALUES, **more}, folds=folds, seeds=(0,), organs=organs,
        suite="sweep-x")  # fmt: skip


def test_no_training_and_no_score_of_a_trial_reads_a_test_case(
    root: Path, dataset: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded where arrays come from the disk, node by node."""
    reads: list[tuple[str, str]] = []
    node = ["scoring"]
    load, train = DataSet.load, executing._train

    def watched_load(self: DataSet, case: str) -> Volume:
        reads.append((node[0], case))
        return load(self, case)

    def watched_train(title: Any, key: str, *more: Any) -> None:
        node[0] = key
        train(title, key, *more)
        node[0] = "scoring"

    monkeypatch.setattr(DataSet, "load", watched_load)
    monkeypatch.setattr(executing, "_train", watched_train)
    outer = folds_of(dataset).folds
    for index in (0, 1):
        reads.clear()
        found = Evaluator(root).evaluate(job(folds=(index,)))
        names = {name for _, name in reads}
        test = set(outer[index].test)
        assert not names & test and len(test) == PATIENTS / 5
        assert names == set(outer[index].train)  # all of the inner fold, and nothing else
        assert not set(found.read[str(index)]) & test
        trained = {name for node_key, name in reads if node_key != "scoring"}
        assert trained == set(outer[index].train) - set(outer[index].validation)
        assert found.trained == 3 and set(found.patients[str(index)]) == set(
            outer[index].validation
        )


def test_a_test_case_cannot_be_had_from_a_cell(dataset: DataSet) -> None:
    """Not by its name, and not from the memory that folds share."""
    setting = resolve(load_registry(), "fsm", overrides=VALUES)
    outer = folds_of(dataset).folds
    first, second = inner_folds(dataset, (0, 1))
    memory: dict[str, Any] = {}
    cells = [fold.cell(setting, 0, memory) for fold in (first, second)]
    case = next(name for name in outer[0].test if name in second.train)
    cells[1].data.cache.case(case)
    assert case in memory
    for ask in (cells[0].data.cache.case, cells[0].data.dataset.load, cells[0].data.dataset.label):
        with pytest.raises(BadInput, match=f"has no case '{case}'"):
            ask(case)


def test_folds_are_tuned_on_different_patients(dataset: DataSet) -> None:
    known = [set(fold.validation) for fold in inner_folds(dataset, range(5))]
    assert not known[0] & known[1]
    assert len(set.union(*known)) >= 10


def not_looked_for(case: Case, organ: str) -> Case:
    return replace(case, annotated=tuple(name for name in case.annotated if name != organ))


def test_an_organ_of_few_inner_patients_is_left_out_and_said(dataset: DataSet) -> None:
    folds = inner_folds(dataset, (0, 1))
    assert organs_of(folds).lines() == []
    few = {*folds[0].validation, *folds[1].validation[1:]}  # one keeps its annotation
    cases = tuple(not_looked_for(c, "left_kidney") if c.name in few else c for c in dataset.cases)
    thin = tuple(replace(f, dataset=replace(f.dataset, cases=cases)) for f in folds)
    found = organs_of(thin)
    assert found.used == ("liver", "right_kidney") and found.left_out == {"left_kidney": 1}
    (line,) = found.lines()
    assert "left_kidney is left out" in line and "1 inner patients" in line
    with pytest.raises(BadInput, match="at most 3 for an organ in folds 0, 4 are needed"):
        organs_of(inner_folds(dataset, (0,)))


def test_organs_that_do_not_count_change_nothing(root: Path) -> None:
    evaluator = Evaluator(root)
    both = evaluator.evaluate(job())
    one = evaluator.evaluate(replace(job(), organs=("liver",)))
    other = evaluator.evaluate(replace(job(), organs=("left_kidney",)))
    assert one.value != both.value == pytest.approx((one.value + other.value) / 2)
    assert both.value == pytest.approx(sum(both.folds.values()) / 2)
    assert one.trained == 0  # found in the store


def test_a_training_that_diverges_is_the_worst_with_a_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = Evaluator(root)
    trained: list[int] = []

    def diverges(*_: Any, **__: Any) -> None:
        trained.append(1)
        raise Diverged("step 2: L is nan")

    monkeypatch.setattr(executing, "fit", diverges)
    found = evaluator.evaluate(job(xi=7.0))
    assert found.value == WORST == 0.0
    assert found.diverged == "fold 0 seed 0: step 2: L is nan"
    assert len(trained) == 1, "no other fold is trained for it"


def test_settings_under_way_share_their_trainings(tmp_path: Path) -> None:
    """Two at a time, whose cells are in one graph, have the values that each has alone."""
    wanted = [job(xi=0.5), job(xi=2.0), job(xi=0.5)]
    both = Evaluator(workspace(tmp_path / "both"), workers=2).evaluate_all(*wanted)
    alone = Evaluator(workspace(tmp_path / "alone"))
    assert [found.value for found in both] == [alone.evaluate(one).value for one in wanted]
    assert both[0].patients == both[2].patients != both[1].patients
    nodes = {key for found in both for cell in found.nodes.values() for key in cell}
    assert len(nodes) == 2 * (1 + 2 * 2) == sum(found.trained for found in both)
