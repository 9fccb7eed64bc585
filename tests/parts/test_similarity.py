"""FSM against a computation in plain numpy, and what docs/methods.md section 4 says of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import BadInput
from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Matched
from benchmark.parts.similarity import NORMS, Similarity, TapModule, dissimilarity, on_grid
from benchmark.plan.nodes import Build

Array = NDArray[np.float64]


def conv3x3(x_CHW: Array, conv: nn.Conv2d) -> Array:
    weight = conv.weight.detach().double().numpy()
    assert conv.bias is not None
    height, width = x_CHW.shape[1:]
    padded = np.pad(x_CHW, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), height, width))
    for c in range(len(weight)):
        for y in range(height):
            for x in range(width):
                out[c, y, x] = (padded[:, y : y + 3, x : x + 3] * weight[c]).sum()
    return out + conv.bias.detach().double().numpy()[:, None, None]


def nearest(f_CHW: Array, height: int, width: int) -> Array:
    rows = [y * f_CHW.shape[1] // height for y in range(height)]
    columns = [x * f_CHW.shape[2] // width for x in range(width)]
    return f_CHW[:, rows][:, :, columns]


def expected_r(module: TapModule, f_CHW: Array, g_CHW: Array, stats: str) -> Array:
    def relu(x: Array) -> Array:
        return np.maximum(x, 0)

    a = relu(conv3x3(nearest(f_CHW, *g_CHW.shape[1:]), module.adapt))
    mapped = g_CHW
    if stats == "conv_gap":
        conv = next(part for part in module.channel.modules() if isinstance(part, nn.Conv2d))
        mapped = relu(conv3x3(g_CHW, conv))
    sc = mapped.mean(axis=(1, 2))
    ss = relu(conv3x3(g_CHW, module.spatial))[0]
    both = np.concatenate([sc[:, None, None] * a, ss[None] * a])
    return relu(conv3x3(both, module.merge))


def expected_m(r_BN: list[Array], t_BN: list[Array], norm: str) -> float:
    values = []
    for r, t in zip(r_BN, t_BN, strict=True):
        distance = np.sqrt(((r - t) ** 2).sum())
        rms = np.sqrt(((r - t) ** 2).mean())
        size = np.sqrt((r**2).sum()) + np.sqrt((t**2).sum())
        values.append(
            {"raw": distance, "rms": rms, "exp": 1 - np.exp(-rms),
             "relative": distance / (size + 1e-6)}[norm]
        )  # fmt: skip
    return float(np.mean(values))


@pytest.mark.parametrize("stats", ["conv_gap", "gap_only"])
@pytest.mark.parametrize("f_shape, g_shape", [((5, 4, 6), (3, 4, 6)), ((3, 3, 2), (4, 6, 5)),
                                              ((4, 8, 8), (4, 4, 3))])  # fmt: skip
def test_r_and_m_are_the_formula(
    f_shape: tuple[int, ...], g_shape: tuple[int, ...], stats: str
) -> None:
    torch.manual_seed(3)
    module = TapModule(f_shape[0], g_shape[0], stats)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    f_BCHW, g_BCHW = torch.rand(2, *f_shape), torch.randn(2, *g_shape)
    r_BCHW = module(f_BCHW, g_BCHW)
    f_all, g_all = f_BCHW.double().numpy(), g_BCHW.double().numpy()
    expected = [expected_r(module, f, g, stats) for f, g in zip(f_all, g_all, strict=True)]
    assert max(part.max() for part in expected) > 0.1
    np.testing.assert_allclose(r_BCHW.detach().numpy(), np.stack(expected), atol=1e-5)
    target = [nearest(f, *g_shape[1:]) for f in f_all]
    for norm in NORMS:
        m = dissimilarity(r_BCHW, on_grid(f_BCHW, g_BCHW), norm)
        assert m.shape == ()
        assert m.item() == pytest.approx(expected_m(expected, target, norm), rel=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_the_gradient_of_m_is_that_of_the_formula(norm: str) -> None:
    """By central differences of the formula in plain numpy, for every element of R and T."""
    generator = torch.Generator().manual_seed(4)
    leaves = [torch.rand(2, 2, 2, 3, generator=generator).requires_grad_() for _ in "rt"]
    dissimilarity(leaves[0], leaves[1], norm).backward()
    values = [leaf.detach().double().numpy() for leaf in leaves]
    for leaf, value in zip(leaves, values, strict=True):
        expected = np.zeros(value.shape)
        for place in np.ndindex(value.shape):
            kept, step = value[place], 1e-6
            ends = []
            for moved in (kept + step, kept - step):
                value[place] = moved
                ends.append(expected_m(list(values[0]), list(values[1]), norm))
            value[place] = kept
            expected[place] = (ends[0] - ends[1]) / (2 * step)
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(leaf.grad, expected, rtol=1e-3, atol=1e-6)


def self_copy(f_channels: int, g_channels: int, stats: str) -> TapModule:
    """The weights of docs/methods.md section 4: R = F, whatever G is."""
    module = TapModule(f_channels, g_channels, stats)
    for part in (module.adapt, module.spatial, module.merge):
        nn.init.zeros_(part.weight)
        assert part.bias is not None
        nn.init.zeros_(part.bias)
    assert module.spatial.bias is not None
    nn.init.ones_(module.spatial.bias)
    with torch.no_grad():
        for c in range(f_channels):
            module.adapt.weight[c, c, 1, 1] = 1
            module.merge.weight[c, g_channels + c, 1, 1] = 1
    return module


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("stats", ["conv_gap", "gap_only"])
@pytest.mark.parametrize("norm", NORMS)
def test_self_copy_gives_zero_for_any_ground_truth(norm: str, stats: str, bf16: bool) -> None:
    torch.manual_seed(0)
    module = self_copy(3, 5, stats)
    for g_BCHW in (torch.randn(2, 5, 6, 4), torch.zeros(2, 5, 6, 4), 1e3 * torch.rand(2, 5, 7, 9)):
        f_BCHW = torch.rand(2, 3, 3, 4).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            m = dissimilarity(module(f_BCHW, g_BCHW), on_grid(f_BCHW, g_BCHW), norm)
        assert m.item() == 0
        m.backward()
        for leaf in (f_BCHW, *module.parameters()):
            assert leaf.grad is not None and leaf.grad.isfinite().all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31), st.sampled_from([0.0, 1e-20, 1e-3, 1.0, 1e4]), st.sampled_from([0, 1.0])
)
def test_relative_and_exp_lie_between_zero_and_one(seed: int, scale: float, other: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    r, t = torch.randn(2, 2, 3, 4, 4, generator=generator)
    for norm in ("relative", "exp"):
        assert 0 <= dissimilarity(scale * r, other * t, norm).item() <= 1 + 1e-6


def test_a_dead_r_has_the_greatest_relative_distance() -> None:
    t = torch.rand(2, 3, 4, 4)
    assert dissimilarity(torch.zeros_like(t), t, "relative").item() == pytest.approx(1, abs=1e-5)


def test_relative_gains_nothing_by_shrinking_and_raw_does() -> None:
    r, t = torch.rand(2, 2, 3, 4, 4)
    for norm, factor in (("relative", 1.0), ("raw", 0.01), ("rms", 0.01)):
        shrunk = dissimilarity(0.01 * r, 0.01 * t, norm) / dissimilarity(r, t, norm)
        assert shrunk.item() == pytest.approx(factor, rel=1e-3)


def test_r_is_computed_in_fp32_under_bf16() -> None:
    """bf16 would leave a floor near 0.004 under M, the size of the effect looked for."""
    torch.manual_seed(1)
    module = TapModule(16, 16, "conv_gap")
    f_BCHW, g_BCHW = torch.rand(2, 16, 8, 8).bfloat16(), torch.rand(2, 16, 8, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        r_BCHW = module(f_BCHW, g_BCHW)
    assert r_BCHW.dtype == torch.float32
    assert torch.equal(r_BCHW, module(f_BCHW.float(), g_BCHW.float()))


def gradients(
    batch: Batch, nets: dict[str, nn.Module], objective: Matched
) -> dict[str, list[Tensor]]:
    for net in nets.values():
        net.zero_grad()
    objective(nets, batch)["m"].backward()
    found = {name: [p.grad for p in net.parameters()] for name, net in nets.items()}
    return {
        name: [torch.zeros(1) if grad is None else grad.clone() for grad in grads]
        for name, grads in found.items()
    }


def total(tensors: list[Tensor]) -> float:
    return sum(tensor.abs().sum().item() for tensor in tensors)


@pytest.mark.parametrize("norm", NORMS)
def test_gradient_options_reach_what_they_should(
    norm: str, make_batch: Callable[..., Batch], make_net: Callable[..., nn.Module]
) -> None:
    label = np.random.default_rng(0).integers(0, 4, (2, 16, 16))
    batch = make_batch(label, [[1, 1, 1]] * 2)
    ct = make_net(UNet(width=2, levels=3), seed=1).eval()
    gt = make_net(UNet(width=2, levels=3, reads="masks"), seed=2).eval()
    fsm = make_net(Similarity(), seed=3, ct=ct, gt=gt)
    for part in (ct, gt, fsm):  # none of the few channels may be dead
        for name, parameter in part.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(parameter, 0.1)
    nets = {"ct": ct, "gt": gt, "fsm": fsm}
    of = {g: gradients(batch, nets, Matched(norm=norm, gradient=g))
          for g in ("both", "no_target", "no_input")}  # fmt: skip
    for option in of:
        assert total(of[option]["fsm"]) > 0
        assert total(of[option]["gt"]) > 0  # reaches a teacher that is not frozen
        assert total(of[option]["ct"]) > 0
    for whole, by_r, by_t in zip(*(of[g]["ct"] for g in of), strict=True):
        torch.testing.assert_close(whole, by_r + by_t, rtol=1e-3, atol=1e-6)
    assert total([a - b for a, b in zip(of["no_target"]["ct"], of["no_input"]["ct"], strict=True)])
    decoder = [p.grad for p in ct.get_submodule("decoder").parameters()]
    assert all(grad is None for grad in decoder)  # M is about the encoder alone
    torch.testing.assert_close(of["both"]["fsm"], of["no_target"]["fsm"])
    for parameter in gt.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    gradients(batch, nets, Matched(norm=norm))
    assert all(parameter.grad is None for parameter in gt.parameters())


def test_no_target_holds_exactly_t(
    make_batch: Callable[..., Batch], make_net: Callable[..., nn.Module]
) -> None:
    """With an FSM that ignores F (weights 0, R constant), only T can carry a gradient to F."""
    batch = make_batch(np.zeros((1, 16, 16)), [[1, 1, 1]])
    ct = make_net(UNet(width=2, levels=3), seed=1).eval()
    gt = make_net(UNet(width=2, levels=3, reads="masks"), seed=2).eval()
    fsm = make_net(Similarity(), seed=3, ct=ct, gt=gt)
    for parameter in fsm.parameters():
        nn.init.zeros_(parameter)
    nets = {"ct": ct, "gt": gt, "fsm": fsm}
    of = {g: total(gradients(batch, nets, Matched(norm="rms", gradient=g))["ct"])
          for g in ("both", "no_target", "no_input")}  # fmt: skip
    assert of["no_target"] == 0 and of["no_input"] == of["both"] > 0


def test_taps_at_other_levels_and_their_mean(
    make_batch: Callable[..., Batch], make_net: Callable[..., nn.Module]
) -> None:
    batch = make_batch(np.random.default_rng(0).integers(0, 4, (2, 16, 16)), [[1, 1, 1]] * 2)
    ct = make_net(UNet(width=2, levels=3), seed=1).eval()
    gt = make_net(UNet(width=3, levels=4, reads="masks"), seed=2).eval()
    taps = ((-1, -1), (0, 2), (2, -4))
    fsm = make_net(Similarity(taps=taps), seed=3, ct=ct, gt=gt)
    assert isinstance(fsm, nn.ModuleList)
    shapes = [(m.adapt.in_channels, m.adapt.out_channels, m.merge.out_channels) for m in fsm]
    assert shapes == [(8, 24, 8), (2, 12, 2), (8, 3, 8)]
    nets: dict[str, nn.Module] = {"ct": ct, "gt": gt, "fsm": fsm}
    terms = Matched(xi=0.5, taps=taps)(nets, batch)
    single = [
        Matched(xi=1.0, taps=(tap,))({**nets, "fsm": nn.ModuleList([fsm[place]])}, batch)["m"]
        for place, tap in enumerate(taps)
    ]
    assert terms["m"].item() == pytest.approx(0.5 * sum(m.item() for m in single) / 3, rel=1e-6)
    assert list(terms) == ["dsc", "m"]


@pytest.mark.parametrize("tap, words", [((3, 0), "'ct'"), ((0, -5), "'gt'"), ((-4, 0), "'ct'")])
def test_a_level_that_is_not_there_is_refused(
    tap: tuple[int, int], words: str, make_net: Callable[..., nn.Module]
) -> None:
    ct = make_net(UNet(width=2, levels=3))
    gt = make_net(UNet(width=2, levels=4, reads="masks"))
    with pytest.raises(BadInput, match=words):
        to = Build(organs=("a",), size=None, built={"ct": ct, "gt": gt})
        Similarity(taps=(tap,)).build(to)


def test_fsm_starts_from_he_weights_and_zero_bias(make_net: Callable[..., nn.Module]) -> None:
    ct = make_net(UNet(width=8, levels=4))
    gt = make_net(UNet(width=8, levels=4, reads="masks"))
    for conv in make_net(Similarity(), ct=ct, gt=gt).modules():
        if isinstance(conv, nn.Conv2d):
            assert conv.bias is not None and not conv.bias.any()
            expected = (2 / (9 * conv.in_channels)) ** 0.5
            assert conv.weight.std().item() == pytest.approx(expected, rel=0.1)
