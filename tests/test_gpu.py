"""On a CUDA device: every stage trains, bf16 runs, and where slices lie changes nothing."""

from __future__ import annotations

import pytest
import torch
from gpu_checks import CHECKS


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason=f"torch {torch.__version__} sees no CUDA device on this machine",
)
@pytest.mark.parametrize("name", CHECKS)
def test_on_cuda(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize("name", [name for name in CHECKS if "bf16" not in name])
def test_the_checks_themselves_pass_on_a_cpu(name: str) -> None:
    """A check with a fault of its own must not be found on the one day that a GPU is there."""
    CHECKS[name](device="cpu")
