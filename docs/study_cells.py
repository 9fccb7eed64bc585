"""The finished cells of the study without their networks, so that it goes on elsewhere.

python docs/study_cells.py pack --root ROOT      # what docs/study/cells/ lacks, as its next archive
python docs/study_cells.py unpack --root ROOT    # into a workspace; `make study` then goes on

Plans, rows and label maps are kept. Networks are left out: they are 2 MB each. What needs one as
its start is trained anew, with the same weights.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from benchmark.files.layout import MARKER, check_format

CELLS = Path(__file__).parent / "study" / "cells"
WHOLE = ("ledger", "code", "results")
OF_OBJECTS = ("record.json", "checksums.json")


def members(root: Path) -> list[Path]:
    """Return what is kept of a workspace, as paths under `root`, sorted."""
    found = [path for part in WHOLE for path in (root / part).rglob("*")]
    found += [path for name in OF_OBJECTS for path in (root / "objects").glob(f"*/{name}")]
    kept = (path.relative_to(root) for path in found if path.is_file())
    return [Path(MARKER), *sorted(path for path in kept if not _passing(path))]


def _passing(path: Path) -> bool:
    """Whether a file is a lock, or of what is unfinished or set aside."""
    folders = any("." in part or part == "aside" for part in path.parts[:-1])
    return folders or ".lock" in path.name


def pack(root: Path, folder: Path) -> int:
    """Write what no archive of the folder holds, or holds otherwise, as its next one; return the
    number of files."""
    held = {name: sha256(content).digest() for name, content in _held(folder)}
    files = {path.as_posix(): (root / path).read_bytes() for path in members(root)}
    new = {name: text for name, text in files.items() if sha256(text).digest() != held.get(name)}
    if not new:
        return 0
    archive = folder / f"{len(_archives(folder)) + 1:02}.tar.xz"
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w:xz", preset=9) as packed:
        for name, content in new.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            packed.addfile(about, BytesIO(content))
    partial.replace(archive)
    return len(new)


def unpack(root: Path, folder: Path) -> int:
    """Write what a workspace lacks of the archives; return the number of files that were written.
    What is there stays."""
    if (root / MARKER).exists():
        check_format(root)
    last = dict(_held(folder))
    lacking = {root / name: last[name] for name in last if not (root / name).exists()}
    for path, content in lacking.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return len(lacking)


def _archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tar.xz"))


def _held(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file, of a later archive after those of an earlier one."""
    for archive in _archives(folder):
        with tarfile.open(archive, "r:xz") as packed:
            for about in packed:
                if content := packed.extractfile(about):
                    yield about.name, content.read()


def main() -> None:
    """Pack a workspace, or fill one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("pack", "unpack"))
    parser.add_argument("--root", type=Path, required=True)
    args = parser.parse_args()
    act = pack if args.action == "pack" else unpack
    CELLS.mkdir(exist_ok=True)
    count = act(args.root, CELLS)
    size = sum(path.stat().st_size for path in _archives(CELLS))
    print(f"{count} files; {size / 2**20:.1f} MiB packed in all")


if __name__ == "__main__":
    main()
