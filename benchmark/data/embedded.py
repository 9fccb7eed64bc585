"""Data sets that installed packages bring along, found through entry points."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from benchmark.data.source import Source
from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.files.source import is_ours

GROUP = "beyond_loss.datasets"


def embedded() -> dict[str, EntryPoint]:
    """Return the entry points of installed packages that offer a data set, by name: ours first,
    then who claims a name first keeps it."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: not is_ours(point.module)):
        found.setdefault(point.name, point)
    return found


def check_not_ours(name: str) -> None:
    """Raise `BadInput` where a name that a person chose is that of a set of this distribution."""
    point = embedded().get(name)
    if point and is_ours(point.module):
        raise BadInput(f"--name {name!r} is the name of a built-in data set: choose another --name")


def refused_names() -> dict[str, str]:
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
    except (Exception, SystemExit) as error:  # other people's code may raise anything
        raise _fails(point, error) from None
    return source if is_ours(point.module) else Guarded(point, source)


class Guarded:
    """A source of another package; whatever its code raises, or does not have, is a `BadInput`
    that names it."""

    def __init__(self, point: EntryPoint, source: Source) -> None:
        self._point, self._source = point, source
        for name in ("organs", "fingerprint"):
            getattr(self, name)
        if not callable(getattr(source, "volumes", None)):
            raise _fails(point, TypeError("it is not a source: it has no volumes()"))

    def __getattr__(self, name: str) -> Any:
        """Return what the source has of that name."""
        try:
            return getattr(self._source, name)
        except AttributeError as error:
            if name in ("organs", "fingerprint"):
                raise _fails(self._point, TypeError(f"it is not a source: {error}")) from None
            raise
        except (Exception, SystemExit) as error:
            raise _fails(self._point, error) from None

    def volumes(self) -> Iterator[Volume]:
        """Yield the source's volumes; raises `BadInput` also for what is none."""
        try:
            for volume in self._source.volumes():
                if not isinstance(volume, Volume):
                    raise TypeError(f"its volumes() yields {type(volume).__name__}, no Volume")
                if not np.isfinite(volume.image).all():
                    raise ValueError(f"{volume.case}: its image holds NaN or infinity")
                yield volume
        except (BadInput, GeneratorExit):
            raise
        except (Exception, SystemExit) as error:
            raise _fails(self._point, error) from None


def _fails(point: EntryPoint, error: BaseException) -> BadInput:
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    return BadInput(
        f"the data set {point.name!r} cannot be loaded: {point.value} fails with {cause}"
    )
