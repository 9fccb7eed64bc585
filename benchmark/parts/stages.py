"""Trainings that several methods share, so that they are one node with one key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmark.errors import BadInput
from benchmark.parts.networks import UNet, decoders_fit
from benchmark.parts.objectives import Matched, Segmentation
from benchmark.parts.similarity import Similarity
from benchmark.parts.views import DropOrgans, MaskNoise
from benchmark.plan.given import ATLAS, CT
from benchmark.plan.ground import MeanMask, OtherCase
from benchmark.plan.nodes import (
    Arch,
    BatchSource,
    Net,
    Schedule,
    Train,
    Weights,
    check_choice,
    field_from,
)

SONG = "Song et al., ISBI 2020, Table 1"
DROP = 0.1  # chance that stage 1 hides an annotated organ (docs/methods.md section 1)
TEACHERS = ("n_gt", "untrained", "no_skips", "ct")
SEES: Mapping[str, BatchSource | None] = {"own": None, "other": OtherCase(), "mean": MeanMask()}


@dataclass(frozen=True, kw_only=True)
class TwoNetworks(ABC):
    """A method that trains N_GT on masks beside N_CT: the fields that all such methods have. One
    gives a field anew where the paper says something else of it."""

    noise: float = field_from(0.2, "S", "p of the corruption of N_GT's input")
    drop: float = field_from(DROP, "C", "chance that stage 1 hides an annotated organ")
    atlas: bool = field_from(False, "C", "N_GT sees masks of patients without CT too")
    ct: Arch = field_from(UNet, "S", "architecture of N_CT")
    gt: Arch = field_from(lambda: UNet(reads="masks"), "S", "architecture of N_GT")
    schedule: Schedule = field_from(Schedule, "S", "of each stage")

    def __post_init__(self) -> None:
        self.plan()  # the parts check the ranges

    @abstractmethod
    def plan(self) -> Weights:
        """Return N_CT after its last training."""

    def mask_noise(self) -> MaskNoise:
        """Return how N_GT's input is corrupted."""
        return MaskNoise(p=self.noise)

    def stage1(self) -> Train:
        """Return the training of N_GT."""
        cases = ATLAS if self.atlas else CT
        noise = self.mask_noise()
        return teacher(self.gt, self.schedule, noise=noise, drop=self.drop, cases=cases)


def plain(ct: Arch, schedule: Schedule) -> Train:
    """Return the training of N_CT on the segmentation loss alone."""
    return Train(
        title="N_CT", nets={"ct": Net(arch=ct)}, objective=Segmentation(), schedule=schedule
    )


def again(ct: Arch, start: Weights, schedule: Schedule, stream: str) -> Train:
    """Return a second training of N_CT on the same loss, with a fresh Adam."""
    return Train(
        title="N_CT again",
        nets={"ct": Net(arch=ct, init=(start,))},
        objective=Segmentation(),
        schedule=replace(schedule, stream=stream),
    )


def teacher(
    gt: Arch,
    schedule: Schedule,
    *,
    noise: MaskNoise | None = None,
    drop: float = DROP,
    cases: str = CT,
) -> Train:
    """Return stage 1: N_GT restores clean masks from noisy ones (paper, section 2.1), those of
    `cases` (`Train.cases`)."""
    return Train(
        title="N_GT",
        nets={"gt": Net(arch=gt)},
        objective=Segmentation(net="gt", reads="masks"),
        schedule=replace(schedule, stream="gt"),
        views=(DropOrgans(p=drop), noise or MaskNoise()),
        cases=cases,
    )


def stage2_teacher(kind: str, n_gt: Train, ct: Arch) -> Net:
    """Return the frozen network that stage 2 compares N_CT with.

    `n_gt` is the trained N_GT; the others are controls: `untrained` is that network at its own
    start, `no_skips` one whose decoder gets zeros for skips, so that it must use its bottom,
    `ct` a network trained on CT from initial weights of its own.
    """
    check_choice("teacher", kind, TEACHERS)
    if kind == "n_gt":
        return frozen(n_gt["gt"])
    if kind == "ct":
        return frozen(plain(ct, replace(n_gt.schedule, stream="ct-teacher"))["ct"])
    if kind == "untrained":
        start = replace(n_gt.schedule, epochs=0.0)
        return frozen(replace(n_gt, schedule=start, title="N_GT untrained")["gt"])
    gt = n_gt.nets["gt"].arch
    if not isinstance(gt, UNet):
        raise BadInput("teacher = no_skips needs gt=unet: other decoders cannot do without")
    nets = {"gt": Net(arch=replace(gt, skips=False))}
    return frozen(replace(n_gt, nets=nets, title="N_GT without skips")["gt"])


def matched(
    objective: Matched,
    fsm: Similarity,
    teacher: Net,
    ct: Arch,
    schedule: Schedule,
    *,
    sees: str = "own",
    learn: bool = True,
    given: str = "clean",
    noise: MaskNoise | None = None,
) -> Train:
    """Return stage 2: N_CT and FSM against a frozen teacher (paper, section 2.2).

    `sees` says which masks the teacher is shown, `given` whether they are clean or noisy; without
    `learn` FSM stays at its random start.
    """
    check_choice("teacher_input", given, ("clean", "noisy"))
    reads, sources = _seen(sees, teacher)
    return Train(
        title="N_CT + FSM",
        nets={
            "ct": Net(arch=ct),
            "gt": teacher,
            "fsm": Net(arch=fsm, trainable=("",) if learn else ()),
        },
        objective=replace(objective, reads=reads),
        schedule=schedule,
        views=(noise or MaskNoise(),) if given == "noisy" else (),
        sources=sources,
    )


def _seen(sees: str, teacher: Net) -> tuple[str, dict[str, BatchSource]]:
    """Return what stage 2's teacher reads and the sources that fill it.

    `own` are the sample's masks, `other` those of another patient, `mean` the fold's mean mask. A
    teacher that reads images sees the sample's own.
    """
    check_choice("sees", sees, tuple(SEES))
    if getattr(teacher.arch, "reads", "masks") == "image":
        return "image", {}
    source = SEES[sees]
    return (sees, {sees: source}) if source else ("masks", {})


def frozen(weights: Weights) -> Net:
    """Return the network of these weights, frozen and in eval."""
    return Net(arch=weights.node.nets[weights.net].arch, init=(weights,), trainable=())


def refine(ct: Arch, encoder: Weights, decoder: Weights | None, schedule: Schedule) -> Train:
    """Return stage 3: the encoder is frozen in eval, the decoder and head are trained, from those
    given or, with None, from random weights."""
    start = (encoder.only("encoder"), *([decoder.only("decoder")] if decoder else []))
    return Train(
        title="refine",
        nets={"ct": Net(arch=ct, init=start, trainable=("decoder",))},
        objective=Segmentation(),
        schedule=replace(schedule, stream="refine"),
    )


def stage3(stage2: Weights, n_gt: Weights, choice: str) -> Weights:
    """Return N_CT after stage 3, whose decoder starts from N_GT's, N_CT's own, or random weights.

    `auto` is N_GT's where its shapes fit, else N_CT's own. Raises `BadInput` for `n_gt` where
    they do not.
    """
    ct, gt = stage2.node.nets[stage2.net].arch, n_gt.node.nets[n_gt.net].arch
    start = {"n_gt": n_gt, "own": stage2, "random": None}[_stage3_start(choice, ct, gt)]
    return refine(ct, stage2, start, stage2.node.schedule)["ct"]


def stage3_flags(choice: str, ct: Arch, gt: Arch) -> tuple[str, ...]:
    """Return what a reader must know where stage 3 is not as in the paper."""
    starts = {"n_gt": "", "own": "N_CT keeps its own decoder", "random": "its decoder is random"}
    how = starts[_stage3_start(choice, ct, gt)]
    return (f"stage 3 not as in the paper: {how}",) if how else ()


def _stage3_start(choice: str, ct: Arch, gt: Arch) -> str:
    check_choice("refine_init", choice, ("auto", "n_gt", "own", "random"))
    fits = decoders_fit(ct, gt)
    if choice == "n_gt" and not fits:
        raise BadInput(
            "refine_init = n_gt needs decoders of equal shape in ct and gt: use "
            "refine_init=own, or one architecture for both"
        )
    return choice if choice != "auto" else "n_gt" if fits else "own"
