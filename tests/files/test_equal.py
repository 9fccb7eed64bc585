"""The kept list: which changes of code are known to move no number."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.files.code import Code, KeptList, kept_from, kept_list

FIT1, FIT2, FIT3, FIT4 = (("fit", str(n)) for n in range(1, 5))
NET, HELPER = ("Net", "a"), ("helper", "b")


def code(*ours: tuple[str, str], others: tuple[tuple[str, str], ...] = ()) -> Code:
    return Code(ours=frozenset(ours), others=frozenset(others))


def kept(tmp_path: Path, *steps: tuple[dict[str, list[str]], dict[str, list[str]]]) -> KeptList:
    path = tmp_path / "equal.json"
    snapshot = {"fit": ["1"], "Net": ["a"], "unused": ["9"]}
    written = [{"why": "", "from": before, "to": after} for before, after in steps]
    path.write_text(json.dumps({"snapshots": {"0ld": snapshot}, "steps": written}))
    return kept_from(path)


def differs(known: KeptList, stored: Code, now: Code) -> tuple[str, ...]:
    found = known.difference(stored.fingerprint, stored, now)
    return (*found.ours, *found.others)


def test_a_change_is_named_and_a_step_makes_it_equal(tmp_path: Path) -> None:
    assert differs(kept(tmp_path), code(FIT1, NET), code(FIT2, NET)) == ("fit",)
    step = ({"fit": ["1"]}, {"fit": ["2"]})
    assert differs(kept(tmp_path, step), code(FIT1, NET), code(FIT2, NET)) == ()
    assert differs(kept(tmp_path, step), code(FIT1, NET), code(FIT2)) == ("Net",)


def test_a_step_may_split_a_definition(tmp_path: Path) -> None:
    step = ({"fit": ["1"]}, {"fit": ["2"], "helper": ["b"], "elsewhere": ["c"]})
    assert differs(kept(tmp_path, step), code(FIT1, NET), code(FIT2, HELPER, NET)) == ()
    assert differs(kept(tmp_path), code(FIT1), code(FIT2, HELPER)) == ("fit", "helper")


def test_steps_go_one_after_the_other_and_never_over_a_change_between(tmp_path: Path) -> None:
    first, third = ({"fit": ["1"]}, {"fit": ["2"]}), ({"fit": ["3"]}, {"fit": ["4"]})
    second = ({"fit": ["2"]}, {"fit": ["3"]})
    assert differs(kept(tmp_path, first, second, third), code(FIT1), code(FIT4)) == ()
    # 2 to 3 moved numbers, so no step joins them
    assert differs(kept(tmp_path, first, third), code(FIT1), code(FIT4)) == ("fit",)
    assert differs(kept(tmp_path, first, third), code(FIT3), code(FIT4)) == ()


def test_other_peoples_code_is_told_apart(tmp_path: Path) -> None:
    loss1, loss2 = ("Loss", "1"), ("Loss", "2")
    found = kept(tmp_path).difference("x", code(FIT1, others=(loss1,)), code(FIT2, others=(loss2,)))
    assert (found.ours, found.others) == (("fit",), ("Loss",))


def test_what_was_made_before_definitions_were_noted(tmp_path: Path) -> None:
    known = kept(tmp_path, ({"fit": ["1"]}, {"fit": ["2"]}))
    assert not known.difference("0ld", None, code(FIT2, NET))
    assert known.difference("0ld", None, code(FIT3)).ours == ("fit",)
    assert known.difference("another", None, code(FIT2)).ours == ("not noted then",)
    theirs = known.difference("0ld", None, code(FIT2, others=(("Loss", "1"),)))
    assert theirs.ours == ("not noted then",) and not theirs.others, "never thrown away unasked"


def test_versions_are_found_among_what_different_rows_reach(tmp_path: Path) -> None:
    known = kept(tmp_path, ({"fit": ["1"]}, {"fit": ["2"]}))
    plain, guided = code(FIT1), code(FIT2, ("Guided", "g"))
    assert known.versions({"a": plain, "b": guided, "0ld": None}) == ()
    assert known.versions({"a": plain, "b": code(FIT3)}) == ("fit",)
    assert known.versions({"a": plain, "lost": None}) == ("not noted then",)
    twice = code(("draw", "1"), ("draw", "2"))  # two functions of one name
    assert known.versions({"a": twice, "b": code(("draw", "2"))}) == ()


def test_the_list_that_comes_with_bench_can_be_read() -> None:
    assert "35d5799f61c9" in kept_list().snapshots
