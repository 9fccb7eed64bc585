"""Cases on a training grid, kept on disk: `data/NAME/slices/KEY/`.

The key is made of the case's stored arrays and of everything that preprocessing depends on, so a
case that was added anew, another grid or another version of the resampling is another entry. An
entry appears whole, by one rename, is made once whoever asks, and is verified whenever it is
opened: a damaged one is made again. A grid that is the scan's own is not kept a second time.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from benchmark.data.feeding.slices import CaseSlices, on_training_grid, training_grid
from benchmark.data.library import DataSet
from benchmark.files.arrays import load_array
from benchmark.files.atomic import commit_folder, damage, read_json, write_json
from benchmark.files.locks import brief_lock, cores
from benchmark.plan.keys import content_hash

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
    with ThreadPoolExecutor(max_workers=max(1, min(cores(), len(names)))) as pool:
        return list(pool.map(lambda name: open_slices(dataset, name, size, areas=areas), names))


def slices_key(dataset: DataSet, name: str, size: int | None, *, areas: bool = False) -> str:
    """Return the key of a case on a grid: 40 hexadecimal digits."""
    case = dataset.case(name)
    made_from = [case.sha256, case.box, dataset.record(name)["files"], list(dataset.organs)]
    made_by = {"size": size, "version": SLICES_VERSION, "torch": torch.__version__}
    made_by |= {"areas": True} if areas else {}
    return content_hash([made_from, made_by])[:40]


def _store(folder: Path, made: CaseSlices) -> None:
    with commit_folder(folder, checksums=True) as temporary:
        np.save(temporary / "hu.npy", made.hu_ZHW.numpy(), allow_pickle=False)
        np.save(temporary / "label.npy", made.label_ZHW.numpy(), allow_pickle=False)
        if made.area_ZKHW is not None:
            np.save(temporary / "area.npy", made.area_ZKHW.numpy(), allow_pickle=False)
        ends = {"range": list(made.range_Z), "ends": list(made.ends_Z)}
        write_json(temporary / "slices.json", ends)


def _load(folder: Path, dataset: DataSet, name: str) -> CaseSlices:
    case = dataset.case(name)
    kept = read_json(folder / "slices.json")
    hu, label = (load_array(folder / f"{part}.npy") for part in ("hu", "label"))
    area = folder / "area.npy"
    return CaseSlices(
        name=name,
        sha256=case.sha256,
        hu_ZHW=torch.from_numpy(hu),
        label_ZHW=torch.from_numpy(label),
        annotated_K=torch.tensor([organ in case.annotated for organ in dataset.organs]),
        range_Z=tuple(kept["range"]),
        ends_Z=tuple(kept["ends"]),
        source=case.source,
        area_ZKHW=torch.from_numpy(load_array(area)) if area.exists() else None,
    )
