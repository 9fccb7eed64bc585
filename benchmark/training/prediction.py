"""From trained networks to a label map on the native grid, a few slices at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.training.precision import Hardware


def predict_labels(
    network: nn.Module,
    slices_ZHW: Tensor,
    *,
    scaled: Callable[[Tensor], Tensor],
    native_hw: tuple[int, int],
    batch: int,
    hardware: Hardware,
) -> NDArray[np.uint8]:
    """Return the predicted label map (Z, *native_hw) of one volume.

    `slices_ZHW` holds HU on the training grid; `scaled` turns HU into the network's input. Slices
    are padded to the network's stride and cropped again, class probabilities are interpolated
    to the native grid, and the most probable class wins. No post-processing.
    """
    return predict_together(
        [network],
        torch.split(slices_ZHW, batch),
        scaled=scaled,
        shape_ZYX=(len(slices_ZHW), *native_hw),
        hardware=hardware,
    )


@torch.inference_mode()
def predict_together(
    networks: Sequence[nn.Module],
    chunks: Iterable[Tensor],
    *,
    scaled: Callable[[Tensor], Tensor],
    shape_ZYX: tuple[int, int, int],
    hardware: Hardware,
) -> NDArray[np.uint8]:
    """Return the label map of shape `shape_ZYX` by the mean of the networks' probabilities.

    `chunks` are batches of slices in order, (B, H, W) in HU on the training grid that all networks
    share. The mean is taken there, interpolated to the native grid, and the most probable class
    wins. Only one batch of probabilities is ever in memory, however many slices and classes.
    """
    labels = np.zeros(shape_ZYX, dtype=np.uint8)
    first = 0
    for chunk in chunks:
        image_BHW = scaled(chunk.to(hardware.device))
        probs = _probabilities(networks[0], image_BHW, hardware)
        for network in networks[1:]:
            probs += _probabilities(network, image_BHW, hardware)
        found = most_probable(probs, shape_ZYX[1:]).to(torch.uint8).cpu().numpy()
        labels[first : first + len(found)] = found
        first += len(found)
    return labels


def most_probable(probs_BCHW: Tensor, native_hw: tuple[int, int]) -> Tensor:
    """Return the most probable class of each native pixel (B, *native_hw), as int64: the one way
    back from a training grid, by bilinear interpolation of the classes' probabilities."""
    if probs_BCHW.shape[2:] != native_hw:
        probs_BCHW = F.interpolate(probs_BCHW, size=native_hw, mode="bilinear", align_corners=False)
    return probs_BCHW.max(dim=1).indices  # what argmax gives, 20 times as fast on a CPU


def _probabilities(network: nn.Module, image_BHW: Tensor, hardware: Hardware) -> Tensor:
    network.eval()
    stride = int(getattr(network, "stride", 1))
    height, width = image_BHW.shape[1:]
    x_B1HW = F.pad(image_BHW[:, None], (0, -width % stride, 0, -height % stride))
    x_B1HW = x_B1HW.contiguous(memory_format=torch.channels_last)
    with hardware.autocast():
        logits = network(x_B1HW)
    return torch.softmax(logits.float(), dim=1)[:, :, :height, :width]
