"""The code behind the built-in rows is what it was, or somebody has said what changed."""

from __future__ import annotations

import equal_code

from benchmark.files.code import kept_list


def test_the_code_behind_numbers_is_what_it_was() -> None:
    now, before = equal_code.code_of_all_rows(), equal_code.golden()
    changed = sorted({name for name, _ in now.ours ^ before})
    assert not changed, (
        f"{', '.join(changed)}: stored results were made by other code. If no number moves, prove "
        'it and run `python tests/equal_code.py --equal "why"`; else `--moved`, and say in '
        "docs/decisions which numbers move"
    )
    assert now.others == frozenset(), "built-in rows reach nobody else's code"


def test_results_from_before_single_definitions_were_noted_are_of_the_same_code() -> None:
    """Every definition of now goes back, by steps that moved no number, to the first snapshot."""
    found = kept_list().difference("35d5799f61c9", None, equal_code.code_of_all_rows())
    assert not found, f"{found.ours}: name the change in docs/decisions, then drop this test"
