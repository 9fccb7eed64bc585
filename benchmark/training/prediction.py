"""From a trained network to a label map on the native grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.training.precision import Hardware


@torch.inference_mode()
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
    network.eval()
    stride = int(getattr(network, "stride", 1))
    height, width = slices_ZHW.shape[1:]
    pad = (0, -width % stride, 0, -height % stride)
    parts = []
    for chunk in torch.split(slices_ZHW, batch):
        x_B1HW = F.pad(scaled(chunk.to(hardware.device))[:, None], pad)
        x_B1HW = x_B1HW.contiguous(memory_format=torch.channels_last)
        with hardware.autocast():
            logits = network(x_B1HW)
        probs = torch.softmax(logits.float(), dim=1)[:, :, :height, :width]
        if (height, width) != native_hw:
            probs = F.interpolate(probs, size=native_hw, mode="bilinear", align_corners=False)
        parts.append(probs.argmax(dim=1).to(torch.uint8).cpu())
    labels: NDArray[np.uint8] = torch.cat(parts).numpy()
    return labels
