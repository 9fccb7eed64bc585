"""What trained networks of this workspace see in a new CT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from benchmark.plan.folds import Fold
from benchmark.plan.nodes import Weights, in_order
from benchmark.running.bench import Bench
from benchmark.running.trained import Trained
from benchmark.training.nets import build, place
from benchmark.training.prediction import predict_together, probabilities_together

SHORTEST_KEY = 6  # characters of a key that a person may abbreviate it to


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


def _network(trained: Trained, node_key: str, weights: Weights, bench: Bench) -> nn.Module:
    size = trained.setting.ground.size
    nets = build(weights.node, organs=trained.organs, size=size, seed=0)
    network = nets[weights.net]
    network.load_state_dict(bench.objects.weights(node_key, weights.net))
    place({weights.net: network}, bench.hardware)
    return network.eval()
