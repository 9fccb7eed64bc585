"""A set with crop boxes and one without: their definitions of distance never meet in a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from bench_process import bench, run_argv
from test_held_out import LiverAlone

from benchmark.data.library import add
from benchmark.data.volume import Volume
from benchmark.testing import TinySource


@dataclass(frozen=True, kw_only=True)
class Boxed:
    """The patients of another source, each cut to a box one voxel within its grid."""

    source: TinySource | LiverAlone

    @property
    def organs(self) -> tuple[str, ...]:
        return self.source.organs

    @property
    def fingerprint(self) -> str:
        return f"boxed-{self.source.fingerprint}"

    def volumes(self) -> Iterator[Volume]:
        for made in self.source.volumes():
            z, y, x = made.image.shape
            yield replace(made, box=((1, z - 1), (1, y - 1), (1, x - 1)))


@pytest.mark.parametrize("boxed", ["apart", "trained"])
def test_a_set_alone_with_boxes_makes_no_rows_of_the_other_old(tmp_path: Path, boxed: str) -> None:
    trained, apart = TinySource(patients=6), LiverAlone()
    add(tmp_path, "tiny", Boxed(source=trained) if boxed == "trained" else trained)
    add(tmp_path, "other", Boxed(source=apart) if boxed == "apart" else apart)
    for row in ("unet", "fsm"):
        words = run_argv(tmp_path, "unet", "--folds", "0,1", "--workers", "1")
        words = [row if word == "unet" else word for word in words]
        ran = bench(*words, "--test-on", "other")
        assert ran.code == 0, ran.err
    there = ("--root", str(tmp_path))
    for more in ((), ("--test-on", "other")):
        ran = bench("compare", "fsm", "unet", *more, *there)
        assert ran.code == 0 and "older definition" not in ran.err + ran.out, ran.out + ran.err
    assert "older definition" not in bench("status", *there).err
