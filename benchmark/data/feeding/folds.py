"""One fold of a data set: its cases on the training grid as trainings see them, and its test
patients as the measures see them, whole, in order, not augmented.

Cases on the grid are kept on disk in `data/NAME/slices/KEY/`. The key is made of the case's stored
arrays and of everything that preprocessing depends on, so a case that was added anew, another grid
or another version of the resampling is another entry. An entry appears whole, by one rename, is
made once whoever asks, and is verified whenever it is opened: a damaged one is made again. A grid
that is the scan's own is not kept a second time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from benchmark.data.feeding.slices import CaseSlices, on_training_grid, training_grid
from benchmark.data.library import DataSet, fold_count
from benchmark.files.arrays import load_array
from benchmark.files.atomic import commit_folder, damage, read_json, write_json
from benchmark.files.locks import at_once, brief_lock
from benchmark.plan.folds import (
    FEWEST,
    Fold,
    Subject,
    fold_fingerprint,
    nested,
    split,
    split_fingerprint,
)
from benchmark.plan.given import ATLAS
from benchmark.plan.ground import Ground
from benchmark.plan.keys import Context, digest
from benchmark.plan.nodes import Train
from benchmark.scoring.cases import OF_THE_CUT_ARRAY, scoring_identity

SLICES_VERSION = 1
"""Part of every key: raise it with any change of what `on_training_grid` returns."""


def open_slices(
    dataset: DataSet, name: str, size: int | None, *, areas: bool = False
) -> CaseSlices:
    """Return a case on the grid of `size`, from disk where it lies, else made and kept, with the
    organs' shares of each pixel where `areas` asks for them.

    Raises BadInput when the stored case is missing or damaged.
    """
    case = dataset.case(name)
    native = case.shape_inside[1:]

    def made() -> CaseSlices:
        volume = dataset.load(name)
        return on_training_grid(volume, dataset.organs, size, case.sha256, areas=areas)

    if training_grid(native, size) == tuple(native):
        return made()
    folder = dataset.folder / "slices" / slices_key(dataset, name, size, areas=areas)
    try:
        with brief_lock(folder):
            if folder.exists() and damage(folder):
                shutil.rmtree(folder)
            if not folder.exists():
                _store(folder, made())
            return _load(folder, dataset, name)
    except OSError:  # a workspace that is full or cannot be written serves all the same
        return made()


def open_several(
    dataset: DataSet, names: Sequence[str], size: int | None, *, areas: bool = False
) -> list[CaseSlices]:
    """Return several cases in the order of `names`, made in parallel where they are not there."""
    return at_once(lambda name: open_slices(dataset, name, size, areas=areas), names)


def slices_key(dataset: DataSet, name: str, size: int | None, *, areas: bool = False) -> str:
    """Return the key of a case on a grid: 40 hexadecimal digits."""
    made_by = {"size": size, "version": SLICES_VERSION, "torch": torch.__version__}
    return dataset.derived_key(name, made_by | ({"areas": True} if areas else {}))


def _store(folder: Path, made: CaseSlices) -> None:
    with commit_folder(folder, checksums=True) as temporary:
        np.save(temporary / "hu.npy", made.hu_ZHW.numpy(), allow_pickle=False)
        np.save(temporary / "label.npy", made.label_ZHW.numpy(), allow_pickle=False)
        if made.area_ZKHW is not None:
            np.save(temporary / "area.npy", made.area_ZKHW.numpy(), allow_pickle=False)
        if made.unknown_ZHW is not None:
            np.save(temporary / "unknown.npy", made.unknown_ZHW.numpy(), allow_pickle=False)
        ends = {"range": list(made.range_Z), "ends": list(made.ends_Z)}
        write_json(temporary / "slices.json", ends)


def _load(folder: Path, dataset: DataSet, name: str) -> CaseSlices:
    case = dataset.case(name)
    kept = read_json(folder / "slices.json")
    hu, label = (load_array(folder / f"{part}.npy") for part in ("hu", "label"))
    area, unknown = (
        torch.from_numpy(load_array(path)) if path.exists() else None
        for path in (folder / "area.npy", folder / "unknown.npy")
    )
    return CaseSlices(
        name=name,
        sha256=case.sha256,
        hu_ZHW=torch.from_numpy(hu),
        label_ZHW=torch.from_numpy(label),
        annotated_K=torch.tensor([organ in case.annotated for organ in dataset.organs]),
        range_Z=tuple(kept["range"]),
        ends_Z=tuple(kept["ends"]),
        source=case.source,
        area_ZKHW=area,
        unknown_ZHW=unknown,
    )


@dataclass(kw_only=True)
class GridCache:
    """Cases on the training grid of a ground, opened when first asked for and kept for the other
    folds."""

    dataset: DataSet
    ground: Ground
    _made: dict[str, CaseSlices] = field(default_factory=dict)

    def case(self, name: str) -> CaseSlices:
        """Return one case on the training grid."""
        if name not in self._made:
            self._made[name] = open_slices(
                self.dataset, name, self.ground.size, areas=self.ground.asks_areas
            )
        return self._made[name]

    def cases(self, names: Iterable[str]) -> list[CaseSlices]:
        """Return several cases; those that are not there yet are made at the same time."""
        wanted = list(names)
        missing = [name for name in wanted if name not in self._made]
        made = open_several(self.dataset, missing, self.ground.size, areas=self.ground.asks_areas)
        self._made |= dict(zip(missing, made, strict=True))
        return [self._made[name] for name in wanted]


@dataclass(frozen=True, kw_only=True)
class FoldData:
    """A fold with its data. Trainings get `training()` alone: no test case can reach them."""

    fold: Fold
    dataset: DataSet
    ground: Ground
    cache: GridCache

    @cached_property  # every key of every cell asks
    def fingerprint(self) -> str:
        """The hash of what a training that may read CTs can see; part of every key.

        A case's source counts where it has one: masks are exchanged within a source only.
        """
        return self._fingerprint(self.with_ct, self.ground)

    @cached_property
    def with_ct(self) -> tuple[str, ...]:
        """The training patients whose CT is there, a part where `ground.train_cases` says so."""
        return nested(self._sha256(self.fold.train), self.ground.train_cases)

    def context(self, seed: int) -> Context:
        """Return what, beside a training's own values, makes its key."""
        atlas = ""
        if self.ground.train_cases is not None:
            atlas = self._fingerprint(self.fold.train, self.atlas_ground)
        return Context(fold=self.fingerprint, seed=seed, atlas=atlas)

    @property
    def atlas_ground(self) -> Ground:
        """The ground of trainings on the atlas: it does not depend on how many CTs there are, so
        that one training serves them all."""
        return replace(self.ground, train_cases=None)

    def names_of(self, node: Train) -> tuple[str, ...]:
        """Return the names of the cases that a training is given."""
        return self.fold.train if node.cases == ATLAS else self.with_ct

    def cases_of(self, node: Train) -> list[CaseSlices]:
        """Return them on the training grid; without their CTs where it is given the atlas."""
        if node.cases == ATLAS:
            return [case.without_ct() for case in self.cache.cases(self.names_of(node))]
        return self.training()

    def training(self) -> list[CaseSlices]:
        """Return the training cases with a CT on the training grid."""
        return self.cache.cases(self.with_ct)

    def evaluation(self, net: str) -> str:
        """Return the identity of scoring network `net` on this fold's test cases."""
        boxed = any(case.box for case in self.dataset.cases)
        return self.tested(net) + (OF_THE_CUT_ARRAY if boxed else "")

    def tested(self, net: str) -> str:
        """Return the same without the definition of distance, on which a probe does not rest."""
        tested = sorted(self._sha256(self.fold.test).values())
        return digest([net, tested, *scoring_identity(self.dataset.organs)])[:12]

    def _fingerprint(self, names: tuple[str, ...], ground: Ground) -> str:
        seen = self._sha256(names)
        for name in seen:
            source = self.dataset.case(name).source
            seen[name] += f" {source}" if source else ""
        return fold_fingerprint(seen, self.dataset.organs, ground)

    def _sha256(self, names: tuple[str, ...]) -> dict[str, str]:
        return {name: self.dataset.case(name).sha256 for name in names}


def subjects(dataset: DataSet) -> list[Subject]:
    """Return what the split knows about each case."""
    return [
        Subject(name=c.name, annotated=c.annotated, source=c.source, sha256=c.sha256)
        for c in dataset.cases
    ]


@dataclass(frozen=True, kw_only=True)
class Split:
    """The folds of a data set and their fingerprint. `own`: somebody's own, and not those that
    the set has by itself; what is stored of its cells then goes by the fingerprint too."""

    folds: tuple[Fold, ...]
    fingerprint: str
    own: bool = False


def folds_of(dataset: DataSet) -> Split:
    """Return the folds that the set has by itself; raises `BadInput` for a lone patient."""
    known = subjects(dataset)
    folds = split(known, max(fold_count(dataset), FEWEST))
    return Split(folds=folds, fingerprint=split_fingerprint(known, folds))
