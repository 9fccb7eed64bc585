"""Device, number format and memory layout of a training. Recorded with it, never in its key."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import BadInput

FORMATS = {"channels_last": torch.channels_last, "nchw": torch.contiguous_format}
"""The memory layouts of a feature map by name."""

LAYOUTS = {
    ("cpu", True): "nchw",
    ("cpu", False): "channels_last",
    ("cuda", True): "channels_last",
    ("cuda", False): "channels_last",
}
"""The layout by device, and whether a training has group or instance norm. On a CPU that norm's
backward takes six times as long in channels_last, 58 times in bf16 (docs/decisions/0021). A rule,
not a race: time must not decide weights, which differ by rounding from layout to layout."""

BEFORE = "channels_last"  # of every training whose record names no layout


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where, in which number format and in which memory layout networks run. Losses and M are fp32
    in any case. `layout` is "" where the rule decides, by the networks of each training."""

    device: torch.device
    bf16: bool
    layout: str = ""

    def laid_out(self, *, normed: bool) -> Hardware:
        """Return this with the layout of a training, by the rule where none is given; `normed` says
        whether it has group or instance norm."""
        return replace(self, layout=self.layout or LAYOUTS[self.device.type, normed])

    def as_begun(self, record: Mapping[str, Any]) -> Hardware:
        """Return this with the precision and layout of a training that began elsewhere."""
        layout = str(record.get("layout", BEFORE))
        return replace(self, bf16=record.get("precision") == "bf16", layout=layout)

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which networks and objectives run."""
        context: AbstractContextManager[None] = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.bf16
        )
        return context

    def record(self) -> dict[str, str | int]:
        """Return what a result must say about the hardware that made it: device, name, precision,
        layout, threads and torch's version."""
        cuda = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if cuda else processor_name()
        return {
            "device": self.device.type,
            "name": name,
            "precision": "bf16" if self.bf16 else "fp32",
            "layout": self.layout,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def completed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hardware's record of a stored training, with what older ones leave out."""
    return {"layout": BEFORE, **record}


def hardware(device: str = "auto", precision: str = "auto") -> Hardware:
    """Return the hardware of a name: `auto`, `cpu`, `cuda`, `cuda:1`; `auto`, `fp32`, `bf16`.

    `auto` takes CUDA where there is one, and bf16 where the hardware multiplies in it: on CUDA
    since Ampere, on a CPU with AMX tiles (without them bf16 is slower than fp32, see
    docs/decisions/0005). The layout is that of the environment's BENCH_LAYOUT, else by the rule.
    Raises `BadInput` for a device that is not there.
    """
    chosen = _device(device)
    if precision not in ("auto", "fp32", "bf16"):
        raise BadInput(f"precision {precision!r} is not known: choose auto, fp32 or bf16")
    if chosen.type == "cuda":
        torch.backends.cudnn.deterministic = True  # a resumed training is the same training
        torch.backends.cudnn.allow_tf32 = False  # FSM is fp32: TF32 rounds by the effect looked for
    bf16 = precision == "bf16" or (precision == "auto" and _multiplies_bf16(chosen))
    layout = os.environ.get("BENCH_LAYOUT", "")
    if layout and layout not in FORMATS:
        raise BadInput(f"BENCH_LAYOUT={layout} is not known: choose {' or '.join(FORMATS)}")
    return Hardware(device=chosen, bf16=bf16, layout=layout)


@cache
def processor_name() -> str:
    """Return the name of this machine's processor, never "" where the system tells its machine."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadInput(f"device {name!r} is not known: use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise BadInput(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= there:
        raise BadInput(
            f"device {name!r} is not there: torch {torch.__version__} sees {there} CUDA devices; "
            "use --device cpu, or install a CUDA build of torch"
        )
    return device


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(probe and probe())
