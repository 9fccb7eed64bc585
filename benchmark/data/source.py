"""What a data set is made from, and how its cases are examined and written.

A source yields volumes; a reader yields raw cases, which also tell what is wrong with a case, and
are verified in full (`anatomy.py`). Whoever computes volumes in memory vouches for them. What was
found in many cases is said in few lines: equal sentences once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile, guarded
from benchmark.data.judging.anatomy import verify
from benchmark.data.judging.checks import Check, check_volume
from benchmark.data.judging.measures import label_windows
from benchmark.data.volume import Label, Volume
from benchmark.files.atomic import sha256_file, write_json
from benchmark.plan.keys import content_hash
from benchmark.plan.wording import named

PLACES = ("side_", "above_", "behind_")  # of `anatomy.py`: where organs lie
READERS = 2
"""Raised when a reader comes to make other voxels of the same bytes (`Volume.read_by`)."""
OTHER_READERS = (
    "warning: {folder} was read by another version of the readers and stays as it was; to read it "
    "as now, remove it and add it again"
)


@dataclass(frozen=True, kw_only=True)
class RawCase:
    """A case as a reader found it: no volume where one of the reader's own checks failed.

    `warnings` are single lines to show and keep, for what is odd but not wrong.
    """

    case: str
    volume: Volume | None
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()


class Source(Protocol):
    """What a set can be made from: an embedded set such as the phantom, or a reader.

    `fingerprint` is a hash of everything that `volumes` depends on. A source may also have
    `raw_cases() -> Iterator[RawCase]` (a reader that reports bad cases instead of raising at the
    first), `origin` (plain values to store with the set, no path) and `warnings` (tuple[str]).
    """

    @property
    def organs(self) -> tuple[str, ...]: ...  # noqa: D102 - described above
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    def volumes(self) -> Iterator[Volume]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A raw case after all checks: `forced` names those that a person overrode.

    `bad` is the sentence for the others that failed, "" for a good case; `forcible` says whether
    a person could override them.
    """

    raw: RawCase
    checks: tuple[Check, ...]
    forced: tuple[str, ...]
    bad: str
    forcible: bool


def examine(source: Source, force: frozenset[str]) -> Iterator[Examined]:
    """Yields every case of a source, checked; `force` names cases that a person vouches for."""
    given = getattr(source, "raw_cases", None)
    plain = (RawCase(case=volume.case, volume=volume) for volume in source.volumes())
    for raw in given() if given else plain:
        yield judged(raw, source.organs, force, anatomy=given is not None)


def judged(
    raw: RawCase, organs: tuple[str, ...], force: frozenset[str], *, anatomy: bool
) -> Examined:
    """Return a raw case after all checks; `anatomy` makes those of `anatomy.py`, too."""
    checks = raw.checks
    if raw.volume is not None:
        try:
            with guarded("what its files hold"):
                more, said = _measured(raw.volume, organs, checks, anatomy)
        except BadFile as error:
            more, said = (error.check,), ()
        checks = (*checks, *more)
        raw = replace(raw, warnings=(*raw.warnings, *said))
    failed = [check for check in checks if not check.ok]
    forced = [check for check in failed if check.forcible and raw.case in force]
    left = sorted((check for check in failed if check not in forced), key=_follows)
    return Examined(
        raw=raw,
        checks=checks,
        forced=tuple(check.name for check in forced),
        bad="; ".join(check.message for check in left),
        forcible=bool(left) and all(check.forcible for check in left),
    )


def _follows(check: Check) -> bool:
    """Whether a fault may follow from another that says more: of a mirrored label the HU are wrong,
    too."""
    return not check.name.startswith(PLACES)


def _measured(
    volume: Volume, organs: tuple[str, ...], before: tuple[Check, ...], anatomy: bool
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """The checks of a volume, and warnings; `before` are those that its reader made."""
    windows = label_windows(volume.label, len(organs))
    checks = check_volume(volume, organs, windows)
    if not anatomy or not all(check.ok or check.forcible for check in (*before, *checks)):
        return checks, ()
    more, said = verify(volume, organs, windows)
    return (*checks, *more), tuple(said)


def refusal(bad: Mapping[str, str], total: int, forcible: bool) -> str:
    """Returns the message for the bad cases (name -> what is wrong) among `total`.

    `forcible`: at least one of them may be forced by a person.
    """
    if not total:
        return "nothing was added: the source holds no case"
    lines = in_few_lines(bad.items(), total)
    head = lines[0] if len(lines) == 1 else f"{len(bad)} of {total} cases are bad"
    rest = [] if len(lines) == 1 else [f"  {line}" for line in lines]
    advice = "repair it or use --skip-bad" if len(bad) < total else "repair it"
    lines = [head, *rest, f"nothing was added: {advice}"]
    return "\n".join([*lines, *(LOOK if forcible else ())])


def write_case(folder: Path, examined: Examined, organs: tuple[str, ...]) -> tuple[str, str]:
    """Write a good case; return the checksums of its `case.json` and `image.npy`.

    Voxels of an organ that is not annotated in the case are stored as 0: what is labelled there
    may be incomplete, and must not steer even the order of slices. Unknown voxels are 0 too, and
    lie in `unknown.npy`, which only a case with such voxels has.

    The case's `sha256` is that of its source's bytes (of its arrays where a source has none), of
    the annotated organs, of the crop box, if any, and of the reader's version where a later one
    makes other voxels of the same bytes.
    """
    volume = examined.raw.volume
    assert volume is not None  # the caller skips the others
    folder.mkdir(parents=True)
    arrays: dict[str, NDArray[Any]] = {
        "image.npy": volume.image,
        "label.npy": _known_only(volume, organs),
    }
    if volume.unknown is not None and volume.unknown.any():
        arrays["unknown.npy"] = volume.unknown
    files = {name: _save(folder / name, array) for name, array in arrays.items()}
    annotated = [organ for organ in organs if organ in volume.annotated]
    content = volume.source_sha256 or files
    identity = [content, sorted(annotated), *([volume.box] if volume.box else [])]
    identity += [volume.read_by] if volume.read_by else []
    record = {
        "annotated": annotated,
        "source": volume.source,
        "source_sha256": volume.source_sha256,
        "sha256": content_hash(identity),
        "geometry": asdict(volume.geometry),
        "shape": list(volume.image.shape),
        "box": volume.box,
        "read_by": volume.read_by,
        "files": files,
        "checks": [check.to_dict() for check in examined.checks],
        "forced": list(examined.forced),
    }
    write_json(folder / "case.json", record)
    return sha256_file(folder / "case.json"), files["image.npy"]


def _known_only(volume: Volume, organs: tuple[str, ...]) -> Label:
    label = volume.label
    for number, organ in enumerate(organs, start=1):
        if organ not in volume.annotated and (mask := label == number).any():
            label = np.where(mask, np.uint8(0), label)
    if volume.unknown is not None and label[volume.unknown].any():
        label = np.where(volume.unknown, np.uint8(0), label)
    return label


def _save(path: Path, array: NDArray[Any]) -> str:
    """Write a `.npy` file and return its checksum, without reading it again."""
    whole = np.ascontiguousarray(array)
    head = BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(whole))
    parts = (head.getvalue(), whole.reshape(-1).view(np.uint8).data)
    total = sha256()
    with path.open("wb") as file:
        for part in parts:
            total.update(part)
            file.write(part)
    return total.hexdigest()


LOOK = (
    "to look at it: the same command with --force all --name look, then bench data audit look; "
    "remove the folder data/look of the workspace afterwards",
    "if a person has looked and it is right: --force CASE (CASE,CASE or all)",
)
NAMED = 3  # cases named in a line
ONE_BY_ONE = 5  # so many cases keep a line each where their figures differ
FILE = re.compile(r"[^\s/]+\.(?:nii(?:\.gz)?|dcm|png)\b")
FIGURE = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")
Said = tuple[str, str]  # a case, a sentence


def in_few_lines(found: Iterable[Said], total: int) -> list[str]:
    """Return one line for each sentence with its cases, in order; `total` counts all cases.

    Sentences are equal but for names of files. Where more than `ONE_BY_ONE` cases differ in
    figures alone they are one line, too, with the range of each figure.
    """
    kinds: dict[str, list[Said]] = {}
    for case, text in dict.fromkeys(found):
        kinds.setdefault(FIGURE.sub("#", FILE.sub("its file", text)), []).append((case, text))
    return [line for kind in kinds.values() for line in _lines(kind, total)]


def _lines(kind: Sequence[Said], total: int) -> Iterator[str]:
    if len({case for case, _ in kind}) > ONE_BY_ONE:
        yield _line(kind, total)
        return
    equal: dict[str, list[Said]] = {}
    for case, text in kind:
        equal.setdefault(FILE.sub("its file", text), []).append((case, text))
    for same in equal.values():
        alone = len({case for case, _ in same}) == 1  # its image and its label, say
        yield from (_line([one], total) for one in same) if alone else [_line(same, total)]


def _line(same: Sequence[Said], total: int) -> str:
    cases, texts = [*dict.fromkeys(case for case, _ in same)], {text for _, text in same}
    return f"{_who(cases, total)}: {next(iter(texts)) if len(texts) == 1 else _ranges(texts)}"


def _who(cases: Sequence[str], total: int) -> str:
    if len(cases) == 1:
        return f"case {cases[0]}"
    if len(cases) == total:
        return f"all {total} cases"
    return f"cases {named(cases, NAMED)}"


def _ranges(texts: Iterable[str]) -> str:
    """One sentence for several: a figure that differs becomes `LEAST to MOST`."""
    plain = [FILE.sub("its file", text) for text in texts]
    columns = iter([*zip(*(FIGURE.findall(text) for text in plain), strict=True)])

    def shown(_: re.Match[str]) -> str:
        figures = sorted(next(columns), key=float)
        return figures[0] if figures[0] == figures[-1] else f"{figures[0]} to {figures[-1]}"

    return FIGURE.sub(shown, plain[0])
