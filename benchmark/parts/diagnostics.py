"""The diagnostics of a run that has a teacher, as probes (docs/methods.md section 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from benchmark.parts.bottoms import Adapter, BottomUse, Headroom, Replaced
from benchmark.parts.guidance import Guided
from benchmark.parts.objectives import Joint, Matched
from benchmark.parts.probes import FsmState, GtGap, TermGradients
from benchmark.parts.similarity import Taps
from benchmark.parts.stages import frozen
from benchmark.parts.views import MaskNoise
from benchmark.plan.nodes import Net, Probe, Train, Weights

HEADROOM_SHARE = 0.15  # of a stage's epochs for fitting the adapter: it is two convolutions
HEADROOM_RATE = 2.5  # times a stage's rate (docs/decisions/0012)


def with_teacher(
    stage: Train, final: Weights, *, taps: Taps, noise: MaskNoise | None
) -> tuple[Probe, ...]:
    """Return the probes of a training that compares N_CT ("ct") with a frozen teacher ("gt").

    `final` are the weights to predict with; `noise` what the teacher's input was corrupted by in
    its own training.
    """
    whole = stage.objective
    given = cast(Guided | Matched, whole.matched if isinstance(whole, Joint) else whole)
    # whatever masks N_CT was compared with, it is asked about the patient's own
    reads = "image" if given.reads == "image" else "masks"
    guide = replace(given, reads=reads)
    gap = GtGap(objective=guide, taps=taps)
    teacher = BottomUse(name="teacher", net="gt", reads=reads, noise=noise)
    pull = TermGradients(objective=whole if isinstance(whole, Joint) else guide)
    probes = [
        Probe(name="gap", node=stage, measure=gap),
        Probe(name="gradients", node=stage, measure=pull),
        Probe(name="teacher", node=stage, measure=teacher),
        Probe(name="student", node=final.node, measure=BottomUse(name="student", net="ct")),
        _headroom(stage, final, taps, reads),
    ]
    if isinstance(guide, Matched):
        probes.insert(1, Probe(name="fsm", node=stage, measure=FsmState(taps=taps, reads=reads)))
    return tuple(probes)


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
