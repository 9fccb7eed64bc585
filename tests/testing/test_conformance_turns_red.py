"""Each check of the conformance suite fails on a row that breaks what it guards."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from torch import Generator, Tensor, nn

from benchmark.errors import BadInput
from benchmark.parts import stages
from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Net, Probe, Row, Schedule, Train, Weights, field_from
from benchmark.testing import MemoryTrainer, MethodConformance
from benchmark.training.precision import hardware

SMALL = UNet(width=2, levels=3)
SHORT = Schedule(epochs=2, steps_per_epoch=1)


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A row with one fault, named by `fault`."""

    fault: str = field_from("", "C", "what is wrong")

    def plan(self) -> Weights:
        lr = random.random() / 100 if self.fault == "plan is random" else 1e-3
        net = Net(arch=SMALL)
        gt = Net(arch=replace(SMALL, reads="masks"))
        objective: Any = Segmentation(
            net="gt" if self.fault in MASKS else "ct",
            reads="masks" if self.fault in MASKS else "image",
        )
        if self.fault in OBJECTIVES:
            objective = OBJECTIVES[self.fault]
        nets = {"gt": gt} if self.fault in MASKS else {"ct": net}
        views: Any = (Cheats(what=self.fault),) if self.fault in MASKS else ()
        node = Train(nets=nets, objective=objective, schedule=replace(SHORT, lr=lr), views=views)
        return node["gt" if self.fault in MASKS else "ct"]

    def probes(self) -> tuple[Probe, ...]:
        return (Probe(name="p", node=self.plan().node, measure=Nothing()),)


MASKS = ("teacher sees CT", "unknown is absent")


@dataclass(frozen=True, kw_only=True)
class Cheats:
    """A view that shows a teacher what it must not see."""

    kind: ClassVar[str] = "cheats"
    what: str

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        masks = batch.masks_B2KHW.clone()
        if self.what == "teacher sees CT":
            masks[:, :1] = batch.image_B1HW
        else:
            masks[:, 3:] = 1.0
        return batch.with_entry("masks", masks)


@dataclass(frozen=True, kw_only=True)
class Odd:
    """An objective with a fault."""

    kind: ClassVar[str] = "odd"
    name: str = "dsc"
    noise: bool = False

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        terms = Segmentation()(nets, batch)
        if self.noise:
            return {"dsc": terms["dsc"] * random.random()}
        return {self.name: terms["dsc"]}


OBJECTIVES = {"term has no name": Odd(name=""), "training is random": Odd(noise=True)}


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """A measure that measures nothing."""

    kind: ClassVar[str] = "nothing"

    def __call__(self, nets: Mapping[str, nn.Module], patient: Any) -> dict[str, float]:
        return {}

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        return ()


class Suite(MethodConformance):
    __test__ = False
    rows: ClassVar = {
        "bad": Row(method=Bad(), group="beyond", title="bad", about="Bad.", source="none")
    }


@pytest.fixture
def trainer() -> MemoryTrainer:
    return MemoryTrainer(Ground(batch=4), hardware("cpu", "fp32"), patients=4, partly=(1, 3))


def test_a_good_row_passes(trainer: MemoryTrainer) -> None:
    suite, method = Suite(), Bad()
    suite.test_the_entry_says_what_people_need("bad")
    suite.test_the_plan_is_pure("bad", method)
    suite.test_two_real_steps("bad", method, trainer)
    suite.test_a_second_time_is_bit_identical("bad", method, trainer)


def test_a_plan_that_is_random_is_caught() -> None:
    with pytest.raises(AssertionError, match="not a function"):
        Suite().test_the_plan_is_pure("bad", Bad(fault="plan is random"))


def test_a_term_without_a_name_is_caught(trainer: MemoryTrainer) -> None:
    with pytest.raises(AssertionError, match="no name"):
        Suite().test_two_real_steps("bad", Bad(fault="term has no name"), trainer)


def test_a_network_that_learns_nothing_is_caught(trainer: MemoryTrainer) -> None:
    node = replace(Bad().plan().node, nets={"ct": Net(arch=SMALL), "x": Net(arch=SMALL)})

    class Dead(Bad):
        def plan(self) -> Weights:
            return node["ct"]

    with pytest.raises(AssertionError, match="nothing of x is learnt"):
        Suite().test_two_real_steps("bad", Dead(), trainer)


def test_a_frozen_part_that_moves_is_caught(
    trainer: MemoryTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.training.nets._under", lambda path, net: True)
    node = replace(Bad().plan().node, nets={"ct": Net(arch=SMALL, trainable=("decoder",))})

    class Moves(Bad):
        def plan(self) -> Weights:
            return node["ct"]

    with pytest.raises(AssertionError, match="is frozen and moved"):
        Suite().test_two_real_steps("bad", Moves(), trainer)


def test_a_training_that_is_random_is_caught(trainer: MemoryTrainer) -> None:
    with pytest.raises(AssertionError, match="differ"):
        Suite().test_a_second_time_is_bit_identical("bad", Bad(fault="training is random"), trainer)


@pytest.mark.parametrize("fault, says", [(MASKS[0], "sees CT"), (MASKS[1], "shown as absent")])
def test_a_teacher_that_sees_too_much_is_caught(
    fault: str, says: str, trainer: MemoryTrainer
) -> None:
    with pytest.raises(AssertionError, match=says):
        Suite().test_what_reads_masks_sees_masks_alone("bad", Bad(fault=fault), trainer)


def test_a_probe_that_measures_nothing_is_caught(trainer: MemoryTrainer) -> None:
    with pytest.raises(AssertionError, match="measures nothing"):
        Suite().test_probes_measure("bad", Bad(), trainer)


def test_a_kind_that_is_another_class_is_caught() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Negated(Segmentation):
        """It inherits the kind."""

    class Theirs(Bad):
        def plan(self) -> Weights:
            return replace(Bad().plan().node, objective=Negated())["ct"]

    class Other(Suite):
        rows: ClassVar = {"bad": replace(Suite.rows["bad"], method=Theirs())}

    Suite().test_kinds_are_its_own("bad")
    with pytest.raises(BadInput, match="has the kind 'segmentation'"):
        Other().test_kinds_are_its_own("bad")


def test_code_that_cannot_be_read_is_caught() -> None:
    made: dict[str, Any] = {"Odd": Odd, "dataclass": dataclass, "__name__": "nowhere"}
    exec("@dataclass(frozen=True)\nclass Made(Odd):\n    pass", made)

    class Theirs(Bad):
        def plan(self) -> Weights:
            return replace(Bad().plan().node, objective=made["Made"]())["ct"]

    Suite().test_its_code_can_be_read("bad", Bad())
    with pytest.raises(AssertionError, match="cannot be read"):
        Suite().test_its_code_can_be_read("bad", Theirs())


def test_a_key_that_changed_and_a_missing_text_are_caught() -> None:
    class Other(Suite):
        golden: ClassVar = {"bad": ["0" * 20]}
        rows: ClassVar = {"bad": Row(method=Bad(), group="beyond", title="", about="", source="")}

    with pytest.raises(AssertionError):
        Other().test_keys_are_what_they_were("bad")
    with pytest.raises(AssertionError, match="no text"):
        Other().test_the_entry_says_what_people_need("bad")


def test_a_training_that_reads_test_cases_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.data.feeding.folds import FoldData

    def leaky(data: FoldData) -> list[Any]:
        return [data.cache.case(name) for name in (*data.fold.train, *data.fold.test)]

    monkeypatch.setattr(FoldData, "training", leaky)
    with pytest.raises(AssertionError):
        Suite().test_no_test_case_is_seen("bad", Bad(), tmp_path)


def test_a_training_that_reads_a_patient_without_ct_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Suite().test_a_patient_without_ct_gives_no_ct("bad", Bad())
    monkeypatch.setattr(MemoryTrainer, "cases_of", lambda trainer, node: trainer.cases)
    with pytest.raises(AssertionError, match="whose CT nobody has"):
        Suite().test_a_patient_without_ct_gives_no_ct("bad", Bad())


def test_shared_stages_are_one_training() -> None:
    """The guard of `makes one training twice`."""

    class Twice(Bad):
        def plan(self) -> Weights:
            teachers = [stages.teacher(replace(SMALL, reads="masks"), SHORT) for _ in range(2)]
            init = tuple(teacher["gt"].only("encoder.blocks.1") for teacher in teachers)
            return replace(Bad().plan().node, nets={"ct": Net(arch=SMALL, init=init)})["ct"]

    with pytest.raises(AssertionError, match="twice"):
        Suite().test_the_plan_is_pure("bad", Twice())
