"""Files of NumPy read by many threads at once."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmark.files.arrays import load_array, load_member

THREADS = 4


@pytest.fixture
def switching() -> Iterator[None]:
    """Let another thread run wherever the garbage collector does, also inside the parser."""

    def switch(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    thresholds = gc.get_threshold()
    gc.callbacks.append(switch)
    gc.set_threshold(20)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(switch)


def _by_member(path: Path) -> object:
    return load_member(path, "a")


@pytest.mark.parametrize(("name", "load"), [("a.npy", load_array), ("a.npz", _by_member)])
@pytest.mark.usefixtures("switching")
def test_headers_are_parsed_one_at_a_time(
    tmp_path: Path, name: str, load: Callable[[Path], object]
) -> None:
    array = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    path = tmp_path / name
    np.save(path, array) if path.suffix == ".npy" else np.savez(path, a=array)

    def read(_: int) -> list[object]:
        return [load(path) for _ in range(300)]

    with ThreadPoolExecutor(THREADS) as pool:
        for arrays in pool.map(read, range(THREADS)):
            assert all(np.array_equal(one, array) for one in arrays)
