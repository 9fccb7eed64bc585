"""Seven pairs of masks, and what each library says about them.

python docs/metric_adapters.py NAME FILE   # measure one library, write its values to FILE as JSON

`docs/metric_table.py` runs this in an environment of the library's own. So it imports nothing but
NumPy before it knows the library, and runs on old and new versions of NumPy.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Mask = Any  # a bool array (Z, Y, X)
Spacing = tuple[float, float, float]
Metrics = dict[str, Callable[[], Any]]
"""Name of a metric and how to get it. DSC and NSD are shares of 1, the others mm (or voxels)."""


class NotPrintedError(Exception):
    """A program ended without this value."""


SPACING_MM = (3.0, 0.8, 0.5)
TOLERANCE_MM = 1.5


def pairs() -> dict[str, tuple[Mask, Mask]]:
    """Return truth and prediction of each pair, bool of shape (14, 30, 36); P6: (1, 30, 36)."""
    z, y, x = np.ogrid[:14, :30, :36]
    ball = ((z - 6) * 3.0) ** 2 + ((y - 14) * 0.8) ** 2 + ((x - 14) * 0.5) ** 2 <= 36
    islet = ball.copy()
    islet[2:4, 2:5, 30:34] = True
    box = _box((4, 10), (8, 20), (8, 24))
    return {
        "P1": (box, _box((5, 11), (10, 22), (11, 27))),
        "P2": (_box((6, 8), (13, 16), (16, 20)), _box((3, 11), (4, 26), (4, 32))),
        "P3": (ball, islet),
        "P4": (_box((0, 6), (0, 12), (0, 12)), _box((0, 6), (0, 12), (0, 16))),
        "P5": (_box((6, 7), (6, 7), (6, 7)), _box((7, 8), (8, 9), (9, 10))),
        "P6": (
            _box((0, 1), (5, 20), (5, 25), slices=1),
            _box((0, 1), (7, 22), (8, 28), slices=1),
        ),
        "P10": (_box((0, 14), (0, 30), (0, 36)), box),
    }


def empty_pairs() -> dict[str, tuple[Mask, Mask]]:
    """Return truth and prediction where one or both are empty; the other is the truth of P1."""
    box = pairs()["P1"][0]
    empty = np.zeros_like(box)
    return {"missed": (box, empty), "false_alarm": (empty, box), "both_empty": (empty, empty)}


def ours(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """This suite: the functions that `score_case` calls; with an empty mask `score_case` itself."""
    from benchmark.scoring.cases import score_case
    from benchmark.scoring.overlap import dice_percent
    from benchmark.scoring.surface import assd_mm, hd95_mm, nsd_percent, surface_distances

    if not (truth.any() and predicted.any()):
        maps = [mask.astype(np.uint8) for mask in (truth, predicted)]
        scores = score_case(maps[0], maps[1], spacing_mm=mm, organs=["a"], annotated=["a"])
        found = {score.metric: score.value for score in scores}
        return {
            "dsc": lambda: found["dsc"] / 100,
            "assd": lambda: found["assd"],
            "hd95": lambda: found["hd95"],
            "nsd": lambda: found["nsd"] / 100,
        }
    distances = surface_distances(truth, predicted, mm)
    return {
        "dsc": lambda: dice_percent(truth, predicted) / 100,
        "assd": lambda: assd_mm(distances),
        "hd95": lambda: hd95_mm(distances),
        "nsd": lambda: nsd_percent(distances, TOLERANCE_MM) / 100,
    }


def medpy(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """MedPy, any version."""
    from medpy.metric import binary

    return {
        "dsc": lambda: binary.dc(predicted, truth),
        "assd": lambda: binary.assd(predicted, truth, voxelspacing=mm),
        "hd": lambda: binary.hd(predicted, truth, voxelspacing=mm),
        "hd95": lambda: binary.hd95(predicted, truth, voxelspacing=mm),
    }


def monai(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """MONAI's functions; the one channel is the organ, hence include_background."""
    import torch
    from monai import metrics

    p, t = (torch.from_numpy(mask[None, None].astype("float32")) for mask in (predicted, truth))
    how = {"include_background": True, "spacing": mm}
    hausdorff, dice = metrics.compute_hausdorff_distance, metrics.compute_dice
    return {
        "dsc": lambda: dice(p, t, include_background=True),
        "assd": lambda: metrics.compute_average_surface_distance(p, t, symmetric=True, **how),
        "hd": lambda: hausdorff(p, t, **how),
        "hd95": lambda: hausdorff(p, t, percentile=95, **how),
        "nsd": lambda: metrics.compute_surface_dice(p, t, [TOLERANCE_MM], **how),
    }


def monai_subvoxels(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """MONAI's NSD by areas."""
    import torch
    from monai.metrics import compute_surface_dice as nsd

    p, t = (torch.from_numpy(mask[None, None].astype("float32")) for mask in (predicted, truth))
    how = {"include_background": True, "spacing": mm, "use_subvoxels": True}
    return {"nsd": lambda: nsd(p, t, [TOLERANCE_MM], **how)}


def seg_metrics(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """seg-metrics with its defaults; the spacing of an array goes in the order of its axes."""
    from seg_metrics.seg_metrics import write_metrics

    def value(name: str) -> Any:
        images = {"gdth_img": truth.astype("uint8"), "pred_img": predicted.astype("uint8")}
        return write_metrics([1], **images, metrics=[name], spacing=mm)[0][name][0]

    names = {"dsc": "dice", "assd": "msd", "hd": "hd", "hd95": "hd95"}
    return {ours: lambda theirs=theirs: value(theirs) for ours, theirs in names.items()}


def panoptica(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """panoptica's metrics, called directly on the two masks."""
    from panoptica.metrics import Metric

    return {
        "dsc": lambda: Metric.DSC(truth, predicted),
        "assd": lambda: Metric.ASSD(truth, predicted, voxelspacing=mm),
        "hd": lambda: Metric.HD(truth, predicted, voxelspacing=mm),
        "hd95": lambda: Metric.HD95(truth, predicted, voxelspacing=mm),
        "nsd": lambda: Metric.NSD(truth, predicted, voxelspacing=mm, threshold=TOLERANCE_MM),
    }


def surface_distance(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """surface-distance; it gives two directed averages, and ASSD here is their mean."""
    import surface_distance as sd

    def found() -> Any:
        return sd.compute_surface_distances(truth, predicted, mm)

    return {
        "dsc": lambda: sd.compute_dice_coefficient(truth, predicted),
        "assd": lambda: np.mean(sd.compute_average_surface_distance(found())),
        "hd": lambda: sd.compute_robust_hausdorff(found(), 100),
        "hd95": lambda: sd.compute_robust_hausdorff(found(), 95),
        "nsd": lambda: sd.compute_surface_dice_at_tolerance(found(), TOLERANCE_MM),
    }


def segmentationmetrics(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """segmentationmetrics; `hd` is its `hausdorff_distance` with percentile=100."""
    from segmentationmetrics import SegmentationMetrics

    def found(percentile: int = 95) -> Any:
        return SegmentationMetrics(predicted, truth, mm, percentile=percentile)

    return {
        "dsc": lambda: found().dice,
        "assd": lambda: found().mean_surface_distance,
        "hd": lambda: found(100).hausdorff_distance,
        "hd95": lambda: found().hausdorff_distance,
    }


def pymia(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """pymia's evaluator; ASSD is its `AverageDistance`."""
    from pymia.evaluation import metric
    from pymia.evaluation.evaluator import SegmentationEvaluator

    def value(which: Any) -> Any:
        evaluator = SegmentationEvaluator([which], {1: "organ"})
        evaluator.evaluate(_itk(predicted, mm), _itk(truth, mm), "case")
        return evaluator.results[0].value

    return {
        "dsc": lambda: value(metric.DiceCoefficient()),
        "assd": lambda: value(metric.AverageDistance()),
        "hd": lambda: value(metric.HausdorffDistance()),
        "hd95": lambda: value(metric.HausdorffDistance(95)),
        "nsd": lambda: value(metric.SurfaceDiceOverlap(TOLERANCE_MM)),
    }


def simpleitk(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """SimpleITK's filters; ASSD is the average Hausdorff distance."""
    import SimpleITK

    def run(name: str) -> Any:
        found = getattr(SimpleITK, name)()
        found.Execute(_itk(truth, mm), _itk(predicted, mm))
        return found

    def dice() -> Any:
        return run("LabelOverlapMeasuresImageFilter").GetDiceCoefficient()

    return {
        "dsc": dice,
        "assd": lambda: run("HausdorffDistanceImageFilter").GetAverageHausdorffDistance(),
        "hd": lambda: run("HausdorffDistanceImageFilter").GetHausdorffDistance(),
    }


def plastimatch_boundary(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """`plastimatch dice --all`: the lines marked (boundary)."""
    return _plastimatch(truth, predicted, mm, r" \(boundary\)")


def plastimatch_voxels(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """`plastimatch dice --all`: the lines without (boundary)."""
    return _plastimatch(truth, predicted, mm, "")


def scikit_image(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """scikit-image, in voxels: it takes no spacing. ASSD is method="modified"."""
    from skimage.metrics import hausdorff_distance

    return {
        "assd": lambda: hausdorff_distance(truth, predicted, method="modified"),
        "hd": lambda: hausdorff_distance(truth, predicted),
    }


def miseval(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """miseval, in voxels: it takes no spacing. ASSD is its "AverageHausdorffDistance".

    P6 goes in as a slice (Y, X): its "HausdorffDistance" takes no volume.
    """
    from miseval import evaluate

    t, p = (np.squeeze(mask.astype(int)) for mask in (truth, predicted))
    return {
        "dsc": lambda: evaluate(t, p, metric="DSC"),
        "assd": lambda: evaluate(t, p, metric="AverageHausdorffDistance"),
        "hd": lambda: evaluate(t, p, metric="HausdorffDistance"),
    }


def torchmetrics(truth: Mask, predicted: Mask, mm: Spacing) -> Metrics:
    """torchmetrics: its distance is for slices only, so P6 and, of an empty pair, one slice."""
    import torch
    from torchmetrics.functional import segmentation

    t, p = (torch.from_numpy(mask[None, None].astype(int)) for mask in (truth, predicted))
    how = {"num_classes": 1, "include_background": True}
    found: Metrics = {"dsc": lambda: segmentation.dice_score(p, t, **how)}
    if len(truth) == 1 or not (truth.any() and predicted.any()):
        middle = len(truth) // 2
        slices = p[:, :, middle], t[:, :, middle]
        spacing = list(mm[1:])
        found["hd"] = lambda: segmentation.hausdorff_distance(*slices, spacing=spacing, **how)
    return found


ADAPTERS = {
    "ours": ours,
    "medpy-0.5.2": medpy,
    "medpy-0.4.0": medpy,
    "monai": monai,
    "monai-subvoxels": monai_subvoxels,
    "seg-metrics": seg_metrics,
    "panoptica": panoptica,
    "surface-distance": surface_distance,
    "segmentationmetrics": segmentationmetrics,
    "pymia": pymia,
    "plastimatch-boundary": plastimatch_boundary,
    "plastimatch-voxels": plastimatch_voxels,
    "simpleitk": simpleitk,
    "scikit-image": scikit_image,
    "miseval": miseval,
    "torchmetrics": torchmetrics,
}


def measure(name: str) -> dict[str, dict[str, float | str]]:
    """Return each pair's values by metric: rounded floats, "nan", "inf" or an exception's name.

    A metric that the library does not offer is left out.
    """
    found = {}
    for pair, (truth, predicted) in {**pairs(), **empty_pairs()}.items():
        metrics = _metrics(name, truth, predicted)
        found[pair] = {metric: _value(get) for metric, get in metrics.items()}
    return found


def _metrics(name: str, truth: Mask, predicted: Mask) -> Metrics:
    """A library may change its input: it gets copies."""
    return ADAPTERS[name](truth.copy(), predicted.copy(), SPACING_MM)


def _value(get: Callable[[], Any]) -> float | str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = float(get())
        except Exception as error:
            return type(error).__name__
    return round(value, 9) if math.isfinite(value) else str(value)


def _box(*sides: tuple[int, int], slices: int = 14) -> Mask:
    mask = np.zeros((slices, 30, 36), bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def _itk(mask: Mask, mm: Spacing) -> Any:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(mm[::-1])
    return image


def _plastimatch(truth: Mask, predicted: Mask, mm: Spacing, which: str) -> Metrics:
    import SimpleITK

    with tempfile.TemporaryDirectory() as place:
        files = [str(Path(place) / f"{name}.mha") for name in ("truth", "predicted")]
        for file, mask in zip(files, (truth, predicted), strict=True):
            SimpleITK.WriteImage(_itk(mask, mm), file)
        command = [str(Path(sys.executable).parent / "plastimatch"), "dice", "--all", *files]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def value(start: str) -> Any:
        line = re.search(rf"^{start}{which} *[=:] *(\S+)$", said, re.MULTILINE)
        if line is None:
            raise NotPrintedError(start)
        return line[1]

    return {
        "dsc": lambda: re.findall(r"^DICE: *(\S+)", said, re.MULTILINE)[0],
        "assd": lambda: value("Avg average Hausdorff distance"),
        "hd": lambda: value("Hausdorff distance"),
        "hd95": lambda: value(r"Percent \(0\.95\) Hausdorff distance"),
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(measure(sys.argv[1])), encoding="utf-8")
