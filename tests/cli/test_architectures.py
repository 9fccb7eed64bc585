"""Networks that cannot take the slices are refused before anything is trained; others run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from bench_process import bench, tiny_workspace
from torch import Tensor, nn

from benchmark.data.library import open_dataset
from benchmark.errors import BadInput
from benchmark.parts.networks import Network, UNet, stride_of
from benchmark.parts.stages import plain
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Build, Schedule
from benchmark.running.fitting import check_networks


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("architectures"))


def argv(command: str, root: Path, method: str, sets: Mapping[str, Any]) -> list[str]:
    parts = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
    where = ["--root", str(root), "--dataset", "tiny", "--folds", "0"]
    return [command, "--method", method, *where, *parts]


REFUSED = {
    "too few pixels": (
        {"ct": "smp:pan/resnet18"},
        "training 'N_CT': network 'ct' (smp:pan/resnet18) cannot take 8 slices of 64 x 64 pixels",
        "it can take 128 x 128 (--set ground.size=128 for square slices)",
    ),
    "a fixed size": (
        {"ct": "smp:unet/tu-swin_tiny_patch4_window7_224"},
        "Input height (64) doesn't match model (224)",
        "it can take 224 x 224",
    ),
    "one slice a batch": (
        {"ct": "smp:deeplabv3/resnet18", "ground.batch": 1},
        "cannot take 1 slices of 64 x 56 pixels",
        "more than 1 value per channel",
    ),
    "no such pair": ({"ct": "smp:linknet/mit_b0"}, "not supported for Linknet", ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_network_that_cannot_take_the_slices(root: Path, case: str) -> None:
    sets, *words = REFUSED[case]
    ran = bench(*argv("plan", root, "unet", sets))
    assert ran.code == 2 and ran.out == "" and len(ran.err.splitlines()) == 1, ran
    assert all(word in ran.err for word in words), ran.err


@pytest.mark.parametrize(
    "taps, words", [("[[0,-1]]", "is its input"), ("[[1,-1]]", "has no channels")]
)
def test_a_tap_on_nothing_is_refused(root: Path, taps: str, words: str) -> None:
    ran = bench(*argv("plan", root, "fsm", {"ct": "smp:segformer/mit_b0", "taps": taps}))
    assert ran.code == 2 and words in ran.err and "the levels 2 (or -4)" in ran.err, ran.err


@pytest.mark.long
def test_a_row_of_transformers_runs(root: Path) -> None:
    small = {"ct": "smp:segformer/mit_b0", "gt": "smp:dpt/tu-test_vit", "ground.size": 64}
    kept = {"schedule.epochs": 1, "schedule.steps_per_epoch": 1, "ground.batch": 2}
    threads = ["--threads", "1", "--workers", "1", "--mlflow", "none", "--json"]
    ran = bench(*argv("run", root, "fsm", {**small, **kept}), *threads)
    assert ran.code == 0, ran.err


@dataclass(frozen=True, kw_only=True)
class Counting:
    """A UNet that reads a number off what it sees, which the meta device cannot."""

    kind: ClassVar[str] = "counting"
    reads: str = "image"
    fails: bool = False

    def build(self, to: Build) -> Network:
        net = UNet(width=2, levels=2).build(to)
        net.encoder = Counted(net.encoder, self.fails)
        return net


class Counted(nn.Module):
    def __init__(self, encoder: nn.Module, fails: bool) -> None:
        super().__init__()
        self.inner, self.fails = encoder, fails

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        if x_BCHW.sum().item() > 0 or self.fails:
            raise ArithmeticError("not these slices")
        return cast(list[Tensor], self.inner(x_BCHW))


def test_what_fails_on_shapes_alone_is_tried_with_numbers(root: Path) -> None:
    dataset = open_dataset(root, "tiny")
    schedule = Schedule(epochs=1)
    check_networks(plain(Counting(), schedule)["ct"], dataset, Ground(size=32))
    with pytest.raises(BadInput, match=r"\(counting\) cannot take 8 slices of 32 x 28 pixels"):
        check_networks(plain(Counting(fails=True), schedule)["ct"], dataset, Ground(size=32))


def test_the_frame_fits_the_strides_of_all_networks() -> None:
    nets = [nn.Identity() for _ in range(3)]
    for net, stride in zip(nets, (14, 16), strict=False):
        net.stride = stride  # type: ignore[assignment]
    assert stride_of(dict(zip("abc", nets, strict=True))) == 112
