"""The finished cells of the study without their networks, so that it goes on elsewhere.

python docs/study_cells.py pack --root ROOT      # docs/study/cells.tar.xz: plans, rows, label maps
python docs/study_cells.py unpack --root ROOT    # into a workspace; `make study` then goes on

Networks are left out: they are 2 MB each. What needs one as its start is trained anew, with the
same weights.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path

from benchmark.files.layout import MARKER, check_format

CELLS = Path(__file__).parent / "study" / "cells.tar.xz"
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


def pack(root: Path, archive: Path) -> int:
    """Write the archive of a workspace; return the number of files. The same workspace gives the
    same bytes."""
    files = members(root)
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w:xz", preset=9) as packed:
        for path in files:
            about = tarfile.TarInfo(path.as_posix())
            about.size = (root / path).stat().st_size
            with (root / path).open("rb") as content:
                packed.addfile(about, content)
    partial.replace(archive)
    return len(files)


def unpack(root: Path, archive: Path) -> int:
    """Write what a workspace lacks of the archive; return the number of files that were written.
    What is there stays."""
    written = 0
    if (root / MARKER).exists():
        check_format(root)
    with tarfile.open(archive, "r:xz") as packed:
        for about in packed:
            if not (root / about.name).exists():
                packed.extract(about, root, filter="data")
                written += 1
    return written


def main() -> None:
    """Pack a workspace, or fill one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("pack", "unpack"))
    parser.add_argument("--root", type=Path, required=True)
    args = parser.parse_args()
    act = pack if args.action == "pack" else unpack
    print(f"{act(args.root, CELLS)} files, {CELLS.stat().st_size / 2**20:.1f} MiB packed")


if __name__ == "__main__":
    main()
