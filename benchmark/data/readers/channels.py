"""Which file is which case's image or label, in nnU-Net's raw layout and in Medical Decathlon's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def label_files(folder: Path, ending: str) -> dict[str, Path]:
    """Returns the files by name without ending; hidden ones (`._x.nii.gz`) are left out."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    seen = [path for path in paths if path.name.endswith(ending) and path.name[0] != "."]
    return {path.name.removesuffix(ending): path for path in seen}


def image_files(
    folder: Path, ending: str, labels: Mapping[str, Path]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Returns the images by case, and what is wrong with the cases that have several."""
    found = label_files(folder, ending)
    whole = any(stem in labels and _channel(stem, labels)[1] is None for stem in found)
    images: dict[str, Path] = {}
    twice: dict[str, str] = {}
    for stem, path in found.items():
        case, channel = _channel(stem, labels)
        unknown = case not in labels and (whole or f"{case}_0000" not in found)
        if channel is not None and unknown:
            case, channel = stem, None  # an image without a label, called like all others
        if channel not in (None, "0000"):
            twice[case] = f"{path.name} is another channel of {case}; a CT has one"
        elif case in images:
            twice[case] = f"{images[case].name} and {path.name} are both its image: remove one"
        images.setdefault(case, path)
    return images, twice


def _channel(stem: str, labels: Mapping[str, Path]) -> tuple[str, str | None]:
    """Returns the case and the channel that a file's name says; None for no channel.

    In Medical Decathlon's form a number of four digits belongs to the case: so the label has it.
    """
    match = _CHANNEL.fullmatch(stem)
    if match is None or (stem in labels and match["case"] not in labels):
        return stem, None
    return match["case"], match["channel"]
