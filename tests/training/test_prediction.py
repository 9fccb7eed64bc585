"""Predictions lie on the native grid, pixel by pixel where they belong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.data.feeding.slices import on_training_grid, scaled, training_grid
from benchmark.data.volume import Geometry, Volume
from benchmark.parts.networks import UNet
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Build
from benchmark.training.precision import hardware
from benchmark.training.prediction import predict_labels

CPU = hardware("cpu", "fp32")
GROUND = Ground()


class Thresholds(nn.Module):
    """Knows the organs by their brightness; refuses sizes that its stride does not divide."""

    stride = 8

    def forward(self, x_B1HW: Tensor) -> Tensor:
        assert x_B1HW.shape[2] % 8 == 0 and x_B1HW.shape[3] % 8 == 0
        assert not self.training and 0 <= x_B1HW.min() <= x_B1HW.max() <= 1
        centres = torch.tensor([0.0, 0.5, 1.0])[None, :, None, None]
        return -200 * (x_B1HW - centres) ** 2


def blocks(depth: int, height: int, width: int) -> NDArray[np.uint8]:
    label = np.zeros((depth, height, width), dtype=np.uint8)
    label[1:, height // 4 : height // 2, : width // 3] = 1
    label[:, height // 2 :, -width // 3 :] = 2  # reaches the last row and column
    return label


def predicted(label: NDArray[np.uint8], size: int | None, batch: int = 2) -> NDArray[np.uint8]:
    image = np.array([-200, 50, 300], dtype=np.int16)[label]
    geometry = Geometry(spacing_mm=(1, 1, 1), affine=(), shape=(1, 1, 1), orientation="LPS")
    volume = Volume(case="a", image=image, label=label, annotated=("x", "y"), geometry=geometry)
    slices = on_training_grid(volume, ("x", "y"), size)
    return predict_labels(
        Thresholds().train(),
        slices.hu_ZHW,
        scaled=lambda hu: scaled(hu, GROUND),
        native_hw=(label.shape[1], label.shape[2]),
        batch=batch,
        hardware=CPU,
    )


@pytest.mark.parametrize("shape", [(3, 16, 24), (5, 21, 19), (1, 7, 9), (4, 33, 8)])
def test_the_native_grid_comes_back_exactly(shape: tuple[int, int, int]) -> None:
    label = blocks(*shape)
    found = predicted(label, None)
    assert found.dtype == np.uint8 and found.shape == shape
    np.testing.assert_array_equal(found, label)


@pytest.mark.parametrize("size", [16, 31, 61, 90])
def test_another_training_grid_gives_the_native_one_back(size: int) -> None:
    label = blocks(3, 60, 48) // 2  # one organ: no rim of one class between two others
    found = predicted(label, size)
    assert found.shape == label.shape
    dice = 2 * (found & label).sum() / (found.sum() + label.sum())
    assert dice > (0.8 if size < 30 else 0.93)
    centres = [np.argwhere(part).mean(axis=0) for part in (found, label)]
    assert np.abs(centres[0] - centres[1]).max() < 0.3 * max(1, 60 / size)  # no shift


def test_batches_do_not_matter() -> None:
    label = blocks(7, 20, 20)
    for batch in (1, 3, 7, 100):
        np.testing.assert_array_equal(predicted(label, None, batch), label)


def test_a_real_network_on_odd_sizes_in_bf16() -> None:
    torch.manual_seed(0)
    to: Any = Build(organs=("x", "y"), size=None, built={})
    network = UNet(width=4, levels=4, norm="instance").build(to).train()
    formats: list[torch.dtype] = []
    network.register_forward_hook(lambda net, given, logits: formats.append(logits.dtype))
    hu = torch.randint(-200, 300, (3, 13, 27)).to(torch.int16)
    found = [
        predict_labels(
            network, hu, scaled=lambda x: scaled(x, GROUND), native_hw=(13, 27), batch=2,
            hardware=hardware("cpu", precision),
        )
        for precision in ("fp32", "fp32", "bf16")
    ]  # fmt: skip
    assert formats == [torch.float32] * 4 + [torch.bfloat16] * 2
    assert not network.training and all(part.shape == (3, 13, 27) for part in found)
    np.testing.assert_array_equal(found[0], found[1])  # no dropout
    shares = np.bincount(found[0].ravel(), minlength=3) / found[0].size
    assert shares.min() > 0.2, "all classes are predicted, else agreement would mean nothing"
    padded = nn.functional.pad(scaled(hu, GROUND)[:, None], (0, 5, 0, 3))  # 16 x 32
    with torch.no_grad():
        whole = network(padded)[:, :, :13, :27].argmax(dim=1)
    assert (found[0] == whole.numpy()).mean() > 0.999
    assert 0.95 < (found[0] == found[2]).mean() < 1, "bf16 rounds, and no more than that"


def test_the_training_grid_keeps_proportions() -> None:
    assert training_grid((512, 400), None) == (512, 400)
    assert training_grid((512, 400), 256) == (256, 200)
    assert training_grid((400, 512), 64) == (50, 64)
    assert training_grid((1000, 3), 64) == (64, 1)
