"""What is measured of a trained network, of a step and of a training's curve.

Diagnostics of docs/methods.md section 5: `BottomUse` takes a network's bottom away, `Headroom` puts
the features of the true masks there (points of DSC), `TermShares` weighs terms by their values.
`pulls_at` says how strongly each term beside the loss pulls at F, the bottom of N_CT, in the step
itself, between its forward and its backward pass: no pass is added, and no bit of the step changes.
`curve_flags` says whether a training had ended when it was ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from benchmark.parts.batch import Batch, Patient, generator_of
from benchmark.parts.networks import Network, he_init
from benchmark.parts.objectives import DSC, LOSS_TERMS, segmentation_terms
from benchmark.parts.similarity import Taps, channels_at, full_precision, on_grid
from benchmark.parts.views import MaskNoise
from benchmark.plan.nodes import Build, Objective

UNUSED_POINTS = 1.0  # a bottom that costs less than this when it is shuffled is not used
BOTTOM = -1
NEGLIGIBLE_SHARE = 0.05  # docs/methods.md section 2, shape-loss


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Two 3x3 convolutions, each with a ReLU, from G to F at every tap: F is not negative."""

    kind: ClassVar[str] = "adapter"
    taps: Taps = ((BOTTOM, BOTTOM),)

    def build(self, to: Build) -> nn.Module:
        """Return one module a tap, from the teacher's channels to the student's."""
        ct, gt = cast(Network, to.built["ct"]), cast(Network, to.built["gt"])
        adapters = nn.ModuleList()
        for ct_level, gt_level in self.taps:
            f_channels = channels_at(ct, ct_level, "ct")
            first = nn.Conv2d(channels_at(gt, gt_level, "gt"), f_channels, 3, padding=1)
            second = nn.Conv2d(f_channels, f_channels, 3, padding=1)
            adapters.append(nn.Sequential(first, nn.ReLU(), second, nn.ReLU()))
        adapters.apply(he_init)
        return adapters


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """The segmentation loss of N_CT with F at the taps replaced by an adapter of G."""

    kind: ClassVar[str] = "replaced"
    taps: Taps = ((BOTTOM, BOTTOM),)
    reads: str = "masks"

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the segmentation loss."""
        return segmentation_terms(self.logits(nets, batch), batch.all_labelled)

    def logits(self, nets: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """Return N_CT's class logits with the replaced features."""
        student, teacher = cast(Network, nets["ct"]), cast(Network, nets["gt"])
        f_maps = list(student.encoder(batch.image_B1HW))
        g_maps = teacher.encoder(own_input(batch, self.reads))
        adapters = cast(nn.ModuleList, nets["adapter"])
        with full_precision(batch.image_B1HW.device.type):
            for adapter, (ct_level, gt_level) in zip(adapters, self.taps, strict=True):
                g_BCHW = on_grid(g_maps[gt_level].float(), f_maps[ct_level])
                f_maps[ct_level] = adapter(g_BCHW)
        return cast(Tensor, student.decoder(f_maps))


@dataclass(frozen=True, kw_only=True)
class BottomUse:
    """What a network loses without its own bottom: Dice as it is, and with the bottom features
    shuffled among slices, replaced by their mean, or zeroed. In points of the patient's DSC on the
    training grid, mean over annotated organs. `noise` corrupts what a teacher reads."""

    kind: ClassVar[str] = "bottom-use"
    shares_features: ClassVar[bool] = True
    name: str
    net: str
    reads: str = "image"
    noise: MaskNoise | None = None

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `NAME_dsc` and `NAME_loses_shuffled`, `_mean`, `_zero`."""
        network = cast(Network, nets[self.net])
        batches = [self._noisy(batch, patient.name, n) for n, batch in enumerate(patient.batches)]
        maps = [network.encoder(own_input(batch, self.reads)) for batch in batches]
        bottom = torch.cat([features[BOTTOM] for features in maps])
        random = generator_of(torch.device("cpu"), "shuffle", patient.name)
        order = torch.randperm(len(bottom), generator=random).to(bottom.device)
        changed = {
            "": bottom,
            "shuffled": bottom[order],
            "mean": bottom.mean(dim=(0, 2, 3), keepdim=True).expand_as(bottom),
            "zero": torch.zeros_like(bottom),
        }
        dsc = {how: _dice_with(network, maps, new, batches) for how, new in changed.items()}
        lost = {f"{self.name}_loses_{how}": dsc[""] - dsc[how] for how in changed if how}
        return {f"{self.name}_dsc": dsc[""], **lost}

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `NAME_bottom_unused` where shuffling costs under a point."""
        lost = means.get(f"{self.name}_loses_shuffled", UNUSED_POINTS)
        flag = f"{self.name}_bottom_unused: shuffling it costs {lost:z.1f} points"
        return (flag,) if lost < UNUSED_POINTS else ()

    def _noisy(self, batch: Batch, name: str, number: int) -> Batch:
        if self.noise is None:
            return batch
        return self.noise(batch, generator_of(batch.label_BHW.device, "noise", name, number))


@dataclass(frozen=True, kw_only=True)
class Headroom:
    """What an ideal transfer could gain at the taps: F replaced by an adapter of G(y), y the test
    patient's own masks; the adapter is a training of its own on the training patients."""

    kind: ClassVar[str] = "headroom"
    shares_features: ClassVar[bool] = True
    objective: Replaced

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `headroom`, in points of DSC on the training grid."""
        student = cast(Network, nets["ct"])
        own = [student(batch.image_B1HW) for batch in patient.batches]
        ideal = [self.objective.logits(nets, batch) for batch in patient.batches]
        gained = patient_dice(ideal, patient.batches) - patient_dice(own, patient.batches)
        return {"headroom": gained}

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `no_headroom` where even the true masks gain under a point."""
        gained = means.get("headroom", UNUSED_POINTS)
        flag = f"no_headroom: the true masks' features gain {gained:z.1f} points at this tap"
        return (flag,) if gained < UNUSED_POINTS else ()


@dataclass(frozen=True, kw_only=True)
class TermShares:
    """The share of each term in the objective's value, on the test patients."""

    kind: ClassVar[str] = "term-shares"
    objective: Objective
    terms: tuple[str, ...]

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `TERM_share` in [0, 1]."""
        sums: dict[str, float] = {}
        for batch in patient.batches:
            for name, term in self.objective(nets, batch).items():
                sums[name] = sums.get(name, 0.0) + float(term) * len(batch.image_B1HW)
        total = sum(sums.values())
        return {f"{name}_share": sums[name] / total for name in self.terms} if total else {}

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `shape_term_negligible` for each term under 5 %."""
        shares = {name: means.get(f"{name}_share", 1.0) for name in self.terms}
        return tuple(
            f"shape_term_negligible: {name} is {100 * share:z.1f} % of the loss"
            for name, share in shares.items()
            if share < NEGLIGIBLE_SHARE
        )


def patient_dice(logits: list[Tensor], batches: tuple[Batch, ...] | list[Batch]) -> float:
    """Return the patient's DSC in percent on the training grid, the mean over the organs that are
    annotated and there."""
    classes = batches[0].annotated_BK.shape[1] + 1
    pairs = torch.zeros(classes, classes, dtype=torch.int64)  # pixels by true and by guessed class
    for logits_BCHW, batch in zip(logits, batches, strict=True):
        guess_BHW = logits_BCHW.max(dim=1).indices  # what argmax gives, faster on a CPU
        both_BHW = (batch.label_BHW * classes + guess_BHW) * batch.valid_BHW
        pairs += torch.bincount(both_BHW.flatten(), minlength=classes**2).view_as(pairs).cpu()
    true, guessed = pairs.sum(dim=1)[1:], pairs.sum(dim=0)[1:]
    both, size = pairs.diagonal()[1:].double(), (true + guessed).double()
    counted = (true > 0) & batches[0].annotated_BK[0].cpu()
    dice = 200 * both[counted] / size[counted]
    return float(dice.mean()) if len(dice) else float("nan")


def _dice_with(
    network: Network, maps: list[list[Tensor]], bottom: Tensor, batches: list[Batch]
) -> float:
    logits, first = [], 0
    for features in maps:
        last = first + len(features[BOTTOM])
        logits.append(network.decoder([*features[:BOTTOM], bottom[first:last]]))
        first = last
    return patient_dice(logits, batches)


def own_input(batch: Batch, reads: str) -> Tensor:
    """Return what a teacher reads of the patient: the image, or the patient's own masks, whatever
    masks N_CT was compared with in training."""
    return batch.image_B1HW if reads == "image" else batch.masks_B2KHW


STUDENT = "ct"


@contextmanager
def bottom_of(nets: Mapping[str, nn.Module]) -> Iterator[list[Tensor]]:
    """Catch what N_CT's encoder gives at its bottom while the context is open, one tensor a call;
    none where there is no such encoder."""
    caught: list[Tensor] = []
    encoder = getattr(nets.get(STUDENT), "encoder", None)
    if encoder is None:
        yield caught
        return

    def catch(module: nn.Module, given: object, output: Any) -> None:
        caught.append(output[BOTTOM])

    handle = encoder.register_forward_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def pulls_at(terms: Mapping[str, Tensor], caught: list[Tensor]) -> dict[str, float]:
    """Return for each term beside the segmentation loss the norm of its gradient at F over that of
    the loss's, the terms being weighted as they are minimised.

    Empty where the objective has no such term or no term of the loss (`LOSS_TERMS`), where F is not
    trained, and where the loss does not reach it.
    """
    usual = [term for name, term in terms.items() if name in LOSS_TERMS]
    others = {name: term for name, term in terms.items() if name not in LOSS_TERMS}
    if not usual or not others or not caught or not caught[0].requires_grad:
        return {}
    loss = _size(torch.stack([term.float() for term in usual]).sum(), caught[0])
    sizes = {name: _size(term, caught[0]) for name, term in others.items()}
    if not loss:
        return {}
    return {name: size / loss for name, size in sizes.items() if size is not None}


def gradient_at(term: Tensor, at: Tensor) -> Tensor | None:
    """Return a term's gradient at a place of its graph, which stays; None for a term that does not
    touch it, such as N_GT's own loss in a joint training."""
    if not term.requires_grad:
        return None
    return torch.autograd.grad(term, at, retain_graph=True, allow_unused=True)[0]


def _size(term: Tensor, at: Tensor) -> float | None:
    """The norm of a term's gradient at a place; None for a term that does not touch it."""
    gradient = gradient_at(term, at)
    return None if gradient is None else float(gradient.float().norm())


FIFTH = 5
STILL_RISING = 0.5  # points of soft Dice in the last fifth of a training


def curve_flags(epochs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return `not_converged` where soft Dice on the training slices still rose by half a point or
    more over the last fifth of a training, given the epochs of its record."""
    rise = last_rise(epochs)
    if rise is None or rise < STILL_RISING:
        return ()
    return (f"not_converged: soft Dice rose by {rise:.1f} points in the last fifth of training",)


def last_rise(epochs: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the mean soft Dice of the last fifth of the epochs less that of the fifth before, in
    points; None for fewer than five epochs and for a loss that is not soft Dice."""
    fifth = len(epochs) // FIFTH
    if not fifth or any(DSC not in epoch["terms"] for epoch in epochs):
        return None
    losses = [epoch["terms"][DSC] for epoch in epochs]
    return 100 * (fmean(losses[-2 * fifth : -fifth]) - fmean(losses[-fifth:]))
