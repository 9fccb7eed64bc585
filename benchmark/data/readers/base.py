"""What all readers share: cases read one at a time, each good or bad, and their hashes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile, guarded, refused_for
from benchmark.data.judging.checks import Check, bounded, check_affines, check_shapes
from benchmark.data.readers.files import stamp
from benchmark.data.source import RawCase
from benchmark.data.volume import Affine, Volume, corner_displacement_voxels, to_canonical
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

MAX_OVERLAP = 0.01  # of an organ's voxels that another organ claims too
Read = tuple[Volume | None, Sequence[Check]]  # none where a check failed
TARGETS = ("liver", "left_kidney", "right_kidney")  # the paper's organs
IGNORE = "ignore"  # asked for as an organ is: voxels of which nobody says what they are


class Reader(ABC):
    """A source (see `benchmark.data.source`) over files that a user gave.

    `roots` are the folders and files that the user gave, `options` what was asked of the reader;
    they are known at once. What needs a look into the files is found when first asked for.
    """

    def __init__(self, *roots: Path, options: Any = None) -> None:
        self.roots = roots
        self.options = options
        self._known: dict[str, str] = {}  # case -> hash of its source's bytes
        self._said: list[str] = []  # what is odd about the case that is read

    @property
    @abstractmethod
    def organs(self) -> tuple[str, ...]:
        """The organs of the set, in the order of their labels."""

    @property
    @abstractmethod
    def cases(self) -> tuple[str, ...]:
        """The names of all cases, sorted."""

    @property
    def origin(self) -> dict[str, Any]:
        """Plain values to store with the set."""
        return {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the whole."""
        return ()

    @abstractmethod
    def read(self, case: str) -> Read:
        """Return a case's volume and the reader's own checks; raises BadFile where there is none.

        What it notes in `self._said` are the case's warnings, even then.
        """

    @abstractmethod
    def digest(self, case: str) -> str:
        """Return the hash of a case's source without making a volume of it."""

    def read_case(self, case: str) -> RawCase:
        """Return a case, good or bad."""
        self._said = []
        try:
            with guarded("one of its files"):
                volume, checks = self.read(case)
        except (BadFile, BadInput) as error:
            volume, checks = None, (refused_for(error),)
            self._said = [*dict.fromkeys(self._said)]
        if volume is not None:
            self._known[case] = volume.source_sha256
        return RawCase(case=case, volume=volume, checks=tuple(checks), warnings=tuple(self._said))

    def raw_cases(self) -> Iterator[RawCase]:
        """Yield every case in the order of names, good or bad."""
        for case in self.cases:
            yield self.read_case(case)

    def volumes(self) -> Iterator[Volume]:
        """Yield all cases; raises BadInput at the first bad one."""
        for found in self.raw_cases():
            if found.volume is None or not all(check.ok for check in found.checks):
                why = "; ".join(check.message for check in found.checks if not check.ok)
                raise BadInput(f"case {found.case}: {why}")
            yield found.volume

    def note(self, case: str, sha256: str) -> None:
        """Learn a case's hash from whoever read it in another process."""
        self._known[case] = sha256

    @property
    def fingerprint(self) -> str:
        """The hash of the organs and of every case's source; reads what was not read yet."""
        return content_hash([list(self.organs), [[c, self.known_digest(c)] for c in self.cases]])

    def known_digest(self, case: str) -> str:
        """Return a case's hash, "" for one whose files cannot be read, which is refused."""
        if case not in self._known:
            try:
                with guarded("one of its files"):
                    self._known[case] = self.digest(case)
            except (BadFile, BadInput):
                return ""
        return self._known[case]

    @property
    def stamp(self) -> str:
        """The hash of sizes and times of the files and of the options: equal means untouched."""
        return content_hash([stamp(self.roots), type(self).__name__, self.options])


def volume_of(
    case: str, image_ijk: NDArray[Any], label_ijk: NDArray[Any], affine: Affine, **more: Any
) -> Volume:
    """Return the canonical volume of an image in HU and a label map on one grid, as they lie on
    disk; `more` are the other fields of `Volume`."""
    image, geometry = to_canonical(image_ijk, affine)
    label = to_canonical(label_ijk, affine)[0]
    return Volume(case=case, image=image, label=label, geometry=geometry, **more)


def with_unknown(volume: Volume, ignored_ijk: NDArray[np.bool_] | None, said: list[str]) -> Volume:
    """Return the volume with the voxels unknown that a mask (as it lies on disk) shows, and say how
    many; the volume itself where there are none."""
    if ignored_ijk is None or not ignored_ijk.any():
        return volume
    said.append(f"{np.count_nonzero(ignored_ijk)} voxels are 'ignore': unknown")
    return replace(volume, unknown=to_canonical(ignored_ijk, volume.geometry.affine)[0])


def place_checks(
    image: tuple[tuple[int, ...], Affine], label: tuple[tuple[int, ...], Affine], say: list[str]
) -> tuple[Check, ...]:
    """Return the checks that image and label (shape and affine each) lie on one grid.

    A displacement that is small but not nothing is said as a warning.
    """
    shapes = check_shapes(image[0], label[0])
    if not shapes.ok:
        return (shapes,)
    moved = corner_displacement_voxels(image[1], label[1], image[0])
    affines = check_affines(moved)
    if affines.ok and moved > 1e-3:
        say.append(affines.message)
    return (shapes, affines)


def merged(
    masks: Mapping[str, NDArray[np.bool_]], organs: Sequence[str]
) -> tuple[NDArray[np.uint8], Check]:
    """Return one label map of masks of equal shape, and the check of their overlap.

    Where two organs claim a voxel the smaller organ has it: a slip of a large organ's outline
    costs it little.
    """
    sizes = {organ: int(np.count_nonzero(mask)) for organ, mask in masks.items()}
    label = np.zeros(next(iter(masks.values())).shape, np.uint8)
    claimed = 0
    for organ in sorted(masks, key=lambda organ: -sizes[organ]):
        claimed = max(claimed, int(np.count_nonzero(label[masks[organ]])))
        label[masks[organ]] = organs.index(organ) + 1
    share = claimed / max(min((n for n in sizes.values() if n), default=1), 1)
    message = f"{100 * share:.3g} % of an organ's voxels are claimed by another organ"
    return label, bounded("overlap", share, message, most=MAX_OVERLAP)


def integers(label: NDArray[Any], scaling: str = "") -> NDArray[Any]:
    """Return the label as integers; float files hold 2.9999999 for 3. Raises BadFile else.

    `scaling` is what the header does to the stored numbers: the cause, where there is one.
    """
    if label.dtype.kind in "iu":
        return label
    sane = np.abs(label) < 2**31  # neither NaN nor infinite, too
    bad = int(np.count_nonzero(~sane))
    off = 0.0 if bad else float(np.max(np.abs(label - np.rint(label))))
    if bad or off >= 1e-3:
        what = f"{bad} voxels are not finite" if bad else f"some are off by {off:.3g}"
        cause = f"; its header scales what is stored ({scaling}): write it with 1 and 0"
        message = f"the label does not hold whole numbers: {what}{cause if scaling else ''}"
        raise BadFile("label_integers", off, "< 0.001", message)
    whole: NDArray[np.int64] = np.rint(label).astype(np.int64)
    return whole
