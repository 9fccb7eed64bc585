"""Born-again networks (Furlanello, Lipton, Tschannen, Itti and Anandkumar, ICML 2018): a network
teaches a second one of the same shape, from a new start, by what it predicts.

The teacher reads CT, as the student does. So this row asks what any teacher can give, without one
that reads ground truth. Its first training is `unet`'s, which is trained once for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import segmentation_terms
from benchmark.parts.stages import frozen, plain
from benchmark.plan.nodes import (
    Arch,
    Net,
    Row,
    Schedule,
    Train,
    Weights,
    check_range,
    field_from,
)


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """L + weight * KL(teacher || student), the mean over the pixels of all samples.

    The paper adds the cross-entropy with the teacher's probabilities, which has the same gradient:
    it differs from KL by the teacher's entropy, a constant. There is no temperature. A sample
    without a label is in the second term alone, since that needs none.
    """

    kind: ClassVar[str] = "born_again/distilled"
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_range("weight", self.weight, low=0, high=1e6)

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the segmentation loss and "distilled", which is 0 or more."""
        logits_BCHW = nets["ct"](batch.image_B1HW)
        with torch.no_grad():
            taught_BCHW = torch.log_softmax(nets["teacher"](batch.image_B1HW).float(), dim=1)
        own_BCHW = torch.log_softmax(logits_BCHW.float(), dim=1)
        apart_BHW = (taught_BCHW.exp() * (taught_BCHW - own_BCHW)).sum(dim=1)
        valid_BHW = batch.valid_BHW.float()  # neither padding nor pixels of which nobody knows
        mean = (apart_BHW * valid_BHW).sum() / valid_BHW.sum().clamp_min(1)
        return {**segmentation_terms(logits_BCHW, batch), "distilled": self.weight * mean}


@dataclass(frozen=True, kw_only=True)
class BornAgain:
    """The plain U-Net, then `generations` networks, each taught by the one before it."""

    weight: float = field_from(1.0, "R", "weight of the teacher's predictions beside the loss")
    generations: int = field_from(1, "C", "students after the first network; the paper has 1 to 3")
    ct: Arch = field_from(UNet, "C", "architecture of each network")
    schedule: Schedule = field_from(Schedule, "C", "of each training")

    def __post_init__(self) -> None:
        check_range("generations", self.generations, low=1, high=10)
        self.plan()

    def plan(self) -> Weights:
        """Return the last student, trained."""
        last = plain(self.ct, self.schedule)["ct"]
        for number in range(1, self.generations + 1):
            last = Train(
                title=f"N_CT of generation {number}",
                nets={"ct": Net(arch=self.ct), "teacher": frozen(last)},
                objective=Distilled(weight=self.weight),
                schedule=replace(self.schedule, stream=f"generation-{number}"),
            )["ct"]
        return last


METHODS = {
    "born-again": Row(
        method=BornAgain(),
        group="own",
        title="Born-again U-Net",
        about="A U-Net that a U-Net of the same shape taught by its predictions.",
        source="Furlanello et al., Born-Again Neural Networks, ICML 2018",
    ),
}
