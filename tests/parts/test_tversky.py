"""The loss of docs/architecture.md and of `bench new method`: it is what it says, and right where
cases are annotated in a part of the organs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.parts.batch import Batch
from benchmark.parts.objectives import soft_dice
from benchmark.plan.ground import LossForm

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "benchmark/cli/templates/method/module.py.txt"
PAGE = ROOT / "docs/architecture.md"
MakeBatch = Callable[..., Batch]


def objective(text: str) -> Any:
    """The class in a source text."""
    module = sys.modules["mine"] = ModuleType("mine")  # dataclasses look their module up
    exec(compile(text, "mine", "exec"), vars(module))
    return vars(module)["Tversky"]


def on_page() -> str:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if "class Tversky" in block]
    return found


def in_template() -> str:
    text = TEMPLATE.read_text(encoding="utf-8")
    return text.replace("@MODULE@", "mine").replace("@NAME@", "mine")


@pytest.fixture(params=[in_template, on_page], ids=["template", "page"])
def tversky(request: pytest.FixtureRequest) -> Any:
    return objective(request.param())


class Given(nn.Module):
    """A network that answers with these logits."""

    def __init__(self, logits_BCHW: Tensor) -> None:
        super().__init__()
        self.logits_BCHW = nn.Parameter(logits_BCHW)

    def forward(self, image: Tensor) -> Tensor:
        return self.logits_BCHW


def loss(tversky: Any, batch: Batch, logits: Tensor, **weights: float) -> tuple[Tensor, Tensor]:
    """The loss and its gradient in the logits."""
    net = Given(logits.clone())
    term = tversky(**weights)({"ct": net}, batch)["tversky"]
    term.backward()
    assert net.logits_BCHW.grad is not None
    return term.detach(), net.logits_BCHW.grad


def logits_of(label: Tensor, organs: int, sure: float = 30.0) -> Tensor:
    hot = torch.nn.functional.one_hot(label, organs + 1).permute(0, 3, 1, 2).float()
    return sure * hot


LABEL = torch.tensor([[[0, 1, 1, 0], [0, 1, 2, 2]], [[0, 0, 1, 0], [0, 0, 0, 0]]])
PARTLY = [[1, 1], [1, 0]]  # nobody looked for organ 2 in the second case


def test_the_right_answer_costs_nothing(tversky: Any, make_batch: MakeBatch) -> None:
    value, _ = loss(tversky, make_batch(LABEL, PARTLY), logits_of(LABEL, 2))
    assert float(value) == pytest.approx(0, abs=1e-5)


def test_halves_are_soft_dice(tversky: Any, make_batch: MakeBatch) -> None:
    """With 0.5 and 0.5 it is soft Dice of the organs, smoothed by 1 beside twice the overlap."""
    form = LossForm(organs_only=True, smoothing=1.0)
    batch = replace(make_batch(LABEL, [[1, 1], [1, 1]]), loss_form=form)
    logits = torch.randn(2, 3, 2, 4, generator=torch.Generator().manual_seed(1))
    value, _ = loss(tversky, batch, logits, alpha=0.5, beta=0.5)
    wanted = soft_dice(torch.softmax(logits, dim=1), batch)
    assert float(value) == pytest.approx(float(wanted), abs=1e-6)


def test_what_is_missed_weighs_more(tversky: Any, make_batch: MakeBatch) -> None:
    batch = make_batch(LABEL[:1], [[1, 1]])
    less, more = LABEL[:1].clone(), LABEL[:1].clone()
    less[0, 0, 1] = 0
    more[0, 0, 3] = 1
    missed, beside = (float(loss(tversky, batch, logits_of(x, 2))[0]) for x in (less, more))
    assert missed > beside


def test_an_organ_that_nobody_looked_for_is_background(tversky: Any, make_batch: MakeBatch) -> None:
    """Whether the network calls a pixel of that case background or that organ is no matter."""
    batch = make_batch(LABEL, PARTLY)
    other = LABEL.clone()
    other[1, 1] = 2
    one, two = (loss(tversky, batch, logits_of(x, 2)) for x in (LABEL, other))
    assert float(one[0]) == pytest.approx(float(two[0]), abs=1e-6)
    looked = make_batch(LABEL, [[1, 1], [1, 1]])
    assert float(loss(tversky, looked, logits_of(other, 2))[0]) > 0.1
    logits = torch.zeros(2, 3, 2, 4)
    _, gradient = loss(tversky, batch, logits)
    torch.testing.assert_close(gradient[1, 0], gradient[1, 2])


def test_padding_and_samples_without_a_label_count_nowhere(
    tversky: Any, make_batch: MakeBatch
) -> None:
    batch = make_batch(LABEL, [[1, 1], [1, 1]])
    batch.valid_BHW[:, :, 0] = False
    _, gradient = loss(tversky, batch, torch.zeros(2, 3, 2, 4))
    assert not gradient[..., 0].any() and gradient[..., 1].any()
    first = replace(batch, labelled_B=torch.tensor([True, False]))
    _, gradient = loss(tversky, first, torch.zeros(2, 3, 2, 4))
    assert not gradient[1].any() and gradient[0].any()
    nobody = replace(batch, labelled_B=torch.tensor([False, False]))
    value, gradient = loss(tversky, nobody, torch.zeros(2, 3, 2, 4))
    assert torch.isfinite(value) and not gradient.any()
