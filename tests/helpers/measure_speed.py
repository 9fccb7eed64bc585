"""How long one 512x512x130 DICOM case with masks takes: `python tests/helpers/measure_speed.py`.

Prints JSON: processor seconds of this process for reading the same files with pydicom alone and
with SimpleITK alone, for `bench data add` of the case (read, verified, stored), for its slices on
the training grid (built, and opened again), and for adding it again; and the peak of memory.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from benchmark.data import library
from benchmark.data.feeding.slices import on_training_grid
from benchmark.data.readers.ircadb import Ircadb
from benchmark.data.volume import Geometry, Volume
from benchmark.phantom import downloads
from benchmark.phantom.layout import save
from benchmark.phantom.recipe import Phantom

SHAPE = (130, 512, 512)
UNREAD = ("MASKS_DICOM/bone/", "MASKS_DICOM/rightsurretumor/")


def large() -> Volume:
    """A patient of the phantom on a hospital's grid, with noise of its own in every slice."""
    volume = Phantom().volume(0)
    factors = [wanted / size for wanted, size in zip(SHAPE, volume.image.shape, strict=True)]
    image = ndimage.zoom(volume.image, factors, order=1)
    label = ndimage.zoom(volume.label, factors, order=0)
    noise = np.random.default_rng(0).normal(0, 12, SHAPE).astype(np.int16)
    spacing = [mm / f for mm, f in zip(volume.geometry.spacing_mm, factors, strict=True)]
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    geometry = Geometry(
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        affine=tuple(tuple(float(v) for v in row) for row in affine),
        shape=SHAPE[::-1],
        orientation="LPS",
    )
    image = np.clip(image + noise, -1024, 3000).astype(np.int16)
    return replace(volume, image=image, label=label, geometry=geometry)


def seconds(action: Callable[[], object]) -> float:
    """The processor time of this process and its threads."""
    start = time.process_time()
    action()
    return round(time.process_time() - start, 3)


def least(action: Callable[[int], object], times: int) -> float:
    """The least of a few times: what others do on the machine only adds."""
    return min(seconds(lambda n=n: action(n)) for n in range(times))


def wanted(home: Path) -> list[list[Path]]:
    """The folders that the reader reads: the image, and four structures."""
    patient = home / "3Dircadb1.1"
    masks = ("liver", "livertumor01", "leftkidney", "rightkidney")
    folders = [patient / "PATIENT_DICOM", *(patient / "MASKS_DICOM" / name for name in masks)]
    return [sorted(folder.iterdir()) for folder in folders]


def with_pydicom(home: Path) -> None:
    import pydicom

    for files in wanted(home):
        np.stack([pydicom.dcmread(path).pixel_array for path in files])


def with_simpleitk(home: Path) -> None:
    import SimpleITK

    for files in wanted(home):
        reader = SimpleITK.ImageSeriesReader()
        reader.SetGlobalWarningDisplay(False)
        reader.SetFileNames([str(path) for path in files])
        SimpleITK.GetArrayFromImage(reader.Execute())


def highest_mib() -> float:
    """The most memory that this process has held. Linux counts a parent's memory into
    `ru_maxrss` of a child that it starts, so its own file is asked first."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(folder: Path, times: int = 3, grid: int = 256) -> dict[str, float]:
    """Write the case, then time each step, so many times."""
    torch.set_num_threads(1)
    home, root = folder / "native", folder / "0"  # the root of the first of the times
    files = downloads.patient_files(
        large(), Phantom.organs, downloads.IrcadbOptions(mask_positions=True)
    )
    wanted_files = {name: files[name] for name in files if not name.startswith(UNREAD)}
    save(home, downloads.packed(1, wanted_files, "folders"))
    with_pydicom(home)
    with_simpleitk(home)
    base_mib = highest_mib()
    library.add(folder / "warm", "one", Ircadb(home))  # modules are loaded, files are cached
    figures = {
        "pydicom_seconds": least(lambda n: with_pydicom(home), times),
        "simpleitk_seconds": least(lambda n: with_simpleitk(home), times),
        "add_seconds": least(lambda n: library.add(folder / f"{n}", "one", Ircadb(home)), times),
    }
    figures["again_seconds"] = seconds(lambda: library.add(root, "one", Ircadb(home)))
    dataset = library.open_dataset(root, "one")
    volume = dataset.load("ircadb_01")
    figures["grid_seconds"] = seconds(lambda: on_training_grid(volume, dataset.organs, grid))
    peak_mib = highest_mib()
    return figures | {"before_mib": round(base_mib), "peak_mib": round(peak_mib)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        json.dump(measure(Path(name), *map(int, sys.argv[1:])), sys.stdout, indent=1)
