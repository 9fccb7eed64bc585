"""The finished cells of the study without their networks, so that it goes on elsewhere.

python docs/study_cells.py pack --root ROOT      # what docs/study/cells/ lacks, as its next archive
python docs/study_cells.py unpack --root ROOT    # into a workspace; `make study` then goes on
python docs/study_cells.py thin                  # takes the label maps of whole suites out

Plans and rows are kept, and the label maps of suites that docs/study.py has not seen whole: its
pages need them. Networks are left out: they are 2 MB each. What needs one as its start is trained
anew, with the same weights.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from benchmark.files.layout import MARKER, check_format

CELLS = Path(__file__).parent / "study" / "cells"
WHOLE = ("ledger", "code", "results")
OF_OBJECTS = ("record.json", "checksums.json")
FACTS = CELLS.parent / "study.json"


def whole() -> frozenset[str]:
    """Return the keys of all suites that were whole when the pages were written."""
    suites = json.loads(FACTS.read_text(encoding="utf-8"))["suites"] if FACTS.exists() else []
    return frozenset(key for suite in suites if not suite["left"] for key in suite["keys"])


def members(root: Path, done: frozenset[str] = frozenset()) -> list[Path]:
    """Return what is kept of a workspace, as paths under `root`, sorted; without the label maps of
    the keys that are `done`."""
    found = [path for part in WHOLE for path in (root / part).rglob("*")]
    found += [path for name in OF_OBJECTS for path in (root / "objects").glob(f"*/{name}")]
    kept = (path.relative_to(root) for path in found if path.is_file())
    kept = (path for path in kept if not (_passing(path) or _is_map(path, done)))
    return [Path(MARKER), *sorted(kept)]


def _is_map(path: Path, done: frozenset[str]) -> bool:
    return path.name == "labels.npz" and not done.isdisjoint(path.parts)


def _passing(path: Path) -> bool:
    """Whether a file is a lock, or of what is unfinished or set aside."""
    folders = any("." in part or part == "aside" for part in path.parts[:-1])
    return folders or ".lock" in path.name


def pack(root: Path, folder: Path, done: frozenset[str] = frozenset()) -> int:
    """Write what no archive of the folder holds, or holds otherwise, as its next one; return the
    number of files."""
    held = {name: sha256(content).digest() for name, content in _held(folder)}
    files = {path.as_posix(): (root / path).read_bytes() for path in members(root, done)}
    new = {name: text for name, text in files.items() if sha256(text).digest() != held.get(name)}
    if not new:
        return 0
    _write(folder / f"{len(_archives(folder)) + 1:02}.tar.xz", new)
    return len(new)


def _write(archive: Path, files: Mapping[str, bytes]) -> None:
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w:xz", preset=9) as packed:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            packed.addfile(about, BytesIO(content))
    partial.replace(archive)


def thin(folder: Path, done: frozenset[str]) -> int:
    """Write the archives again without the label maps of these keys; return how many those were."""
    gone = 0
    for archive in _archives(folder):
        files = dict(_read(archive))
        left = {name: files[name] for name in files if not _is_map(Path(name), done)}
        if len(left) < len(files):
            _write(archive, left)
        gone += len(files) - len(left)
    return gone


def unpack(root: Path, folder: Path) -> int:
    """Write what a workspace lacks of the archives; return the number of files that were written.
    What is there stays."""
    if (root / MARKER).exists():
        check_format(root)
    written = 0
    for archive in reversed(_archives(folder)):  # the last one that holds a file has it as it is
        with tarfile.open(archive, "r:xz") as packed:
            for about in packed:
                if not (root / about.name).exists():
                    packed.extract(about, root, filter="data")
                    written += 1
    return written


def _archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tar.xz"))


def _held(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file, of a later archive after those of an earlier one."""
    for archive in _archives(folder):
        yield from _read(archive)


def _read(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive, "r:xz") as packed:
        for about in packed:
            if content := packed.extractfile(about):
                yield about.name, content.read()


def main() -> None:
    """Pack a workspace, or fill one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("pack", "unpack", "thin"))
    parser.add_argument("--root", type=Path)
    args = parser.parse_args()
    if args.root is None and args.action != "thin":
        parser.error(f"{args.action} needs --root")
    CELLS.mkdir(exist_ok=True)
    if args.action == "thin":
        count = thin(CELLS, whole())
    elif args.action == "pack":
        count = pack(args.root, CELLS, whole())
    else:
        count = unpack(args.root, CELLS)
    size = sum(path.stat().st_size for path in _archives(CELLS))
    print(f"{count} files; {size / 2**20:.1f} MiB packed in all")


if __name__ == "__main__":
    main()
