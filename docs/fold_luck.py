"""Measure the luck of folds and runs without patients' noise: docs/fold-luck.json.

bench suite --name luck --rows unet,unet-200,fsm --datasets phantom --preset quick-1 \
    --seeds 0,1,2,3,4,5 --root ROOT
python docs/fold_luck.py --root ROOT   # half an hour on one core; what is measured is kept

Every network of the suite is scored on 100 phantom patients that nobody trained on, so that the
mean of a network hardly depends on them. Of a difference of two rows, over 5 folds and 6 seeds:
s_run^2 is the variance of seeds within folds, s_fold^2 that of the fold means less s_run^2 / seeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.data.scan import Scan
from benchmark.data.volume import Volume
from benchmark.files.atomic import commit_file, write_json
from benchmark.phantom.recipe import Phantom
from benchmark.plan.folds import FOLDS
from benchmark.running.bench import Options
from benchmark.running.events import Warnings
from benchmark.running.predicting import predict
from benchmark.running.trained import Wanted, candidates, trained_row
from benchmark.scoring.overlap import dice_percent
from benchmark.settings.registry import load_registry

FOUND = Path(__file__).with_name("fold-luck.json")
ROWS, SEEDS = ("unet", "unet-200", "fsm"), range(6)
FIRST, UNSEEN = 15, 100  # the set has patients 0 to 14


def patients(count: int) -> Iterator[Volume]:
    """Yield patients of the set's own recipe that are not in it."""
    recipe = Phantom(patients=FIRST + count)
    for index in range(FIRST, FIRST + count):
        yield recipe.volume(index)


def measure(root: Path, scores: Path, volumes: list[Volume]) -> None:
    """Write the mean DSC of every patient, over organs, for each network that has no file yet."""
    registry = load_registry()
    bench = Options(root=root, device="cpu", precision="fp32").open(Warnings(print), reading=True)
    scans = [Scan(name=v.case, image=v.image, geometry=v.geometry, header=None) for v in volumes]
    for row, fold, seed in itertools.product(ROWS, range(FOLDS), SEEDS):
        path = scores / f"{row}-{fold}-{seed}.json"
        if path.exists():
            continue
        wanted = Wanted(name=row, dataset="phantom", preset="quick-1", folds=[fold], seed=seed)
        trained = trained_row(bench, registry, candidates(bench, registry, wanted), wanted)
        with commit_file(path) as temporary:
            found = [
                dsc(volume, predict(trained, scan, bench))
                for volume, scan in zip(volumes, scans, strict=True)
            ]
            write_json(temporary, found)
        print(path.stem, flush=True)


def dsc(volume: Volume, predicted: np.ndarray) -> float:
    """Return the mean DSC over the organs, in percent."""
    organs = range(1, len(volume.annotated) + 1)
    return float(np.mean([dice_percent(volume.label == k, predicted == k) for k in organs]))


def spread(dsc_FSn: np.ndarray) -> dict[str, float]:
    """Return the sds of folds and of runs, in points, from 5 x 6 networks on n patients.

    All networks saw the same patients, so only what a patient does to one network is noise of its
    mean; that variance is taken off the runs'."""
    mean_FS = dsc_FSn.mean(axis=2)
    apart = dsc_FSn - mean_FS[..., None] - dsc_FSn.mean(axis=(0, 1)) + dsc_FSn.mean()
    noise = float(apart.var(ddof=1)) / dsc_FSn.shape[2]
    seen = float(mean_FS.var(axis=1, ddof=1).mean())
    between = float(mean_FS.mean(axis=1).var(ddof=1))
    fold, run = max(between - seen / mean_FS.shape[1], 0.0), max(seen - noise, 0.0)
    return {"mean": float(mean_FS.mean()), "fold_sd": fold**0.5, "run_sd": run**0.5}


def summary(scores: Path) -> dict[str, Any]:
    """Return the spread of each row and of each difference, and of how much it was measured."""
    values = {
        row: np.array([[_read(scores, row, fold, seed) for seed in SEEDS] for fold in range(FOLDS)])
        for row in ROWS
    }
    found = {row: spread(dsc_FSn) for row, dsc_FSn in values.items()}
    for a, b in (("unet-200", "unet"), ("fsm", "unet"), ("fsm", "unet-200")):
        found[f"{a} - {b}"] = spread(values[a] - values[b])
    networks = len(ROWS) * FOLDS * len(SEEDS)
    return {"networks": networks, "patients": UNSEEN, "spread": found}


def _read(scores: Path, row: str, fold: int, seed: int) -> list[float]:
    found: list[float] = json.loads((scores / f"{row}-{fold}-{seed}.json").read_text("utf-8"))
    return found[:UNSEEN]


def main() -> None:
    """Score what is not scored yet, then write the summary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    root = parser.parse_args().root
    scores = root / "fold-luck"
    scores.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    measure(root, scores, list(patients(UNSEEN)))
    write_json(FOUND, summary(scores))
    print(FOUND.read_text())


if __name__ == "__main__":
    main()
