"""Watches what a plan reads: what its networks are shown, and which cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn

from benchmark.data.feeding.folds import FoldData, folds_of
from benchmark.data.feeding.slices import CaseSlices
from benchmark.data.library import DataSet
from benchmark.parts.batch import Batch
from benchmark.parts.views import as_the_teacher_sees
from benchmark.plan.folds import Fold
from benchmark.plan.ground import Ground
from benchmark.plan.keys import draw_seed
from benchmark.plan.nodes import Method, Train, in_order, probes_of
from benchmark.running.bench import Options
from benchmark.running.cells import InnerCache
from benchmark.running.execute import execute
from benchmark.testing.tiny import MemoryTrainer


@dataclass(frozen=True, kw_only=True)
class Given:
    """What one network that reads masks was shown in one batch.

    `own_masks`: all values lie in [0, 1] and there are two planes an organ. `blind_to_ct`: another
    image of the same size would have given the same. `unknown_shown`: an organ that is not
    annotated in the sample has a mask or a plane.
    """

    net: str
    own_masks: bool
    blind_to_ct: bool
    unknown_shown: bool


def masks_read_by(method: Method, trainer: MemoryTrainer) -> Iterator[tuple[Train, list[Given]]]:
    """Yield each training of a plan with what its mask-reading networks are shown at step 0."""
    done: dict[Train, dict[str, nn.Module]] = {}
    for node in in_order(method.plan().node):
        nets = trainer.ready(node, done)
        done[node] = nets
        drawn = trainer.draw(node, nets)(0)
        foreign = _viewed(node, replace(drawn, image_B1HW=torch.rand_like(drawn.image_B1HW)))
        batch = _viewed(node, drawn)
        reading = [n for n, net in node.nets.items() if getattr(net.arch, "reads", "") == "masks"]
        shown, shown_foreign = (_shown(node, nets, reading, seen) for seen in (batch, foreign))
        yield (
            node,
            [
                _given(name, one, other, batch)
                for name in reading
                for one, other in zip(shown[name], shown_foreign[name], strict=True)
            ],
        )


def _viewed(node: Train, batch: Batch) -> Batch:
    for place, view in enumerate(node.views):
        generator = Generator().manual_seed(draw_seed(0, node.schedule.stream, "view", place, 0))
        batch = view(batch, generator)
    return batch


def _shown(
    node: Train, nets: dict[str, nn.Module], names: list[str], batch: Batch
) -> dict[str, list[Tensor]]:
    """The inputs of the named networks' encoders while the objective is computed."""
    caught: dict[str, list[Tensor]] = {name: [] for name in names}
    handles = [
        cast(nn.Module, nets[name].encoder).register_forward_pre_hook(_catcher(caught[name]))
        for name in names
    ]
    try:
        torch.manual_seed(0)
        node.objective(nets, batch)
    finally:
        for handle in handles:
            handle.remove()
    return caught


def _catcher(into: list[Tensor]) -> Any:
    def catch(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        into.append(given[0].detach().clone())

    return catch


def _given(name: str, shown: Tensor, foreign: Tensor, batch: Batch) -> Given:
    organs = batch.annotated_BK.shape[1]
    unknown_BK = ~as_the_teacher_sees(batch).annotated_BK
    both = shown[:, :organs] + shown[:, organs:]
    return Given(
        net=name,
        own_masks=shown.shape[1] == 2 * organs
        and float(shown.min()) >= 0 >= float(shown.max()) - 1,
        blind_to_ct=torch.equal(shown, foreign),
        unknown_shown=bool(both[unknown_BK].any()),
    )


class WatchedCache(InnerCache):
    """A cache that notes training cases too."""

    def cases(self, names: Iterable[str]) -> list[CaseSlices]:
        """Note the cases and return them."""
        wanted = list(names)
        self.read.update(wanted)
        return super().cases(wanted)


def cases_seen_by(method: Method, dataset: DataSet, root: Path) -> tuple[set[str], Fold]:
    """Train a plan in the first fold of a set, and the trainings of its probes; return the cases
    that were read, and the fold."""
    fold, ground = folds_of(dataset).folds[0], Ground(batch=4)
    cache = WatchedCache(dataset=dataset, ground=ground)
    data = FoldData(fold=fold, dataset=dataset, ground=ground, cache=cache)
    bench = Options(root=root, device="cpu", precision="fp32").open()
    for node in (method.plan().node, *(probe.node for probe in probes_of(method))):
        execute(node, data, 0, bench)
    return cache.read, fold
