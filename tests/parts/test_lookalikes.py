"""What can go wrong with FSM (docs/methods.md section 4), and that the diagnostics see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from baselines.shapes import ShapeLoss, ShapeModelProbe
from baselines.transfer import weight_distance
from benchmark.data.feeding.patients import patients
from benchmark.parts.batch import Patient
from benchmark.parts.measures import BottomUse, Headroom, Replaced, TermShares, patient_dice
from benchmark.parts.networks import Network, UNet
from benchmark.parts.objectives import Joint, Matched, segmentation_terms
from benchmark.parts.probes import FsmState, GtGap, TermGradients, linear_cka
from benchmark.parts.similarity import NORMS, Similarity, dissimilarity
from benchmark.parts.views import CorruptShapes
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Build
from benchmark.testing import ORGANS, MemoryTrainer
from benchmark.training.precision import hardware

CT, GT = UNet(width=4, levels=3), UNet(reads="masks", width=4, levels=3)


def built(seed: int = 0) -> dict[str, nn.Module]:
    """N_CT, N_GT and FSM, untrained."""
    torch.manual_seed(seed)
    nets: dict[str, nn.Module] = {}
    for name, arch in (("ct", CT), ("gt", GT), ("fsm", Similarity())):
        nets[name] = cast(Any, arch).build(Build(organs=ORGANS, size=None, built=nets))
    for net in nets.values():
        net.eval().requires_grad_(False)
    return nets


def some_patients() -> list[Patient]:
    trainer = MemoryTrainer(Ground(batch=4), hardware("cpu", "fp32"), patients=3)
    device = torch.device("cpu")
    return list(patients(trainer.cases, trainer.ground, stride=4, device=device))


def self_copy(fsm: nn.Module) -> None:
    """The exact minimum that never looks at G: A = F, Ss = 1, R = A."""
    module: Any = cast(nn.ModuleList, fsm)[0]
    channels = module.adapt.weight.shape[0]
    for part in (module.adapt, module.spatial, module.merge):
        part.weight.zero_()
        part.bias.zero_()
    for channel in range(channels):
        module.adapt.weight[channel, channel, 1, 1] = 1
        module.merge.weight[channel, channels + channel, 1, 1] = 1
    module.spatial.bias.fill_(1)


@pytest.mark.parametrize("norm", NORMS)
def test_self_copy_is_zero_for_any_masks_with_finite_gradients(norm: str) -> None:
    nets, objective = built(), Matched(norm=norm)
    self_copy(nets["fsm"])
    f_maps = [
        x.requires_grad_() for x in cast(Network, nets["ct"]).encoder(torch.rand(2, 1, 24, 20))
    ]
    for scale in (0.0, 1.0, 50.0):
        g_maps = [scale * torch.rand(2, c, 1, 1).expand(2, c, 6, 5) for c in (4, 8, 16)]
        m = objective.distance(nets, f_maps, g_maps)
        (gradient,) = torch.autograd.grad(m, f_maps[-1])
        assert float(m.detach()) == 0 and bool(gradient.isfinite().all())


def test_self_copy_has_no_gt_gap_and_is_flagged() -> None:
    """M is low, and no evidence of transfer: the gap shows it."""
    nets = built()
    self_copy(nets["fsm"])
    module: Any = cast(nn.ModuleList, nets["fsm"])[0]
    module.merge.weight.mul_(0.9)  # a little off the minimum, or the gap is 0 / 0
    gap = GtGap(objective=Matched())
    for patient in some_patients():
        found = gap(nets, patient)
        assert found["m_matched"] < 0.06 and found["gt_gap"] == pytest.approx(0, abs=1e-3)
    assert gap.flags(found) and gap.flags(found)[0].startswith("no_gt_gap")


def test_a_distance_that_looks_at_the_masks_has_a_gap() -> None:
    """The guard of the test above: planted distances that see whose masks they are."""
    nets = built()

    class Sees(Matched):
        def distance(
            self, nets: Mapping[str, nn.Module], f: list[Tensor], g: list[Tensor]
        ) -> Tensor:
            own = cast(Network, nets["gt"]).encoder(self_masks[0])[-1]
            return (g[-1] - own).square().mean() + 1.0

    for patient in some_patients():
        whole = replace(patient, batches=patient.batches[:1])
        self_masks = [whole.batches[0].masks_B2KHW]
        found = GtGap(objective=Sees())(nets, whole)
        assert found["m_matched"] == pytest.approx(1) and found["gt_gap"] > 0


def test_scale_collapse_lowers_raw_and_rms_and_not_relative() -> None:
    r, t = torch.rand(2, 8, 6, 6), torch.rand(2, 8, 6, 6)
    for norm in ("raw", "rms"):
        shrunk = dissimilarity(1e-3 * r, 1e-3 * t, norm)
        assert float(shrunk) == pytest.approx(1e-3 * float(dissimilarity(r, t, norm)), rel=1e-3)
    relative = dissimilarity(1e-3 * r, 1e-3 * t, "relative")
    assert float(relative) == pytest.approx(float(dissimilarity(r, t, "relative")), rel=1e-2)


def test_a_dead_fsm_is_flagged_and_pulls_at_nothing() -> None:
    nets, state = built(), FsmState()
    (patient, *_) = some_patients()
    alive = state(nets, patient)
    assert alive["dead_r"] < 0.5 and state.flags(alive) == ()
    module: Any = cast(nn.ModuleList, nets["fsm"])[0]
    module.merge.bias.fill_(-1e3)
    dead = state(nets, patient)
    assert dead["dead_r"] == 1 and state.flags(dead)[0].startswith("fsm_dead")
    assert GtGap(objective=Matched())(nets, patient)["m_matched"] == pytest.approx(1, abs=1e-4)
    pull = TermGradients(objective=Matched())
    found = pull(nets, patient)
    assert found["m_gradient_ratio"] < 1e-3
    assert any(flag.startswith("term_negligible: m") for flag in pull.flags(found))


def test_an_r_that_is_alive_and_out_of_scale_is_flagged_as_saturated() -> None:
    nets, state = built(), FsmState()
    (patient, *_) = some_patients()
    assert state(nets, patient)["m_relative"] < 0.99
    module: Any = cast(nn.ModuleList, nets["fsm"])[0]
    module.merge.weight.mul_(1e5)
    found = state(nets, patient)
    assert found["dead_r"] < 0.5 and 0.99 < found["m_relative"] <= 1
    assert state.flags(found)[0].startswith("fsm_saturated")


def test_gradients_of_terms_that_do_not_touch_the_student_are_left_out() -> None:
    nets, (patient, *_) = built(), some_patients()
    found = TermGradients(objective=Joint(matched=Matched()))(nets, patient)
    assert set(found) == {"m_gradient_ratio", "m_gradient_cosine"}
    assert found["m_gradient_ratio"] > 0 and -1 <= found["m_gradient_cosine"] <= 1


def test_the_pull_of_a_built_in_term_is_that_of_its_gradient_to_the_bit() -> None:
    """Its own segmentation terms are L, whatever an objective of somebody's own is given."""
    nets, (patient, *_) = built(), some_patients()
    whole = replace(patient, batches=patient.batches[:1])
    (batch,), student = whole.batches, cast(Network, nets["ct"])
    maps = student.encoder(batch.image_B1HW)
    leaf = maps[-1].requires_grad_()
    g_maps = cast(Network, nets["gt"]).encoder(batch.masks_B2KHW)
    m = 0.3 * Matched().distance(nets, maps, g_maps)
    loss = torch.stack([*segmentation_terms(student.decoder(maps), batch).values()]).sum()
    of_loss, of_m = (torch.autograd.grad(term, leaf)[0].flatten() for term in (loss, m))
    with torch.no_grad():
        found = TermGradients(objective=Matched())(nets, whole)
    assert found == {
        "m_gradient_ratio": float(of_m.norm()) / float(of_loss.norm()),
        "m_gradient_cosine": float(nn.functional.cosine_similarity(of_m, of_loss, dim=0)),
    }


class Own:
    """An objective with names of its own: L under another name, and a hundredth of it."""

    kind = "own"

    def __init__(self, twice: bool = False) -> None:
        self.twice = twice

    def __call__(self, nets: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
        if self.twice:  # N_CT sees every slice two times
            both = {n: torch.cat([x, x]) for n, x in vars(batch).items() if isinstance(x, Tensor)}
            batch = replace(batch, **both)
        terms = segmentation_terms(nets["ct"](batch.image_B1HW), batch)
        tversky = torch.stack([*terms.values()]).sum()
        return {"tversky": tversky, "edge": 0.001 * tversky}


@pytest.mark.parametrize("at", ["F", "output"])
def test_terms_of_somebodys_own_are_measured_against_the_loss_of_all_rows(at: str) -> None:
    nets, (patient, *_) = built(), some_patients()
    pull = TermGradients(objective=Own(), at=at)
    with torch.no_grad():
        found = pull(nets, patient)
    assert found == pytest.approx({
        "tversky_gradient_ratio": 1, "tversky_gradient_cosine": 1,
        "edge_gradient_ratio": 0.001, "edge_gradient_cosine": 1,
    }, rel=1e-3)  # fmt: skip
    assert pull.flags(found) == ("term_negligible: edge pulls with 0.1 % of the loss's gradient",)


def test_an_objective_that_shows_the_student_other_slices_has_no_cosine() -> None:
    nets, (patient, *_) = built(), some_patients()
    found = TermGradients(objective=Own(twice=True))(nets, patient)
    assert set(found) == {"tversky_gradient_ratio", "edge_gradient_ratio"}


@pytest.mark.parametrize(
    ("measure", "means"),
    [
        (GtGap(objective=Matched()), {"gt_gap": -0.01}),
        (TermGradients(objective=Matched()), {"m_gradient_ratio": -0.0}),
        (BottomUse(name="student", net="ct"), {"student_loses_shuffled": -0.01}),
        (Headroom(objective=Replaced()), {"headroom": -0.04}),
        (ShapeModelProbe(view=CorruptShapes()), {"restored_percent": -0.1}),
        (TermShares(objective=ShapeLoss(), terms=("code",)), {"code_share": -1e-9}),
    ],
)
def test_no_flag_says_minus_zero(measure: Any, means: dict[str, float]) -> None:
    (flag,) = measure.flags(means)
    assert re.search(r" 0(\.0)? ", flag) and "-0" not in flag


def test_the_figure_of_a_dead_fsm_is_the_first_number_of_its_flag() -> None:
    (flag,) = FsmState().flags({"dead_r": 0.6})
    assert re.findall(r"\d+", flag) == ["60"]


def test_dead_spatial_and_channel_statistics_are_seen() -> None:
    nets, (patient, *_) = built(), some_patients()
    module: Any = cast(nn.ModuleList, nets["fsm"])[0]
    module.spatial.bias.fill_(-1e3)
    module.channel[0].bias[:8].fill_(-1e3)
    found = FsmState()(nets, patient)
    assert found["dead_spatial"] == 1 and found["dead_channel"] >= 0.5


def test_permuted_channels_are_one_function_and_far_away_in_weights() -> None:
    """Without a shared start, the distance of two networks' weights means nothing."""
    torch.manual_seed(0)
    build = Build(organs=ORGANS, size=None, built={})
    one, other = CT.build(build), CT.build(build)
    other.load_state_dict(one.state_dict())
    assert float(weight_distance(one, other)) == 0
    order = torch.tensor([2, 0, 3, 1])
    first, second = cast(nn.Sequential, cast(Any, other.encoder).blocks[0])[0::2][:2]
    with torch.no_grad():
        first.weight.copy_(first.weight[order])
        first.bias.copy_(first.bias[order])
        second.weight.copy_(second.weight[:, order])
    x = torch.rand(1, 1, 16, 16)
    assert torch.allclose(one.eval()(x), other.eval()(x), atol=1e-5)
    assert float(weight_distance(one, other, "encoder")) > 0.1


def test_weight_distance_leaves_out_first_convolution_and_head() -> None:
    torch.manual_seed(0)
    build = Build(organs=ORGANS, size=None, built={})
    ct, gt = CT.build(build), GT.build(build)
    own = ct.state_dict()
    for path, tensor in gt.state_dict().items():
        if own[path].shape == tensor.shape and not path.startswith("decoder.head"):
            own[path].copy_(tensor)
    assert float(weight_distance(ct, gt)) == 0, "they differ in first convolution and head alone"
    with torch.no_grad():
        cast(Any, ct.decoder).ups[0].weight.mul_(2)
    assert float(weight_distance(ct, gt, "encoder")) == 0
    assert float(weight_distance(ct, gt, "decoder")) > 0


def test_a_bottom_that_is_not_used_is_flagged_and_one_that_is_used_is_not() -> None:
    nets, (patient, *_) = built(), some_patients()
    ct: Any = nets["ct"]
    for up in ct.decoder.ups[-1:]:
        up.weight.zero_()  # nothing of the bottom gets through
    student = BottomUse(name="student", net="ct")
    found = student(nets, patient)
    assert found["student_loses_zero"] == found["student_loses_shuffled"] == 0
    assert student.flags(found)[0].startswith("student_bottom_unused")
    assert student.flags({"student_loses_shuffled": 5.0}) == ()


def test_cka_is_one_for_a_rotation_and_low_for_noise() -> None:
    torch.manual_seed(0)
    f = torch.rand(20, 6, 4, 4)
    rotation, _ = torch.linalg.qr(torch.rand(6, 6))
    assert linear_cka(f, torch.einsum("nchw,cd->ndhw", f, rotation)) == pytest.approx(1, abs=1e-4)
    assert linear_cka(f, 3 * f) == pytest.approx(1, abs=1e-4)
    assert linear_cka(f, torch.rand(20, 6, 4, 4)) < 0.2
    assert linear_cka(f, torch.ones_like(f)) == 0


def test_patient_dice_is_its_formula_whatever_the_layout_and_counts_no_padding() -> None:
    generator = torch.Generator().manual_seed(0)
    (patient, *_) = some_patients()
    valid = [torch.rand(b.label_BHW.shape, generator=generator) < 0.8 for b in patient.batches]
    batches = [replace(b, valid_BHW=v) for b, v in zip(patient.batches, valid, strict=True)]
    logits = [torch.randn(len(v), 4, *v.shape[1:], generator=generator) for v in valid]
    there = torch.cat(valid)
    guess, truth = (
        torch.cat(parts)
        for parts in ([x.argmax(1) for x in logits], [b.label_BHW for b in batches])
    )
    of_organs = []
    for organ in (1, 2, 3):
        one, other = (guess == organ) & there, (truth == organ) & there
        if other.any():
            of_organs.append(200 * int((one & other).sum()) / int(one.sum() + other.sum()))
    assert len(of_organs) > 1
    laid_out = [x.contiguous(memory_format=torch.channels_last) for x in logits]
    for given in (logits, laid_out):
        assert patient_dice(given, batches) == pytest.approx(sum(of_organs) / len(of_organs))


def test_patient_dice_counts_what_is_annotated_and_there() -> None:
    (patient, *_) = some_patients()
    truth = [torch.nn.functional.one_hot(b.label_BHW, 4).movedim(-1, 1).float()
             for b in patient.batches]  # fmt: skip
    assert patient_dice(truth, patient.batches) == 100
    blank = [torch.zeros_like(x) for x in truth]
    assert patient_dice(blank, patient.batches) == 0
