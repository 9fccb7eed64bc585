"""Walk a plan: train what is not there yet, parents first, each key once among all workers; and a
training before its first step: networks with their start weights, and the draw."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from torch import Tensor, nn

from benchmark.data.feeding.draw import SliceDraw, draw_for
from benchmark.data.feeding.folds import FoldData
from benchmark.errors import Stopped
from benchmark.files.code import Code
from benchmark.files.source import code_of
from benchmark.parts.networks import stride_of
from benchmark.plan.given import ATLAS
from benchmark.plan.keys import Context, canonical, key, spec, values_in
from benchmark.plan.nodes import Train, Weights, in_order
from benchmark.running.bench import Bench
from benchmark.running.code import may_resume, may_use
from benchmark.running.events import EpochEnded, Progress, Resumed, TrainingBegun
from benchmark.store.checkpoints import as_recorded
from benchmark.training.meter import Epoch
from benchmark.training.nets import build, place, start
from benchmark.training.precision import Hardware, completed
from benchmark.training.trainer import Control, History, State, fit

Loaded = Mapping[Weights, Mapping[str, Tensor]]


def networks(node: Train, data: FoldData, seed: int) -> dict[str, nn.Module]:
    """Return the node's untrained networks for a fold's organs and grid."""
    return build(node, organs=data.dataset.organs, size=data.ground.size, seed=seed)


def prepared(
    node: Train, data: FoldData, seed: int, loaded: Loaded, hardware: Hardware
) -> tuple[dict[str, nn.Module], SliceDraw, Hardware]:
    """Return the node's networks as they start, on the device, the draw of its batches, and the
    hardware with the layout of this training.

    `loaded` holds the whole networks' states of the weights that it starts from.
    """
    nets = networks(node, data, seed)
    start(node, nets, loaded)
    chosen = place(nets, hardware)
    cases, stride = data.cases_of(node), stride_of(nets)
    draw = draw_for(node, cases, data.ground, seed=seed, stride=stride, device=hardware.device)
    return nets, draw, chosen


def own_code(node: Train) -> Code:
    """Return the code that a training runs itself: its values' classes and the engine."""
    return code_of(values_in(node), (prepared, fit))


def training_code(node: Train) -> Code:
    """Return the code behind a training's weights, that of its parents too."""
    return functools.reduce(operator.or_, map(own_code, in_order(node)))


def execute(final: Train, data: FoldData, seed: int, bench: Bench) -> tuple[str, ...]:
    """Make sure that `final` and every training behind it is in the store; return their keys in
    order."""
    context = data.context(seed)
    nodes = list(in_order(final))
    keys = tuple(key(node, context) for node in nodes)
    for number, (node, node_key) in enumerate(zip(nodes, keys, strict=True), start=1):
        with bench.objects.lock(node_key):
            if _is_there(node, node_key, bench):
                bench.objects.drop_checkpoints(node_key)  # of who died as soon as it was stored
                bench.tally.reused.append(node_key)
                continue
            _train(node, node_key, data, context, bench, (number, len(nodes)))
            bench.tally.trained.append(node_key)
            if bench.stop.requested:
                raise Stopped(f"stopped after training {node_key} was stored")
    return keys


def load_networks(node: Train, node_key: str, data: FoldData, bench: Bench) -> dict[str, nn.Module]:
    """Return the networks of a trained node on the bench's device, in eval."""
    nets = networks(node, data, seed=0)
    for name, module in nets.items():
        module.load_state_dict(bench.objects.weights(node_key, name))
        module.eval()
    place(nets, bench.hardware)
    return nets


def _is_there(node: Train, node_key: str, bench: Bench) -> bool:
    """Whether a whole object is stored that still counts; with `--fresh` one from before this run
    does not."""
    done = {*bench.tally.trained, *bench.tally.reused}
    if bench.fresh and node_key not in done and bench.objects.has(node_key):
        bench.objects.set_aside(node_key)
        bench.objects.drop_checkpoints(node_key)
    return bench.objects.whole(node_key) and (
        node_key in done or may_use(node_key, training_code(node), bench)
    )


def _train(
    node: Train,
    node_key: str,
    data: FoldData,
    context: Context,
    bench: Bench,
    place_in_plan: tuple[int, int],
) -> None:
    began = time.monotonic()
    bench.results.discard_all(node_key)  # rows never outlive the networks that they measured
    loaded = {w: _parent_state(w, context, bench) for n in node.nets.values() for w in n.init}
    code = own_code(node)
    state, before = _resume(node_key, code, bench)
    begun = bench.hardware.as_begun(before["hardware"]) if state else bench.hardware
    nets, draw, hardware = prepared(node, data, context.seed, loaded, begun)
    _warn_of_other_hardware(node_key, before, hardware, bench)
    steps = node.schedule.steps(draw.steps_in_one_pass)
    bench.listener.hear(_training(node, node_key, state, steps, place_in_plan))
    resumed = [*before.get("resumed", []), *([state.step] if state else [])]

    def so_far() -> dict[str, Any]:
        seconds = round(before.get("seconds", 0.0) + time.monotonic() - began, 3)
        return {"hardware": hardware.record(), "seconds": seconds, "resumed": resumed}

    parents = [key(parent, context) for parent in node.parents()]
    made = {"code": bench.codes.note(code), "parents": parents}
    control = _control(node, node_key, bench, state, lambda: {**made, **so_far()})
    bench.objects.begin_epochs(node_key, node.title, state.epochs if state else ())
    with bench.stop.training() as control.stop:
        history = fit(node, nets, draw, seed=context.seed, hardware=hardware, control=control)
    record = _record(node, node_key, data, context, bench, history, nets)
    states = {name: module.state_dict() for name, module in nets.items()}
    bench.objects.commit(node_key, states, {**record, **so_far()})


def _training(
    node: Train, node_key: str, state: State | None, steps: int, place_in_plan: tuple[int, int]
) -> TrainingBegun:
    number, total = place_in_plan
    resumed = state.step if state else None
    return TrainingBegun(
        title=node.title, key=node_key, number=number, total=total, steps=steps, resumed=resumed
    )


def _parent_state(weights: Weights, context: Context, bench: Bench) -> dict[str, Tensor]:
    return bench.objects.weights(key(weights.node, context), weights.net)


def _resume(node_key: str, code: Code, bench: Bench) -> tuple[State | None, dict[str, Any]]:
    """Return the newest whole checkpoint that `code` made, and what was said about it."""
    if bench.fresh:
        bench.objects.drop_checkpoints(node_key)
    found = bench.objects.checkpoint(node_key)
    if found is None:
        return None, {}
    state, about = found
    if not may_resume(node_key, str(about.get("code")), code, bench):
        bench.objects.drop_checkpoints(node_key)
        return None, {}
    bench.tally.resumed.append(Resumed(key=node_key, step=state.step))
    return state, about


def _warn_of_other_hardware(
    node_key: str, before: Mapping[str, Any], now: Hardware, bench: Bench
) -> None:
    """Precision and layout are those that a training began with; all else may differ."""
    if before and completed(before["hardware"]) != now.record():
        bench.warn(
            f"training {node_key} goes on with other hardware, threads or torch: "
            "its result will not be bit-identical to an undisturbed one"
        )


def _control(
    node: Train,
    node_key: str,
    bench: Bench,
    state: State | None,
    about: Callable[[], dict[str, Any]],
) -> Control:
    """What the trainer tells while it runs; `about` is what is said of a checkpoint of now."""

    def save(at: State) -> None:
        bench.objects.save_checkpoint(node_key, at, about(), last=bench.stop.requested)

    def watch(step: int, steps: int, terms: Mapping[str, float]) -> None:
        bench.listener.hear(Progress(step=step, steps=steps, terms=dict(terms)))

    def report(epoch: Epoch) -> None:
        bench.objects.add_epoch(node_key, node.title, epoch)
        bench.listener.hear(EpochEnded(epoch=epoch))

    return Control(
        state=state,
        save=save,
        every_seconds=bench.checkpoint_seconds,
        watch=watch,
        epoch=report,
    )


def _record(
    node: Train,
    node_key: str,
    data: FoldData,
    context: Context,
    bench: Bench,
    history: History,
    nets: Mapping[str, nn.Module],
) -> dict[str, Any]:
    """What a person needs to know of a training years later."""
    return {
        "format": 1,
        "key": node_key,
        "title": node.title,
        "spec": spec(node, context),
        "parents": [key(parent, context) for parent in node.parents()],
        "ground": canonical(data.atlas_ground if node.cases == ATLAS else data.ground),
        "fold": context.of(node),
        "atlas": context.atlas,
        "seed": context.seed,
        "organs": list(data.dataset.organs),
        "steps": history.steps,
        "epochs": [as_recorded(epoch) for epoch in history.epochs],
        "parameters": {
            name: sum(p.numel() for p in module.parameters()) for name, module in nets.items()
        },
        "code": bench.codes.note(training_code(node)),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
