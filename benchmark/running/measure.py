"""A trained network on the test cases of its fold: label maps on the native grid, and scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmark.data.feeding.folds import FoldData
from benchmark.data.feeding.slices import scaled
from benchmark.data.volume import Volume, slices_of
from benchmark.scoring.cases import Score, score_case
from benchmark.training.precision import Hardware
from benchmark.training.prediction import predict_labels


def measured(
    network: nn.Module, data: FoldData, hardware: Hardware
) -> Iterator[tuple[str, NDArray[np.uint8], list[Score]]]:
    """Yield each test case with its predicted label map (Z, Y, X) and its scores."""
    for name in data.fold.test:
        volume = data.dataset.load(name)
        predicted = predicted_label_map(network, volume, data, hardware)
        yield name, predicted, case_scores(volume, predicted, data)


def predicted_label_map(
    network: nn.Module, volume: Volume, data: FoldData, hardware: Hardware
) -> NDArray[np.uint8]:
    """Return the label map (Z, Y, X) that a network predicts for a case, on the case's own grid;
    background outside of the case's crop box."""
    whole = np.zeros(volume.label.shape, np.uint8)
    box = slices_of(volume.box)
    whole[box] = predict_labels(
        network,
        data.cache.case(volume.case).hu_ZHW,
        scaled=lambda hu: scaled(hu, data.ground),
        native_hw=whole[box].shape[1:],
        batch=data.ground.batch,
        hardware=hardware,
    )
    return whole


def case_scores(volume: Volume, predicted: NDArray[np.uint8], data: FoldData) -> list[Score]:
    """Return the scores of a case's label map (Z, Y, X), as `score_case` gives them."""
    return score_case(
        volume.label,
        predicted,
        spacing_mm=volume.geometry.spacing_mm,
        organs=data.dataset.organs,
        annotated=volume.annotated,
        box=slices_of(volume.box) if volume.box else None,
        unknown_ZYX=volume.unknown,
    )
