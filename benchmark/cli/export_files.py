"""The folder of `bench export`: label maps on the cases' own grids, weights, rows, provenance, and
a README that says what is what. It appears whole, by one rename."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.analysis.own import own_of
from benchmark.data.library import DataSet, stored_dataset
from benchmark.data.volume import Geometry, Volume, from_canonical, slices_of
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_folder, sha256_file, write_json
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace

if TYPE_CHECKING:
    from benchmark.running.bench import Bench

PACKAGES = ("beyond-loss", "torch", "numpy", "nibabel", "segmentation-models-pytorch")
MILLIMETRES, SCANNER = "mm", 1
SAME_MM = 1e-3  # how far a grid may lie from its quaternion, which knows no shear


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to write: cells of one row, one a fold; `bench` predicts probabilities, None: none."""

    entries: tuple[Entry, ...]
    rows: str
    bench: Bench | None
    command: str
    say: Callable[[str], None]


@dataclass(kw_only=True)
class _Counts:
    """What was written, and what a reader must know of it."""

    cases: int = 0
    rows: int = 0
    weights: int = 0
    probabilities: int = 0
    notes: list[str] = field(default_factory=list)


def write(order: Order, workspace: Workspace, out: Path) -> dict[str, Any]:
    """Write the folder `out` and return what is in it, as plain values. Raises `BadInput` where
    something of it is not stored any more, and `OSError` for a disk that does not take it."""
    first, counts = order.entries[0], _Counts()
    dataset = stored_dataset(workspace.root, first.tested_on)
    with commit_folder(out) as folder:
        for entry in order.entries:
            _fold(entry, order, workspace, dataset, folder / f"fold_{entry.fold}", counts)
        counts.rows = _rows(order, workspace, folder)
        about = _provenance(order, workspace, dataset, folder)
        write_json(folder / "provenance.json", about)
        text = _readme(order, dataset, counts)
        (folder / "README.md").write_text(text, encoding="utf-8")
    return {
        "out": str(out),
        "row": first.label,
        "dataset": first.dataset,
        "preset": first.preset,
        "seed": first.seed,
        "folds": [entry.fold for entry in order.entries],
        **asdict(counts),
    }


def _fold(
    entry: Entry,
    order: Order,
    workspace: Workspace,
    dataset: DataSet,
    folder: Path,
    counts: _Counts,
) -> None:
    """Write a fold's label maps, weights and probabilities."""
    results = workspace.results
    if not results.intact(entry.key, entry.evaluation):
        raise BadInput(f"the rows of {entry.where} are not there: bench run makes them again")
    cases = results.label_cases(entry.key, entry.evaluation)
    if not cases:
        raise BadInput(f"no label maps of {entry.where} are stored: bench run makes them again")
    (folder / "labels").mkdir(parents=True)
    for case in cases:
        volume = dataset.load(case)
        label = results.labels(entry.key, entry.evaluation, case)
        if label.shape != volume.label.shape:
            raise BadInput(f"case {case} of {dataset.name} is another now than when it was scored")
        path = folder / "labels" / f"{case}.nii.gz"
        path.write_bytes(nifti_bytes(label, volume.geometry, note=f"bench {entry.key}"))
        counts.cases += 1
        if order.bench is not None:
            made = _probabilities(entry, order.bench, volume, dataset, folder)
            counts.probabilities += len(dataset.organs)
            if differing := int(np.count_nonzero(made != label)):
                counts.notes.append(
                    f"case {case}: {differing} of {label.size} voxels have another class by these "
                    "probabilities than in the stored label map (other hardware or precision)"
                )
    counts.weights += _weights(entry, workspace, folder, counts)


def _weights(entry: Entry, workspace: Workspace, folder: Path, counts: _Counts) -> int:
    """Copy the scored training's networks and its record; return how many."""
    files = workspace.objects.weight_files(entry.key)
    if not files:
        why = "another tool predicted it" if entry.outside else "they are not in this workspace"
        counts.notes.append(f"fold {entry.fold} has no weights: {why}")
        return 0
    (folder / "weights").mkdir()
    for path in (*files, workspace.objects.path(entry.key) / "record.json"):
        shutil.copyfile(path, folder / "weights" / path.name)
    return len(files)


def _probabilities(
    entry: Entry, bench: Bench, volume: Volume, dataset: DataSet, folder: Path
) -> NDArray[np.uint8]:
    """Write each organ's probabilities of a case; return the most probable class."""
    from benchmark.running.predicting import probabilities
    from benchmark.running.trained import trained_key
    from benchmark.settings.registry import load_registry

    trained = trained_key(bench, load_registry(), entry.key)
    box = slices_of(volume.box)
    found = probabilities(trained, np.ascontiguousarray(volume.image[box]), bench)
    (folder / "probabilities").mkdir(exist_ok=True)
    for number, organ in enumerate(dataset.organs, start=1):
        whole = np.zeros(volume.image.shape, np.float32)  # nothing is predicted outside of a box
        whole[box] = found[number]
        path = folder / "probabilities" / f"{volume.case}_{organ}.nii.gz"
        path.write_bytes(nifti_bytes(whole, volume.geometry, note=f"bench {entry.key} {organ}"))
    label = np.zeros(volume.image.shape, np.uint8)
    label[box] = found.argmax(axis=0)
    return label


def nifti_bytes(array_ZYX: NDArray[Any], geometry: Geometry, *, note: str = "") -> bytes:
    """Return a canonical array as a packed NIfTI file on the grid that its case had on disk: the
    same shape, axes and affine (as sform; as qform too, where a quaternion can say it)."""
    import nibabel as nib

    affine = np.array(geometry.affine, dtype=np.float64)
    image = nib.Nifti1Image(from_canonical(array_ZYX, geometry), affine, dtype=array_ZYX.dtype)
    image.header.set_xyzt_units(MILLIMETRES)
    image.header["descrip"] = note.encode("ascii", "replace")[:79]
    image.set_sform(affine, SCANNER)
    image.set_qform(affine, SCANNER)
    if not np.allclose(image.get_qform(), affine, rtol=0, atol=SAME_MM):
        image.set_qform(None, 0)
    content: bytes = image.to_bytes()
    return gzip.compress(content, compresslevel=6, mtime=0)


def _rows(order: Order, workspace: Workspace, folder: Path) -> int:
    """Write the rows of all folds, those of metrics of one's own too; return how many."""
    import pandas as pd

    own = own_of(workspace, order.entries)
    for line in own.lines:
        order.say(line)
    found = [
        {"dataset": entry.tested_on, "row": entry.label, "preset": entry.preset, **asdict(row)}
        for entry in order.entries
        for row in own.rows(workspace, entry)
    ]
    first = ["dataset", "row", "preset", "fold", "seed", "case", "organ", "state", "metric"]
    frame = pd.DataFrame(found)[[*first, "value", "unit", "n_voxels_true", "key", "code"]]
    if order.rows == "csv":
        frame.to_csv(folder / "rows.csv", index=False)
    else:
        frame.to_parquet(folder / "rows.parquet", index=False)
    return len(frame)


def _provenance(
    order: Order, workspace: Workspace, dataset: DataSet, folder: Path
) -> dict[str, Any]:
    names = ("label", "row", "preset", "fold", "seed", "suite", "split", "own_split", "key")
    cells = []
    for entry in order.entries:
        cases = workspace.results.label_cases(entry.key, entry.evaluation)
        cells.append(
            {
                **{name: getattr(entry, name) for name in (*names, "evaluation", "preset_hash")},
                "overrides": dict(entry.overrides),
                "trainings": list(entry.nodes),
                "flags": list(entry.flags),
                "scored_by_code": workspace.results.code(entry.key, entry.evaluation),
                "tested": {case: dataset.case(case).sha256 for case in cases},
            }
        )
    return {
        "format": 1,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": order.command,
        "versions": {name: version(name) for name in PACKAGES},
        "trained_on": order.entries[0].dataset,
        "data_set": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "labels": {"background": 0, **{o: n for n, o in enumerate(dataset.organs, start=1)}},
        "cells": cells,
        "files": {path.relative_to(folder).as_posix(): sha256_file(path) for path in _all(folder)},
    }


def _all(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _who(entry: Entry) -> str:
    """Who predicted whom."""
    if entry.tested_on != entry.dataset:
        return (
            f"{entry.tested_on} was kept apart: each fold's network, trained on patients of "
            f"{entry.dataset}, predicted all of its patients."
        )
    return (
        "Each patient stands in one fold alone, and was predicted by a network that never saw it."
    )


def _readme(order: Order, dataset: DataSet, counts: _Counts) -> str:
    first = order.entries[0]
    numbers = ", ".join(f"{n} {organ}" for n, organ in enumerate(dataset.organs, start=1))
    folds = ", ".join(str(entry.fold) for entry in order.entries)
    lines = [
        f"# {first.label} on {dataset.name}",
        "",
        f"Written by bench {version('beyond-loss')}: `{order.command}`. Preset {first.preset}, "
        f"seed {first.seed}, fold {folds}. Data set fingerprint {dataset.fingerprint}.",
        "",
        _who(first),
        "",
        "| file | what it is |",
        "|---|---|",
        f"| `fold_K/labels/CASE.nii.gz` | the predicted label map, uint8: 0 background, {numbers}; "
        "on the grid that the case had when it was added (shape, axes, affine) |",
    ]
    if counts.probabilities:
        lines.append(
            "| `fold_K/probabilities/CASE_ORGAN.nii.gz` | the organ's probability, float32, on the "
            "same grid; what the organs leave of 1 is background; 0 outside of a crop box |"
        )
    if counts.weights:
        lines.append(
            "| `fold_K/weights/NET.safetensors` | the networks of the training that was scored (ct "
            "reads CT), by parameter name; `record.json` has its values, curves and hardware |"
        )
    lines += [
        f"| `rows.{order.rows}` | one row a case, organ and metric: value and unit; `state` says "
        "which of truth and prediction hold the organ; an empty value is undefined there |",
        "| `provenance.json` | keys, values, versions, tested cases (hash of each), and the "
        "SHA-256 of every file here |",
        "",
        *counts.notes,
    ]
    return "\n".join(lines).rstrip() + "\n"
