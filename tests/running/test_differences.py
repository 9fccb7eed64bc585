"""A row minus the plain one: which cells are paired, and the ends of the interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from benchmark.analysis.differences import minus_plain, plain_row
from benchmark.scoring.statistics.components import interval
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow

PARAMS = {"method": "unet", "ct.width": "8", "ground.size": "64"}


def entry(row: str, fold: int, overrides: Mapping[str, Any] | None = None, **more: Any) -> Entry:
    values: dict[str, Any] = {
        "dataset": "phantom",
        "label": row,
        "preset": "quick",
        "seed": 0,
        "part": "test",
        "key": f"{row}{fold}",
        "evaluation": "e",
        "split": "s",
        "nodes": (),
        "params": PARAMS,
        "state": "done",
    }
    return Entry(row=row, fold=fold, overrides=overrides or {}, **{**values, **more})


def result(case: int, organ: str, value: float, seed: int = 0, metric: str = "dsc") -> ResultRow:
    return ResultRow(
        key="k", seed=seed, fold=case % 3, case=f"p{case}", organ=organ, state="overlap",
        metric=metric, value=value, unit="%", n_voxels_true=1, code="c",
    )  # fmt: skip


def test_the_plain_row_has_the_same_cells_and_shared_values() -> None:
    plain = [entry("unet", fold) for fold in (0, 1)]
    narrow = [entry("unet", fold, {"ct.width": 4}) for fold in (0, 1)]
    known = [*plain, *narrow, entry("unet", 2), entry("unet", 0, split="other")]

    def found(*rows: Entry) -> list[Entry]:
        return plain_row(rows, known)

    assert found(entry("fsm", 0), entry("fsm", 1)) == plain
    assert found(*(entry("fsm", f, {"xi": 1, "ct.width": 4.0}) for f in (0, 1))) == narrow
    assert found(*(entry("fsm", f, {"xi": 1, "ct.width": 16}) for f in (0, 1))) == plain
    assert found(entry("fsm", 0, {"ground.size": 32})) == []
    assert found(entry("fsm", 0), entry("fsm", 3)) == []  # never a smaller comparison
    assert found(entry("fsm", 0, part="inner")) == []


def test_differences_are_paired_and_have_the_ends_of_the_primary_interval() -> None:
    rng = np.random.default_rng(3)
    gain = rng.normal(2, 1, (12, 2))
    theirs = [result(c, "liver", 80 + c, seed) for c in range(12) for seed in (0, 1)]
    ours = [result(c, "liver", 80 + c + gain[c, seed], seed) for c in range(12) for seed in (0, 1)]
    metrics = minus_plain(ours, theirs)
    assert metrics["cv/dsc_minus_unet/liver"] == pytest.approx(gain.mean())
    expected = interval(gain, np.arange(12) % 3)
    assert expected is not None
    ends = [metrics[f"cv/{end}_dsc_minus_unet/liver"] for end in ("low", "high")]
    assert ends == pytest.approx([expected.low, expected.high])
    assert metrics["cv/dsc_minus_unet/mean"] == metrics["cv/dsc_minus_unet/liver"]


def test_too_little_gives_no_interval_and_no_mean() -> None:
    def names(ours: list[ResultRow], theirs: list[ResultRow]) -> set[str]:
        return {n[3:].replace("dsc_minus_unet/", "") for n in minus_plain(ours, theirs)}

    plain = [result(c, "liver", 80.0 + c) for c in range(9)]
    whole = [result(c, "liver", 81.0 + c + (c % 4) / 2) for c in range(9)]
    assert names(whole, plain) == {
        f"{end}{organ}" for end in ("", "low_", "high_") for organ in ("liver", "mean")
    }
    assert names(plain, plain) == {"liver", "mean"}  # no spread
    assert names(whole[:5], plain[:5]) == {"liver", "mean"}  # under 6 patients
    doubled = [*whole, result(0, "liver", 1.0, seed=1)]  # a seed in one patient only
    assert names(doubled, [*plain, result(0, "liver", 2.0, seed=1)]) == {"liver", "mean"}
    undefined = [*whole, *(result(c, "spleen", float("nan")) for c in range(9))]
    assert names(undefined, plain) == {"liver", "low_liver", "high_liver"}
    some, few = ([*r, *(result(c, "spleen", 50.0) for c in range(4))] for r in (whole, plain))
    assert names(some, few) == {"liver", "low_liver", "high_liver", "spleen", "mean"}
    assert minus_plain(whole, [result(c, "liver", 1.0, seed=5) for c in range(9)]) == {}
