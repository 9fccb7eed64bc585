"""Write docs/statistics.md: how often the statistics err, by simulation.

python docs/calibration.py              # 4000 draws a cell, seed 20200403, about ten minutes
python docs/calibration.py --draws 200  # a quick look on standard output, writes nothing
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulation import Calibration, Design, calibrate, single_failures

from benchmark.files.source import reached
from benchmark.scoring.comparison import compare_gain
from benchmark.scoring.statistics.components import components
from benchmark.scoring.statistics.corrections import holm

ROOT = Path(__file__).parents[1]
DRAWS, SEED = 4000, 20200403

FOLD_SDS, RUN_SDS = (0.0, 0.3, 0.5, 1.0), (0.0, 0.5, 1.0)
GRID = [
    Design(patients=n, seeds=seeds, run_sd=run, fold_sd=fold, uneven=uneven, skewed=skewed)
    for skewed, uneven in itertools.product((False, True), repeat=2)
    for n in (12, 20, 90)
    for seeds in (1, 3, 5)
    for fold in FOLD_SDS
    for run in RUN_SDS
]
MAIN = [
    Design(patients=n, seeds=seeds, run_sd=run, fold_sd=fold)
    for fold in (0.0, 0.5)
    for n in (20, 90)
    for seeds in (3, 5)
    for run in RUN_SDS
]
# No method suits one patient more than another: s_patient^2 is all rest, the hardest case for it.
FLAT = [replace(design, patient_sd=0.0) for design in MAIN if not design.fold_sd]
SINGLE = [
    replace(design, seeds=seeds)
    for seeds in (1, 2)
    for design in MAIN
    if design.seeds == 3 and not design.fold_sd
]
SHARES = ((0.0, 0.0), (0.02, 0.02), (0.05, 0.05), (0.10, 0.10), (0.02, 0.05), (0.05, 0.10))
MIXTURE = [
    Design(patients=n, seeds=seeds, run_sd=run, missed=missed)
    for missed in SHARES
    for n in (20, 50, 90)
    for seeds, run in ((3, 0.0), (3, 1.0), (5, 0.5))
]
FAILURES = [
    Design(patients=n, seeds=3, run_sd=run, fold_sd=fold)
    for n in (12, 20, 50, 90)
    for run, fold in ((0.0, 0.0), (1.0, 0.0), (0.0, 0.5))
]
POWER = [
    Design(patients=n, seeds=seeds, run_sd=run, fold_sd=fold, gain=2.0)
    for n in (15, 20, 60)
    for seeds in (3, 5)
    for fold, run in ((0.3, 0.5), (0.0, 0.5), (0.3, 0.0), (0.5, 0.5), (1.0, 0.5))
]

TEXT = """# How often the statistics err

Written by `python docs/calibration.py` ({draws} draws a cell, seed {seed}); do not edit by hand.
Source: `{source}` (the first digits of the hash of the statistics' definitions, wherever they lie,
and of `docs/calibration.py` and `docs/simulation.py`; a test compares it).

With {draws} draws a true 5 % is measured as 4.3 to 5.7 %, and a true 95 % as 94.3 to 95.7 %, 19
times in 20. A row's sd is 1.4 points over patients and 0.7 for the rest; "run sd" is over
trainings (their luck is shared by the test patients of a fold), "fold sd" over folds (the luck of
their training patients, shared by all seeds). Differences have the square root of 2 of each.

- **coverage**: the primary 95 % interval holds the true difference.
- **false word**: the true difference is 0 and the word is "better" or "worse".
- **family**: Holm rejects anything at 5 % in a family in which nothing differs; "rows" is 6 rows
  against `unet` in DSC and ASSD, "ablations" is `fsm` against 3. Wanted: at most 6 %. Holm takes
  each p with at most 8 degrees of freedom, twice those of five folds (docs/decisions/0019).
- **false equivalence**: the true difference is exactly the margin (1 point), and the rows are
  called equivalent, by the rule in use: the 95 % interval lies inside the margin. Wanted: at most
  5 %. "TOST" is the same by two one-sided tests at 5 %, whose error is 5 % by construction where
  there is power; it is printed beside, and decides nothing.
- **Wilcoxon**: the type I error of the test over patients, which holds for "these trained networks
  only". It is why that test is no evidence about a method.

## Folds, runs, skew: where a study may lie

Each cell is coverage and, behind the stroke, false words, in %. Wanted: at least 93, and at most 7.
"uneven" folds hold 38, 26, 18, 10 and 8 % of the patients; "skewed" gains are lognormal (sd of the
logarithm 0.9), so that a few patients gain much. With one seed a fold's luck and a run's are one.

{grid}

Over these {cells} cells coverage is {coverage};
false words are {words}.
The first analysis, which did not know folds: coverage {coverage_first};
false words {words_first}.

## How large the luck of folds is

Measured without patients' noise (`python docs/fold_luck.py`): {networks} networks of preset
`quick` on the phantom (5 folds of 15 patients, 6 seeds), each scored on {unseen} phantom patients
that nobody trained on. Mean DSC over three organs; sds in points, of a row or of a difference
(divide those of a difference by the root of 2 to read them on the scale of the tables here).

{luck}

{luck_read}

## What it costs where folds do not differ

The width of the interval as a multiple of the first analysis's, fold sd 0: by the mean widths, and
by the median ratio. In over half of all samples fold means differ by less than their patients
explain, and the two are the same; in the others five folds must tell a variance with four degrees
of freedom. No function of the two mean squares can do both, cover 93 % whatever the folds' luck
and stay under 1.17 times the width by the means (90 patients, even folds; docs/decisions/0019).

{width}

## The chance to see a gain of 2 points

How often a row that is truly 2 points better is called "better", in %, folds even. Fold sd first,
then run sd.

{power}

What raises it: more patients, then seeds where runs vary. A large luck of the folds is averaged out
by neither.

## One patient who fails

Each of n patients fails with probability 1/n, in all 3 seeds, and then loses 30 points; of {draws}
samples those that hold a single failure (about 37 %). The true gain is -30/n points: "worse" is
no false word, nor is "equivalent" where that lies inside the margin (90 patients). In %.

{failures}

No interval can know of a failure that no sample patient had: of all samples of 12 patients 35 %
hold none, and none of them covers -2.5 points. `compare` prints the median gain and how many
patients gained beside the mean, and names a patient who moves it by more than the margin.

## Families, equivalence

Five folds. All in %.

{main}

## No difference between patients

As above with a patient sd of 0: a patient's gain is nothing but noise of single values. What is
cut off at 0 in s_run^2 then weighs most, and the interval is a little too wide.

{flat}

## One or two seeds

A look, no claim: with one seed, run luck shows between folds only, and the interval has few degrees
of freedom where that part is large. The family columns are why no p is given under three seeds.

{single}

## Values like DSC: a beta distribution with zeros

90 +- 3.8 points; a share of (patient, seed) values is 0, mostly in the same patients in both rows.
"missed" gives the shares of the two rows; where they differ, so does the truth. Coverage in %.

{mixture}

What to read from it: without misses the interval is right at 20 patients. With rare misses and
equal rows it is too wide (a single miss is most of the variance), so it errs towards "undecided".
With rare misses and unequal rows it is too short under 50 patients, since a sample often holds none
of them: `compare` adds a note where a row missed the endpoint and there are fewer than 50 patients.
"""


def main() -> None:
    """Simulate and write, or print a quick look."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=DRAWS)
    draws = parser.parse_args().draws
    text = page(draws)
    if draws == DRAWS:
        (ROOT / "docs/statistics.md").write_text(text, encoding="utf-8")
    else:
        print(text)


def page(draws: int) -> str:
    """Return the whole page."""
    grid = {design: pair(design, draws) for design in GRID}
    found = list(grid.values())
    return TEXT.format(
        draws=draws,
        seed=SEED,
        source=source(),
        cells=len(grid),
        coverage=_range([each.coverage for each in found], "at least", min),
        words=_range([each.false_word for each in found], "at most", max),
        coverage_first=_range([each.coverage_first for each in found], "at least", min),
        words_first=_range([each.false_word_first for each in found], "at most", max),
        **_luck(json.loads((ROOT / "docs/fold-luck.json").read_text(encoding="utf-8"))),
        grid=_grid_table(grid),
        width=_width_table(grid),
        power=_power_table(draws),
        failures=_failure_table(draws),
        main=_table(MAIN, draws),
        flat=_table(FLAT, draws),
        single=_table(SINGLE, draws),
        mixture=_mixture_table(draws),
    )


def source() -> str:
    """Return the hash of the code that made the tables."""
    digest = hashlib.sha256(reached([compare_gain, components, holm]).fingerprint.encode())
    for name in ("calibration", "simulation"):
        digest.update((ROOT / "docs" / f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def seed_of(design: Design) -> int:
    """Return a seed of a cell's own: cells that share one share their luck."""
    text = f"{SEED} {design}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def pair(design: Design, draws: int) -> Calibration:
    """Return what one comparison of this design errs."""
    return calibrate(design, draws=draws, seed=seed_of(design), families=False)


def line(design: Design, draws: int) -> str:
    """Return the table line of one cell of the families."""
    found = calibrate(design, draws=draws, seed=seed_of(design))
    values = (
        found.coverage,
        found.family_rows,
        found.family_ablations,
        found.equivalent,
        found.tost,
        found.wilcoxon,
    )
    numbers = " | ".join(f"{value:.1f}" for value in values)
    head = f"{design.patients} | {design.seeds} | {design.fold_sd:g} | {design.run_sd:g}"
    return f"| {head} | {numbers} |"


def failure_line(design: Design, draws: int) -> str:
    """Return the table line of samples that hold a single failure."""
    found = single_failures(design, points=30.0, draws=draws, seed=seed_of(design))
    words = ("undecided", "worse", "equivalent", "better")
    shares = " | ".join(f"{found.get(word, 0.0):.1f}" for word in words)
    head = f"{design.patients} | {design.fold_sd:g} | {design.run_sd:g}"
    return f"| {head} | {found['samples']:.0f} | {shares} |"


def _range(values: Sequence[float], limit: str, end: Callable[[Iterable[float]], float]) -> str:
    return f"{limit} {end(values):.1f} and on average {sum(values) / len(values):.1f} %"


def _markdown(head: Sequence[str], lines: Iterable[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def _what(design: Design) -> str:
    return f"{'uneven' if design.uneven else 'even'}{', skewed' if design.skewed else ''}"


def _grid_table(grid: dict[Design, Calibration]) -> str:
    places = list(itertools.product(FOLD_SDS, RUN_SDS))
    head = ["folds", "patients", "seeds", *(f"{fold:g}, {run:g}" for fold, run in places)]
    lines, designs = [], list(grid)
    for start in range(0, len(designs), len(places)):
        cells = designs[start : start + len(places)]
        assert [(c.fold_sd, c.run_sd) for c in cells] == places
        shown = [f"{grid[c].coverage:.1f} / {grid[c].false_word:.1f}" for c in cells]
        first = cells[0]
        begin = [_what(first), str(first.patients), str(first.seeds)]
        lines.append(f"| {' | '.join([*begin, *shown])} |")
    return "Fold sd, run sd:\n\n" + _markdown(head, lines)


def _luck(found: dict[str, Any]) -> dict[str, str]:
    """What `docs/fold_luck.py` measured: a table, and the sentence that it allows."""
    lines = [
        f"| {name} | {each['mean']:.2f} | {each['fold_sd']:.2f} | {each['run_sd']:.2f} |"
        for name, each in found["spread"].items()
    ]
    pairs = [each for name, each in found["spread"].items() if " - " in name]
    fold, run = ([each[name] for each in pairs] for name in ("fold_sd", "run_sd"))
    larger = "runs matter more than folds" if max(fold) < min(run) else "both matter"
    return {
        "networks": str(found["networks"]),
        "unseen": str(found["patients"]),
        "luck": _markdown(["row or difference", "mean", "fold sd", "run sd"], lines),
        "luck_read": (
            f"Of these differences the folds' sd is {min(fold):.2f} to {max(fold):.2f} points, the "
            f"runs' {min(run):.2f} to {max(run):.2f}: here {larger}. Five folds tell a\nvariance "
            "with four degrees of freedom (its 95 % limits are 0.36 and 8.3 times the figure), so "
            "how much\nof a fold's luck two rows share is not told from this. One data set, one "
            "preset: no law for others."
        ),
    }


def _width_table(grid: dict[Design, Calibration]) -> str:
    head = ["folds", "patients", "seeds", *(f"run sd {run:g}" for run in RUN_SDS)]
    lines = []
    for first in grid:
        if first.fold_sd or first.run_sd or first.skewed or first.seeds == 1:
            continue
        found = [grid[replace(first, run_sd=run)] for run in RUN_SDS]
        shown = [f"{each.width:.2f}, {each.width_median:.2f}" for each in found]
        lines.append(f"| {_what(first)} | {first.patients} | {first.seeds} | {' | '.join(shown)} |")
    return _markdown(head, lines)


def _power_table(draws: int) -> str:
    places = list(dict.fromkeys((d.fold_sd, d.run_sd) for d in POWER))
    head = ["patients", "seeds", *(f"{fold:g}, {run:g}" for fold, run in places)]
    lines = []
    for start in range(0, len(POWER), len(places)):
        cells = POWER[start : start + len(places)]
        shown = [f"{pair(each, draws).found:.0f}" for each in cells]
        lines.append(f"| {cells[0].patients} | {cells[0].seeds} | {' | '.join(shown)} |")
    return _markdown(head, lines)


def _failure_table(draws: int) -> str:
    head = [
        "patients",
        "fold sd",
        "run sd",
        "samples",
        "undecided",
        "worse",
        "equivalent",
        "better",
    ]
    return _markdown(head, (failure_line(design, draws) for design in FAILURES))


def _table(designs: list[Design], draws: int) -> str:
    head = ["patients", "seeds", "fold sd", "run sd", "coverage", "family rows",
            "family ablations", "false equivalence", "TOST", "Wilcoxon"]  # fmt: skip
    return _markdown(head, (line(design, draws) for design in designs))


def _mixture_table(draws: int) -> str:
    head = ["missed %", "patients", "3 seeds, run sd 0", "3 seeds, run sd 1", "5 seeds, run sd 0.5"]
    lines = []
    for first in MIXTURE[::3]:
        assert first.missed is not None
        like = [d for d in MIXTURE if (d.missed, d.patients) == (first.missed, first.patients)]
        found = [calibrate(d, draws=draws, seed=seed_of(d)).coverage for d in like]
        shares = ", ".join(f"{100 * share:g}" for share in first.missed)
        cells = " | ".join(f"{value:.1f}" for value in found)
        lines.append(f"| {shares} | {first.patients} | {cells} |")
    return _markdown(head, lines)


if __name__ == "__main__":
    main()
