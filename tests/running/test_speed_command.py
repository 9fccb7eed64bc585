"""What `bench speed` and `docs/gpu.py` measure with: blocks in turn, real steps, counted FLOP."""

from __future__ import annotations

import json

import pytest
import torch

from benchmark.cli import speed as command
from benchmark.cli.main import main
from benchmark.parts.networks import UNet
from benchmark.plan.ground import Ground
from benchmark.running.speed import (
    WARM,
    Bare,
    Loop,
    SpeedLine,
    Timed,
    alternated,
    operations,
    plain_work,
    ratio,
    work_of,
)
from benchmark.training.precision import hardware

CPU = hardware("cpu", "fp32")
TINY = plain_work(UNet(width=2, levels=2), Ground(size=16, batch=2), 16)


def test_ways_are_taken_in_turn_and_backwards_every_second_round() -> None:
    order: list[str] = []

    def way(name: str, seconds: float):
        return lambda steps: order.append(f"{name}{steps}") or seconds * len(order)

    taken = alternated({"a": way("a", 1.0), "b": way("b", 2.0)}, 3, rounds=2)
    assert order == ["a3", "b3", "b3", "a3"]
    assert taken == {"a": [1.0, 4.0], "b": [4.0, 6.0]}
    assert ratio([1.0, 2.0, 9.0], [1.0, 4.0, 3.0]) == 1.0


def test_the_clock_starts_when_the_warm_steps_are_done() -> None:
    loop, seen = Loop(TINY, CPU), []
    timed = Timed(loop.draw, lambda: float(len(seen)), warm=2)
    for step in range(4):
        timed(step)
        seen.append(step)
    assert timed.began == 2.0


def test_a_block_takes_the_steps_that_it_says_and_trains() -> None:
    loop, bare, steps = Loop(TINY, CPU), Bare(TINY, CPU), []
    drawn = loop.draw
    loop.draw = type("Draw", (), {
        "steps_in_one_pass": 4.0, "case_names": drawn.case_names,
        "__call__": lambda self, step: steps.append(step) or drawn(step),
    })()  # fmt: skip
    before = [p.clone() for p in loop.nets["ct"].parameters()]
    assert loop(3) > 0 and bare(3) > 0
    assert steps == list(range(WARM + 3))
    after = list(loop.nets["ct"].parameters())
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_operations_are_those_of_the_convolutions() -> None:
    """Width 2, two levels, 16 pixels, batch 2, four classes, one input; two a multiplication."""
    fine, coarse = 2 * 16 * 16, 2 * 8 * 8  # pixels of the batch
    encoder = fine * 9 * (1 * 2 + 2 * 2) + coarse * 9 * (2 * 4 + 4 * 4)
    decoder = coarse * 4 * (4 * 2) + fine * 9 * (4 * 2 + 2 * 2) + fine * 2 * 4
    forward, both = operations(TINY)
    assert forward == 2 * (encoder + decoder)
    of_the_image = 2 * fine * 9 * 1 * 2  # no gradient goes back to it
    assert both == 3 * forward - of_the_image


def test_a_presets_work_has_its_values() -> None:
    paper, quick = work_of("paper"), work_of("quick")
    assert paper.pixels == 512 and paper.node.nets["ct"].arch == UNet()
    assert quick.pixels == 64 and quick.node.nets["ct"].arch == UNet(width=8, norm="instance")
    assert quick.ground.loss.ce == 0.1


def test_the_command_prints_one_form_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "PRESETS", ("quick",))
    monkeypatch.setattr(command, "QUICK_ROUNDS", 1)
    monkeypatch.setattr(command, "QUICK_STEPS", {"quick": 1})
    assert main(["speed", "--quick-look", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    forms = [(line["precision"], line["layout"]) for line in lines]
    assert len(forms) == len(set(forms)) == 4
    assert [line["layout"] for line in lines if line["taken"]] == ["nchw"]
    assert max(line["of_fastest"] for line in lines) == 1.0
    assert all(line["bare_ms"] > 0 and line["loop_ms"] > 0 for line in lines)
    shown = command.table([SpeedLine(**line) for line in lines]).splitlines()
    assert len(shown) == 2 + 4 and sum("(taken)" in line for line in shown) == 1
