"""What a plan spends on CT and on ground-truth images, in epochs and optimiser steps."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.plan.nodes import Train, in_order


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Epochs and steps of all trainings behind a network. `ct` are those that train a network
    which reads CT, `gt` those that train one which reads masks; a joint training counts in both.
    Steps are None where an epoch's length depends on the data set.
    """

    ct_epochs: float
    gt_epochs: float
    ct_steps: int | None
    gt_steps: int | None


def budget(final: Train) -> Budget:
    """Return the budget of a plan: epochs, and steps where every schedule fixes an epoch's length.

    What is frozen costs nothing. Diagnostics are not counted."""
    ct, gt = (_trainings(final, reads) for reads in ("image", "masks"))
    return Budget(
        ct_epochs=sum(node.schedule.epochs for node in ct),
        gt_epochs=sum(node.schedule.epochs for node in gt),
        ct_steps=_steps(ct),
        gt_steps=_steps(gt),
    )


def _trainings(final: Train, reads: str) -> list[Train]:
    return [node for node in in_order(final) if trains(node, reads)]


def trains(node: Train, reads: str) -> bool:
    """Return whether a training trains a network that reads "image" or "masks"."""
    return any(net.trainable and _reads(net.arch) == reads for net in node.nets.values())


def _reads(arch: object) -> str:
    """What an architecture reads; "" for a module between networks."""
    return str(getattr(arch, "reads", ""))


def _steps(nodes: list[Train]) -> int | None:
    if any(node.schedule.epochs and not node.schedule.steps_per_epoch for node in nodes):
        return None
    return sum(node.schedule.steps(1) for node in nodes)
