"""Names of files: which is which case's image or label, and what a case is called after them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from benchmark.data.judging.checks import CASE

SHOWN = 5
T = TypeVar("T")


def plain_name(text: str) -> str:
    """Return a text in the letters, digits, `.`, `_` and `-` that a case's name may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:120] or "case"


def _is_plain(text: str) -> bool:
    return plain_name(text) == text


def is_case_name(text: str) -> bool:
    """Return whether a case may be called so as it stands."""
    return bool(CASE.fullmatch(text))


def safe_names(texts: Iterable[str], keep: Callable[[str], bool] = _is_plain) -> dict[str, str]:
    """Return the case's name for each of these (different) texts; no two have one.

    A text that `keep` accepts is its own name. Where another's plain name is taken, it gets a
    number: the same texts always get the same names.
    """
    ordered = sorted(texts)
    names = {text: text for text in ordered if keep(text)}
    taken = set(names)
    for text in ordered:
        if text in names:
            continue
        plain, number = plain_name(text), 1
        while (name := plain if number == 1 else f"{plain}_{number}") in taken:
            number += 1
        taken.add(name)
        names[text] = name
    return names


def called(names: Mapping[str, str], found: Mapping[str, T]) -> dict[str, T]:
    """Return what was found by text, by name."""
    return {names[text]: value for text, value in found.items()}


def renamed(names: Mapping[str, str]) -> list[str]:
    """Return the line that says which cases are called otherwise than their files; or nothing."""
    changed = [f"{text!r} is called {name}" for text, name in names.items() if text != name]
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return [f"case {', '.join(changed[:SHOWN])}{more}"] if changed else []


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
