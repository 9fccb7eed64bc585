"""The one guarded place where segmentation_models_pytorch is imported.

It needs torchvision, and beside a CPU build of torch PyPI's torchvision cannot load its C++
operators: the import dies with "operator torchvision::nms does not exist". Only then the two
missing schemas are declared, which is all that the import needs; no network here calls them.
"""

from __future__ import annotations

import sys
import warnings
from types import ModuleType
from typing import Any

import torch

from benchmark.errors import BadInput

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: list[torch.library.Library] = []  # the schemas live as long as this object


def library() -> ModuleType:
    """Return segmentation_models_pytorch; raises `BadInput` where it is not installed."""
    try:
        return _import()
    except ModuleNotFoundError as error:
        raise BadInput(
            "smp: architectures need segmentation-models-pytorch: pip install "
            f"segmentation-models-pytorch ({error})"
        ) from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    _declare_missing()
    return _import()


def create(decoder: str, encoder: str, inputs: int, classes: int) -> Any:
    """Return a model of the library with random weights; never downloads any."""
    smp = library()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own deprecations
            return smp.create_model(
                decoder,
                encoder_name=encoder,
                encoder_weights=None,
                in_channels=inputs,
                classes=classes,
            )
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:160]
        raise BadInput(f"smp:{decoder}/{encoder} cannot be made: {reason}") from error


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
