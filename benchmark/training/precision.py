"""Device, number format and memory layout of a training. Recorded with it, never in its key."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from benchmark.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where and in which number format networks run. Losses and M are fp32 in any case."""

    device: torch.device
    bf16: bool

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which networks and objectives run."""
        context: AbstractContextManager[None] = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.bf16
        )
        return context

    def record(self) -> dict[str, str | int]:
        """Return what a result must say about the hardware that made it."""
        cuda = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if cuda else processor_name()
        return {
            "device": self.device.type,
            "name": name,
            "precision": "bf16" if self.bf16 else "fp32",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def hardware(device: str = "auto", precision: str = "auto") -> Hardware:
    """Return the hardware of a name: `auto`, `cpu`, `cuda`, `cuda:1`; `auto`, `fp32`, `bf16`.

    `auto` takes CUDA where there is one, and bf16 where the hardware multiplies in it: on CUDA
    since Ampere, on a CPU with AMX tiles (without them bf16 is slower than fp32, see
    docs/decisions/0005). Raises `BadInput` for a device that is not there.
    """
    chosen = _device(device)
    if precision not in ("auto", "fp32", "bf16"):
        raise BadInput(f"precision {precision!r} is not known: choose auto, fp32 or bf16")
    if chosen.type == "cuda":
        torch.backends.cudnn.deterministic = True  # a resumed training is the same training
        torch.backends.cudnn.allow_tf32 = False  # FSM is fp32: TF32 rounds by the effect looked for
    bf16 = precision == "bf16" or (precision == "auto" and _multiplies_bf16(chosen))
    return Hardware(device=chosen, bf16=bf16)


@cache
def processor_name() -> str:
    """Return the name of this machine's processor."""
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
