"""The sentence that says what size of difference a table could have shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmark.analysis.rows import Values
from benchmark.analysis.sight import sight
from benchmark.plan.analysis import AnalysisPlan
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.statistics.layout import Incomplete, RowValues

PLAN = AnalysisPlan()


def row(name: str, *, spread: float, patients: int = 15, seeds: int = 1) -> RowValues:
    """A row whose patients' scores differ from 90 by chance; `spread` is the sd."""
    rng = np.random.default_rng(len(name))
    return RowValues(
        row=name,
        cases=tuple(f"p{n:02d}" for n in range(patients)),
        seeds=tuple(range(seeds)),
        fold_n=np.arange(patients) % 5,
        value_nS=90 + spread * rng.normal(size=(patients, seeds)),
    )


def named(*rows: Values) -> dict[str, Values]:
    return {each.row: each for each in rows}


def detectable(first: RowValues, second: RowValues) -> float:
    found = compare(first, second, metric=PLAN.metrics[0], plan=PLAN)
    assert isinstance(found, Comparison) and found.smallest_detectable is not None
    return found.smallest_detectable


def test_the_least_and_the_largest_are_told_each_with_its_row() -> None:
    plain, calm, wild = row("unet", spread=1), row("calm", spread=0.5), row("wild-row", spread=4)
    each = [detectable(one, plain) for one in (calm, wild)]
    assert each[0] < each[1]
    got = sight(named(calm, plain, wild), PLAN)
    assert (got.reference, got.rows, got.points) == ("unet", 2, max(each))
    assert got.text == (
        "with 15 patients, 5 folds, 1 seed and this spread, 80 of 100 studies would show a true "
        f"difference to unet of {each[0]:.1f} points of DSC in calm to {each[1]:.1f} in wild-row"
    )


def test_more_patients_show_smaller_differences() -> None:
    def points(patients: int) -> float:
        sizes = [row(name, spread=1, patients=patients, seeds=2) for name in ("unet", "other")]
        found = sight(named(*sizes), PLAN)
        assert found.text.startswith(f"with {patients} patients, 5 folds, 2 seeds and ")
        assert " to unet of " in found.text and found.text.endswith(" DSC")
        return found.points or 0.0

    assert 0 < points(200) < points(15)


def test_without_the_plain_row_the_first_one_is_the_reference() -> None:
    first, second = row("fsm", spread=1), row("fsm-constant", spread=1)
    got = sight(named(first, second), PLAN)
    assert got.reference == "fsm" and " to fsm of " in got.text
    assert got.points == pytest.approx(detectable(second, first))


INCOMPLETE = Incomplete(row="fsm", missing=(("p00", 0),))
FEW = "values only, no interval under 6"


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no complete row"),
        ([INCOMPLETE], "no complete row"),
        ([row("unet", spread=1)], "one row"),
        ([row("unet", spread=1), INCOMPLETE], "one row"),
        ([row(n, spread=1, patients=5, seeds=2) for n in ("unet", "b")], f"5 patients: {FEW}"),
    ],
)
def test_where_it_cannot_be_told_it_says_why(rows: Sequence[Values], why: str) -> None:
    got = sight(named(*rows), PLAN)
    assert got.points is None and got.rows == 0
    whole = "what size of difference this table could have shown is not known: "
    assert got.text == whole + why


def test_a_row_that_equals_the_plain_one_takes_nothing_from_the_others() -> None:
    plain, other = row("unet", spread=1), row("other", spread=1)
    same = RowValues(**{**vars(plain), "row": "same"})
    got = sight(named(plain, same, other), PLAN)
    assert got.points == pytest.approx(detectable(other, plain))
    assert got.text.endswith(" in other, known in 1 of 2 rows")
