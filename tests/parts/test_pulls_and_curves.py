"""What a training says of itself: how strongly its terms pulled, and whether it had ended."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from benchmark.parts.measures import bottom_of, curve_flags, last_rise, pulls_at
from benchmark.parts.networks import UNet
from benchmark.plan.nodes import Schedule
from methods.fsm import Fsm

CT = UNet(width=2, levels=3)
NINE = Schedule(epochs=9, steps_per_epoch=2, lr=3e-3)
FSM = Fsm(ct=CT, gt=UNet(width=2, levels=3, reads="masks"), schedule=NINE)


def epochs(*losses: float, term: str = "dsc") -> list[dict[str, Any]]:
    return [{"index": n, "terms": {term: loss}} for n, loss in enumerate(losses)]


def test_pulls_are_the_ratio_of_gradients_at_the_bottom() -> None:
    class Encoder(nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [x, 2 * x]

    network = nn.Module()
    network.encoder = Encoder()
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    with bottom_of({"ct": network}) as caught:
        f = network.encoder(x)[-1]
    terms = {"dsc": f.sum(), "ce": f.sum(), "m": 0.3 * f[0], "aside": x.sum() * 0}
    # L = 2 (f0 + f1): a gradient of (2, 2), of norm 2 sqrt 2; m: (0.3, 0)
    found = pulls_at(terms, caught)
    assert found == {"m": pytest.approx(0.3 / 8**0.5)}  # what does not reach F is left out
    assert network.encoder(x)[-1] is not caught[0]
    assert len(caught) == 1  # closed: no more is caught


def test_nothing_is_said_where_there_is_nothing_to_compare() -> None:
    f = torch.ones(2, requires_grad=True)
    assert pulls_at({"dsc": f.sum(), "ce": f.sum()}, [f]) == {}  # the loss alone
    assert pulls_at({"own": f.sum()}, [f]) == {}  # no term of the shared loss
    assert pulls_at({"dsc": f.sum(), "m": f.sum()}, []) == {}  # no encoder
    assert pulls_at({"dsc": f.sum(), "m": f.sum()}, [f.detach()]) == {}  # F is frozen
    assert pulls_at({"dsc": 0 * f.sum(), "m": f.sum()}, [f]) == {}  # L does not pull
    with bottom_of({"gt": nn.Identity()}) as caught:
        assert caught == []


def test_the_middle_third_says_how_fsm_pulled_and_no_bit_changes(
    cpu_trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cpu_trainer.train(FSM.plan())
    stage2 = next(node for node in done if "fsm" in node.nets)
    found = [dict(epoch.pulls) for epoch in cpu_trainer.histories[stage2].epochs]
    assert [bool(pulls) for pulls in found] == 2 * [False] + 4 * [True] + 3 * [False]
    assert all(set(pulls) == {"m"} and 0 < pulls["m"] < 1e4 for pulls in found[2:6]), found
    others = (h for node, h in cpu_trainer.histories.items() if node is not stage2)
    assert not any(epoch.pulls for history in others for epoch in history.epochs)
    monkeypatch.setattr("benchmark.training.trainer._looks", lambda *_: False)
    again = cpu_trainer.train(FSM.plan())
    unlooked = next(node for node in again if "fsm" in node.nets)
    assert not any(epoch.pulls for epoch in cpu_trainer.histories[unlooked].epochs)
    for name, network in again[unlooked].items():
        for path, tensor in network.state_dict().items():
            assert torch.equal(tensor, done[stage2][name].state_dict()[path]), (name, path)


def test_a_training_that_still_rises_in_its_last_fifth_is_named() -> None:
    flat = epochs(0.5, 0.2, 0.1, 0.1, 0.0951)
    assert last_rise(flat) == pytest.approx(0.49) and curve_flags(flat) == ()
    steep = epochs(0.5, 0.2, 0.15, 0.1, 0.09)
    assert curve_flags(steep) == (
        "not_converged: soft Dice rose by 1.0 points in the last fifth of training",
    )
    falling = epochs(0.5, 0.2, 0.1, 0.1, 0.3)
    assert curve_flags(falling) == ()
    two = epochs(*[1.0] * 6, 0.12, 0.10, 0.10, 0.08)  # means of two epochs each
    assert last_rise(two) == pytest.approx(2.0)


def test_no_curve_is_judged_that_is_too_short_or_of_another_loss() -> None:
    assert last_rise(epochs(0.9, 0.5, 0.3, 0.1)) is None
    assert last_rise(epochs(0.9, 0.5, 0.3, 0.1, 0.0, term="seg")) is None
    assert last_rise([]) is None and curve_flags([]) == ()
