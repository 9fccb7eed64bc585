"""Rows beyond FSM, by parts: distances, shape models, their losses and views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Generator, nn

from baselines.guided import Bridge, Guided
from baselines.shape_codes import Coded, MaskCoder, Stack
from baselines.shapes import Restore, ShapeLoss, ShapeModelProbe, true_foreground
from benchmark.errors import BadInput
from benchmark.parts.batch import Batch, Patient
from benchmark.parts.measures import TermShares
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Joint, Matched
from benchmark.parts.similarity import Similarity
from benchmark.parts.views import CORRUPTED, EARLY, CorruptShapes, DropOrgans, MaskNoise
from benchmark.plan.nodes import Build

Make = Callable[..., nn.Module]
SMALL = UNet(width=4, levels=3)
MASKS = UNet(reads="masks", width=4, levels=3, skips=False)


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    label = torch.zeros(2, 16, 16)
    label[:, 4:12, 3:9], label[:, 6:10, 11:14] = 1, 2
    return make_batch(label, [[1, 1, 1], [1, 0, 1]])


def test_distances_are_their_formulas() -> None:
    torch.manual_seed(0)
    f, g = torch.rand(2, 4, 5, 3), torch.rand(2, 4, 5, 3)
    identity = {"bridge": nn.ModuleList([nn.Identity()])}

    def distance(how: str) -> float:
        return float(Guided(how=how, weight=1).distance(identity, [f], [g]))

    assert distance("mse") == pytest.approx(float(((f - g) ** 2).mean()))

    def normed(x: torch.Tensor) -> torch.Tensor:
        axes = (1, 2, 3)
        return (x - x.mean(axes, keepdim=True)) / (x.var(axes, False, keepdim=True) + 1e-5).sqrt()

    expected = float(((normed(f) - normed(g)) ** 2).mean())
    assert distance("layernorm") == pytest.approx(expected, rel=1e-5)
    assert distance("labelenc") == pytest.approx(expected, rel=1e-5), "GN1 of an identity bridge"
    maps = [x.pow(2).mean(1).flatten(1) for x in (f, g)]
    maps = [x / x.norm(dim=1, keepdim=True) for x in maps]
    assert distance("attention") == pytest.approx(float(((maps[0] - maps[1]) ** 2).mean()))


def test_vid_is_a_gaussian_likelihood_and_starts_at_its_variance(make_net: Make) -> None:
    ct, gt = make_net(SMALL), make_net(MASKS)
    bridges = make_net(Bridge(how="vid"), ct=ct, gt=gt)
    bridge: Any = cast(nn.ModuleList, bridges)[0]
    assert torch.allclose(nn.functional.softplus(bridge.spread) + 1e-5, torch.tensor(5.0))
    f, g = torch.rand(2, 16, 4, 4), torch.rand(2, 16, 4, 4)
    with torch.no_grad():
        found = float(Guided(how="vid", weight=1).distance({"bridge": bridges}, [f], [g]))
    normal = torch.distributions.Normal(bridge(f), 5.0**0.5)
    expected = -normal.log_prob(g).mean() - 0.5 * torch.log(torch.tensor(2 * torch.pi))
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_channels_that_differ_are_refused_where_they_are_compared(make_net: Make) -> None:
    ct, gt = make_net(SMALL), make_net(UNet(reads="masks", width=8, levels=3))
    with pytest.raises(BadInput, match="one architecture"):
        Bridge(how="same").build(Build(organs=("a",), size=None, built={"ct": ct, "gt": gt}))
    for how in ("none", "labelenc", "vid"):
        Bridge(how=how).build(Build(organs=("a",), size=None, built={"ct": ct, "gt": gt}))


def test_corrupted_masks_differ_and_the_target_stays(batch: Batch) -> None:
    view = CorruptShapes(discs=4, radius=0.3, early=0.5)
    found = [view(batch, Generator().manual_seed(seed)) for seed in range(20)]
    assert all(torch.equal(each.label_BHW, batch.label_BHW) for each in found)
    clean = batch.masks_B2KHW[:, :3]
    changed = [float((each.entries[CORRUPTED][:, :3] - clean).abs().mean()) for each in found]
    assert min(changed) > 0 and max(changed) < 0.5
    assert all(not each.entries[CORRUPTED][1, 1].any() for each in found), "organ 1 is unknown"
    early = torch.cat([each.entries[EARLY] for each in found]).float()
    assert 0.2 < float(early.mean()) < 0.8
    assert torch.equal(view(batch, Generator().manual_seed(3)).entries[CORRUPTED],
                       found[3].entries[CORRUPTED])  # fmt: skip


def test_a_shape_model_restores_early_predictions_where_the_view_says_so(
    batch: Batch, make_net: Make
) -> None:
    nets = {"shape": make_net(MASKS), "early": make_net(SMALL, seed=1)}
    seen: list[torch.Tensor] = []
    cast(nn.Module, nets["shape"].encoder).register_forward_pre_hook(
        lambda module, given: seen.append(given[0])
    )
    viewed = batch.with_entry(CORRUPTED, batch.masks_B2KHW)
    Restore()(nets, viewed.with_entry(EARLY, torch.tensor([True, False])))
    (given,) = seen
    assert torch.equal(given[1], batch.masks_B2KHW[1])
    assert not torch.equal(given[0], batch.masks_B2KHW[0])
    assert float(given[0].min()) >= 0 and float(given[0].max()) <= 1


def test_shape_loss_is_its_formula_and_its_terms_reach_n_ct_alone(
    batch: Batch, make_net: Make
) -> None:
    nets = {"ct": make_net(SMALL).eval(), "shape": make_net(MASKS).eval().requires_grad_(False)}
    terms = ShapeLoss(l1=2.0, l2=3.0)(nets, batch)
    assert set(terms) == {"recon", "code", "seg"}
    half = ShapeLoss(l1=1.0, l2=1.5)(nets, batch)
    assert float(terms["code"]) == pytest.approx(2 * float(half["code"]))
    assert float(terms["seg"]) == pytest.approx(2 * float(half["seg"]))
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    assert all(p.grad is not None for p in nets["ct"].parameters())
    assert all(p.grad is None for p in nets["shape"].parameters())
    assert set(ShapeLoss(seg="dice")(nets, batch)) == {"recon", "code", "dsc"}


def test_a_perfect_prediction_has_no_seg_and_no_code_term(batch: Batch, make_net: Make) -> None:
    class Perfect(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            onehot = nn.functional.one_hot(batch.label_BHW, 4).movedim(-1, 1).float()
            return 100 * onehot

    nets = {"ct": Perfect(), "shape": make_net(MASKS).eval()}
    terms = ShapeLoss()(nets, batch)
    assert float(terms["seg"]) < 1e-6 and float(terms["code"]) < 1e-6 < float(terms["recon"])
    assert (
        float(Coded()({"ct": Perfect(), "shape": make_net(SMALL_CODER).eval()}, batch)["code"])
        < 1e-8
    )


SMALL_CODER = MaskCoder(width=4, levels=3, code=8)


def test_a_code_has_one_length_on_every_grid(make_net: Make) -> None:
    coder: Any = make_net(SMALL_CODER).eval()
    for size in (16, 32, 40):
        features = coder.encoder(torch.rand(2, 6, size, size))
        assert features[-1].shape == (2, 8, 1, 1)
        assert coder.decoder(features).shape == (2, 4, size, size)
    other = [torch.rand_like(x) for x in features[:-1]] + [features[-1]]
    assert torch.equal(coder.decoder(features), coder.decoder(other)), "only the code gets through"


def test_a_stack_is_one_network_after_the_other(make_net: Make) -> None:
    both: Any = make_net(Stack(first=SMALL, second=MASKS)).eval()
    x = torch.rand(2, 1, 16, 16)
    probs = torch.softmax(both.first(x), dim=1)[:, 1:]
    expected = both.second(torch.cat([probs, torch.ones_like(probs)], dim=1))
    assert torch.allclose(both(x), expected, atol=1e-6) and both.stride == 4


def patient(batch: Batch) -> Patient:
    return Patient(name="p", partner="", batches=(batch,))


def test_a_shape_model_that_is_the_identity_is_flagged(batch: Batch) -> None:
    class Identity(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            masks = x[:, :3]
            return 100 * torch.cat([1 - masks.amax(1, keepdim=True), masks], dim=1)

    class Restores(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            truth = true_foreground(batch)
            return 100 * torch.cat([1 - truth.amax(1, keepdim=True), truth], dim=1)

    probe = ShapeModelProbe(view=CorruptShapes(discs=5, radius=0.3))
    same = probe({"shape": Identity()}, patient(batch))
    assert same["restored_percent"] == pytest.approx(0, abs=1e-3)
    assert probe.flags({"restored_percent": 0.0})[0].startswith("shape_model_is_identity")
    good = probe({"shape": Restores()}, patient(batch))
    assert good["restored_percent"] == pytest.approx(100, abs=1e-3) and probe.flags(good) == ()


def test_a_term_that_weighs_nothing_is_flagged(batch: Batch, make_net: Make) -> None:
    nets = {"ct": make_net(SMALL).eval(), "shape": make_net(MASKS).eval()}
    shares = TermShares(objective=ShapeLoss(l1=1e-6), terms=("recon", "code"))
    found = shares(nets, patient(batch))
    assert found["code_share"] < 0.05
    assert any("code" in flag for flag in shares.flags(found))


def test_joint_training_counts_hidden_organs_for_n_gt_alone(batch: Batch, make_net: Make) -> None:
    nets = {"ct": make_net(SMALL), "gt": make_net(UNet(reads="masks", width=4, levels=3))}
    nets["fsm"] = make_net(Similarity(), **nets)
    viewed = DropOrgans(p=0.5, teacher_only=True)(batch, Generator().manual_seed(2))
    viewed = MaskNoise(p=0.0)(viewed, Generator().manual_seed(1))
    assert torch.equal(viewed.annotated_BK, batch.annotated_BK)
    assert viewed.masks_B2KHW[:, 3:, 0, 0].sum() < batch.annotated_BK.sum()
    for net in nets.values():
        net.eval()
    terms, whole = (Joint(matched=Matched())(nets, each) for each in (viewed, batch))
    assert set(terms) == {"dsc", "dsc_gt", "m"}
    assert torch.equal(terms["dsc"], whole["dsc"])
    assert not torch.equal(terms["dsc_gt"], whole["dsc_gt"])


@pytest.mark.parametrize("detach", [False, True])
def test_detach_keeps_m_from_n_gt(batch: Batch, make_net: Make, detach: bool) -> None:
    nets = {"ct": make_net(SMALL), "gt": make_net(UNet(reads="masks", width=4, levels=3))}
    nets["fsm"] = make_net(Similarity(), **nets)
    terms = Joint(matched=Matched(), detach=detach)(nets, batch)
    torch.autograd.backward(terms["m"])
    reached = any(p.grad is not None and p.grad.any() for p in nets["gt"].parameters())
    assert reached is not detach
    assert any(p.grad is not None and p.grad.any() for p in nets["ct"].parameters())
