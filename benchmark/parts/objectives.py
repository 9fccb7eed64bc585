"""Objectives: what a training minimises, as named terms that the trainer sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.parts.batch import Batch
from benchmark.parts.networks import Network
from benchmark.parts.similarity import GRADIENTS, NORMS, Taps, dissimilarity, on_grid
from benchmark.parts.views import as_the_teacher_sees
from benchmark.plan.nodes import check_choice, check_range, later

Maps = list[Tensor]  # an encoder's feature maps, finest first
DSC, CE = "dsc", "ce"  # the terms of the loss that all rows share
SEG = "seg"  # what a row has in their place
LOSS_TERMS = (DSC, CE, SEG)


class Guide(Protocol):
    """An objective that compares the features of N_CT with those of a frozen teacher."""

    term: ClassVar[str]

    @property
    def reads(self) -> str:
        """What the teacher reads."""
        ...

    def distance(self, nets: Mapping[str, nn.Module], f_maps: Maps, g_maps: Maps) -> Tensor:
        """Return the distance, a scalar, before its weight."""
        ...


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """The segmentation loss of one network that reads the image or the masks."""

    kind: ClassVar[str] = "segmentation"
    net: str = "ct"
    reads: str = "image"

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the term "dsc", and "ce" where the form asks for it."""
        seen = batch if self.reads == "image" else batch.all_labelled
        return segmentation_terms(nets[self.net](batch.read(self.reads)), seen)


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Stage 2 of FSM: L + xi * M (Song et al., ISBI 2020, eq. 4, as docs/methods.md reads it).

    `gradient` says through which of R and T the student is reached: `both`, `no_target` (T is
    held), `no_input` (what FSM reads of F is held). `reads` is what N_GT sees: the masks, the
    image, or an entry that a source fills.
    """

    kind: ClassVar[str] = "matched"
    term: ClassVar[str] = "m"
    xi: float = 0.3
    norm: str = "relative"
    gradient: str = "both"
    taps: Taps = ((-1, -1),)
    reads: str = later("masks")

    def __post_init__(self) -> None:
        check_range("xi", self.xi, low=0, high=1e6)
        check_choice("norm", self.norm, NORMS)
        check_choice("gradient", self.gradient, GRADIENTS)

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the segmentation loss and "m" = xi * M, the mean over the taps."""
        return guided_terms(self, self.xi, nets, batch)

    def distance(self, nets: Mapping[str, nn.Module], f_maps: Maps, g_maps: Maps) -> Tensor:
        """Return M, a scalar, of the features of N_CT and N_GT."""
        modules = cast(nn.ModuleList, nets["fsm"])
        distances = [
            self._distance(module, f_maps[ct_level], g_maps[gt_level])
            for module, (ct_level, gt_level) in zip(modules, self.taps, strict=True)
        ]
        return torch.stack(distances).mean()

    def _distance(self, module: nn.Module, f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
        read = f_BCHW.detach() if self.gradient == "no_input" else f_BCHW
        target = f_BCHW.detach() if self.gradient == "no_target" else f_BCHW
        return dissimilarity(module(read, g_BCHW), on_grid(target, g_BCHW), self.norm)


@dataclass(frozen=True, kw_only=True)
class Joint:
    """L_GT + L_CT + xi * M in one training (Joint-Train, Table 1), both networks trained.

    N_GT reads the noisy masks, and its loss counts the organs that its view left in. `detach`
    keeps the gradient of M from N_GT.
    """

    kind: ClassVar[str] = "joint"
    matched: Matched
    detach: bool = False

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of both segmentation losses (N_GT's end in "_gt") and "m"."""
        student, teacher = cast(Network, nets["ct"]), cast(Network, nets["gt"])
        f_maps, g_maps = student.encoder(batch.image_B1HW), teacher.encoder(batch.masks_B2KHW)
        seen = [g_BCHW.detach() for g_BCHW in g_maps] if self.detach else g_maps
        m = self.matched.xi * self.matched.distance(nets, f_maps, seen)
        taught = as_the_teacher_sees(batch).all_labelled
        gt_terms = segmentation_terms(teacher.decoder(g_maps), taught)
        terms = segmentation_terms(student.decoder(f_maps), batch)
        return {**terms, **{f"{name}_gt": term for name, term in gt_terms.items()}, "m": m}


def guided_terms(
    objective: Guide, weight: float, nets: Mapping[str, nn.Module], batch: Batch
) -> dict[str, Tensor]:
    """Return N_CT's segmentation terms and the objective's own term, times its weight."""
    student, teacher = cast(Network, nets["ct"]), cast(Network, nets["gt"])
    f_maps = student.encoder(batch.image_B1HW)
    distance = objective.distance(nets, f_maps, teacher.encoder(batch.read(objective.reads)))
    terms = segmentation_terms(student.decoder(f_maps), batch)
    return {**terms, objective.term: weight * distance}


def segmentation_terms(logits_BCHW: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return the terms of the loss that all rows share, in fp32, in the batch's form.

    Samples without a label (`Batch.labelled_B`) count in none of them; a network that reads masks
    is given `batch.all_labelled`.
    """
    logits_BCHW, batch = labelled_samples(logits_BCHW, batch)
    form = batch.loss_form
    probs_BCHW = fold_unknown(torch.softmax(logits_BCHW.float(), dim=1), batch.annotated_BK)
    terms = {DSC: soft_dice(probs_BCHW, batch)}
    if form.ce:
        valid = batch.valid_BHW.float()
        likely_BHW = _log_likelihood(probs_BCHW, batch)
        terms[CE] = -form.ce * (likely_BHW * valid).sum() / valid.sum().clamp_min(1)
    return terms


def labelled_samples(maps_BCHW: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
    """Return the maps and the batch of the samples whose labels N_CT's loss sees, which may be
    none of them (B = 0)."""
    labelled_B = batch.labelled_B
    if labelled_B is None:
        return maps_BCHW, batch
    return maps_BCHW[labelled_B.to(maps_BCHW.device)], batch.samples(labelled_B)


def soft_dice(probs_BCHW: Tensor, batch: Batch) -> Tensor:
    """Return 1 - soft Dice in [0, 1]: the mean over background and annotated organs.

    Pooled over the batch (or per sample), not squared unless the form says so. A pair of
    sample and organ that is not annotated leaves both sums; an organ annotated in no
    sample is left out; an annotated organ absent from the whole batch gives almost no gradient.
    """
    form = batch.loss_form
    valid_B1HW = batch.valid_BHW[:, None].float()
    truth_BCHW = target(batch) * valid_B1HW
    known_BC = torch.cat([torch.ones_like(batch.annotated_BK[:, :1]), batch.annotated_BK], dim=1)
    probs_BCHW = probs_BCHW * valid_B1HW * known_BC[:, :, None, None].float()
    power = 2 if form.squared else 1
    both_BC = (probs_BCHW * truth_BCHW).sum(dim=(2, 3))
    size_BC = (probs_BCHW**power + truth_BCHW**power).sum(dim=(2, 3))
    counted = known_BC
    if not form.per_sample:
        both_BC, size_BC = both_BC.sum(0, keepdim=True), size_BC.sum(0, keepdim=True)
        counted = known_BC.any(dim=0, keepdim=True)
    dice = (2 * both_BC + form.smoothing) / (size_BC + form.smoothing)
    if form.organs_only:
        dice, counted = dice[:, 1:], counted[:, 1:]
    weight = counted.float()
    return 1 - (dice * weight).sum() / weight.sum().clamp_min(1)


def target(batch: Batch) -> Tensor:
    """Return what the probabilities shall be (B, 1 + K, H, W): 1 for the label's class, or the
    classes' shares of a pixel's area; an organ that is not annotated counts as background."""
    if batch.area_BKHW is None:
        truth = F.one_hot(batch.label_BHW * known_pixels(batch), batch.annotated_BK.shape[1] + 1)
        return truth.permute(0, 3, 1, 2).float()
    organs_BKHW = batch.area_BKHW * batch.annotated_BK[:, :, None, None].float()
    background_B1HW = 1 - organs_BKHW.sum(dim=1, keepdim=True)
    return torch.cat([background_B1HW.clamp_min(0), organs_BKHW], dim=1)


def _log_likelihood(probs_BCHW: Tensor, batch: Batch) -> Tensor:
    """The logarithm of the target under the probabilities, by pixel (B, H, W)."""
    if batch.area_BKHW is not None:
        return (probs_BCHW.clamp_min(1e-12).log() * target(batch)).sum(dim=1)
    truth_BHW = batch.label_BHW * known_pixels(batch)
    return probs_BCHW.gather(1, truth_BHW[:, None])[:, 0].clamp_min(1e-12).log()


def fold_unknown(probs_BCHW: Tensor, annotated_BK: Tensor) -> Tensor:
    """Return the probabilities with those of un-annotated organs folded into background."""
    known = annotated_BK[:, :, None, None].float()
    organs = probs_BCHW[:, 1:]
    background = probs_BCHW[:, :1] + (organs * (1 - known)).sum(dim=1, keepdim=True)
    return torch.cat([background, organs * known], dim=1)


def known_pixels(batch: Batch) -> Tensor:
    """Return 0 where the label is an organ that is taken as not annotated, else 1 (B, H, W)."""
    ones = torch.ones_like(batch.annotated_BK[:, :1])
    known_BC = torch.cat([ones, batch.annotated_BK], dim=1).long()
    flat = batch.label_BHW.flatten(1)
    return known_BC.gather(1, flat).view_as(batch.label_BHW)
