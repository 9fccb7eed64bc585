"""Organs asked for by name or number among the structures of a file, and masks made one label map.

Names of structures are free text of a header: they are compared, and shown only where they are
plain words for an organ that the table of spellings knows (`plan/organs.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile
from benchmark.data.judging.checks import Check
from benchmark.data.readers.base import IGNORE, merged
from benchmark.data.readers.names import organ_name
from benchmark.errors import BadInput
from benchmark.plan.organs import SPELLINGS, meant

Wanted = Mapping[str, tuple[int | str, ...]]  # organ -> what it is called in the files
Mask = NDArray[np.bool_]
NOTHING = "none"  # of the organs is in a file
MAX_GAPS = 0.2  # of the slices between a structure's ends that nothing was drawn in


@dataclass(frozen=True, kw_only=True)
class Structure:
    """A structure that a file describes: its number there, and all its names."""

    number: int
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """A label map (i, j, k) on the image's grid with 1..K for the organs (None where the two do not
    lie on one grid), which of them somebody looked for, the checks that were made, the hash of the
    bytes that it is made from, and where nobody says what is there (None: nowhere)."""

    label: NDArray[np.uint8] | None
    annotated: tuple[str, ...]
    checks: tuple[Check, ...]
    sha256: str
    unknown: Mask | None = None


def chosen(
    structures: Sequence[Structure], wanted: Wanted, said: list[str]
) -> dict[str, tuple[int, ...]]:
    """Return the numbers of each wanted organ's structures, organs without one left out, and said.

    Raises BadFile where no organ has one, or where a name fits several.
    """
    found: dict[str, tuple[int, ...]] = {}
    for organ, names in wanted.items():
        numbers = [number for name in names for number in _fitting(structures, organ, name)]
        if numbers:
            found[organ] = tuple(dict.fromkeys(numbers))
    missing = [organ for organ in wanted if organ not in found]
    if not found:
        message = f"no structure is called {' or '.join(missing)}; it has {_shown(structures)}"
        hint = "give its name or number, --map liver=NAME"
        raise BadFile("structures", NOTHING, "an organ", f"{message}: {hint}")
    lacking = {IGNORE: "no voxel is unknown here"}
    said += [
        f"no structure is called {o}: {lacking.get(o, 'not looked for here')}" for o in missing
    ]
    return found


def _fitting(structures: Sequence[Structure], organ: str, name: int | str) -> list[int]:
    if isinstance(name, int):
        return [one.number for one in structures if one.number == name]
    exact = [one.number for one in structures if name in one.names]
    alike = [one.number for one in structures if _meaning(name) in map(_meaning, one.names)]
    numbers = exact or alike
    if len(numbers) > 1:
        shown = ", ".join(str(number) for number in numbers)
        message = f"structures {shown} are all called {organ}: choose, --map {organ}={numbers[0]}"
        raise BadFile("structures", len(numbers), "one", message)
    return numbers


def fits(name: str, wanted: Wanted) -> Iterator[bool]:
    """Yield for each name that was asked for whether it is this one, or means the same."""
    for asked in (asked for names in wanted.values() for asked in names):
        yield isinstance(asked, str) and (asked == name or _meaning(asked) == _meaning(name))


def _meaning(name: str) -> str:
    try:
        return meant(organ_name(name))
    except BadInput:  # no letter in it
        return name


def _shown(structures: Sequence[Structure]) -> str:
    means = {one.number: [*map(_meaning, one.names)] for one in structures}
    known = sorted({name for names in means.values() for name in names if _is_known(name)})
    others = sum(not any(map(_is_known, names)) for names in means.values())
    more = [f"{others} with other names"] if others else []
    return ", ".join([*known, *more]) or "none"


def _is_known(name: str) -> bool:
    return name in SPELLINGS


def check_gaps(organ: str, slices: Iterable[int], said: list[str]) -> None:
    """Say that slices between a structure's ends have nothing of it. Raises BadFile where they are
    many: it was drawn on every second slice, or on another grid, and was to be interpolated. What
    is unknown may lie anywhere."""
    drawn = sorted(set(slices))
    if not drawn or organ == IGNORE:
        return
    within = drawn[-1] - drawn[0] + 1
    gaps = within - len(drawn)
    what = f"{organ} is missing in {gaps} of the {within} slices from its first to its last"
    if gaps > MAX_GAPS * within:
        message = f"{what}: it was drawn on some slices only; interpolate it where it was drawn"
        raise BadFile("structure_gaps", gaps, f"<= {MAX_GAPS:.0%}", message)
    if gaps:
        said.append(what)


def one_map(
    masks: Mapping[str, Mask], organs: Iterable[str], checks: Sequence[Check], sha256: str
) -> Labels:
    """Return the label map of the organs' masks on one grid; a smaller organ goes before a larger.

    An organ without a mask was not looked for; one with an empty mask was, and is not there. A mask
    called `ignore` says which voxels are unknown. Raises BadFile where there is no other.
    """
    order = tuple(organ for organ in organs if organ != IGNORE)
    known = {organ: mask for organ, mask in masks.items() if organ != IGNORE}
    if not known:
        message = f"no structure is called {' or '.join(order)}; what 'ignore' names is there alone"
        raise BadFile("structures", NOTHING, "an organ", message)
    label, overlap = merged(known, order)
    return Labels(
        label=label,
        annotated=tuple(organ for organ in order if organ in known),
        checks=(*checks, overlap),
        sha256=sha256,
        unknown=masks.get(IGNORE),
    )
