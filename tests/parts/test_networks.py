"""Networks: shapes, starts, norms, and decoders that change their encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmark.errors import BadInput
from benchmark.parts.networks import (
    Network,
    UNet,
    UNetDecoder,
    decoders_fit,
    norm_layers,
)
from benchmark.parts.similarity import Similarity
from benchmark.parts.smp import Smp, arch_named

MakeNet = Callable[..., Network]


def padded(x_BCHW: torch.Tensor, stride: int) -> torch.Tensor:
    height, width = x_BCHW.shape[2:]
    return F.pad(x_BCHW, (0, -width % stride, 0, -height % stride))


@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group"])
@pytest.mark.parametrize("height, width", [(1, 1), (17, 30), (32, 16), (33, 31)])
def test_shapes_for_any_size_after_padding(
    height: int, width: int, norm: str, make_net: MakeNet
) -> None:
    net = make_net(UNet(width=2, levels=4, norm=norm, reads="masks"), organs=3)
    x = padded(torch.rand(2, 6, height, width), net.stride)
    maps = net.encoder(x)
    assert net.stride == 8 and net.channels == (2, 4, 8, 16)
    assert [part.shape[1] for part in maps] == list(net.channels)
    assert [x.shape[2] // part.shape[2] for part in maps] == [1, 2, 4, 8]
    assert net(x).shape == (2, 4, *x.shape[2:])


def test_the_paper_network_has_its_known_size(make_net: MakeNet) -> None:
    """31,030,593 parameters with one output channel, as its re-implementations state."""
    with torch.device("meta"):
        net = make_net(UNet(), organs=1)
    assert sum(p.numel() for p in net.parameters()) == 31_030_593 + 65
    assert net.channels == (64, 128, 256, 512, 1024) and net.stride == 16


@pytest.mark.parametrize(
    "norm, kind, groups",
    [
        ("batch", nn.BatchNorm2d, None),
        ("instance", nn.GroupNorm, 24),
        ("group", nn.GroupNorm, 8),
    ],
)
def test_norm_kinds(norm: str, kind: type[nn.Module], groups: int | None) -> None:
    (layer,) = norm_layers(norm, 24)
    assert type(layer) is kind
    assert getattr(layer, "num_groups", None) == groups
    assert norm_layers("none", 24) == []


def test_instance_norm_is_instance_norm() -> None:
    x = torch.randn(2, 5, 7, 7)
    torch.testing.assert_close(norm_layers("instance", 5)[0](x), F.instance_norm(x))


@pytest.mark.parametrize("channels", [1, 3, 4, 10, 12, 64])
def test_group_norm_fits_any_width(channels: int) -> None:
    (layer,) = norm_layers("group", channels)
    assert layer(torch.randn(2, channels, 3, 3)).shape == (2, channels, 3, 3)


def test_he_initialisation(make_net: MakeNet) -> None:
    net = make_net(UNet(width=16, levels=3))
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 1000:
            fan_in = module.in_channels * 9
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1), name
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.bias is not None and not module.bias.any()


def test_dropout_is_on_the_bottom_after_the_tap(make_net: MakeNet) -> None:
    net = make_net(UNet(width=2, levels=3, dropout=0.5)).train()
    x = torch.rand(1, 1, 16, 16)
    assert [type(m) for m in net.encoder.modules() if isinstance(m, nn.Dropout)] == []
    assert torch.equal(net.encoder(x)[-1], net.encoder(x)[-1])
    assert (net.encoder(x)[-1] >= 0).all()  # after the second ReLU
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_without_skips_only_the_bottom_matters(make_net: MakeNet) -> None:
    for skips in (True, False):
        net = make_net(UNet(width=2, levels=3, skips=skips)).eval()
        maps = net.encoder(torch.rand(1, 1, 16, 16))
        other = [torch.rand_like(part) for part in maps[:-1]] + [maps[-1]]
        assert torch.equal(net.decoder(maps), net.decoder(other)) == (not skips)


def test_a_decoder_can_be_loaded_into_another_network(make_net: MakeNet) -> None:
    ct = make_net(UNet(width=2, levels=3), seed=1)
    gt = make_net(UNet(width=2, levels=3, reads="masks", skips=False), seed=2)
    assert isinstance(ct.decoder, UNetDecoder)
    ct.decoder.load_state_dict(gt.decoder.state_dict())
    maps = ct.encoder(torch.rand(1, 1, 16, 16))
    assert ct.decoder.eval()(maps).shape == (1, 4, 16, 16)
    assert any(path.startswith("decoder.head") for path in ct.state_dict())


UNETS = UNet(width=4)


@pytest.mark.parametrize(
    "one, other, fit",
    [
        (UNETS, replace(UNETS, reads="masks"), True),
        (UNETS, replace(UNETS, skips=False, dropout=0.0), True),
        (UNETS, replace(UNETS, width=8), False),
        (UNETS, replace(UNETS, levels=4), False),
        (UNETS, replace(UNETS, norm="batch"), False),
        (Smp(), Smp(reads="masks"), True),
        (Smp(), Smp(encoder="resnet34"), False),
        (Smp(), Smp(decoder="fpn"), False),
        (UNETS, Smp(), False),
        (Similarity(), Similarity(), False),
    ],
)
def test_which_decoders_fit(one: object, other: object, fit: bool) -> None:
    assert decoders_fit(one, other) is fit  # type: ignore[arg-type]
    assert decoders_fit(other, one) is fit  # type: ignore[arg-type]


@pytest.mark.parametrize("arch", [UNet(width=2, levels=3), UNet(width=4, levels=2, norm="batch")])
def test_decoders_that_fit_have_equal_shapes(arch: UNet, make_net: MakeNet) -> None:
    twin = replace(arch, reads="masks", skips=False)
    shapes = [
        {path: tensor.shape for path, tensor in make_net(a).decoder.state_dict().items()}
        for a in (arch, twin)
    ]
    assert decoders_fit(arch, twin) and shapes[0] == shapes[1]


def test_architectures_by_name() -> None:
    assert arch_named("unet", "masks") == UNet(reads="masks")
    named = arch_named("smp:fpn/timm-efficientnet-b0", "image")
    assert named == Smp(decoder="fpn", encoder="timm-efficientnet-b0")
    for name in ("resnet", "smp:unet", "smp:/resnet18", "smp:unet/", "unet/resnet18", ""):
        with pytest.raises(BadInput, match="smp:DECODER/ENCODER"):
            arch_named(name, "image")
