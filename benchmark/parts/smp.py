"""Networks of segmentation_models_pytorch, by name; the library is imported where one is built."""

from __future__ import annotations

import math
import re
import sys
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from benchmark.errors import BadInput, near
from benchmark.parts.networks import Network, UNet
from benchmark.plan.nodes import Arch, Build


@dataclass(frozen=True, kw_only=True)
class Smp:
    """Any encoder-decoder of segmentation_models_pytorch, from random weights.

    Written `smp:unet/resnet34`. Its first feature map is the input itself, but with a VGG or a DPT,
    and no tap; nor is a level without channels, as transformers have one at half the grid.
    """

    kind: ClassVar[str] = "smp"
    reads: str = "image"
    decoder: str = "unet"
    encoder: str = "resnet18"

    def build(self, to: Build) -> Network:
        """Return the untrained network; raises `BadInput` where the library has no such one."""
        model = smp_model(self.decoder, self.encoder, to.channels(self.reads), len(to.organs) + 1)
        channels = tuple(int(number) for number in model.encoder.out_channels)
        if hasattr(model.encoder, "has_prefix_tokens"):
            return _dpt(model, channels)
        stride = int(getattr(model.encoder, "output_stride", 2 ** (len(channels) - 1)))
        own = [level for level, number in enumerate(channels) if number]
        tappable = own if _begins_with_features(model.encoder) else own[1:]
        decoder = SmpDecoder(model.decoder, model.segmentation_head)
        return Network(model.encoder, decoder, channels, stride, tuple(tappable))

    @property
    def name(self) -> str:
        """Its name, as `arch_named` takes it."""
        return f"smp:{self.decoder}/{self.encoder}"


def _begins_with_features(encoder: nn.Module) -> bool:
    """Whether an encoder's first map are features at full size, and not its input."""
    is_vgg = type(encoder).__name__ == "VGGEncoder"
    return is_vgg or bool(getattr(encoder, "_is_vgg_style", False))


def _dpt(model: Any, channels: tuple[int, ...]) -> Network:
    """Return a DPT. Its encoder gives maps and, beside them, prefix tokens, which its decoder reads
    into the maps first. Here the encoder reads them in, so that its maps hold all that it says."""
    encoder = DptEncoder(model.encoder, model.decoder.projection_blocks)
    model.decoder.projection_blocks = nn.ModuleList(Maps() for _ in channels)
    decoder = SmpDecoder(DptBody(model.decoder), model.segmentation_head)
    # the decoder brings map n to one in 2 ** (n + 2) of the grid, each half of the one before
    stride = math.lcm(int(model.encoder.output_stride), 2 ** (len(channels) + 1))
    return Network(encoder, decoder, channels, stride)


class DptEncoder(nn.Module):
    """A vision transformer whose prefix tokens are read into each of its maps."""

    def __init__(self, body: nn.Module, readouts: nn.ModuleList) -> None:
        super().__init__()
        self.body = body
        self.readouts = readouts

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the maps, all on the grid of its patches, in the order of its blocks."""
        maps, tokens = self.body(x_BCHW)
        return [read(*both) for read, *both in zip(self.readouts, maps, tokens, strict=True)]


class Maps(nn.Module):
    """Stands where a DPT's decoder would read the tokens in."""

    def forward(self, map_BCHW: Tensor, tokens: None) -> Tensor:
        """Return the map as it is."""
        return map_BCHW


class DptBody(nn.Module):
    """The decoder of a DPT on maps alone."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the fused map at half the grid."""
        return cast(Tensor, self.decoder(features, [None] * len(features)))


class SmpDecoder(nn.Module):
    """A decoder of the library together with its head."""

    def __init__(self, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = decoder
        self.head = head

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the class logits."""
        return cast(Tensor, self.head(self.body(features)))


def arch_named(name: str, reads: str) -> Arch:
    """Return the architecture of a name: `unet`, or `smp:DECODER/ENCODER`."""
    if name == "unet":
        return UNet(reads=reads)
    decoder, slash, encoder = name.removeprefix("smp:").partition("/")
    if not name.startswith("smp:") or not slash or not decoder or not encoder:
        raise BadInput(f"no architecture {name!r}: write unet, or smp:DECODER/ENCODER")
    return Smp(reads=reads, decoder=decoder, encoder=encoder)


_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: list[torch.library.Library] = []  # the schemas live as long as this object


def smp_library() -> ModuleType:
    """Return segmentation_models_pytorch; raises `BadInput` where it is not installed."""
    try:
        return _import()
    except ModuleNotFoundError as error:
        raise BadInput(
            "smp: architectures need segmentation-models-pytorch: pip install "
            f"'beyond-loss[smp]' ({error})"
        ) from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    _declare_missing()
    return _import()


def smp_model(decoder: str, encoder: str, inputs: int, classes: int) -> Any:
    """Return a model of the library with random weights; never downloads any.

    Raises `BadInput` where it has no such one. A vision transformer below a DPT takes any grid.
    """
    smp = smp_library()
    values = {"encoder_weights": None, "in_channels": inputs, "classes": classes}

    def make(**more: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own deprecations
            return smp.create_model(decoder, encoder_name=encoder, **values, **more)

    try:
        try:
            return make(dynamic_img_size=True) if decoder.lower() == "dpt" else make()
        except TypeError as error:
            if "dynamic_img_size" not in str(error):
                raise
            return make()
        except RuntimeError as error:
            if "meta tensors" not in str(error):
                raise
        with torch.device("cpu"):  # some read numbers off a tensor while they are built
            return make()
    except Exception as error:  # anybody's architecture, by name
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise BadInput(
            f"smp:{decoder}/{encoder} cannot be made: {_meant(error, decoder, encoder)}{reason}"
        ) from error


def _meant(error: Exception, decoder: str, encoder: str) -> str:
    """Return the nearest of the names that the library's error lists, "" where none is near."""
    known = re.findall(r"'([\w.-]+)'", str(error))
    return near(decoder, known) or near(encoder, known)


def _import() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import segmentation_models_pytorch as smp
    module: ModuleType = smp
    return module


def _declare_missing() -> None:
    half_imported = ("torchvision", "timm", "segmentation_models_pytorch")
    for name in [name for name in sys.modules if name.split(".")[0] in half_imported]:
        del sys.modules[name]
    declared = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        declared.define(schema)  # type: ignore[no-untyped-call]
    _library.append(declared)
