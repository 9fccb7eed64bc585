"""Whether the names under which Python finds us are ours: `methods`, `baselines` and `sweeps` are
words that another package may use too."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import benchmark
from benchmark.files.source import OURS

OWN = "beyond-loss"
HOME = Path(benchmark.__file__).absolute().parents[1]  # all of ours lie side by side


def shadowed() -> Iterator[str]:
    """Yield a line for each of our names that Python finds at another place than beside this
    file: in front of ours in its path, or where ours are not installed whole."""
    for name in sorted(OURS):
        spec = find_spec(name)
        found = [*(spec.submodule_search_locations or [str(spec.origin)])] if spec else []
        if not found:
            yield f"the module {name!r} is not at {HOME}: install beyond-loss again"
        elif (place := Path(str(found[0])).absolute()) != HOME / name:
            yield (
                f"another {name!r} stands before ours: {place} instead of {HOME / name}; take its "
                "folder out of PYTHONPATH, or keep the two in environments of their own"
            )


def claimed() -> Iterator[str]:
    """Yield a line for each other distribution that installed a module of one of our names: in one
    folder the later of the two wrote over the files of the earlier. Reads what every installed
    distribution left, which takes a moment."""
    for name, packages in sorted(packages_distributions().items()):
        for other in sorted({*packages} - {OWN}) if name in OURS else []:
            yield (
                f"the package {other!r} has a module {name!r} too: what was installed later wrote "
                "over the other; give each an environment of its own and install both again"
            )
