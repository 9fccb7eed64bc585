"""Folds by patient: made once per data set, never moved by a run's seed.

Every case is tested exactly once. Cases are stratified by source and annotated organs. The inner
validation patients are part of the training patients; they serve tuning only, and the
reported model trains on them too.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import BadInput
from benchmark.plan.ground import Ground
from benchmark.plan.keys import canonical, content_hash, digest, draw_seed
from benchmark.plan.wording import counted

FOLDS = 5
FEWEST = 2  # one patient to train on and one to test
SPLIT_SEED = 20200403  # fixed for ever: a fold is a property of the data set, not of a run


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What the split knows about one case: its name, its stratum, and the hash of its bytes."""

    name: str
    annotated: tuple[str, ...]
    source: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fold, as names of cases. `validation` is a subset of `train`."""

    index: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def inner(self) -> Fold:
        """Return the fold that tuning sees: trained without the validation patients, tested
        on them. The outer test patients are in no part of it."""
        kept = tuple(name for name in self.train if name not in self.validation)
        return Fold(index=self.index, train=kept, validation=(), test=self.validation)


def split(subjects: list[Subject], folds: int = FOLDS) -> tuple[Fold, ...]:
    """Return `folds` folds of the subjects, a pure function of their names and strata.

    Raises `BadInput` where there are fewer patients than folds.
    """
    if len(subjects) < folds:
        raise BadInput(
            f"the data set has {counted(len(subjects), 'patient')}, fewer than the {folds} folds: "
            "add more cases"
        )
    dealt = _deal([subject.name for subject in _shuffled(subjects)], folds)
    result = []
    for index, test in enumerate(dealt):
        rest = [subject for subject in subjects if subject.name not in test]
        result.append(_fold(index, rest, test, folds))
    return tuple(result)


def given_folds(
    subjects: list[Subject], parts: Sequence[tuple[Collection[str], Collection[str]]]
) -> tuple[Fold, ...]:
    """Return the folds that somebody gave as (training, test) names, all of known subjects. A fifth
    of the training patients are the inner validation ones, as in `split`."""
    return tuple(
        _fold(index, [subject for subject in subjects if subject.name in train], test, FOLDS)
        for index, (train, test) in enumerate(parts)
    )


def _fold(index: int, rest: list[Subject], test: Collection[str], folds: int) -> Fold:
    ordered = [subject.name for subject in _shuffled(rest)]
    # each fold starts one patient later: else most folds would be tuned on the same patients
    start = index % max(len(ordered), 1)
    validation = _deal(ordered[start:] + ordered[:start], folds)[0]
    return Fold(
        index=index,
        train=tuple(sorted(subject.name for subject in rest)),
        validation=tuple(sorted(validation)),
        test=tuple(sorted(test)),
    )


def split_fingerprint(subjects: list[Subject], folds: tuple[Fold, ...]) -> str:
    """Return the hash of a split: which case (by its bytes) is tested in which fold."""
    sha256 = {subject.name: subject.sha256 for subject in subjects}
    return digest([sorted(sha256[name] for name in fold.test) for fold in folds])


def given_fingerprint(subjects: list[Subject], folds: tuple[Fold, ...]) -> str:
    """Return the hash of a split that somebody gave: also of which cases are trained on, since
    these need not be all the others."""
    sha256 = {subject.name: subject.sha256 for subject in subjects}
    parts = [[sorted(sha256[n] for n in names) for names in (f.train, f.test)] for f in folds]
    return digest({"given": parts})


def nested(train: Mapping[str, str], count: int | None) -> tuple[str, ...]:
    """Return the names of `count` of a fold's training cases, in the order given (None: all).

    They are the first in the order of a hash of all the cases' contents and their own, so that a
    larger count holds a smaller one's, every seed and row has the same, and folds draw anew.
    `train` maps names to hashes; names do not count. Raises `BadInput` for more than there are.
    """
    if count is None:
        return tuple(train)
    if count > len(train):
        raise BadInput(
            f"ground.train_cases = {count}: a fold has {counted(len(train), 'training patient')}; "
            "give as many at most, or leave it out for all of them"
        )
    fold = content_hash(sorted(train.values()))
    ordered = sorted(train, key=lambda name: draw_seed(fold, train[name]))
    return tuple(name for name in train if name in ordered[:count])


def fold_fingerprint(train: Mapping[str, str], organs: tuple[str, ...], ground: Ground) -> str:
    """Return the hash of what a training can see: its cases' bytes, the organs, the ground.

    `train` maps case names to hashes; the names do not count.
    """
    content = {"cases": sorted(train.values()), "organs": list(organs)}
    return digest({**content, "ground": canonical(ground)})


def _shuffled(subjects: list[Subject]) -> list[Subject]:
    """Strata one after the other, each in a seeded random order that names alone decide."""
    strata: dict[tuple[str, tuple[str, ...]], list[Subject]] = defaultdict(list)
    for subject in sorted(subjects, key=lambda subject: subject.name):
        strata[subject.source, tuple(sorted(subject.annotated))].append(subject)
    ordered: list[Subject] = []
    for name, members in sorted(strata.items()):
        random.Random(f"{SPLIT_SEED} {name}").shuffle(members)
        ordered += members
    return ordered


def _deal(names: list[str], folds: int) -> list[list[str]]:
    """Deal like cards: strata spread evenly, and fold sizes differ by one at most."""
    return [names[index::folds] for index in range(folds)]
