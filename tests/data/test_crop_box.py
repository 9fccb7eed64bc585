"""Outside the crop box nothing is trained on or scored: planted values change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from bench_process import bench, run_argv, weights

from benchmark.data import library
from benchmark.data.feeding.draw import SliceDraw
from benchmark.data.feeding.slices import on_training_grid
from benchmark.data.volume import Volume, inside, slices_of
from benchmark.plan.ground import Ground
from benchmark.plan.keys import canonical, digest
from benchmark.plan.nodes import probes_of
from benchmark.running.cells import plan_cells
from benchmark.running.probing import evaluation_of
from benchmark.scoring.cases import scoring_identity
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.testing import ORGANS, TinySource, tiny_volume

BOX = ((1, 5), (3, 23), (1, 19))


@dataclass(frozen=True, kw_only=True)
class Boxed(TinySource):
    """The tiny set with a crop box; `planted` fills what lies outside with nonsense."""

    planted: bool = False

    @property
    def fingerprint(self) -> str:
        return "boxed"

    def volumes(self) -> Iterator[Volume]:
        for number in range(self.patients):
            yield boxed(number, self.planted)


def boxed(number: int, planted: bool) -> Volume:
    volume = replace(tiny_volume(number), box=BOX, source_sha256=f"{number:064d}")
    if planted:
        image, label = np.full_like(volume.image, 150), np.full_like(volume.label, 3)
        image[:, :2] = -1000
        for whole, part in ((image, volume.image), (label, volume.label)):
            whole[slices_of(BOX)] = part[slices_of(BOX)]
        volume = replace(volume, image=image, label=label)
    return volume


@pytest.mark.parametrize("size", [None, 16])
def test_the_training_grid_is_that_of_the_box(size: int | None) -> None:
    one, other = (on_training_grid(boxed(0, planted), ORGANS, size) for planted in (False, True))
    assert torch.equal(one.hu_ZHW, other.hu_ZHW) and torch.equal(one.label_ZHW, other.label_ZHW)
    assert one.range_Z == other.range_Z
    cut = inside(boxed(0, False))
    assert one.hu_ZHW.shape[0] == 4 and cut.image.shape == (4, 20, 18)
    whole = on_training_grid(replace(cut, case="whole"), ORGANS, size)
    assert torch.equal(one.hu_ZHW, whole.hu_ZHW)


def test_a_batch_never_shows_what_lies_outside() -> None:
    cases = [on_training_grid(boxed(n, True), ORGANS, None, sha256=f"{n}") for n in range(3)]
    values = {"seed": 0, "stream": "ct", "stride": 4, "device": torch.device("cpu")}
    clean = [on_training_grid(boxed(n, False), ORGANS, None, sha256=f"{n}") for n in range(3)]
    one, other = (SliceDraw(part, Ground(batch=4), **values) for part in (cases, clean))
    for step in range(6):
        assert torch.equal(one(step).image_B1HW, other(step).image_B1HW)
        assert torch.equal(one(step).label_BHW, other(step).label_BHW)


def test_a_whole_run_does_not_depend_on_what_lies_outside(tmp_path: Path) -> None:
    outcomes = []
    for planted in (False, True):
        root = tmp_path / str(planted)
        stored = library.add(root, "tiny", Boxed(planted=planted))
        assert stored.cases[0].box == BOX and stored.cases[0].shape_inside == (4, 20, 18)
        ran = bench(*run_argv(root, "fsm", "--folds", "0", ground__size=16))
        assert ran.code == 0, ran.err
        assert bench("report", "--root", str(root), "--mlflow", "none").code == 0
        files = sorted((root / "results").glob("*/*/rows.parquet"))
        assert any(path.parent.name.startswith("hard1-") for path in files)
        tables = [pq.read_table(path).drop_columns(["code"]).to_pylist() for path in files]
        outcomes.append((weights(root), str(tables)))
        maps = list((root / "results").glob("*/*/labels.npz"))
        assert len(maps) == 2, "of fsm and of fsm@stage2"
        for path in maps:
            with np.load(path) as predicted:
                for case in predicted.files:
                    outside = np.ones(predicted[case].shape, bool)
                    outside[slices_of(BOX)] = False
                    assert not predicted[case][outside].any()
    assert outcomes[0][0] == outcomes[1][0]
    assert outcomes[0][1] == outcomes[1][1]


def test_the_box_is_part_of_a_cases_identity(tmp_path: Path) -> None:
    one = library.add(tmp_path, "one", Boxed())
    bare = [replace(volume, box=None) for volume in Boxed().volumes()]

    class Bare(TinySource):
        def volumes(self) -> Iterator[Volume]:
            yield from bare

    two = library.add(tmp_path, "two", Bare())
    assert one.cases[0].sha256 != two.cases[0].sha256
    assert one.label("p00").shape == (4, 20, 18) and two.label("p00").shape == (5, 24, 20)


def test_what_a_box_changes_in_an_identity(tmp_path: Path) -> None:
    """Rows of the older definition of distance are told from those of now; probes rest on none."""
    setting = resolve(load_registry(), "unet", "quick")
    boxed_set, bare = (
        library.add(tmp_path, "one", Boxed()),
        library.add(tmp_path, "t", TinySource()),
    )
    for dataset, ending in ((boxed_set, "-cut"), (bare, "")):
        (cell,) = plan_cells(setting, dataset, folds=[0], seeds=[0])
        tested = sorted(dataset.case(name).sha256 for name in cell.data.fold.test)
        before = digest(["ct", tested, *scoring_identity(dataset.organs)])[:12]
        assert cell.entry("s").evaluation == before + ending
        for probe in probes_of(resolve(load_registry(), "fsm", "quick").method):
            known = digest([canonical(probe.measure), cell.data.tested(""), 1])[:12]
            assert evaluation_of(probe, cell) == f"{probe.name}-{known}"
