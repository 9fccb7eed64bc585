"""A phantom in a native layout, for whoever wants to try the commands before a download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_folder
from benchmark.phantom import ircadb, multi_organ
from benchmark.phantom.layout import save
from benchmark.phantom.recipe import Phantom

KIDNEYS = ("left_kidney", "right_kidney")


def write(folder: Path, layout: str, phantom: Phantom) -> None:
    """Write the phantom's patients below a new folder, which appears whole or not at all.

    As in the originals, some patients have no masks of the kidneys, and downloads are packed in
    different ways. Raises BadInput where the folder exists or cannot be made.
    """
    if folder.exists():
        raise BadInput(f"{folder} exists: choose a new folder for --out")
    try:
        with commit_folder(folder.resolve()) as temporary:
            if layout == "ircadb":
                _ircadb(temporary, phantom)
            else:
                _multi_organ(temporary, phantom)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror or error}") from None


def commands(folder: Path, layout: str) -> list[str]:
    """Return the commands that add what `write` wrote."""
    if layout == "ircadb":
        return [f"bench data add ircadb {folder}"]
    images = " ".join(f"--images {source}={folder / source}" for source in ("tcia", "btcv"))
    return [f"bench data add multi-organ {folder / 'labels'} {images}"]


def without(volume: Volume, organs: Sequence[str], missing: Sequence[str]) -> Volume:
    """Return a volume in which nobody looked for the missing organs."""
    numbers = [organs.index(organ) + 1 for organ in missing]
    label = np.where(np.isin(volume.label, numbers), 0, volume.label).astype(np.uint8)
    annotated = tuple(organ for organ in volume.annotated if organ not in missing)
    return replace(volume, label=label, annotated=annotated)


def _ircadb(folder: Path, phantom: Phantom) -> None:
    for number, volume in enumerate(phantom.volumes(), start=1):
        written = without(volume, phantom.organs, KIDNEYS) if number % 3 == 0 else volume
        options = ircadb.Options(packing=ircadb.PACKINGS[number % 3])
        files = ircadb.patient_files(written, phantom.organs, options)
        save(folder, ircadb.packed(number, files, options.packing))


def _multi_organ(folder: Path, phantom: Phantom) -> None:
    def members() -> Iterator[multi_organ.Member]:
        for index, volume in enumerate(phantom.volumes()):
            source = ("tcia", "btcv")[index % 2]
            yield multi_organ.Member(volume=volume, source=source, number=1 + index // 2)

    multi_organ.write_multi_organ(folder, members(), phantom.organs)
