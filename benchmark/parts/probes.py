"""Diagnostics (docs/methods.md section 5) on the test patients and in fp32.

Each measure takes the networks of one trained node and one patient, and returns values by name;
its `flags` are warnings that follow from the means over patients by a fixed rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.parts.batch import Batch, Patient
from benchmark.parts.measures import (
    BOTTOM,
    Adapter,
    BottomUse,
    Headroom,
    Replaced,
    gradient_at,
    own_input,
)
from benchmark.parts.networks import Network
from benchmark.parts.objectives import LOSS_TERMS, Guide, Joint, Segmentation
from benchmark.parts.similarity import TapModule, Taps, dissimilarity, on_grid
from benchmark.parts.stages import frozen
from benchmark.parts.views import MaskNoise
from benchmark.plan.nodes import Net, Objective, Probe, Train, Weights

NEGLIGIBLE = 0.01  # of the gradient of the segmentation loss
GAP_PERCENT = 5.0  # docs/methods.md section 6: what the verdict asks of the GT gap
HEADROOM_SHARE = 0.15  # of a stage's epochs for fitting the adapter: it is two convolutions
HEADROOM_RATE = 2.5  # times a stage's rate (docs/decisions/0012)
SATURATED = 0.99  # a relative distance from here on has next to no gradient


@dataclass(frozen=True, kw_only=True)
class GtGap:
    """Whether the distance to the teacher looks at the patient.

    The GT gap is (M_shuffled - M_matched) / M_shuffled, in percent, undefined without a partner. M
    is the objective's own distance without its weight; "shuffled" is the teacher on another test
    patient's masks at the same relative height. With it the linear CKA of F and G at the first
    tap, and the share of F's channels that are dead.
    """

    kind: ClassVar[str] = "gt-gap"
    shares_features: ClassVar[bool] = True
    objective: Guide
    taps: Taps = ((BOTTOM, BOTTOM),)

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `gt_gap`, `m_matched`, `m_shuffled`, `cka`, `dead_channels`."""
        matched, shuffled, f_all, g_all = [], [], [], []
        for batch in patient.batches:
            f_maps = _encoder(nets["ct"])(batch.image_B1HW)
            g_maps = _encoder(nets["gt"])(own_input(batch, self.objective.reads))
            matched.append(_weighted(self.objective.distance(nets, f_maps, g_maps), batch))
            if patient.partner:
                others = _encoder(nets["gt"])(_other(batch, self.objective.reads))
                shuffled.append(_weighted(self.objective.distance(nets, f_maps, others), batch))
            f_BCHW, g_BCHW = f_maps[self.taps[0][0]], g_maps[self.taps[0][1]]
            f_all.append(on_grid(f_BCHW, g_BCHW))
            g_all.append(g_BCHW)
        m_matched, f_NCHW, g_NCHW = _pooled(matched), torch.cat(f_all), torch.cat(g_all)
        found = {"m_matched": m_matched, "cka": linear_cka(f_NCHW, g_NCHW)}
        found["dead_channels"] = _share(f_NCHW.abs().amax(dim=(0, 2, 3)) == 0)
        if shuffled and (m_shuffled := _pooled(shuffled)):
            gap = 100 * (m_shuffled - m_matched) / abs(m_shuffled)
            found |= {"m_shuffled": m_shuffled, "gt_gap": gap}
        return found

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `no_gt_gap` where the distance does not see whose masks they are."""
        low = means.get("gt_gap", GAP_PERCENT) < GAP_PERCENT
        return (
            (f"no_gt_gap: GT gap {means['gt_gap']:z.1f} % (under {GAP_PERCENT:g})",) if low else ()
        )


@dataclass(frozen=True, kw_only=True)
class FsmState:
    """Whether FSM works at all: the size of R beside T, shares of dead outputs, and how much Ss and
    Sc vary."""

    kind: ClassVar[str] = "fsm-state"
    shares_features: ClassVar[bool] = True
    version: ClassVar[int] = 2  # 2: m_relative
    taps: Taps = ((BOTTOM, BOTTOM),)
    reads: str = "masks"

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `m_relative` (the relative distance of R and T, in [0, 1], whatever the norm of
        the training), `dead_r`, `dead_spatial`, `dead_channel` (shares of samples or channels that
        are zero), `spread_spatial` and `spread_channel` (sd over mean)."""
        module = cast(TapModule, cast(nn.ModuleList, nets["fsm"])[0])
        m_all, r_all, spatial_all, channel_all = [], [], [], []
        for batch in patient.batches:
            f_BCHW = _encoder(nets["ct"])(batch.image_B1HW)[self.taps[0][0]]
            g_BCHW = _encoder(nets["gt"])(own_input(batch, self.reads))[self.taps[0][1]]
            channel, spatial = module.statistics(g_BCHW.float())
            r_BCHW = module(f_BCHW, g_BCHW)
            m_all.append(
                _weighted(dissimilarity(r_BCHW, on_grid(f_BCHW, g_BCHW), "relative"), batch)
            )
            r_all.append(r_BCHW)
            spatial_all.append(spatial)
            channel_all.append(channel)
        r, spatial, channel = (torch.cat(part) for part in (r_all, spatial_all, channel_all))
        return {
            "m_relative": _pooled(m_all),
            "dead_r": _share(r.abs().flatten(1).amax(dim=1) == 0),
            "dead_spatial": _share(spatial.flatten(1).amax(dim=1) == 0),
            "dead_channel": _share(channel.abs().amax(dim=(0, 2, 3)) == 0),
            "spread_spatial": _spread(spatial.flatten(1), dim=1),
            "spread_channel": _spread(channel.flatten(1), dim=0),
        }

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `fsm_dead` where R is zero in half of the samples or more, `fsm_saturated` where R
        and T differ so much in size that their distance is at its end: xi is then all but 0."""
        dead, distance = means.get("dead_r", 0.0), means.get("m_relative", 0.0)
        if dead >= 0.5:
            return (f"fsm_dead: R is zero in {100 * dead:z.0f} % of the slices",)
        if distance >= SATURATED:
            return (f"fsm_saturated: the relative distance of R and T is {distance:z.4f}",)
        return ()


@dataclass(frozen=True, kw_only=True)
class TermGradients:
    """How each term beside L pulls: the norm of its gradient over that of L, and the cosine of
    both, `at` F (the bottom of N_CT) or the `output` (its logits). L are the objective's own
    segmentation terms (`LOSS_TERMS`); one that has none is measured against the loss of N_CT that
    all rows share."""

    kind: ClassVar[str] = "term-gradients"
    shares_features: ClassVar[bool] = True
    objective: Any
    at: str = "F"

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `TERM_gradient_ratio` and `TERM_gradient_cosine`, which is left out where the
        objective shows N_CT other slices than L does."""
        sums: dict[str, list[Tensor]] = {}
        with torch.enable_grad():
            for batch in patient.batches:
                for name, gradient in self._gradients(nets, batch).items():
                    sums.setdefault(name, []).append(gradient.flatten())
        gradients = {name: torch.cat(parts) for name, parts in sums.items()}
        loss = gradients.pop("", torch.zeros(1))
        found = {}
        for name, gradient in gradients.items():
            size = float(loss.norm())
            if size:
                found[f"{name}_gradient_ratio"] = float(gradient.norm()) / size
                if gradient.shape == loss.shape:
                    cosine = F.cosine_similarity(gradient, loss, dim=0)
                    found[f"{name}_gradient_cosine"] = float(cosine)
        return found

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `term_negligible` for each term whose gradient is under 1 % of that of L."""
        ratios = {n: v for n, v in means.items() if n.endswith("_gradient_ratio")}
        return tuple(
            f"term_negligible: {name.removesuffix('_gradient_ratio')} pulls with "
            f"{100 * ratio:z.2g} % of the loss's gradient"
            for name, ratio in ratios.items()
            if ratio < NEGLIGIBLE
        )

    def _gradients(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """The gradient of L ("") and of each other term, at the place that is looked at."""
        terms, place = self._terms(self.objective, nets, batch)
        usual, of_usual = [term for name, term in terms.items() if name in LOSS_TERMS], place
        if not usual:  # an objective with names of its own
            shared, of_usual = self._terms(Segmentation(), nets, batch)
            usual = list(shared.values())
        pulls = {"": gradient_at(torch.stack(usual).sum(), of_usual[0])}
        others = {name: term for name, term in terms.items() if name not in LOSS_TERMS}
        pulls |= {name: gradient_at(term, place[0]) for name, term in others.items()}
        return {name: gradient for name, gradient in pulls.items() if gradient is not None}

    def _terms(
        self, objective: Objective, nets: Mapping[str, nn.Module], batch: Batch
    ) -> tuple[Mapping[str, Tensor], list[Tensor]]:
        """An objective's terms, and what N_CT gave at the place, as leaves of their graph."""
        student, caught = cast(Network, nets["ct"]), []
        part = student.encoder if self.at == "F" else student.decoder

        def catch(module: nn.Module, given: object, output: Any) -> Any:
            place = output[BOTTOM] if self.at == "F" else output
            leaf = place.detach().requires_grad_()
            caught.append(leaf)
            return [*output[:BOTTOM], leaf] if self.at == "F" else leaf

        handle = part.register_forward_hook(catch)
        try:
            return objective(nets, batch), caught
        finally:
            handle.remove()


def linear_cka(f_NCHW: Tensor, g_NCHW: Tensor) -> float:
    """Return the linear CKA, in [0, 1], of two sets of features, samples and positions alike
    (Kornblith et al., ICML 2019); 0 where one of them is constant."""
    f_NC, g_NC = (x.float().movedim(1, -1).flatten(0, 2) for x in (f_NCHW, g_NCHW))
    f_NC, g_NC = f_NC - f_NC.mean(dim=0), g_NC - g_NC.mean(dim=0)
    both = (g_NC.T @ f_NC).square().sum()
    sizes = (f_NC.T @ f_NC).norm() * (g_NC.T @ g_NC).norm()
    return float(both / sizes) if float(sizes) else 0.0


def _encoder(net: nn.Module) -> nn.Module:
    return cast(Network, net).encoder


def _other(batch: Batch, reads: str) -> Tensor:
    return batch.entries["other_image" if reads == "image" else "other_masks"]


def _weighted(value: Tensor, batch: Batch) -> tuple[float, int]:
    return float(value), len(batch.image_B1HW)


def _pooled(values: list[tuple[float, int]]) -> float:
    return sum(value * count for value, count in values) / sum(count for _, count in values)


def _share(yes: Tensor) -> float:
    return float(yes.float().mean())


def _spread(x: Tensor, dim: int) -> float:
    mean = x.mean(dim=dim)
    return float((x.std(dim=dim, correction=0) / mean.abs().clamp_min(1e-12)).mean())


def with_teacher(
    stage: Train, final: Weights, *, taps: Taps, noise: MaskNoise | None
) -> tuple[Probe, ...]:
    """Return the probes of a training that compares N_CT ("ct") with a frozen teacher ("gt").

    `final` are the weights to predict with; `noise` what the teacher's input was corrupted by in
    its own training.
    """
    whole = stage.objective
    given = whole.matched if isinstance(whole, Joint) else cast(Any, whole)
    # whatever masks N_CT was compared with, it is asked about the patient's own
    reads = "image" if given.reads == "image" else "masks"
    guide = replace(given, reads=reads)
    state = FsmState(taps=taps, reads=reads)
    teacher = BottomUse(name="teacher", net="gt", reads=reads, noise=noise)
    pull = TermGradients(objective=whole if isinstance(whole, Joint) else guide)
    return (
        Probe(name="gap", node=stage, measure=GtGap(objective=guide, taps=taps)),
        *((Probe(name="fsm", node=stage, measure=state),) if "fsm" in stage.nets else ()),
        Probe(name="gradients", node=stage, measure=pull),
        Probe(name="teacher", node=stage, measure=teacher),
        Probe(name="student", node=final.node, measure=BottomUse(name="student", net="ct")),
        _headroom(stage, final, taps, reads),
    )


def _headroom(stage: Train, final: Weights, taps: Taps, reads: str) -> Probe:
    objective = Replaced(taps=taps, reads=reads)
    schedule = replace(
        stage.schedule,
        epochs=stage.schedule.epochs * HEADROOM_SHARE,
        lr=min(1.0, stage.schedule.lr * HEADROOM_RATE),
        stream="headroom",
    )
    node = Train(
        title="headroom",
        nets={
            "ct": frozen(final),
            "gt": frozen(stage["gt"]),
            "adapter": Net(arch=Adapter(taps=taps)),
        },
        objective=objective,
        schedule=schedule,
    )
    return Probe(name="headroom", node=node, measure=Headroom(objective=objective))
