"""What the protocol can show, and what its page will say: by the suite's own model and words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from simulation import Design

from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.plan.folds import FOLDS
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.statistics.components import Components, as_interval
from benchmark.scoring.statistics.corrections import Needed, patients_needed, smallest_detectable
from benchmark.scoring.statistics.layout import Incomplete, RowValues
from benchmark.scoring.verdict import Verdict, judge, overall

DOCS = Path(__file__).parent
GAIN = 2.0  # points: the claim that is planned for
PATIENT_SDS = (1.0, 2.0, 4.0)  # assumed, of a difference of two rows over patients
SMALL_RUN_SD, SMALL_GAIN = 0.1, 0.1  # of the planted rows


def luck() -> tuple[float, float, str]:
    """Return the sds of folds and of runs of a difference of two rows, the largest measured, in
    points, and where they are from: every pair in docs/fold-luck.json, and in docs/sensitivity.json
    once that is there."""
    found = json.loads((DOCS / "fold-luck.json").read_text(encoding="utf-8"))["spread"]
    pairs = [each for name, each in found.items() if " - " in name]
    source, path = "docs/fold-luck.json", DOCS / "sensitivity.json"
    if path.exists():
        more = json.loads(path.read_text(encoding="utf-8")).get("luck") or {"pairs": {}}
        pairs += [each for each in more["pairs"].values() if "run_sd" in each]
        source += " and docs/sensitivity.json" if more["pairs"] else ""
    fold, run = (max(float(each[name]) for each in pairs) for name in ("fold_sd", "run_sd"))
    return fold, run, source


def spread(patients: int, seeds: int, patient_sd: float) -> Components:
    """Return the components that a difference of two rows is expected to have; its patients' mean
    over seeds holds the rest of single values too, as in docs/simulation.py."""
    fold_sd, run_sd, _ = luck()
    rest = 2 * Design(patients=patients, seeds=seeds, run_sd=0).rest_sd ** 2 / seeds
    patient, fold, run = patient_sd**2 + rest, fold_sd**2, run_sd**2
    error = patient / patients + fold / FOLDS + run / FOLDS / seeds
    by_patients = (patient / patients) ** 2 / (patients - FOLDS)
    by_runs = (run / FOLDS / seeds) ** 2 / (FOLDS * max(seeds - 1, 1))
    degrees = FOLDS - 1.0 if fold else error**2 / (by_patients + by_runs)
    return Components(
        mean=np.zeros(()),
        patient_squared=np.asarray(patient),
        fold_squared=np.asarray(fold),
        run_squared=np.asarray(run),
        degrees=np.asarray(degrees),
        n=patients,
        folds=float(FOLDS),
        runs=float(FOLDS * seeds),
    )


def detectable(patients: int, seeds: int, patient_sd: float) -> float:
    """Return the least true gain over one control that is found with the plan's power."""
    found, plan = spread(patients, seeds, patient_sd), AnalysisPlan()
    whole = as_interval(0.0, float(found.error), float(found.degrees), level=plan.level)
    return smallest_detectable(whole, margin=plan.metrics[0].margin, power=plan.power)


def patients_for(gain: float, seeds: int, patient_sd: float, most: int = 2000) -> int | None:
    """Return the least number of patients with which a true gain over one control is found with the
    plan's power; None where not even `most` do."""
    fits = (n for n in range(2 * FOLDS, most + 1) if detectable(n, seeds, patient_sd) <= gain)
    return next(fits, None)


def decides(gain: float, seeds: int, patient_sd: float) -> Needed | None:
    """Return the least design in which an estimate of `gain` has an interval over 0."""
    return patients_needed(gain, spread(20, seeds, patient_sd), seeds=seeds, folds=FOLDS)


def plan(seeds: tuple[int, ...]) -> AnalysisPlan:
    """Return the default plan with these seeds and fewer draws: no sentence tells of draws."""
    return replace(AnalysisPlan(), seeds=seeds, draws_bootstrap=200, draws_rank=200)


def outcomes(seeds: tuple[int, ...]) -> Iterator[tuple[str, Verdict]]:
    """Yield how each outcome comes about, and the verdict on rows that were planted so."""
    asked = plan(seeds)
    cells = tuple((name, seed) for name in ("case_0", "case_5") for seed in seeds[-1:])
    usual = dict.fromkeys(asked.controls, 4.0)
    first, last = asked.controls[0], asked.controls[-1]
    for about, gains, sd, gap in (
        (f"{asked.subject} gains 4 points over every control", usual, 1.0, 20.0),
        (f"{asked.subject} does as well as {first}", {**usual, first: 0.0}, 0.5, 20.0),
        ("patients differ much in what they gain", dict.fromkeys(usual, 2.0), 6.0, 20.0),
        ("the teacher does not tell masks of two patients apart", usual, 1.0, 1.0),
    ):
        found = against(gains, sd, asked)
        yield about, _judged(found, _row("gap", gap, 5.0, asked), asked)
    found = {**against(usual, 1.0, asked), last: Incomplete(row=last, missing=cells)}
    yield f"two cells of {last} are missing", _judged(found, _row("gap", 20.0, 5.0, asked), asked)


def _judged(
    found: Mapping[str, Comparison | Incomplete], gap: RowValues, asked: AnalysisPlan
) -> Verdict:
    return judge(found, gap, dataset="ircadb", preset="paper", plan=asked)


def against(
    gains: Mapping[str, float], patient_sd: float, asked: AnalysisPlan
) -> dict[str, Comparison | Incomplete]:
    """Return the subject against each control, over which it gains so many points."""
    metric: Metric = asked.metrics[0]
    subject = _row(asked.subject, 90.0, patient_sd, asked)
    return {
        name: compare(
            subject, _row(name, 90.0 - gain, patient_sd, asked), metric=metric, plan=asked
        )
        for name, gain in gains.items()
    }


def _row(name: str, mean: float, patient_sd: float, asked: AnalysisPlan) -> RowValues:
    """A row of 20 patients with its planted mean, the same in every run of this script."""
    rng = np.random.default_rng([*name.encode()])
    fold_n = np.arange(20) % FOLDS
    drawn = patient_sd * rng.normal(size=(20, 1)) + SMALL_RUN_SD * rng.normal(
        size=(20, len(asked.seeds))
    )
    for fold in range(FOLDS):
        drawn[fold_n == fold] -= drawn[fold_n == fold].mean()
    return RowValues(
        row=name,
        cases=tuple(f"case_{n}" for n in range(20)),
        seeds=asked.seeds,
        fold_n=fold_n,
        value_nS=mean + drawn,
    )


def both(seeds: tuple[int, ...]) -> Iterator[str]:
    """Yield the sentence over both sets, for pairs of outcomes."""
    asked = plan(seeds)
    known: dict[str, Verdict] = {verdict.outcome: verdict for _, verdict in outcomes(seeds)}
    for one, other in (
        ("supported", "supported"),
        ("supported", "undecided"),
        ("supported", "not supported"),
        ("supported", "incomplete"),
    ):
        pair = {"ircadb": known[one], "multi-organ": known[other]}
        yield overall(pair, asked)[1]
