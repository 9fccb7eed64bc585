"""The flags of a row over its cells, from the texts that every workspace holds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmark.analysis.flags import Flag, flag_texts, flags_of_rows
from benchmark.store.ledger import Entry

ENTRY = Entry(
    dataset="set", row="fsm", label="fsm", preset="quick", overrides={}, fold=0, seed=0,
    part="test", key="k", evaluation="e", split="s", nodes=("k",), state="done",
)  # fmt: skip
PULLS = "term_negligible: m pulls with {} % of the loss's gradient"


def over_folds(*texts: str | tuple[str, ...]) -> list[Flag]:
    """The flags of a row whose folds say these texts, one or several each."""
    told = [(text,) if isinstance(text, str) else text for text in texts]
    return flags_of_rows(replace(ENTRY, fold=n, flags=flags) for n, flags in enumerate(told))


def text_over(*texts: str) -> str:
    (flag,) = over_folds(*texts)
    return flag.text


def test_a_figure_that_differs_is_printed_as_its_range() -> None:
    (flag,) = over_folds(*(PULLS.format(x) for x in ("0.21", "0.04", "0.12", "0.025", "0.098")))
    assert flag.line() == f"{PULLS.format('0.025 to 0.21')} (in all 5 cells)"
    assert (flag.row, flag.name, flag.low, flag.high) == ("fsm", "term_negligible", 0.025, 0.21)
    assert (flag.cells, flag.of) == (tuple((fold, 0) for fold in range(5)), 5)
    value = json.loads(json.dumps(flag.as_json()))
    assert list(value) == ["row", "name", "text", "low", "high", "cells", "of", "per_cell"]
    assert value["per_cell"][3] == {"fold": 3, "seed": 0, "text": PULLS.format("0.025")}
    assert value["cells"] == [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0]]


def test_numbers_that_agree_stay() -> None:
    gap = "no_gt_gap: GT gap {} % (under 5)"
    assert text_over(gap.format("2.0"), gap.format("-1.5")) == gap.format("-1.5 to 2.0")
    assert text_over(gap.format("2.0"), gap.format("2.0")) == gap.format("2.0")


def test_a_flag_of_some_cells_names_them() -> None:
    flags = (PULLS.format("0.2"),)
    entries = [replace(ENTRY, flags=flags), replace(ENTRY, fold=1), replace(ENTRY, label="unet")]
    (flag,) = flags_of_rows([*entries, replace(ENTRY, seed=1, flags=flags)])
    assert flag.line() == f"{flags[0]} (in fold 0 seed 0, fold 0 seed 1)" and flag.of == 3
    assert over_folds(flags[0])[0].line() == f"{flags[0]} (in its one cell)"


def test_other_words_are_another_flag_and_no_cell_counts_twice() -> None:
    code = "term_negligible: code pulls with {} % of the loss's gradient"
    m, c = over_folds(*((PULLS.format(x), code.format(x)) for x in ("0.1", "0.3")))
    assert (m.text, c.text) == (PULLS.format("0.1 to 0.3"), code.format("0.1 to 0.3"))
    assert m.cells == c.cells == ((0, 0), (1, 0)) and m.of == c.of == 2
    organs = ("bad: organ 1 lost", "bad: organ 2 lost")  # a cell says these words twice
    (flag,) = over_folds(organs, organs)
    assert flag.cells == ((0, 0), (1, 0)) and flag.line().endswith("(in all 2 cells)")
    assert [said.text for said in flag.per_cell] == [*organs, *organs]


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        (("x: 2e-05 of it", "x: 0.21 of it"), "x: 2e-05 to 0.21 of it"),
        (("x: 1e+03", "x: -2.5E-3"), "x: -2.5E-3 to 1e+03"),
        (("x: +0.30 points", "x: -0.1 points"), "x: -0.1 to +0.30 points"),
        (("x: -0.0 %", "x: 0.0 %"), "x: 0.0 %"),
        (("x: -0.0 %", "x: 0.2 %", "x: -0.3 %"), "x: -0.3 to 0.2 %"),
        (("x: 10 of 20.", "x: 9 of 20."), "x: 9 to 10 of 20."),
        (("x: (.5)", "x: (1.50)"), "x: (.5 to 1.50)"),
        (("x: xi=-1, 60%", "x: xi=2, 7%"), "x: xi=-1 to 2, 7 to 60%"),
        (("gap of 2.0 %", "gap of 3.1 %"), "gap of 2.0 to 3.1 %"),  # no name at all
        (("stage 3 differs: fold0 is 1", "stage 3 differs: fold0 is 2"),
         "stage 3 differs: fold0 is 1 to 2"),
    ],
)  # fmt: skip
def test_signs_exponents_and_digits_are_kept(texts: tuple[str, ...], whole: str) -> None:
    assert text_over(*texts) == whole


@pytest.mark.parametrize(
    "part", ["fold{}", "@stage{}", "{}D", "3-{} mm", "{}/5", "{},000", "1.2.{}", "v{}.1", "+-{}"]
)
def test_a_number_inside_a_word_is_no_figure(part: str) -> None:
    """Two words are two flags; nothing is said of the one cell that holds for the other."""
    texts = [f"x: {part.format(n)} is off" for n in (1, 2)]
    flags = over_folds(*texts)
    assert [flag.text for flag in flags] == texts
    assert {(flag.low, flag.high) for flag in flags} == {(None, None)}


def test_a_name_with_a_number_gives_no_figure() -> None:
    (flag,) = over_folds("stage 3 not as in the paper: N_CT keeps its own decoder")
    assert (flag.low, flag.high) == (None, None)
    assert flag.name == "stage 3 not as in the paper"


def test_a_stored_minus_zero_is_a_zero_wherever_it_is_shown() -> None:
    entry = replace(ENTRY, flags=("x: GT gap -0.0 % (-0, -0.01, 3-0.0)",))
    assert flag_texts(entry) == ("x: GT gap 0.0 % (0, -0.01, 3-0.0)",)
    (flag,) = flags_of_rows([entry])
    assert (flag.text, flag.per_cell[0].text) == (flag_texts(entry)[0],) * 2
    assert str(flag.low) == str(flag.high) == "0.0"
