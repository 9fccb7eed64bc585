"""Score networks, as they are and edited, on patients that nobody trained on: a file a network.

Files lie in ROOT/sensitivity and are named by the training's key; what is there is not measured
again, and several processes may share the work.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout
from numpy.typing import NDArray
from sensitivity_edit import DOSES, edited_dsc

from benchmark.cli.out import note
from benchmark.data.embedded import embedded, load_embedded
from benchmark.data.scan import Scan
from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file, read_json, write_json
from benchmark.files.locks import lock
from benchmark.phantom.recipe import Phantom
from benchmark.plan.folds import FOLDS
from benchmark.running.bench import Bench, Options
from benchmark.running.events import Warnings
from benchmark.running.predicting import predict
from benchmark.running.trained import Trained, Wanted, candidates, trained_row
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve

Floats = NDArray[np.float64]
EDIT = hashlib.sha256(Path(__file__).with_name("sensitivity_edit.py").read_bytes()).hexdigest()[:16]
WAIT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Network:
    """One trained network: its row, fold, seed, and what finds it in the workspace."""

    row: str
    fold: int
    seed: int
    trained: Trained

    @property
    def key(self) -> str:
        """The key of its training."""
        return self.trained.keys[0]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What was trained, where it lies, and how many unseen patients it is scored on.

    `unseen` patients follow those of the data set in the phantom's own recipe."""

    root: Path
    dataset: str
    preset: str
    unseen: int
    bench: Bench = field(repr=False)

    @property
    def folder(self) -> Path:
        """Where the files of scores lie."""
        return self.root / "sensitivity"

    @cached_property
    def recipe(self) -> Phantom:
        """The recipe of the data set; raises `BadInput` where the set is no phantom."""
        points = embedded()
        found = load_embedded(points[self.dataset]) if self.dataset in points else None
        if not isinstance(found, Phantom):
            raise BadInput(f"{self.dataset} is no phantom: only a recipe makes unseen patients")
        return found

    @cached_property
    def unseen_patients(self) -> list[Volume]:
        """The patients that nobody trained on: 0.8 s and 2 MB each."""
        recipe = replace(self.recipe, patients=self.recipe.patients + self.unseen)
        first = self.recipe.patients
        note(f"making {self.unseen} patients")
        return [recipe.volume(index) for index in range(first, recipe.patients)]

    @cached_property
    def own_patients(self) -> dict[str, Volume]:
        """The patients of the data set itself, by case."""
        note(f"making {self.recipe.patients} patients of {self.dataset}")
        return {volume.case: volume for volume in self.recipe.volumes()}


def open_study(root: Path, dataset: str, preset: str, unseen: int) -> Study:
    """Return the study in a workspace, which is only read but for the folder of scores."""
    bench = Options(root=root, device="cpu", precision="fp32", threads=1).open(
        Warnings(note), reading=True
    )
    return Study(root=root, dataset=dataset, preset=preset, unseen=unseen, bench=bench)


def networks_of(
    study: Study, row: str, seeds: Sequence[int], overrides: Mapping[str, Any]
) -> Iterator[Network]:
    """Yield the networks of a row, fold by fold; raises `BadInput` for one that is not trained."""
    registry = load_registry()
    setting = resolve(registry, row, study.preset, overrides)
    for seed in seeds:
        for fold in range(FOLDS):
            wanted = Wanted(
                name=setting.label,
                dataset=study.dataset,
                preset=setting.preset,
                folds=[fold],
                seed=seed,
            )
            cells = candidates(study.bench, registry, wanted)
            trained = trained_row(study.bench, registry, cells, wanted)
            yield Network(row=row, fold=fold, seed=seed, trained=trained)


def measure(study: Study, networks: Sequence[Network]) -> None:
    """Score every network that has no file yet. One that another process is at is left to it."""
    todo = list(networks)
    while todo:
        left = [network for network in todo if not _done(study, network)]
        if len(left) == len(todo):
            time.sleep(WAIT_SECONDS)  # all that is left is in other hands
        todo = left


def _done(study: Study, network: Network) -> bool:
    """Score a network unless it is, or somebody else is at it; return whether it has its file."""
    if stored(study, network) is not None:
        return True
    try:
        with lock(study.folder / f"{network.key}.lock", seconds=0):
            if stored(study, network) is None:
                start = time.monotonic()
                _score(study, network)
                name = f"{network.row} fold {network.fold} seed {network.seed}"
                note(f"{name}: {time.monotonic() - start:.0f} s")
    except Timeout:
        return False
    return True


def stored(study: Study, network: Network) -> dict[str, Any] | None:
    """Return a network's scores, None where they lack patients or are of another edit."""
    try:
        found: dict[str, Any] = read_json(study.folder / f"{network.key}.json")
    except (OSError, ValueError):
        return None
    whole = found.get("edit") == EDIT and len(found["unseen"]) >= study.unseen
    return found if whole else None


def _score(study: Study, network: Network) -> None:
    """Write the DSC of every patient, dose and organ: of the unseen, and of the fold's own test
    patients from their stored label maps."""
    patients = study.unseen_patients
    unseen = [_dsc(v, predict(network.trained, _scan(v), study.bench)) for v in patients]
    (entry,) = network.trained.entries
    folder = study.bench.results.path(entry.key, entry.evaluation)
    with np.load(folder / "labels.npz", allow_pickle=False) as maps:
        own = {case: _dsc(study.own_patients[case], maps[case]) for case in sorted(maps.files)}
    with commit_file(study.folder / f"{network.key}.json") as temporary:
        write_json(temporary, {"edit": EDIT, "doses": DOSES, "unseen": unseen, "own": own})


def _scan(volume: Volume) -> Scan:
    return Scan(name=volume.case, image=volume.image, geometry=volume.geometry, header=None)


def _dsc(volume: Volume, predicted: NDArray[np.uint8]) -> list[list[float]]:
    found_DK = edited_dsc(
        volume.label, predicted, volume.source_sha256, organs=len(volume.annotated)
    )
    if not np.isfinite(found_DK).all():
        raise BadInput(f"{volume.case} lacks an organ: the endpoint is the mean over all of them")
    return found_DK.tolist()


def gathered(study: Study, networks: Sequence[Network]) -> tuple[Floats, Floats]:
    """Return the endpoint of measured networks, the mean DSC over the organs: of the unseen
    patients (F, S, n, D), and of the data set's own (F, S, n, D), nan in folds that do not test
    the patient."""
    folds, seeds = (sorted({getattr(n, name) for n in networks}) for name in ("fold", "seed"))
    shape = (len(folds), len(seeds))
    unseen = np.full((*shape, study.unseen, len(DOSES)), np.nan)
    own = np.full((*shape, study.recipe.patients, len(DOSES)), np.nan)
    cases = [f"phantom_{index:03d}" for index in range(study.recipe.patients)]
    for network in networks:
        found = stored(study, network)
        if found is None:
            raise BadInput(f"{network.row} fold {network.fold} seed {network.seed}: not measured")
        place = (folds.index(network.fold), seeds.index(network.seed))
        unseen[place] = np.mean(found["unseen"][: study.unseen], axis=-1)
        for case, dsc_DK in found["own"].items():
            own[place][cases.index(case)] = np.mean(dsc_DK, axis=-1)
    return unseen, own
