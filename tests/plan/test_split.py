"""Folds: by patient, stratified, complete, and a function of names and strata alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import BadInput
from benchmark.plan.folds import FOLDS, Subject, fold_fingerprint, split, split_fingerprint
from benchmark.plan.ground import Ground

STRATA = st.tuples(
    st.sampled_from(["tcia", "btcv"]),
    st.sampled_from([("liver",), ("liver", "kidney"), ("kidney", "liver")]),
)
SETS = st.dictionaries(
    st.text("abcdefgh0123", min_size=1, max_size=6), STRATA, min_size=5, max_size=40
).map(
    lambda drawn: [
        Subject(name=name, annotated=organs, source=source, sha256=f"{place:x}")
        for place, (name, (source, organs)) in enumerate(drawn.items())
    ]
)


def stratum(subject: Subject) -> tuple[str, tuple[str, ...]]:
    return subject.source, tuple(sorted(subject.annotated))


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_every_case_is_tested_once_and_trained_on_otherwise(subjects: list[Subject]) -> None:
    names = {subject.name for subject in subjects}
    folds = split(subjects)
    assert [fold.index for fold in folds] == list(range(FOLDS))
    assert Counter(name for fold in folds for name in fold.test) == dict.fromkeys(names, 1)
    for fold in folds:
        assert set(fold.train) == names - set(fold.test)
        assert len(fold.train) + len(fold.test) == len(names)
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_validation_is_inside_train_and_the_inner_fold_holds_no_test_case(
    subjects: list[Subject],
) -> None:
    for fold in split(subjects):
        assert fold.validation and set(fold.validation) < set(fold.train)
        inner = fold.inner()
        assert inner.test == fold.validation and inner.train
        assert set(inner.train) == set(fold.train) - set(fold.validation)
        assert not {*inner.train, *inner.test, *inner.validation} & set(fold.test)


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_strata_are_spread_evenly(subjects: list[Subject]) -> None:
    known = {subject.name: stratum(subject) for subject in subjects}
    for kind in set(known.values()):
        counts = [sum(known[name] == kind for name in fold.test) for fold in split(subjects)]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=30, deadline=None)
@given(SETS, st.randoms())
def test_the_split_is_a_function_of_names_and_strata(
    subjects: list[Subject], chance: random.Random
) -> None:
    shuffled = [replace(subject, sha256=f"{chance.random()}") for subject in subjects]
    chance.shuffle(shuffled)
    state = random.getstate()
    assert split(shuffled) == split(subjects)
    assert random.getstate() == state


def test_the_split_is_what_it_was() -> None:
    subjects = [
        Subject(name=f"p{n}", annotated=("liver",), source="ab"[n % 2], sha256=str(n))
        for n in range(10)
    ]
    assert [fold.test for fold in split(subjects)] == [
        ("p3", "p4"),
        ("p2", "p9"),
        ("p0", "p7"),
        ("p5", "p6"),
        ("p1", "p8"),
    ]
    assert split(subjects)[0].validation == ("p6", "p9")


def test_fewer_patients_than_folds_are_refused() -> None:
    subjects = [
        Subject(name=f"p{n}", annotated=("liver",), source="", sha256=str(n)) for n in range(5)
    ]
    assert len(split(subjects)) == 5
    with pytest.raises(BadInput, match="4 patients, fewer than the 5 folds"):
        split(subjects[:4])


def test_the_split_fingerprint_is_about_content() -> None:
    subjects = [
        Subject(name=f"p{n}", annotated=("liver",), source="", sha256=str(n)) for n in range(6)
    ]
    folds = split(subjects)
    base = split_fingerprint(subjects, folds)
    assert split_fingerprint(subjects[::-1], folds) == base
    changed = [replace(subjects[0], sha256="new"), *subjects[1:]]
    assert split_fingerprint(changed, folds) != base
    assert split_fingerprint(subjects, folds[::-1]) != base


def test_the_fold_fingerprint_changes_with_content_only() -> None:
    def of(cases: dict[str, str], organs: tuple[str, ...] = ("liver", "kidney")) -> str:
        return fold_fingerprint(cases, organs, Ground())

    base = of({"a": "1", "b": "2"})
    assert of({"other": "2", "names": "1"}) == base
    assert of({"a": "1", "b": "3"}) != base
    assert of({"a": "1"}) != base
    assert of({"a": "1", "b": "2"}, ("kidney", "liver")) != base  # labels mean other organs
    assert fold_fingerprint({"a": "1", "b": "2"}, ("liver", "kidney"), Ground(batch=2)) != base
