"""What `dataset.json` says of labels: numbers, regions of several numbers, and `ignore`.

nnU-Net's regions may share numbers: a tumour is a part of its liver there. Here a voxel has one
organ, in label maps, loss and networks alike. So regions that share a number are never stored
together; each can be taken alone, or with those that it shares none with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.data.readers.names import organ_name
from benchmark.errors import BadInput
from benchmark.plan.organs import meant

Regions = Mapping[str, tuple[int, ...]]  # organ -> its numbers, sorted


def described_labels(labels: Any) -> tuple[dict[str, tuple[int, ...]], int | None]:
    """Return the numbers of each organ in the order of the file, without background, and the
    number of `ignore`. Raises BadInput for what cannot be meant."""
    if not isinstance(labels, dict) or not labels:
        raise BadInput('dataset.json has no \'labels\' such as {"background": 0, "liver": 1}')
    regions: dict[str, tuple[int, ...]] = {}
    by_id = all(str(key).isdecimal() for key in labels)
    for key, value in labels.items():
        found, text = (key, value) if by_id else (value, key)
        numbers = found if isinstance(found, list) and found else [found]
        plain = all(not isinstance(n, bool | list | dict) and str(n).isdecimal() for n in numbers)
        if not plain or (len(numbers) > 1 and str(text) == "ignore"):
            what = "use one number, or a list of several"
            raise BadInput(f"dataset.json: label {text!r} has the id {found!r}; {what}")
        organ, own = organ_name(str(text)), {int(number) for number in numbers}
        twice = organ in regions or len(own) < len(numbers)
        if twice or (len(own) == 1 and (*own,) in regions.values()):
            what = "is described twice: no two labels may share an id"
            raise BadInput(f"dataset.json: the label {organ} = {found} {what}")
        regions[organ] = tuple(sorted(own))
    _check_background(regions)
    ignore = regions.pop("ignore", None)
    if ignore and any(ignore[0] in own for own in regions.values()):
        raise BadInput(f"dataset.json: {ignore[0]} is 'ignore' and an organ's number, too")
    if not 1 <= len(regions) <= 255:
        raise BadInput(f"dataset.json describes {len(regions)} organs; 1 to 255 can be stored")
    return regions, ignore[0] if ignore else None


def _check_background(regions: dict[str, tuple[int, ...]]) -> None:
    """Take the background out; raises BadInput where it is not 0 and nothing else."""
    own = regions.pop("background", (0,))
    if own != (0,) or any(0 in numbers for numbers in regions.values()):
        raise BadInput("dataset.json: label 0 must be the background, and nothing else")


def chosen_regions(regions: Regions, organs: Sequence[str]) -> Regions:
    """Return the regions that were asked for by name (all for none).

    Raises BadInput for an unknown name, and for two that share a number, with what to do.
    """
    asked = {meant(organ_name(organ)) for organ in organs}
    known = {meant(organ): organ for organ in regions}
    if unknown := sorted(asked - known.keys()):
        shown = ", ".join(regions)
        raise BadInput(f"dataset.json has no {', '.join(unknown)}; it describes {shown}")
    taken = {o: n for o, n in regions.items() if not asked or meant(o) in asked}
    for one, other in _sharing(taken):
        alone = [f"--organ {one}", f"--organ {other}"]
        raise BadInput(
            f"dataset.json: {one} and {other} share voxels, and here a voxel has one organ: add "
            f"them as two sets, {alone[0]} --name A and {alone[1]} --name B"
        )
    return taken


def _sharing(regions: Regions) -> Iterator[tuple[str, str]]:
    organs = list(regions)
    for place, one in enumerate(organs):
        for other in organs[place + 1 :]:
            if {*regions[one]} & {*regions[other]}:
                yield one, other


def label_ids(regions: Regions) -> dict[int, str]:
    """Return the organ of each number, in the order of the file."""
    return {number: organ for organ, numbers in regions.items() for number in numbers}
