"""Trained networks of this workspace, found by row or by key, and what they see in a new CT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.data.feeding.folds import FoldData, GridCache
from benchmark.data.feeding.slices import hu_on_grid, scaled
from benchmark.data.feeding.splits import fold_at, split_of
from benchmark.data.library import DataSet, open_dataset
from benchmark.data.scan import Scan
from benchmark.data.volume import Image, Label
from benchmark.errors import BadInput
from benchmark.files.atomic import damage
from benchmark.plan.folds import Fold
from benchmark.plan.keys import Context, canonical, key
from benchmark.plan.nodes import Weights, in_order
from benchmark.running.bench import Bench
from benchmark.settings.registry import Registry
from benchmark.settings.resolve import Setting, resolve
from benchmark.store.ledger import Entry
from benchmark.training.nets import build, place
from benchmark.training.prediction import predict_together, probabilities_together

SHORTEST_KEY = 6  # characters of a key that a person may abbreviate it to


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What predicts: the entries that it was trained for, one a fold, and the weights of each.

    All share the setting and the organs; label k + 1 is `organs[k]`.
    """

    setting: Setting
    entries: tuple[Entry, ...]
    keys: tuple[str, ...]
    weights: tuple[Weights, ...]
    organs: tuple[str, ...]


def trained_row(
    bench: Bench, setting: Setting, *, dataset: str, folds: Sequence[int], seed: int, stage: str
) -> Trained:
    """Return the networks of a row, one for each of `folds`; with `stage` those of ROW@STAGE.

    Raises `BadInput` for a row, or a fold of it, that was not trained in this workspace.
    """
    at = f"@{stage}" if stage else ""
    label = setting.label + at
    where = f"on {dataset}, preset {setting.preset}, seed {seed}"
    found = [
        entry
        for entry in bench.ledger.entries()
        if _same(entry, setting, at) and (entry.dataset, entry.seed) == (dataset, seed)
        if bench.objects.has(entry.key)
    ]
    if not found:
        raise BadInput(
            f"{label} was never trained in this workspace {where}: bench run --method "
            f"{setting.row} first, or see bench status for what there is"
        )
    chosen = _of_one_split(found, folds, f"{label} {where}")
    return _trained(bench, setting, [(entry, entry.key) for entry in chosen])


def _of_one_split(found: list[Entry], folds: Sequence[int], what: str) -> list[Entry]:
    """The entries of `folds`, of the one split that has them all."""
    splits: dict[str, dict[int, Entry]] = {}
    for entry in found:
        splits.setdefault(entry.split, {})[entry.fold] = entry
    whole = [there for there in splits.values() if there.keys() >= set(folds)]
    if len(whole) == 1:
        return [whole[0][fold] for fold in folds]
    told = {split: ",".join(map(str, sorted(there))) for split, there in splits.items()}
    if len(splits) > 1:
        each = "; ".join(f"{split[:8]}: fold {there}" for split, there in sorted(told.items()))
        raise BadInput(f"{what} was trained on {len(splits)} splits ({each}): give a --key")
    (there,) = splits.values()
    shown = ",".join(str(fold) for fold in folds if fold not in there)
    raise BadInput(f"{what} lacks fold {shown}: train it, or give --fold {','.join(told.values())}")


def trained_key(bench: Bench, registry: Registry, asked: str) -> Trained:
    """Return the network of one training, named by its key or the beginning of it.

    Raises `BadInput` for a key that is not there, or whose networks read no CT.
    """
    entries = [entry for entry in bench.ledger.entries() if entry.part == "test"]
    whole = len(asked) >= SHORTEST_KEY
    known = {k for entry in entries for k in entry.nodes if bench.objects.has(k)}
    fitting = sorted(k for k in known if k == asked or (whole and k.startswith(asked)))
    if len(fitting) != 1:
        why = f"{len(fitting)} keys begin so" if fitting else "no trained row has it"
        raise BadInput(f"key {asked!r} is not there: {why}; bench plan shows the keys of a row")
    (found,) = fitting
    # where the key is a row's last training, its own scored network; else whichever reads CT
    using = [entry for entry in entries if found in entry.nodes]
    entry = next((entry for entry in using if entry.key == found), using[0])
    row = entry.row.partition("@")[0]
    setting = resolve(registry, row, entry.preset, dict(entry.overrides))
    return _trained(bench, setting, [(entry, found)])


def networks_of(trained: Trained, bench: Bench) -> list[nn.Module]:
    """Return the networks with their weights, on the device, as `predict` takes them."""
    return [
        _network(trained, key, weights, bench)
        for key, weights in zip(trained.keys, trained.weights, strict=True)
    ]


def predict(
    trained: Trained,
    scan: Scan,
    bench: Bench,
    batch: int | None = None,
    networks: Sequence[nn.Module] = (),
) -> Label:
    """Return the label map of a CT, canonical (Z, Y, X): the most probable class by the mean of
    the networks' probabilities. `batch` slices are in work at a time (None: as in training);
    `networks` are those of `networks_of`, for whoever predicts several CTs."""
    networks = networks or networks_of(trained, bench)
    ground = trained.setting.ground
    z, y, x = scan.image.shape

    def chunks() -> Iterator[Tensor]:
        size = batch or ground.batch
        for first in range(0, z, size):
            part = np.ascontiguousarray(scan.image[first : first + size])
            yield hu_on_grid(torch.from_numpy(part), ground.size)

    return predict_together(
        list(networks),
        chunks(),
        scaled=lambda hu: scaled(hu, ground),
        shape_ZYX=(z, y, x),
        hardware=bench.hardware,
    )


def probabilities(trained: Trained, image_ZYX: Image, bench: Bench) -> NDArray[np.float32]:
    """Return the class probabilities of a CT (HU, canonical) by one training, (1 + K, Z, Y, X),
    background first: what its label map was made of."""
    network = _network(trained, trained.keys[0], trained.weights[0], bench)
    ground = trained.setting.ground
    hu = torch.split(hu_on_grid(torch.from_numpy(image_ZYX), ground.size), ground.batch)
    z, y, x = image_ZYX.shape
    return probabilities_together(
        [network],
        hu,
        scaled=lambda hu: scaled(hu, ground),
        shape_ZYX=(z, y, x),
        hardware=bench.hardware,
    )


def seen_in_training(trained: Trained, scan: Scan, bench: Bench) -> str:
    """Return a warning where the CT is one that the networks were trained on, else ""."""
    name = trained.entries[0].dataset
    if not (bench.root / "data" / name / "dataset.json").is_file():
        return ""
    dataset = open_dataset(bench.root, name)
    case = _case_of(dataset, scan)
    first = trained.entries[0]
    try:
        split = split_of(dataset, first.split if first.own_split else "")
    except BadInput:  # its cases changed since
        return ""
    known = [e for e in trained.entries if e.split == split.fingerprint]
    used = [
        e.fold
        for e in known
        if case in given(trained, dataset, fold_at(split.folds, e.fold, e.part))
    ]
    if not used:
        return ""
    shown = ", ".join(map(str, used))
    return (
        f"{scan.name} is case {case} of {name}, which the networks of fold {shown} were trained "
        "on: this prediction says nothing about new patients"
    )


def given(trained: Trained, dataset: DataSet, fold: Fold) -> set[str]:
    """Return the names of the cases whose CT or mask a training of the row was given."""
    ground = trained.setting.ground
    cache = GridCache(dataset=dataset, ground=ground)
    data = FoldData(fold=fold, dataset=dataset, ground=ground, cache=cache)
    nodes = in_order(trained.setting.plan.node)
    return {name for node in nodes for name in data.names_of(node)}


def _case_of(dataset: DataSet, scan: Scan) -> str:
    """The name of the case with this very image, or ""."""
    same = [case.name for case in dataset.cases if case.shape == scan.image.shape]
    if not same:
        return ""
    stream = BytesIO()
    np.save(stream, scan.image, allow_pickle=False)
    own = sha256(stream.getbuffer()).hexdigest()
    return next((n for n in same if dataset.record(n)["files"]["image.npy"] == own), "")


def _same(entry: Entry, setting: Setting, at: str) -> bool:
    """Whether an entry is of this setting, scored on test patients, and did not fail."""
    return (
        (entry.row, entry.preset, entry.part) == (setting.row + at, setting.preset, "test")
        and entry.state != "failed"
        and canonical(entry.overrides) == canonical(setting.overrides)
    )


def _trained(bench: Bench, setting: Setting, chosen: list[tuple[Entry, str]]) -> Trained:
    records = [bench.objects.record(key) for _, key in chosen]
    weights = []
    for (entry, node_key), record in zip(chosen, records, strict=True):
        if fault := damage(bench.objects.path(node_key)):
            raise BadInput(f"training {node_key} is damaged ({fault}): bench run trains it again")
        if canonical(setting.ground) != record["ground"]:
            raise _changed(entry)
        atlas = record.get("atlas", "")  # what was stored before there was one has none
        context = Context(fold=record["fold"], seed=record["seed"], atlas=atlas)
        weights.append(_weights(setting, entry, node_key, context))
    return Trained(
        setting=setting,
        entries=tuple(entry for entry, _ in chosen),
        keys=tuple(key for _, key in chosen),
        weights=tuple(weights),
        organs=tuple(records[0]["organs"]),
    )


def _weights(setting: Setting, entry: Entry, node_key: str, context: Context) -> Weights:
    """The weights of a training in the plan of its row, found again by the key."""
    stage = entry.row.partition("@")[2]
    stages = setting.stages
    if stage and stage not in stages:
        raise _changed(entry)
    final = stages[stage] if stage else setting.plan
    node = next((n for n in in_order(final.node) if key(n, context) == node_key), None)
    if node is None:
        raise _changed(entry)
    if node is final.node:
        return replace(final, part="", into="")
    for name, net in node.nets.items():
        if getattr(net.arch, "reads", "") == "image":
            return node[name]
    raise BadInput(f"training {node_key} ({node.title}) reads masks, not a CT")


def _changed(entry: Entry) -> BadInput:
    return BadInput(f"{entry.row} is not what it was when {entry.key} was trained: run it again")


def _network(trained: Trained, node_key: str, weights: Weights, bench: Bench) -> nn.Module:
    size = trained.setting.ground.size
    nets = build(weights.node, organs=trained.organs, size=size, seed=0)
    network = nets[weights.net]
    network.load_state_dict(bench.objects.weights(node_key, weights.net))
    place({weights.net: network}, bench.hardware)
    return network.eval()
