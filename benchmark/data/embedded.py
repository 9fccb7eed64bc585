"""Data sets that installed packages bring along, found through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from benchmark.data.source import Source
from benchmark.errors import BadInput
from benchmark.files.source import OURS

GROUP = "beyond_loss.datasets"


def embedded() -> dict[str, EntryPoint]:
    """Return the entry points of installed packages that offer a data set, by name: ours first,
    then who claims a name first keeps it."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: not is_ours(point)):
        found.setdefault(point.name, point)
    return found


def is_ours(point: EntryPoint) -> bool:
    """Return whether an entry point is of this distribution."""
    return point.module.partition(".")[0] in OURS


def check_not_ours(name: str) -> None:
    """Raise `BadInput` where a name that a person chose is that of a set of this distribution."""
    point = embedded().get(name)
    if point and is_ours(point):
        raise BadInput(f"--name {name!r} is the name of a built-in data set: choose another --name")


def refused() -> dict[str, str]:
    """Return a line for each name that a second package claims, by the name."""
    kept = embedded()
    return {
        point.name: f"{point.value}: the data set {point.name!r} is left out: the name is "
        f"that of {kept[point.name].value}"
        for point in entry_points(group=GROUP)
        if point.value != kept[point.name].value
    }


def load_embedded(point: EntryPoint) -> Source:
    """Return the source behind an entry point; raises BadInput when its package fails."""
    try:
        source: Source = point.load()
    except Exception as error:  # other people's code may raise anything
        cause = f"{point.value} fails with {type(error).__name__}: {error}"
        raise BadInput(f"the data set {point.name!r} cannot be loaded: {cause}") from None
    return source
