"""Slices on disk: the same as made anew, made once, whole or not there, verified when opened."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_process import flip

from benchmark.data import library
from benchmark.data.feeding import folds
from benchmark.data.feeding.folds import open_several, open_slices, slices_key
from benchmark.data.feeding.slices import CaseSlices, on_training_grid
from benchmark.data.library import DataSet
from benchmark.data.volume import Volume
from benchmark.testing import TinySource


def made_anew(dataset: DataSet, name: str, size: int | None) -> CaseSlices:
    case = dataset.case(name)
    return on_training_grid(dataset.load(name), dataset.organs, size, case.sha256)


def equal(one: CaseSlices, other: CaseSlices) -> bool:
    parts = ("hu_ZHW", "label_ZHW", "annotated_K")
    same = all(torch.equal(getattr(one, part), getattr(other, part)) for part in parts)
    names = ("name", "sha256", "range_Z")
    return same and all(getattr(one, name) == getattr(other, name) for name in names)


def entries(dataset: DataSet) -> list[str]:
    folder = dataset.folder / "slices"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def counting(volume: Volume, *more: object, **named: object) -> CaseSlices:
        made.append(volume.case)
        return on_training_grid(volume, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(folds, "on_training_grid", counting)
    return made


def test_what_is_opened_is_what_was_made(tiny_dataset: DataSet, counted: list[str]) -> None:
    for _ in range(3):
        assert equal(open_slices(tiny_dataset, "p01", 16), made_anew(tiny_dataset, "p01", 16))
    assert counted == ["p01"]
    assert entries(tiny_dataset) == [
        slices_key(tiny_dataset, "p01", 16)
    ]  # no lock, nothing temporary


def test_the_scans_own_grid_is_not_kept_twice(tiny_dataset: DataSet) -> None:
    for size in (None, 24):
        assert equal(open_slices(tiny_dataset, "p00", size), made_anew(tiny_dataset, "p00", size))
    assert entries(tiny_dataset) == []


def test_several_at_once_each_made_once(tiny_dataset: DataSet, counted: list[str]) -> None:
    names = [case.name for case in tiny_dataset.cases]
    found = [None] * 4

    def work(place: int) -> None:
        found[place] = open_several(tiny_dataset, names, 16)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counted) == names
    for opened in found:
        assert [case.name for case in opened] == names
        assert all(equal(c, made_anew(tiny_dataset, c.name, 16)) for c in opened)
    assert len(entries(tiny_dataset)) == len(names)


def test_the_key_is_of_arrays_and_preprocessing(
    tiny_dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {
        slices_key(tiny_dataset, "p00", 16),
        slices_key(tiny_dataset, "p00", 20),
        slices_key(tiny_dataset, "p01", 16),
    }
    again = library.add(tmp_path / "again", "other-name", TinySource())
    assert slices_key(again, "p00", 16) in keys  # names do not count
    monkeypatch.setattr(folds, "SLICES_VERSION", 2)
    keys.add(slices_key(tiny_dataset, "p00", 16))

    class Brighter(TinySource):
        def volumes(self):
            yield from (replace(v, image=v.image + np.int16(1)) for v in super().volumes())

    keys.add(slices_key(library.add(tmp_path / "more", "tiny", Brighter()), "p00", 16))
    assert len(keys) == 5


@pytest.mark.parametrize("part", ["hu.npy", "label.npy", "slices.json", "checksums.json"])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_a_damaged_entry_is_made_again(tiny_dataset: DataSet, part: str, how: str) -> None:
    open_slices(tiny_dataset, "p02", 16)
    path = tiny_dataset.folder / "slices" / slices_key(tiny_dataset, "p02", 16) / part
    good = path.read_bytes()
    if how == "flip":
        flip(path, len(good) // 2)
    elif how == "cut":
        path.write_bytes(good[:-3])
    else:
        path.unlink()
    assert equal(open_slices(tiny_dataset, "p02", 16), made_anew(tiny_dataset, "p02", 16))
    assert path.read_bytes() == good


def test_nothing_half_written_is_left(
    tiny_dataset: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folds, "write_json", dies)  # after both arrays were written
        with pytest.raises(KeyboardInterrupt):
            open_slices(tiny_dataset, "p00", 16)
    assert entries(tiny_dataset) == []
    assert equal(open_slices(tiny_dataset, "p00", 16), made_anew(tiny_dataset, "p00", 16))


def test_a_workspace_that_cannot_be_written_serves_all_the_same(tiny_dataset: DataSet) -> None:
    (tiny_dataset.folder / "slices").write_text("in the way")
    assert equal(open_slices(tiny_dataset, "p00", 16), made_anew(tiny_dataset, "p00", 16))
    assert library.open_dataset(tiny_dataset.folder.parents[1], "tiny") == tiny_dataset
