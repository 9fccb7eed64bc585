"""Architectures of segmentation_models_pytorch, really trained, and the guard of its import."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from benchmark.errors import BadInput
from benchmark.parts import smp
from benchmark.parts.networks import Network
from benchmark.parts.similarity import Similarity
from benchmark.parts.smp import Smp
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Build, Schedule, in_order
from methods.fsm import Fsm

ROOT = Path(__file__).parents[2]
RESNET = Smp(encoder="resnet18")
FPN = Smp(decoder="fpn", encoder="mobilenet_v2")
MIT = Smp(decoder="segformer", encoder="mit_b0")
DPT = Smp(decoder="dpt", encoder="tu-test_vit")
SCHEDULE = Schedule(epochs=1, steps_per_epoch=2, lr=1e-3)


def masks(arch: Smp) -> Smp:
    return Smp(reads="masks", decoder=arch.decoder, encoder=arch.encoder)


def changed(net: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}


@pytest.mark.parametrize("ct, gt", [(RESNET, masks(FPN)), (FPN, masks(RESNET))])
def test_other_architectures_train_through_all_stages(ct: Smp, gt: Smp, cpu_trainer: Any) -> None:
    cpu_trainer.ground = Ground(batch=2)
    method = Fsm(ct=ct, gt=gt, schedule=SCHEDULE)
    final = method.plan()
    done = cpu_trainer.train(final)
    stage1, stage2, stage3 = in_order(final.node)
    start = cpu_trainer.nets(stage2)
    for name in ("ct", "fsm"):
        assert changed(done[stage2][name], start[name].state_dict())
    assert not changed(done[stage2]["gt"], done[stage1]["gt"].state_dict())  # batch norm, too
    refined = changed(done[stage3]["ct"], done[stage2]["ct"].state_dict())
    assert refined and all(path.startswith("decoder.") for path in refined)
    last = [cpu_trainer.histories[node].epochs[-1].terms for node in (stage1, stage2, stage3)]
    assert [sorted(terms) for terms in last] == [["dsc"], ["dsc", "m"], ["dsc"]]
    assert 0 < last[1]["m"] < 0.3
    assert ["not as in the paper" in flag for flag in method.flags()] == [True]


def test_stage_three_with_another_decoder_is_refused_at_once() -> None:
    with pytest.raises(BadInput, match="refine_init=own"):
        Fsm(ct=RESNET, gt=masks(FPN), refine_init="n_gt")
    assert Fsm(ct=RESNET, gt=masks(RESNET), refine_init="n_gt").flags() == ()
    assert Fsm(ct=RESNET, gt=masks(FPN), refine_init="own").flags()
    assert Fsm(ct=RESNET, gt=masks(FPN), refine_init="n_gt", refine=False).flags() == ()


def test_transformers_train_through_all_stages(cpu_trainer: Any) -> None:
    """Of a Mix Transformer one level has no channels; of a DPT's every map lies on one grid."""
    cpu_trainer.ground = Ground(batch=2)
    method = Fsm(ct=MIT, gt=masks(DPT), schedule=SCHEDULE)
    final = method.plan()
    done = cpu_trainer.train(final)
    stage1, stage2, stage3 = in_order(final.node)
    assert not changed(done[stage2]["gt"], done[stage1]["gt"].state_dict())
    refined = changed(done[stage3]["ct"], done[stage2]["ct"].state_dict())
    assert refined and all(path.startswith("decoder.") for path in refined)
    assert all(0 < cpu_trainer.histories[n].epochs[-1].terms["dsc"] < 1 for n in done)


def test_a_dpt_answers_as_the_librarys_own(make_net: Callable[..., Network]) -> None:
    net = make_net(DPT, organs=2, seed=3).eval()
    torch.manual_seed(3)
    own = smp.smp_model("dpt", "tu-test_vit", 1, 3).eval()
    x = torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        assert torch.equal(net(x), own(x))
        maps, tokens = own.encoder(x)
        assert not torch.equal(net.encoder(x)[-1], maps[-1])  # what the tokens say is in it
    assert tokens[-1] is not None and net.tappable == (0, 1, 2, 3)
    assert len({part.shape[2:] for part in maps}) == 1 and net.stride == 32


ATTO = Smp(encoder="tu-convnext_atto")


@pytest.mark.parametrize(
    "arch, level, words",
    [
        (RESNET, 0, "level 0 of network 'ct' is its input; its taps are the levels 1 (or -5), 2"),
        (RESNET, -6, "level -6 of network 'ct' is its input"),
        (ATTO, 1, "level 1 of network 'ct' has no channels; its taps are the levels 2 (or -4), 3"),
        (MIT, -5, "level -5 of network 'ct' has no channels"),
        (DPT, 4, "level 4 is not in network 'ct', whose encoder has 4 levels"),
    ],
)
def test_what_is_no_tap_is_refused(
    arch: Smp, level: int, words: str, make_net: Callable[..., Network]
) -> None:
    with torch.device("meta"):
        nets = {"ct": make_net(arch), "gt": make_net(masks(RESNET))}
        Similarity(taps=((-1, -1),)).build(Build(organs=("a",), size=None, built=nets))
        with pytest.raises(BadInput, match=re.escape(words)):
            Similarity(taps=((level, -1),)).build(Build(organs=("a",), size=None, built=nets))


@pytest.mark.parametrize("arch", [Smp(encoder="vgg11"), DPT, RESNET, ATTO])
def test_level_0_is_a_tap_where_it_is_not_the_input(
    arch: Smp, make_net: Callable[..., Network]
) -> None:
    with torch.device("meta"):
        net = make_net(arch).eval()
        x = torch.zeros(1, 1, 64, 64)
        assert (net.encoder(x)[0] is x) == (0 not in net.tappable)


@pytest.mark.parametrize("decoder, stride", [("unet", 32), ("deeplabv3plus", 16), ("pspnet", 8)])
def test_stride_and_channels_are_those_of_the_network(decoder: str, stride: int) -> None:
    net = Smp(decoder=decoder, reads="masks").build(
        Build(organs=("a", "b"), size=None, built={})
    ).eval()  # fmt: skip
    assert isinstance(net, Network) and net.stride == stride
    x = torch.rand(1, 4, 3 * stride, 2 * stride)
    assert tuple(part.shape[1] for part in net.encoder(x)) == net.channels
    assert net(x).shape == (1, 3, 3 * stride, 2 * stride)


def test_random_weights_are_a_function_of_the_seed(cpu_trainer: Any) -> None:
    node = Fsm(ct=FPN, gt=masks(FPN), schedule=SCHEDULE).plan().node
    one, same, other = (cpu_trainer.nets(node, seed)["ct"].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("arch", [Smp(decoder="nope"), Smp(encoder="nope")])
def test_an_unknown_architecture_is_refused(arch: Smp) -> None:
    with pytest.raises(BadInput, match="cannot be made"):
        arch.build(Build(organs=("a",), size=None, built={}))


@pytest.mark.parametrize("arch", [RESNET, FPN])
def test_decoders_of_one_architecture_have_equal_shapes(arch: Smp) -> None:
    to = Build(organs=("a", "b"), size=None, built={})
    shapes = [
        {path: tensor.shape for path, tensor in net.build(to).decoder.state_dict().items()}
        for net in (arch, masks(arch))
    ]
    assert shapes[0] == shapes[1]


def test_schemas_are_declared_only_where_the_native_import_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared: list[int] = []
    monkeypatch.setattr(smp, "_declare_missing", lambda: declared.append(1))
    native = ModuleType("native")
    monkeypatch.setattr(smp, "_import", lambda: native)
    assert smp.smp_library() is native and not declared

    def raising(message: str) -> Callable[[], ModuleType]:
        def load() -> ModuleType:
            if declared:
                return native
            raise RuntimeError(message)

        return load

    monkeypatch.setattr(smp, "_import", raising("another failure"))
    with pytest.raises(RuntimeError, match="another failure"):
        smp.smp_library()
    assert not declared
    monkeypatch.setattr(smp, "_import", raising("operator torchvision::nms does not exist"))
    assert smp.smp_library() is native and declared == [1]


def test_a_missing_library_is_the_users_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(BadInput, match=r"pip install 'beyond-loss\[smp\]'"):
        smp.smp_library()


REAL = """
from benchmark.parts import smp
declared, real = [], smp._declare_missing
smp._declare_missing = lambda: (declared.append(1), real())
smp.smp_library()
from torchvision.extension import _has_ops
print(len(declared), _has_ops())
"""


@pytest.mark.long
def test_the_real_import_works_whatever_torchvision_is_installed() -> None:
    """On a matching install natively, beside a CPU build of torch through the guard."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", REAL], env=env, capture_output=True, text=True)
    assert done.stdout.strip() in ("0 True", "1 False"), done.stderr
