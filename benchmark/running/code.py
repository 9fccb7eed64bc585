"""Which code made what is stored: noted with it, and compared before it is used again.

Code of this distribution that changed is named, in one line a command, and its results are used.
Code of other packages that changed is an edit of a person's own loss or network: what it made is
set aside with all that started from it, and made again (`--reuse` keeps it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from filelock import Timeout

from benchmark.files.code import Code, Difference
from benchmark.plan.wording import named
from benchmark.running.bench import Bench


def may_use(node_key: str, code: Code, bench: Bench) -> bool:
    """Return whether a stored training counts, made by `code` or by what makes the same numbers.

    The caller holds its lock. Other people's code that changed sets it aside, with its children.
    """
    found = bench.codes.difference(str(bench.objects.record(node_key).get("code")), code)
    if not found.others or bench.reuse:
        _remember(node_key, found, bench)
        return True
    _set_aside(node_key, found, bench)
    return False


def is_outdated(node_key: str, code: Code, bench: Bench) -> bool:
    """Return whether `may_use` would set a stored training aside; changes nothing."""
    if not code.others or bench.reuse:  # no file is read for rows of this distribution
        return False
    found = bench.codes.difference(str(bench.objects.record(node_key).get("code")), code)
    return bool(found.others)


def may_use_rows(key: str, evaluation: str, code: Code, bench: Bench) -> bool:
    """Return whether stored rows count; else they are moved out of the way, with a line."""
    found = bench.codes.difference(bench.results.code(key, evaluation), code)
    if not found.others or bench.reuse:
        _remember(f"{key}/{evaluation}", found, bench)
        return True
    bench.results.discard(key, evaluation)
    bench.warn(
        f"the rows {key}/{evaluation} were measured by other code ({named(found.others)} "
        "changed): they are measured again; --reuse keeps them"
    )
    return False


def may_resume(node_key: str, fingerprint: str, code: Code, bench: Bench) -> bool:
    """Return whether a checkpoint may be gone on from: it falls with its own training's code."""
    found = bench.codes.difference(fingerprint, code)
    if found and not (bench.reuse and not found.ours):
        bench.warn(
            f"the checkpoint of {node_key} was made by other code "
            f"({named((*found.ours, *found.others))}): starting anew"
        )
        return False
    return True


def old_line(old: Mapping[str, Difference]) -> str:
    """Return the one line about results that other code made and that are used all the same, ""
    where there are none."""
    if not old:
        return ""
    names = sorted({name for found in old.values() for name in (*found.ours, *found.others)})
    return (
        f"{len(old)} stored results were made by other code and are used as they are "
        f"({named(names)}): --fresh makes them again"
    )


def _remember(what: str, found: Difference, bench: Bench) -> None:
    if found and what not in bench.tally.trained:
        bench.tally.old[what] = found


def _set_aside(node_key: str, found: Difference, bench: Bench) -> None:
    """Children first: a kill in between leaves the training itself, and so the reason."""
    children = [key for key in _descendants(node_key, bench) if _aside(key, bench)]
    bench.results.discard_all(node_key)
    place = bench.objects.set_aside(node_key)
    more = f" and {len(children)} that started from it" if children else ""
    bench.warn(
        f"training {node_key} was made by other code ({named(found.others)} changed): it"
        f"{more} is set aside as {place.name} and trained again; --reuse keeps it"
    )


def _aside(key: str, bench: Bench) -> bool:
    """Set a child aside; one that another process trains just now is that one's own."""
    try:
        with bench.objects.lock_at_once(key):
            bench.results.discard_all(key)
            bench.objects.drop_checkpoints(key)
            there = bench.objects.has(key)
            if there:
                bench.objects.set_aside(key)
            return there
    except Timeout:
        return False


def _descendants(node_key: str, bench: Bench) -> Iterator[str]:
    """Yield what started from a training, the latest first."""
    parents = bench.objects.parents()
    found = [node_key]
    for key in found:  # it grows
        found += [child for child, above in parents.items() if key in above and child not in found]
    yield from reversed(found[1:])
