"""What the draw of batches applies: the ground, which all rows of a comparison share and every key
covers, and what it can add to a batch from the fold's training cases. Plain values, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from benchmark.plan.nodes import check_choice, check_range, later

MAJORITY, AREA = LABELS = ("majority", "area")  # how a label is brought to the training grid


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes, the same for every row; never a flip: left and right are organs.

    Rotation, scale and shift are uniform within +- the given value, drawn per slice; HU shift is
    uniform, HU noise is Gaussian per pixel with a standard deviation drawn from [0, hu_noise].
    """

    kind: ClassVar[str] = "augmentation"
    rotation_degrees: float = 10.0
    scale: float = 0.1
    shift: float = 0.05  # share of the grid
    hu_shift: float = 10.0
    hu_noise: float = 10.0

    def __post_init__(self) -> None:
        check_range("ground.augmentation.rotation_degrees", self.rotation_degrees, low=0, high=180)
        check_range("ground.augmentation.scale", self.scale, low=0, high=0.9)
        check_range("ground.augmentation.shift", self.shift, low=0, high=1)
        check_range("ground.augmentation.hu_shift", self.hu_shift, low=0, high=1000)
        check_range("ground.augmentation.hu_noise", self.hu_noise, low=0, high=1000)


@dataclass(frozen=True, kw_only=True)
class LossForm:
    """How the segmentation loss "DSC" is read (docs/methods.md section 1).

    Soft Dice of a softmax, pooled over the batch, over background and organs. `organs_only`
    leaves the background term out, `per_sample` sums within a sample, `squared` squares
    the denominator's terms (V-Net), `ce` adds that much cross-entropy.
    """

    kind: ClassVar[str] = "loss"
    organs_only: bool = False
    per_sample: bool = False
    squared: bool = False
    ce: float = 0.0
    smoothing: float = 1e-5

    def __post_init__(self) -> None:
        check_range("ground.loss.ce", self.ce, low=0)
        check_range("ground.loss.smoothing", self.smoothing, low=1e-12, high=1)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Grid, intensity window, sampling, augmentation and loss reading of a comparison.

    `size` is the longest in-plane side in pixels after resampling (None: the native grid). An
    epoch is every slice within the organs' z-range widened by `margin`, plus `others` as many
    from outside it. `labels` is the target on the training grid: `majority` gives each pixel the
    class with the largest area in it, `area` the share of each organ's area. Whatever reads masks
    (a teacher, a shape model) reads the majority in any case. `labelled` is the share of the
    training slices whose labels the loss of N_CT sees; N_GT, FSM and all sources see every mask
    (docs/decisions/0026). `train_cases` is of how many training patients the CT is there (None:
    all); the others' masks are an atlas, which only what asks for it reads (docs/decisions/0029).
    """

    kind: ClassVar[str] = "ground"
    size: int | None = None
    hu_low: float = -200.0
    hu_high: float = 300.0
    batch: int = 8
    margin: float = 0.1
    others: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: LossForm = field(default_factory=LossForm)
    labels: str = later(MAJORITY)
    labelled: float = later(1.0)
    train_cases: int | None = later(None)

    @property
    def partly_labelled(self) -> bool:
        """Whether the loss of N_CT sees the labels of a part of the slices alone."""
        return self.labelled < 1

    @property
    def asks_areas(self) -> bool:
        """Whether the target are shares of area."""
        return self.labels == AREA

    def __post_init__(self) -> None:
        check_choice("ground.labels", self.labels, LABELS)
        if self.size is not None:
            check_range("ground.size", self.size, low=16, high=4096)
        check_range("ground.hu_low", self.hu_low)
        check_range("ground.hu_high", self.hu_high, low=self.hu_low + 1)
        check_range("ground.batch", self.batch, low=1, high=4096)
        check_range("ground.margin", self.margin, low=0, high=10)
        check_range("ground.others", self.others, low=0, high=1)
        if self.labelled != 1:
            check_range("ground.labelled (under 1)", self.labelled, low=1e-4, high=0.5)
        if self.train_cases is not None:
            check_range("ground.train_cases", self.train_cases, low=2)


@dataclass(frozen=True, kw_only=True)
class OtherCase:
    """The masks of another training patient, at the same relative height, augmented alike.

    The pairing is a fixed derangement within equal annotated organs and equal source, drawn from
    `seed`; it never changes during a training (docs/methods.md section 6, `fsm-shuffled`).
    """

    kind: ClassVar[str] = "other-case"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class MeanMask:
    """The mean mask of the fold's training patients at the same relative height, augmented alike.

    `bins` heights lie between the ends of the reference organ; an organ's mean is over the
    patients in whom it is annotated.
    """

    kind: ClassVar[str] = "mean-mask"
    bins: int = 32

    def __post_init__(self) -> None:
        check_range("bins", self.bins, low=2, high=1024)
