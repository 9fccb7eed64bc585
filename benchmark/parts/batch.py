"""What a training step sees: slices with labels, and the masks a teacher reads.

Shapes: B samples, K organs, H x W pixels. Labels are 0 for background, k + 1 for organ k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.plan.ground import LossForm
from benchmark.plan.keys import draw_seed


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch on the training's device, after augmentation.

    `image_B1HW` lies in [0, 1]; `annotated_BK` says which organs a person looked for in the
    sample's case; `valid_BHW` is false where no pixel of the slice lies (padding), which
    neither loss nor score counts; `case_B` indexes the fold's training cases; `position_B` is the
    slice's relative height between the ends of the case's organs. `entries` holds what views add.
    `area_BKHW` is each organ's share of a pixel's area, in [0, 1], where the ground asks for it as
    the target; None: the target is the label. `labelled_B` (on the host) says of which samples the
    loss of a network that reads the image sees the label; None: of all. `unknown_BHW` is true where
    nobody said what is there, in no organ (None: nowhere): such a pixel is not valid either, its
    CT is shown all the same, and a teacher reads neither masks nor planes there.
    """

    image_B1HW: Tensor
    label_BHW: Tensor
    annotated_BK: Tensor
    valid_BHW: Tensor
    case_B: Tensor
    position_B: Tensor
    loss_form: LossForm
    entries: Mapping[str, Tensor] = field(default_factory=dict)
    area_BKHW: Tensor | None = None
    labelled_B: Tensor | None = None
    unknown_BHW: Tensor | None = None

    @property
    def all_labelled(self) -> Batch:
        """The batch as a network that reads masks learns from it: with the labels of all."""
        return replace(self, labelled_B=None)

    def with_entry(self, name: str, value: Tensor) -> Batch:
        """Return the batch with one more entry."""
        return replace(self, entries={**self.entries, name: value})

    @property
    def masks_B2KHW(self) -> Tensor:
        """What a teacher reads: noisy masks where a view has made them, else the clean ones."""
        if "masks" in self.entries:
            return self.entries["masks"]
        return mask_input(self.label_BHW, self.annotated_BK, self.unknown_BHW)

    def samples(self, chosen_B: Tensor) -> Batch:
        """Return the chosen samples (a mask on the host) as a batch, all of them labelled."""
        rows = chosen_B.nonzero()[:, 0].to(self.label_BHW.device)
        return replace(
            self,
            image_B1HW=self.image_B1HW[rows],
            label_BHW=self.label_BHW[rows],
            annotated_BK=self.annotated_BK[rows],
            valid_BHW=self.valid_BHW[rows],
            case_B=self.case_B[rows],
            position_B=self.position_B[rows],
            entries={name: value[rows] for name, value in self.entries.items()},
            area_BKHW=None if self.area_BKHW is None else self.area_BKHW[rows],
            labelled_B=None,
            unknown_BHW=None if self.unknown_BHW is None else self.unknown_BHW[rows],
        )

    def read(self, reads: str) -> Tensor:
        """Return the input of a role: "image", "masks", or an entry of another name."""
        if reads == "image":
            return self.image_B1HW
        return self.masks_B2KHW if reads == "masks" else self.entries[reads]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One test patient for a measure: all slices near the organs, not augmented, in order.

    Every batch has the entries "other_masks" and "other_image": what another test patient shows
    at the same relative height (`partner`); they are missing where there is no such patient.
    """

    name: str
    partner: str
    batches: tuple[Batch, ...]


def generator_of(device: torch.device, *parts: str | int) -> torch.Generator:
    """Return a random generator whose numbers are a function of `parts` alone."""
    return torch.Generator(device=device).manual_seed(draw_seed(*parts))


def mask_input(
    label_BHW: Tensor, annotated_BK: Tensor, unknown_BHW: Tensor | None = None
) -> Tensor:
    """Return a teacher's input (B, 2K, H, W): one mask an organ, then one plane an organ.

    The plane is 1 where the organ is annotated in the sample's case, so that an organ that nobody
    looked for differs from one that is absent; its mask is 0 then. Both are 0 in unknown pixels.
    """
    return with_planes(onehot(label_BHW, annotated_BK.shape[1]), annotated_BK, unknown_BHW)


def onehot(label_BHW: Tensor, organs: int) -> Tensor:
    """Return organ masks (B, K, H, W) as floats."""
    return F.one_hot(label_BHW.long(), organs + 1)[..., 1:].permute(0, 3, 1, 2).float()


def with_planes(
    masks_BKHW: Tensor, annotated_BK: Tensor, unknown_BHW: Tensor | None = None
) -> Tensor:
    """Return masks or foreground probabilities (B, K, H, W) as a teacher's input (B, 2K, H, W)."""
    known_BK11 = annotated_BK[:, :, None, None].float()
    planes = known_BK11.expand(-1, -1, *masks_BKHW.shape[2:])
    both = torch.cat([masks_BKHW * known_BK11, planes], dim=1)
    if unknown_BHW is not None:
        both = both * ~unknown_BHW[:, None]
    return both.contiguous(memory_format=torch.channels_last)
