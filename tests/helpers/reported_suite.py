"""For tests: a workspace with its report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench_process import Ran, bench


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A workspace, its report, and what the command printed."""

    root: Path
    out: Path
    ran: Ran

    def text(self, name: str) -> str:
        """A file of the report, without what figures hold."""
        return re.sub(r"data:image[^\"]*", "", (self.out / name).read_text(encoding="utf-8"))


def report(root: Path, out: Path, *more: str) -> Ran:
    """Run `bench report`."""
    return bench("report", "--root", str(root), "--out", str(out), *more)
