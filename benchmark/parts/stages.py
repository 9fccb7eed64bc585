"""Trainings that several methods share, so that they are one node with one key."""

from __future__ import annotations

from dataclasses import replace

from benchmark.parts.objectives import Segmentation
from benchmark.parts.views import DropOrgans, MaskNoise
from benchmark.plan.nodes import Arch, Net, Schedule, Train, Weights


def plain(ct: Arch, schedule: Schedule) -> Train:
    """Return the training of N_CT on the segmentation loss alone."""
    return Train(
        title="N_CT", nets={"ct": Net(arch=ct)}, objective=Segmentation(), schedule=schedule
    )


def teacher(gt: Arch, schedule: Schedule, *, noise: MaskNoise, drop: float) -> Train:
    """Return stage 1: N_GT restores clean masks from noisy ones (paper, section 2.1)."""
    return Train(
        title="N_GT",
        nets={"gt": Net(arch=gt)},
        objective=Segmentation(net="gt", reads="masks"),
        schedule=replace(schedule, stream="gt"),
        views=(DropOrgans(p=drop), noise),
    )


def refine(ct: Arch, encoder: Weights, decoder: Weights, schedule: Schedule) -> Train:
    """Return stage 3: the encoder is frozen in eval, the given decoder and head are trained."""
    start = (encoder.only("encoder"), decoder.only("decoder"))
    return Train(
        title="refine",
        nets={"ct": Net(arch=ct, init=start, trainable=("decoder",))},
        objective=Segmentation(),
        schedule=replace(schedule, stream="refine"),
    )
