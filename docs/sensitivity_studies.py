"""Draw studies of networks that are trained already, and read each as the suite would.

A study: patients, drawn with replacement from those that are scored, are dealt to the folds; of
each fold the six seeds are split into two triples. The triple that is edited at a dose stands
against the other one, unedited. With replacement, since the scored patients stand for all patients:
a study of 90 that may hold nobody twice would know half of that population and see too well.

F folds, S seeds, n patients, D doses, b studies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmark.plan.analysis import DSC, AnalysisPlan
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.statistics.components import ROUNDING, components, primary
from benchmark.scoring.statistics.corrections import patients_needed, smallest_detectable
from benchmark.scoring.statistics.layout import RowValues
from benchmark.scoring.statistics.paired import movers_of, primary_of, word_of
from benchmark.scoring.verdict import Outcome, judge

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

SEEDS = 3  # of a row in a study
CHUNK = 250  # studies at a time: bounds the memory
EDITED, PLAIN = "edited", "unedited"
PLAN = AnalysisPlan(
    subject=EDITED,
    baseline=PLAIN,
    competitors=(),
    ablations=(),
    controls=(PLAIN,),
    metrics=(DSC,),
    datasets=("phantom-60",),
    presets=("study",),
    asks_gap=False,  # an edited row has no teacher
    draws_bootstrap=2,  # what they are for is not read here
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """b studies of n patients: which patient, of which fold's networks, which seeds.

    `place_bF` are the networks' folds behind the study's folds; `edited_bFS` and `plain_bFS` the
    two triples; `luck_bF` standard normal draws."""

    patient_bn: Integers
    fold_n: Integers
    place_bF: Integers
    edited_bFS: Integers
    plain_bFS: Integers
    luck_bF: Floats

    def values(self, dsc_FSnD: Floats, dose: int, fold_sd: float) -> tuple[Floats, Floats]:
        """Return the DSC of both rows, each (b, n, S): of the edited one at the dose of that index,
        its folds moved by normal draws of sd `fold_sd`, and of the unedited one."""
        place_bn = self.place_bF[:, self.fold_n]

        def row(seed_bFS: Integers, dose: int) -> Floats:
            seed_bnS = seed_bFS[:, self.fold_n]
            chosen = dsc_FSnD[..., dose]
            return np.asarray(chosen[place_bn[..., None], seed_bnS, self.patient_bn[..., None]])

        luck_bn1 = fold_sd * self.luck_bF[:, self.fold_n][..., None]
        return row(self.edited_bFS, dose) + luck_bn1, row(self.plain_bFS, 0)


def draw(
    rng: np.random.Generator,
    count: int,
    *,
    patients: int,
    scored: Integers,
    seeds: int,
    place_F: Integers | None = None,
) -> Drawn:
    """Return `count` studies of `patients` out of the `scored` ones, dealt to five folds.

    `place_F`: the networks' folds to draw a study's from (all of them, in a random order, where
    not given)."""
    place_F = np.arange(PLAN.folds) if place_F is None else place_F
    folds = len(place_F)
    order_bFS = rng.permuted(
        np.broadcast_to(np.arange(seeds), (count, folds, seeds)), axis=-1
    )  # two triples of the same fold never share a network
    return Drawn(
        patient_bn=rng.choice(scored, (count, patients)),
        fold_n=np.arange(patients) % folds,
        place_bF=rng.permuted(np.broadcast_to(place_F, (count, folds)), axis=-1),
        edited_bFS=order_bFS[..., :SEEDS],
        plain_bFS=order_bFS[..., SEEDS : 2 * SEEDS],
        luck_bF=rng.standard_normal((count, folds)),
    )


def own_studies(rng: np.random.Generator, count: int, own_FSnD: Floats) -> Drawn:
    """Return studies of the data set's own patients as they were dealt: only triples vary.
    `own_FSnD` is nan where a fold does not test a patient."""
    folds, seeds, n, _ = own_FSnD.shape
    drawn = draw(rng, count, patients=n, scored=np.arange(n), seeds=seeds)
    return replace(
        drawn,
        patient_bn=np.broadcast_to(np.arange(n), (count, n)),
        fold_n=np.isfinite(own_FSnD[:, 0, :, 0]).argmax(axis=0),
        place_bF=np.broadcast_to(np.arange(folds), (count, folds)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """What b studies say: which call the edited row better, which worse, which verdicts are
    "supported"; in which one patient moves the gain by more than the margin."""

    better: Bools
    worse: Bools
    supported: Bools
    moved: Bools


def told(gain_bnS: Floats, fold_n: Integers) -> Told:
    """Return what the suite says of many studies at once, where no patient moves the gain by more
    than the margin: `compare_gain`'s word and `judge`'s verdict (a test compares them)."""
    found = components(gain_bnS, fold_n, fold_luck=PLAN.fold_luck)
    margin, gain_bn = PLAN.metrics[0].margin, gain_bnS.mean(axis=-1)
    n = gain_bn.shape[-1]
    half = stats.t.ppf(0.5 + PLAN.level / 2, found.degrees) * found.error
    low, high = found.mean - half, found.mean + half
    size = np.abs(found.mean)
    published = stats.t.sf(size / stats.sem(gain_bn, axis=-1), n - 1)
    false_claim = np.maximum(published, stats.t.sf(size / found.error, found.degrees))
    known = found.error > ROUNDING * np.abs(gain_bnS).max(axis=(-1, -2))
    alike = (-margin < low) & (high < margin)
    word = known & ~alike & (false_claim <= PLAN.alpha)
    moves = np.abs(gain_bn - found.mean[..., None]).max(axis=-1) / (n - 1)
    return Told(
        better=word & (low > 0),
        worse=word & (high < 0),
        supported=known & (high >= margin) & (low > 0) & (found.mean >= margin),
        moved=known & (moves > margin),
    )


def judged(edited_nS: Floats, plain_nS: Floats, fold_n: Integers) -> tuple[Comparison, Outcome]:
    """Return one study's comparison and verdict by the suite's own functions."""
    edited, plain = (_row(name, v, fold_n) for name, v in ((EDITED, edited_nS), (PLAIN, plain_nS)))
    found = compare(edited, plain, metric=PLAN.metrics[0], plan=PLAN)
    assert isinstance(found, Comparison)
    verdict = judge({PLAIN: found}, None, dataset="phantom-60", preset="study", plan=PLAN)
    return found, verdict.outcome


def _row(name: str, value_nS: Floats, fold_n: Integers) -> RowValues:
    n, seeds = value_nS.shape
    cases = tuple(f"patient {i}" for i in range(n))
    return RowValues(
        row=name, cases=cases, seeds=tuple(range(seeds)), fold_n=fold_n, value_nS=value_nS
    )


def read(edited_bnS: Floats, plain_bnS: Floats, fold_n: Integers, *, checked: int = 0) -> Told:
    """Return what many studies say. Of those that one patient moves the word is the suite's own,
    and none is "supported" (`judge`). The first `checked` are read by `compare` and `judge` too;
    raises `RuntimeError` where these say something else."""
    gain_bnS = edited_bnS - plain_bnS
    found = told(gain_bnS, fold_n)
    found.supported[found.moved] = False
    for b in np.flatnonzero(found.moved & (found.better | found.worse)):
        whole = primary_of(gain_bnS[b], fold_n, PLAN).interval
        movers = movers_of(gain_bnS[b].mean(axis=1), PLAN.metrics[0])
        word = word_of(gain_bnS[b], fold_n, whole, movers, PLAN.metrics[0], PLAN)
        found.better[b], found.worse[b] = word == "better", word == "worse"
    for b in range(min(checked, len(edited_bnS))):
        comparison, outcome = judged(edited_bnS[b], plain_bnS[b], fold_n)
        now = (comparison.word == "better", comparison.word == "worse", outcome == "supported")
        before = (bool(found.better[b]), bool(found.worse[b]), bool(found.supported[b]))
        if now != before:
            raise RuntimeError(f"study {b}: {before} of many at once, {now} by the suite")
    return found


def shares(
    dsc_FSnD: Floats, drawn: Drawn, *, fold_sd: float = 0.0, checked: int = 0
) -> dict[str, Floats]:
    """Return the share of studies, 0 to 1, at each dose whose word is "better" or "worse", or whose
    verdict is "supported": each (D,)."""
    found: dict[str, list[float]] = {"better": [], "worse": [], "supported": []}
    for dose in range(dsc_FSnD.shape[-1]):
        counts = dict.fromkeys(found, 0)
        for index, part in enumerate(_parts(drawn)):
            rows = part.values(dsc_FSnD, dose, fold_sd)
            said = read(*rows, drawn.fold_n, checked=0 if index else checked)
            for name in counts:
                counts[name] += int(getattr(said, name).sum())
        for name, count in counts.items():
            found[name].append(count / len(drawn.patient_bn))
    return {name: np.array(each) for name, each in found.items()}


def _parts(drawn: Drawn) -> Iterator[Drawn]:
    arrays = dict(vars(drawn))
    fold_n = arrays.pop("fold_n")
    for start in range(0, len(drawn.patient_bn), CHUNK):
        part = {name: each[start : start + CHUNK] for name, each in arrays.items()}
        yield Drawn(**part, fold_n=fold_n)


def planned(
    dsc_FSnD: Floats, drawn: Drawn, *, fold_sd: float, distance: float
) -> tuple[float, float]:
    """Return what planning foretells from studies at dose 0: the median least difference that they
    find with the plan's power, and the median number of patients at which a gain of `distance`
    would decide (inf where only more seeds would)."""
    least, needed = [], []
    for edited_nS, plain_nS in zip(*drawn.values(dsc_FSnD, 0, fold_sd), strict=True):
        whole = primary(
            edited_nS - plain_nS, drawn.fold_n, level=PLAN.level, fold_luck=PLAN.fold_luck
        )
        if whole.interval is None:
            continue
        margin = PLAN.metrics[0].margin
        least.append(smallest_detectable(whole.interval, margin=margin, power=PLAN.power))
        design = patients_needed(distance, whole.spread, seeds=SEEDS, folds=PLAN.folds)
        enough = design is not None and design.seeds == SEEDS
        needed.append(float(design.patients) if design and enough else np.inf)
    return float(np.median(least)), float(np.median(needed))
