"""What trained networks give: a label map on the native grid, a few slices at a time; and feature
maps that several measures share, where the same weights and the same input run once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.plan.keys import canonical, digest
from benchmark.plan.nodes import Net
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


@torch.inference_mode()
def probabilities_together(
    networks: Sequence[nn.Module],
    chunks: Iterable[Tensor],
    *,
    scaled: Callable[[Tensor], Tensor],
    shape_ZYX: tuple[int, int, int],
    hardware: Hardware,
) -> NDArray[np.float32]:
    """Return the mean of the networks' class probabilities on the native grid, (C, *shape_ZYX),
    background first: of each pixel the largest is the class that `predict_together` gives. All of
    them are in memory."""
    found = []
    for chunk in chunks:
        image_BHW = scaled(chunk.to(hardware.device))
        probs = sum(_probabilities(network, image_BHW, hardware) for network in networks)
        mean = torch.as_tensor(probs) / len(networks)
        found.append(on_native(mean, shape_ZYX[1:]).transpose(0, 1).cpu().numpy())
    return np.concatenate(found, axis=1)


def on_native(probs_BCHW: Tensor, native_hw: tuple[int, int]) -> Tensor:
    """Return class probabilities on the native grid (B, C, *native_hw), as `most_probable` reads
    them."""
    if probs_BCHW.shape[2:] == native_hw:
        return probs_BCHW
    return F.interpolate(probs_BCHW, size=native_hw, mode="bilinear", align_corners=False)


def most_probable(probs_BCHW: Tensor, native_hw: tuple[int, int]) -> Tensor:
    """Return the most probable class of each native pixel (B, *native_hw), as int64: the one way
    back from a training grid, by bilinear interpolation of the classes' probabilities."""
    found = on_native(probs_BCHW, native_hw)
    return found.max(dim=1).indices  # what argmax gives, 20 times as fast on a CPU


def _probabilities(network: nn.Module, image_BHW: Tensor, hardware: Hardware) -> Tensor:
    network.eval()
    stride = int(getattr(network, "stride", 1))
    height, width = image_BHW.shape[1:]
    x_B1HW = F.pad(image_BHW[:, None], (0, -width % stride, 0, -height % stride))
    x_B1HW = x_B1HW.contiguous(memory_format=torch.channels_last)
    with hardware.autocast():
        logits = network(x_B1HW)
    return torch.softmax(logits.float(), dim=1)[:, :, :height, :width]


KEPT_BYTES = 2**28  # of feature maps at once; a cell of the preset quick has about 120 MiB


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """An encoder's maps, and how often each had been written to when it was kept."""

    maps: tuple[Tensor, ...]
    versions: tuple[int, ...]

    def is_whole(self) -> bool:
        return tuple(x._version for x in self.maps) == self.versions


class Features:
    """The feature maps of frozen encoders, by their weights and by what they were shown.

    It knows both by content, so that copies of a network under other names are one. What does not
    fit into `limit` bytes is not kept, and computed each time. An answer from memory is what the
    encoder would have given, to the bit.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._left = limit
        self._full = False  # from the first that did not fit
        self._kept: dict[tuple[str, str], _Kept] = {}

    @contextmanager
    def shared(self, nets: Mapping[str, nn.Module], of: Mapping[str, Net]) -> Iterator[None]:
        """Let the networks' encoders answer from memory as long as the context lasts.

        `of` says what each network is. Weights must stay as they are meanwhile. A network that has
        no encoder is left alone.
        """
        encoders = [
            (encoder, _weights(encoder, of[name]))
            for name, net in nets.items()
            if isinstance(encoder := getattr(net, "encoder", None), nn.Module)
        ]
        for encoder, weights in encoders:
            # on the instance, so that its hooks, its parts and its class are what they were
            encoder.forward = self._remembering(encoder, weights)
        try:
            yield
        finally:
            for encoder, _ in encoders:
                del encoder.forward

    def _remembering(self, encoder: nn.Module, weights: str) -> Callable[..., Any]:
        forward = encoder.forward

        def answer(*given: Any, **more: Any) -> Any:
            one = given[0] if len(given) == 1 and not more else None
            if not isinstance(one, Tensor) or not self._may_answer(encoder, one):
                return forward(*given, **more)
            place = weights, _content(one)
            known = self._kept.get(place)
            if known is not None and known.is_whole():
                return list(known.maps)
            maps = forward(one)
            self._keep(place, maps)
            return maps

        return answer

    def _may_answer(self, encoder: nn.Module, given: Tensor) -> bool:
        """Who asks for a gradient needs a graph, and who listens to a part of the encoder must hear
        it run."""
        if not self._kept and self._full:
            return False
        followed = any(x.requires_grad for x in (given, *encoder.parameters()))
        heard = (x for x in encoder.modules() if x._forward_hooks or x._forward_pre_hooks)
        return not (followed and torch.is_grad_enabled()) and all(x is encoder for x in heard)

    def _keep(self, place: tuple[str, str], maps: Any) -> None:
        if not isinstance(maps, list):
            return
        size = sum(x.untyped_storage().nbytes() for x in maps)
        if size > self._left:
            self._full = True
            return
        self._left -= size
        self._kept[place] = _Kept(maps=tuple(maps), versions=tuple(x._version for x in maps))


def _weights(encoder: nn.Module, net: Net) -> str:
    """What an encoder is: its architecture's values and all its tensors."""
    tensors = {path: _content(tensor) for path, tensor in encoder.state_dict().items()}
    return digest([canonical(net.arch), tensors])


def _content(x: Tensor) -> str:
    """What a tensor is: its numbers, and how they lie in memory, which rounding may depend on."""
    plain = x.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy()
    about = f"{x.dtype} {tuple(x.shape)} {x.stride()} {x.device}"
    return about + hashlib.sha256(plain.data).hexdigest()
