"""Data sets that installed packages bring along, found through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from benchmark.data.source import Source
from benchmark.errors import BadInput

GROUP = "beyond_loss.datasets"


def embedded() -> dict[str, EntryPoint]:
    """Return the entry points of installed packages that offer a data set, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load_embedded(point: EntryPoint) -> Source:
    """Return the source behind an entry point; raises BadInput when its package fails."""
    try:
        source: Source = point.load()
    except Exception as error:  # other people's code may raise anything
        cause = f"{point.value} fails with {type(error).__name__}: {error}"
        raise BadInput(f"the data set {point.name!r} cannot be loaded: {cause}") from None
    return source
