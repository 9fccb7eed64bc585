"""An anchor for our plain U-Net: nnU-Net's 2-D configuration on the same folds, by its own code.

python docs/nnunet_anchor.py --work DIR --dataset phantom-60 --root ROOT   # docs/anchor.json
python docs/nnunet_anchor.py --work DIR --tiny   # the chain alone, on a CPU

It makes an environment of its own in DIR (`nnunetv2`, a pinned version, from the package index),
writes the data set and our folds in nnU-Net's layout, lets nnU-Net plan, preprocess and train 2-D,
and scores what it predicts for each fold's test patients with `benchmark.scoring`. What is done is
not done again. `bench import nnunet DIR/nnUNet_results/...` makes a row of the same masks. On a CPU
its 1,000 epochs of 250 steps take weeks: `--device cpu` is for trying.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from nnunet_export import ENDING, export, predicted, thinned

from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import DataSet, open_dataset
from benchmark.data.volume import Volume
from benchmark.files.atomic import write_json
from benchmark.phantom.recipe import Phantom
from benchmark.plan.folds import Fold, Subject, split
from benchmark.scoring.cases import score_case

VERSION = "2.8.1"
NUMBER, NAME, PLANS = 715, "Anchor", "nnUNetPlans"
DATASET = f"Dataset{NUMBER}_{NAME}"
OUT = Path(__file__).parent / "anchor.json"
TRAINER = "nnUNetTrainer"
SHORT = "nnUNetTrainerShort"
# of --tiny: seven patients, two or one of them tested in a fold, every fourth pixel
TINY = {"patients": 7, "every": 4, "steps": 4, "batch": 4}
SHORT_CODE = '''"""nnU-Net's own trainer with fewer and shorter epochs, as the environment says."""

import os

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class {name}(nnUNetTrainer):
    # nnU-Net reads these five names from the signature
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ["ANCHOR_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["ANCHOR_STEPS"])
        self.num_val_iterations_per_epoch = 1
'''


class NnUNet:
    """nnU-Net in an environment of its own, with its three folders, all below `work`."""

    def __init__(self, work: Path, device: str, epochs: int | None, steps: int) -> None:
        self.work, self.device = work.resolve(), device
        self.trainer = SHORT if epochs else TRAINER
        self.raw = self.work / "nnUNet_raw" / DATASET
        self.preprocessed = self.work / "nnUNet_preprocessed" / DATASET
        self._env = {
            **{f"nnUNet_{name}": str(self.work / f"nnUNet_{name}")
               for name in ("raw", "preprocessed", "results")},
            "ANCHOR_EPOCHS": str(epochs or 0),
            "ANCHOR_STEPS": str(steps),
        }  # fmt: skip
        if device == "cpu":
            self._env |= {"nnUNet_compile": "f", "OMP_NUM_THREADS": "1"}

    @property
    def bin(self) -> Path:
        """Where the environment's programs lie."""
        return self.work / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def install(self) -> None:
        """Make the environment, and put the short trainer where nnU-Net looks for trainers."""
        if not (self.bin / "nnUNetv2_train").exists():
            venv.create(self.work / "venv", with_pip=True)
            self._call(self.bin / "python", "-m", "pip", "install", f"nnunetv2=={VERSION}")
        where = "import nnunetv2, pathlib; print(pathlib.Path(nnunetv2.__file__).parent)"
        found = subprocess.run(
            [self.bin / "python", "-c", where], check=True, capture_output=True, text=True
        )
        folder = Path(found.stdout.strip()) / "training" / "nnUNetTrainer"
        code = SHORT_CODE.format(name=SHORT)
        (folder / f"{SHORT}.py").write_text(code, encoding="utf-8")

    def prepare(self, batch: int | None) -> None:
        """Plan and preprocess 2-D, and give it our folds; `batch` None leaves the planned one."""
        plans = self.preprocessed / f"{PLANS}.json"
        if not plans.exists():
            self._nnunet("plan_and_preprocess", "-d", NUMBER, "-c", "2d", "-np", 1, "-npfp", 1,
                         "--verify_dataset_integrity")  # fmt: skip
        shutil.copyfile(self.raw / "splits_final.json", self.preprocessed / "splits_final.json")
        if batch:
            values = json.loads(plans.read_text(encoding="utf-8"))
            values["configurations"]["2d"]["batch_size"] = batch
            plans.write_text(json.dumps(values, indent=1), encoding="utf-8")

    def train(self, fold: int) -> Path:
        """Train a fold; return the folder of what its final network predicts for `val`."""
        name = f"{self.trainer}__{PLANS}__2d"
        done = self.work / "nnUNet_results" / DATASET / name / f"fold_{fold}"
        if not (done / "validation" / "summary.json").exists():
            more = ["--c"] if (done / "checkpoint_latest.pth").exists() else []
            self._nnunet(
                "train", NUMBER, "2d", fold, "-tr", self.trainer, "-device", self.device, *more
            )
        return done / "validation"

    def _nnunet(self, command: str, *arguments: object) -> None:
        if self.device == "cpu":  # no process beside the training; its planner takes no 0 (2.8.1)
            self._env["nnUNet_n_proc_DA"] = "0" if command == "train" else "1"
        self._call(self.bin / f"nnUNetv2_{command}", *map(str, arguments))

    def _call(self, *command: str | Path) -> None:
        subprocess.run([str(part) for part in command], check=True, env={**os.environ, **self._env})


def scored(
    volumes: Mapping[str, Volume], folds: Mapping[int, tuple[Fold, Path]], organs: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield a line for every fold, test patient, organ and metric."""
    for number, (fold, folder) in folds.items():
        for case in fold.test:
            volume = volumes[case]
            label = predicted(folder / f"{case}{ENDING}", volume)
            for score in score_case(
                volume.label,
                label,
                organs=organs,
                annotated=volume.annotated,
                spacing_mm=volume.geometry.spacing_mm,
            ):
                line = {"fold": number, "case": case, "organ": score.organ, "state": score.state}
                yield {**line, "metric": score.metric, "value": score.value}


def summary(lines: Sequence[Mapping[str, Any]], organs: Sequence[str]) -> dict[str, Any]:
    """Return the mean DSC by organ in percent over the patients that have it, and their number."""
    found: dict[str, Any] = {}
    for organ in organs:
        dsc = [x["value"] for x in lines if (x["organ"], x["metric"]) == (organ, "dsc")]
        known = [value for value in dsc if value == value]
        found[organ] = {"dsc": fmean(known) if known else None, "patients": len(known)}
    return found


def tiny() -> tuple[dict[str, Volume], list[Fold]]:
    """Return a few thinned patients of the phantom, and folds by our own rule."""
    volumes = [thinned(Phantom().volume(n), TINY["every"]) for n in range(TINY["patients"])]
    known = [
        Subject(name=v.case, annotated=v.annotated, source="", sha256=v.source_sha256)
        for v in volumes
    ]
    return {v.case: v for v in volumes}, list(split(known))


def whole(dataset: DataSet) -> tuple[dict[str, Volume], list[Fold]]:
    """Return all patients of a set, and its folds."""
    return {c.name: dataset.load(c.name) for c in dataset.cases}, list(folds_of(dataset).folds)


def line(found: Mapping[str, Any]) -> str:
    """Return the sentence that stands beside `unet`; "" for a proof of the chain."""
    if found["proof_of_the_chain"]:
        return ""
    each = ", ".join(
        f"{organ} {x['dsc']:.1f} (n = {x['patients']})" for organ, x in found["summary"].items()
    )
    return (
        f"nnU-Net {found['nnunetv2']} (2-D, {found['trainer']}, {found['epochs'] or 1000} epochs "
        f"of {found['steps']} steps) on the same folds of {found['dataset']}, scored alike: DSC in "
        f"percent {each}."
    )


def main() -> None:
    """Run what is left of the chain and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--work", type=Path, required=True, help="environment and nnU-Net's folders"
    )
    parser.add_argument("--root", type=Path, default=Path("workspace"))
    parser.add_argument("--dataset", default="phantom-60")
    parser.add_argument("--folds", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--epochs", type=int, help="fewer than nnU-Net's 1,000")
    parser.add_argument("--steps", type=int, default=250, help="of an epoch, with --epochs")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu", "mps"))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--tiny", action="store_true", help="a proof of the chain, no figure")
    args = parser.parse_args()
    if args.tiny:
        args.epochs, args.steps, args.device = args.epochs or 1, TINY["steps"], "cpu"
        args.dataset, args.out = "phantom, thinned", args.work / "anchor.json"
    volumes, folds = tiny() if args.tiny else whole(open_dataset(args.root, args.dataset))
    organs = Phantom.organs if args.tiny else open_dataset(args.root, args.dataset).organs
    net = NnUNet(args.work, args.device, args.epochs, args.steps)
    net.install()
    export(net.raw, volumes.values(), organs, folds)
    net.prepare(TINY["batch"] if args.tiny else None)
    chosen = args.folds or list(range(len(folds)))
    trained = {number: (folds[number], net.train(number)) for number in chosen}
    lines = list(scored(volumes, trained, organs))
    write_json(args.out, {
        "proof_of_the_chain": args.tiny, "nnunetv2": VERSION, "trainer": net.trainer,
        "epochs": args.epochs, "steps": args.steps if args.epochs else 250, "dataset": args.dataset,
        "folds": chosen, "summary": summary(lines, organs), "rows": lines,
    })  # fmt: skip
    print(f"{args.out}: {len(lines)} scores of {len(chosen)} folds", file=sys.stderr)


if __name__ == "__main__":
    main()
