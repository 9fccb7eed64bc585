"""Write docs/statistics.md: how often the statistics err, by simulation.

python docs/calibration.py              # 2000 draws a cell, seed 20200403, about a minute
python docs/calibration.py --draws 200  # a quick look on standard output, writes nothing
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

from benchmark.scoring.statistics.calibration import Calibration, Design, calibrate

ROOT = Path(__file__).parents[1]
DRAWS, SEED = 2000, 20200403
SOURCES = (
    "benchmark/scoring/statistics/components.py",
    "benchmark/scoring/statistics/families.py",
    "benchmark/scoring/statistics/calibration.py",
    "docs/calibration.py",
)

MAIN = [
    Design(patients=n, seeds=seeds, run_sd=run)
    for n in (20, 90)
    for seeds in (3, 5)
    for run in (0.0, 0.5, 1.0)
]
# No method suits one patient more than another: s_patient^2 is all rest, the hardest case for it.
FLAT = [replace(design, patient_sd=0.0) for design in MAIN]
SINGLE = [replace(design, seeds=seeds) for seeds in (1, 2) for design in MAIN if design.seeds == 3]
SHARES = ((0.0, 0.0), (0.02, 0.02), (0.05, 0.05), (0.10, 0.10), (0.02, 0.05), (0.05, 0.10))
MIXTURE = [
    Design(patients=n, seeds=seeds, run_sd=run, missed=missed)
    for missed in SHARES
    for n in (20, 50, 90)
    for seeds, run in ((3, 0.0), (3, 1.0), (5, 0.5))
]

TEXT = """# How often the statistics err

Written by `python docs/calibration.py` ({draws} draws a cell, seed {seed}); do not edit by hand.
Source: `{source}` (the first digits of the hash of {files}; a test compares it).

With {draws} draws a true 5 % is measured as 4.0 to 6.0 %, and a true 95 % as 94.0 to 96.0 %, 19
times in 20.

- **coverage**: the primary 95 % interval holds the true difference. Wanted: 93 to 97 %.
- **family**: Holm rejects anything at 5 % in a family in which nothing differs; "rows" is 6 rows
  against `unet` in DSC and ASSD, "ablations" is `fsm` against 3. Wanted: at most 6 %.
- **false equivalence**: the true difference is exactly the margin (1 point), and the rows are
  called equivalent, by the rule in use: the 95 % interval lies inside the margin. Wanted: at most
  5 %. "TOST" is the same by two one-sided tests at 5 %, whose error is 5 % by construction where
  there is power; it is printed beside, and decides nothing.
- **Wilcoxon**: the type I error of the test over patients, which holds for "these trained networks
  only". It is why that test is no evidence about a method.

## The design of the suite

Five folds; a row's sd is 1.4 points over patients, 0.7 for the rest, and "run sd" over trainings,
shared by the test patients of a fold (differences have the square root of 2 of each). All in %.

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
    text = TEXT.format(
        draws=draws,
        seed=SEED,
        source=source(),
        files=", ".join(f"`{name}`" for name in SOURCES),
        main=_table(MAIN, draws),
        flat=_table(FLAT, draws),
        single=_table(SINGLE, draws),
        mixture=_mixture_table(draws),
    )
    if draws == DRAWS:
        (ROOT / "docs/statistics.md").write_text(text, encoding="utf-8")
    else:
        print(text)


def source() -> str:
    """Return the hash of the code that made the tables."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def seed_of(design: Design) -> int:
    """Return a seed of a cell's own: cells that share one share their luck."""
    text = f"{SEED} {design}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def line(design: Design, draws: int) -> str:
    """Return the table line of one cell."""
    found = calibrate(design, draws=draws, seed=seed_of(design))
    return f"| {design.patients} | {design.seeds} | {design.run_sd:g} | {_numbers(found)} |"


def _numbers(found: Calibration) -> str:
    values = (
        found.coverage,
        found.family_rows,
        found.family_ablations,
        found.equivalent,
        found.tost,
        found.wilcoxon,
    )
    return " | ".join(f"{value:.1f}" for value in values)


def _table(designs: list[Design], draws: int) -> str:
    head = (
        "| patients | seeds | run sd | coverage | family rows | family ablations "
        "| false equivalence | TOST | Wilcoxon |"
    )
    return "\n".join([head, "|---" * 9 + "|", *(line(design, draws) for design in designs)])


def _mixture_table(draws: int) -> str:
    head = "| missed % | patients | 3 seeds, run sd 0 | 3 seeds, run sd 1 | 5 seeds, run sd 0.5 |"
    lines = [head, "|---" * 5 + "|"]
    for first in MIXTURE[::3]:
        assert first.missed is not None
        like = [d for d in MIXTURE if (d.missed, d.patients) == (first.missed, first.patients)]
        found = [calibrate(d, draws=draws, seed=seed_of(d)).coverage for d in like]
        shares = ", ".join(f"{100 * share:g}" for share in first.missed)
        cells = " | ".join(f"{value:.1f}" for value in found)
        lines.append(f"| {shares} | {first.patients} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
