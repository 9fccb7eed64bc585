"""The one trainer: it learns, resumes bit for bit, leaves frozen parts alone, and stops well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from baselines.unet import Plain
from benchmark.errors import Diverged, Stopped
from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Net, Schedule, Train
from benchmark.training.precision import hardware
from benchmark.training.trainer import Control, History, State, fit
from methods.fsm import Fsm

STEPS = 6
SHORT = Schedule(epochs=1.5, steps_per_epoch=4, lr=3e-3)  # 6 steps: a whole epoch and half of one
CT = UNet(width=2, levels=3, norm="batch")
GT = replace(CT, reads="masks")
SMALL = Fsm(ct=CT, gt=GT, schedule=SHORT, teacher_input="noisy")


def run(trainer: Any, node: Train, nets: Mapping[str, nn.Module], **control: Any) -> History:
    draw = trainer.draw(node, nets)
    surround = Control(**control)
    return fit(node, nets, draw, seed=0, hardware=trainer.hardware, control=surround)


def weights(nets: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}/{path}": tensor.clone()
        for name, net in nets.items()
        for path, tensor in net.state_dict().items()
    }


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[path], other[path]) for path in one)


def curves(history: History) -> list[tuple[int, dict[str, float]]]:
    return [(epoch.index, dict(epoch.terms)) for epoch in history.epochs]


def collect(into: list[State]) -> Callable[[State], None]:
    def save(state: State) -> None:
        copies = {name: tensor.clone() for name, tensor in state.tensors.items()}
        into.append(replace(state, tensors=copies))

    return save


def test_a_training_resumed_at_any_step_is_the_same_training(cpu_trainer: Any) -> None:
    done = cpu_trainer.train(SMALL.plan())
    for node in done:
        nets = cpu_trainer.ready(node, done)
        saved: list[State] = []
        history = run(cpu_trainer, node, nets, every_seconds=0.0, save=collect(saved))
        assert [state.step for state in saved] == [1, 2, 3, 4, 5]
        assert same(weights(nets), weights(done[node]))  # saving changes nothing
        for state in saved:
            again: list[State] = []
            fresh = cpu_trainer.ready(node, done)
            resumed = run(
                cpu_trainer, node, fresh, state=state, every_seconds=0.0,
                save=collect(again),
            )  # fmt: skip
            assert same(weights(fresh), weights(nets)), (node.title, state.step)
            assert curves(resumed) == curves(history) and resumed.steps == STEPS
            for one, other in zip(again, saved[state.step :], strict=True):
                assert same(one.tensors, other.tensors)  # Adam's moments and epoch sums, too
                assert [e.terms for e in one.epochs] == [e.terms for e in other.epochs]
        names = {name.partition("/")[0] for name in saved[0].tensors}
        assert names == {"net", "adam", "meter"}


def test_a_parameter_without_gradient_does_not_break_resuming(cpu_trainer: Any) -> None:
    node = Train(nets={"ct": Net(arch=CT)}, objective=Bottom(), schedule=SHORT)
    nets = cpu_trainer.ready(node, {})
    saved: list[State] = []
    run(cpu_trainer, node, nets, every_seconds=0.0, save=collect(saved))
    fresh = cpu_trainer.ready(node, {})
    run(cpu_trainer, node, fresh, state=saved[2])
    assert same(weights(fresh), weights(nets))


@dataclass(frozen=True, kw_only=True)
class Bottom:
    """Uses the encoder alone."""

    kind: ClassVar[str] = "bottom"

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        features: list[Tensor] = nets["ct"].get_submodule("encoder")(batch.image_B1HW)
        return {"x": features[-1].square().mean()}


@dataclass(frozen=True, kw_only=True)
class Rolled:
    """Notes the numbers by which a dropout in it would be drawn."""

    kind: ClassVar[str] = "rolled"
    seen: list[float] = field(default_factory=list)

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        self.seen.append(torch.rand(()).item())
        return Bottom()(nets, batch)


def test_dropout_is_drawn_anew_at_each_step_and_alike_in_each_run(cpu_trainer: Any) -> None:
    rolls = []
    for stream in ("ct", "ct", "other"):
        schedule = replace(SHORT, stream=stream)
        node = Train(nets={"ct": Net(arch=CT)}, objective=Rolled(), schedule=schedule)
        torch.manual_seed(len(rolls))  # whatever was drawn before
        run(cpu_trainer, node, cpu_trainer.ready(node, {}))
        assert isinstance(node.objective, Rolled)
        rolls.append(node.objective.seen)
    assert rolls[0] == rolls[1] and len(set(rolls[0])) == STEPS
    assert not {*rolls[0]} & {*rolls[2]}


def test_zero_epochs_and_nothing_to_train_are_legal(cpu_trainer: Any) -> None:
    none = replace(SHORT, epochs=0)
    node = Plain(ct=CT, schedule=none).plan().node
    nets = cpu_trainer.ready(node, {})
    before = weights(nets)
    calls: list[Any] = []
    history = run(cpu_trainer, node, nets, save=calls.append, epoch=calls.append)
    assert history == History(steps=0) and not calls and same(weights(nets), before)
    frozen = replace(node, nets={"ct": Net(arch=CT, trainable=())}, schedule=SHORT)
    assert run(cpu_trainer, frozen, nets) == History(steps=0)
    assert same(weights(nets), before) and not nets["ct"].training
    whole = replace(SMALL, schedule=none).plan()
    assert all(history.steps == 0 for history in trained(cpu_trainer, whole).values())


def trained(trainer: Any, final: Any) -> dict[Train, History]:
    trainer.train(final)
    histories: dict[Train, History] = trainer.histories
    return histories


CALLS: list[float] = []


@dataclass(frozen=True, kw_only=True)
class Sick(Segmentation):
    """Its second term is `value` from the `at`-th call on; with `hidden` the term stays 0 and its
    gradient alone is not finite."""

    kind: ClassVar[str] = "sick"
    at: int = 3
    value: float = float("nan")
    hidden: bool = False

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        terms = super().__call__(nets, batch)
        CALLS.append(terms["dsc"].item())
        ill = len(CALLS) >= self.at
        leaf = next(nets["ct"].parameters()).sum()
        if self.hidden:  # sqrt has an infinite slope at 0, and 0 * inf is NaN
            return {**terms, "extra": torch.sqrt(leaf * 0) if ill else leaf * 0}
        return {**terms, "extra": leaf * 0 + (self.value if ill else 0.0)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_training(value: float, cpu_trainer: Any) -> None:
    CALLS.clear()
    node = Train(nets={"ct": Net(arch=CT)}, objective=Sick(value=value), schedule=SHORT)
    saved: list[State] = []
    nets = cpu_trainer.ready(node, {})
    with pytest.raises(Diverged) as caught:
        run(cpu_trainer, node, nets, every_seconds=0.0, save=saved.append)
    text = str(caught.value)
    assert "step 3" in text and "'extra'" in text and str(value) in text
    cases = {cpu_trainer.cases[int(c)].name for c in cpu_trainer.draw(node, nets)(2).case_B}
    assert all(case in text for case in cases)
    assert len(cases) < 4 or "p00" in text
    assert [state.step for state in saved] == [1, 2]


def test_weights_that_the_last_step_broke_are_not_returned(cpu_trainer: Any) -> None:
    CALLS.clear()
    node = Train(nets={"ct": Net(arch=CT)}, objective=Sick(hidden=True, at=STEPS), schedule=SHORT)
    with pytest.raises(Diverged, match=r"step 6.*not finite"):
        run(cpu_trainer, node, cpu_trainer.ready(node, {}))


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_stop_saves_and_says_where(at: int, cpu_trainer: Any) -> None:
    node = Plain(ct=CT, schedule=SHORT).plan().node
    whole = cpu_trainer.ready(node, {})
    history = run(cpu_trainer, node, whole)
    saved: list[State] = []
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) >= at

    nets = cpu_trainer.ready(node, {})
    with pytest.raises(Stopped, match=f"after step {at} of 6"):
        run(cpu_trainer, node, nets, save=collect(saved), stop=stop)
    assert [state.step for state in saved] == [at]
    fresh = cpu_trainer.ready(node, {})
    resumed = run(cpu_trainer, node, fresh, state=saved[0])
    assert same(weights(fresh), weights(whole)) and curves(resumed) == curves(history)


def test_a_stop_at_the_last_step_keeps_the_finished_training(cpu_trainer: Any) -> None:
    node = Plain(ct=CT, schedule=SHORT).plan().node
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) >= STEPS

    try:
        history = run(cpu_trainer, node, cpu_trainer.ready(node, {}), stop=stop)
    except Stopped as error:  # a KeyboardInterrupt would end the whole session
        pytest.fail(str(error))
    assert history.steps == STEPS


def test_a_history_has_the_mean_of_each_epoch(cpu_trainer: Any) -> None:
    CALLS.clear()
    node = Train(nets={"ct": Net(arch=CT)}, objective=Sick(at=99), schedule=SHORT)
    epochs: list[Any] = []
    shown: list[Any] = []
    history = run(cpu_trainer, node, cpu_trainer.ready(node, {}), epoch=epochs.append,
                  watch=lambda *args: shown.append(args))  # fmt: skip
    assert [epoch.index for epoch in history.epochs] == [0, 1]
    assert list(history.epochs) == epochs  # the short last one is reported, too
    means = [sum(CALLS[:4]) / 4, sum(CALLS[4:]) / 2]
    for epoch, mean in zip(history.epochs, means, strict=True):
        assert epoch.terms == {"dsc": pytest.approx(mean, rel=1e-6), "extra": 0.0}
    assert shown[-1][:2] == (6, 6) and shown[-1][2]["dsc"] == pytest.approx(CALLS[-1])
    assert history.epochs[0].at_ms <= history.epochs[1].at_ms


def test_an_epoch_without_a_length_is_one_pass(cpu_trainer: Any) -> None:
    cpu_trainer.ground = Ground(batch=4)
    node = Plain(ct=CT, schedule=Schedule(epochs=2)).plan().node
    nets = cpu_trainer.ready(node, {})
    assert cpu_trainer.draw(node, nets).steps_in_one_pass == 5  # 4 patients of 5 slices
    history = run(cpu_trainer, node, nets)
    assert history.steps == 10 and [epoch.index for epoch in history.epochs] == [0, 1]


def test_bf16_trains_and_is_seeded(cpu_trainer: Any) -> None:
    cpu_trainer.hardware = hardware("cpu", "bf16")
    first, second = (weights(list(cpu_trainer.train(SMALL.plan()).values())[-1]) for _ in range(2))
    assert same(first, second)
    assert all(tensor.dtype != torch.bfloat16 for tensor in first.values())
    cpu_trainer.hardware = hardware("cpu", "fp32")
    assert not same(first, weights(list(cpu_trainer.train(SMALL.plan()).values())[-1]))
