"""Taking the cases of a source into the folder of a set: read, examined, written, in parallel."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

from benchmark.data.judging.anatomy import unchecked
from benchmark.data.judging.checks import CASE
from benchmark.data.readers.base import IGNORE, Reader
from benchmark.data.source import Examined, Source, examine, in_few_lines, judged, write_case
from benchmark.errors import BadInput

PARALLEL_FROM = 4  # cases: a process takes a second to start
MAX_WORKERS = 16


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One case: written (`record` and `image` are checksums), or `bad`."""

    case: str
    record: str = ""
    image: str = ""
    bad: str = ""
    forcible: bool = False
    warnings: tuple[str, ...] = ()
    source_sha256: str = ""


@dataclass(kw_only=True)
class Intake:
    """All cases: checksums of `case.json` by name, what is wrong with the bad, and warnings.

    What is wrong with a case has its warnings behind it: they often tell the cause.
    """

    cases: dict[str, str] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    forcible: bool = False
    warnings: list[str] = field(default_factory=list)

    def left_out(self) -> list[str]:
        """Return lines on the bad cases, equal ones together."""
        total = len(self.cases) + len(self.bad)
        return [f"left out {line}" for line in in_few_lines(self.bad.items(), total)]


def take_in(folder: Path, source: Source, force: frozenset[str], workers: int) -> Intake:
    """Write all good cases of a source below `folder`; raises BadInput for an unusable name."""
    result, images = Intake(warnings=[*getattr(source, "warnings", ())]), dict[str, str]()
    said: list[tuple[str, str]] = []
    if isinstance(source, Reader):
        if IGNORE in source.organs:
            raise BadInput(
                "'ignore' cannot name an organ: it says, in --map or in nnU-Net's dataset.json, "
                "which voxels of a label are unknown; give an organ another name"
            )
        result.warnings += unchecked(source.organs)
    for taken in _all(folder, source, force, workers):
        if not CASE.fullmatch(taken.case) or taken.case in {*result.cases, *result.bad}:
            raise BadInput(
                f"{taken.case!r} cannot name a case: it comes twice, or is not a plain name"
            )
        if taken.bad:
            result.bad[taken.case] = "; also: ".join((taken.bad, *taken.warnings))
            result.forcible |= taken.forcible
            continue
        result.cases[taken.case] = taken.record
        said += [(taken.case, warning) for warning in taken.warnings]
        if (twin := images.setdefault(taken.image, taken.case)) != taken.case:
            said.append((taken.case, f"its image is the same as that of {twin}"))
    result.warnings += in_few_lines(said, len(result.cases) + len(result.bad))
    if unknown := sorted(force - {*result.cases, *result.bad}):
        raise BadInput(f"--force names no case of this source: {', '.join(unknown)}")
    return result


def _all(folder: Path, source: Source, force: frozenset[str], workers: int) -> Iterator[Taken]:
    """Every case, in the source's order."""
    if not isinstance(source, Reader):
        yield from (_write(folder, one, source.organs) for one in examine(source, force))
        return
    workers = min(workers, len(source.cases), MAX_WORKERS)
    if workers < 2 or len(source.cases) < PARALLEL_FROM:
        yield from (_take(folder, source, case, force) for case in source.cases)
        return
    organs = source.organs  # found once, before the reader is copied
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            futures = [pool.submit(_take, folder, source, case, force) for case in source.cases]
            assert organs is not None
            for future in futures:
                taken = future.result()
                if taken.source_sha256:
                    source.note(taken.case, taken.source_sha256)
                yield taken
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _take(folder: Path, reader: Reader, case: str, force: frozenset[str]) -> Taken:
    examined = judged(reader.read_case(case), reader.organs, force, anatomy=True)
    return _write(folder, examined, reader.organs)


def _write(folder: Path, examined: Examined, organs: tuple[str, ...]) -> Taken:
    raw = examined.raw
    taken = Taken(
        case=raw.case,
        bad=examined.bad,
        forcible=examined.forcible,
        warnings=raw.warnings,
        source_sha256=raw.volume.source_sha256 if raw.volume else "",
    )
    if examined.bad or raw.volume is None or not CASE.fullmatch(raw.case):
        return taken
    record, image = write_case(folder / "cases" / raw.case, examined, organs)
    return replace(taken, record=record, image=image)
