"""docs/sensitivity.md, its picture, and README's sentence, from docs/sensitivity.json alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sensitivity_studies import PLAN
from sensitivity_tables import (
    claims,
    curve_tables,
    foretold,
    limit_text,
    limits_table,
    null_table,
    of_100,
    own_table,
)

Figures = dict[str, Any]
MARGIN = PLAN.metrics[0].margin
FAR = 3 * MARGIN  # no study is needed to see a larger gain
COLOURS = {15: "#b2182b", 20: "#ef8a62", 60: "#2166ac", 90: "#053061"}

TEXT = """# What the suite can see

Written by `make sensitivity`; do not edit by hand. The figures lie in `sensitivity.json`.
Source: `{source}` (the first digits of the hash of the statistics' definitions and of
`docs/sensitivity_*.py`; a test compares it).

**{sentence}**

![the share of studies that find a true gain](sensitivity.png)

## How it was measured

{networks} networks of the row `{row}` ({dataset}, preset `{preset}`, {seeds} seeds{values}) were
scored on {unseen} phantom patients that nobody trained on: mean DSC {mean:.1f}.
*Edited rows* are their label maps in which a share, the dose, of the wrong border voxels is put
right: wrong is a voxel whose label is not the truth's, and at a border one that has a face
neighbour with another label, in the truth or in the prediction. Which of them is a hash of the
patient, the organ and the voxel's place, the same in all networks; a higher dose holds a lower one.
So the true gain of a dose is known ({exact}), and the
luck of trainings is real. DSC is the mean over the three organs, as in the plan's endpoint.

A study: patients are drawn (with replacement, as from all patients) and dealt to five folds; of
each fold the six networks are split into two triples; the edited triple stands against the
other one, unedited. {studies} studies a curve, the same ones at every dose. Their words and
verdicts are those of `compare` and `judge`, with the suite's margin of {margin:g} point; the first
{checked} at each dose were read by these functions themselves, and said the same.
"Supported" is the verdict of the plan whose subject is the edited triple and whose only control is
the unedited one; the GT gap is not asked.

{luck}

**What the intervals hold for.** Those of shares are Wilson's: the luck of drawing {studies}
studies. Studies are not independent otherwise: they share {networks} networks. The
intervals of the limits are bootstraps ({resamples} times, {each} studies a dose): five folds, each
with its six networks, and the patients are drawn anew. They hold for this row, preset and phantom,
and five folds tell a spread roughly.

## The limit of detection

The true gain from which on 80 of 100 studies say so, in points of DSC, with its 95 % interval.
"Foretold" is `smallest_detectable` (80 % power), the median of {planned} studies in which there is
nothing to find; "found by half" is the gain that half of the studies call "better", and
"asked for it" the median number of patients that `patients_needed` asks for at that gain:
it asks for an interval without 0 and knows no margin. A gain under {margin:g} point is called
"equivalent" where that is sure, so with little luck of runs the margin decides the limit.

{limits}

{foretold}

## Where there is nothing to find

Two triples of the same networks' other seeds: dose 0. Studies in 100 that call one "better", with
Wilson's interval and the bootstrap's, and "worse".

{null}

{claims}

## The curves

Studies in 100 at each dose; in brackets Wilson's 95 % interval. The gain's standard error is that
over networks and patients.

{curves}

## The data set's own patients

The same on the {own} patients of `{dataset}`, each scored by the networks of its own fold, from the
stored label maps. The deal of patients is the real one, only triples vary: what differs between
data sets is not seen here.

{own_table}

## To repeat it

```
{commands}
```
"""


def page(found: Figures) -> str:
    """Return the whole page."""
    made, size = found["made_of"], found["size"]
    pairs = zip(found["gain"], found["error"], strict=True)
    error = max(error for gain, error in pairs if gain <= FAR)
    return TEXT.format(
        source=found["source"],
        sentence=sentence(found),
        networks=5 * made["seeds"],
        row=made["row"],
        dataset=made["dataset"],
        preset=made["preset"],
        seeds=made["seeds"],
        values="".join(f", `{each}`" for each in made["set"]),
        unseen=size["unseen"],
        mean=found["mean"]["unseen"],
        exact=f"up to {FAR:g} points with a standard error of at most {error:.3f}",
        studies=size["studies"],
        margin=MARGIN,
        checked=size["checked"],
        luck=_luck(found),
        resamples=size["resamples"],
        each=size["studies_each"],
        planned=size["planned"],
        limits=limits_table(found["curves"]),
        foretold=foretold(found["curves"]),
        null=null_table(found),
        claims=claims(found["curves"]),
        curves="\n\n".join(curve_tables(found)),
        own=size["own"],
        own_table=own_table(found),
        commands=commands(made),
    )  # fmt: skip


def sentence(found: Figures) -> str:
    """Return what README says: of 60 patients, with the folds' luck where that was measured."""
    curve = [each for each in found["curves"] if each["patients"] == 60][-1]
    better, supported = curve["limits"]["better"], curve["limits"]["supported"]
    most = max(found["gain"])
    finds = (
        f"finds no true gain of up to {most:.1f} points in 80 of 100 studies"
        if better[0] is None
        else f"finds a true gain of {limit_text(better)} in 80 of 100 studies"
    )
    verdict = (
        f'its verdict is "supported" in 80 of 100 for no true gain of up to {most:.1f} points'
        if supported[0] is None
        else f'its verdict is "supported" in 80 of 100 from {limit_text(supported)} on'
    )
    return (
        f"With {curve['patients']} phantom patients, 5 folds and 3 seeds the suite {finds} and "
        f"claims one where there is none in {of_100(curve['better'][0])} of 100; {verdict}."
    )


def commands(made: Figures) -> str:
    """Return the commands that make the figures, from the trainings on."""
    suite = f"--datasets {made['dataset']} --preset {made['preset']} --root ROOT"
    own, luck = (
        "".join(f" --{name} {each}" for each in made[key])
        for name, key in (("set", "set"), ("rows-set", "rows_set"))
    )
    seeds = ",".join(map(str, range(made["seeds"])))
    lines = [f"bench suite --name sensitivity --rows {made['row']} --seeds {seeds}{own} {suite}"]
    options = f"--dataset {made['dataset']} --preset {made['preset']}{own}{luck}"
    options += f" --row {made['row']} --seeds {made['seeds']} --unseen {made['unseen']}"
    if made["luck_rows"]:
        rows, seeds = ",".join(made["luck_rows"]), ",".join(map(str, made["luck_seeds"]))
        sets = "".join(f" --set {each}" for each in made["rows_set"])
        if rows != "stored":
            lines.append(f"bench suite --name luck --rows {rows} --seeds {seeds}{sets} {suite}")
        options += f" --luck-rows {rows} --luck-seeds {seeds}"
    else:
        options += " --luck-rows none"
    lines += [
        f'make sensitivity ARGS="--root ROOT {options}"',
        "make sensitivity   # without ROOT: draws studies of the stored scores, in minutes",
    ]
    return "\n".join(lines)


def picture(found: Figures, to: Path) -> None:
    """Draw the shares over the true gain: better on the left, supported on the right."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    last = max(each["fold_sd"] for each in found["curves"])
    for ax, name in zip(axes, ("better", "supported"), strict=True):
        for each in found["curves"]:
            with_luck, n = each["fold_sd"] == last, each["patients"]
            ax.plot(
                found["gain"], 100 * np.array(each[name]), color=COLOURS[n],
                linestyle="-" if with_luck else ":", linewidth=1.8 if with_luck else 1.1,
                label=f"{n} patients" if with_luck else None,
            )  # fmt: skip
            gain, low, high = each["limits"][name]
            if with_luck and None not in (gain, low, high):
                ax.plot([low, high], [80, 80], color=COLOURS[n], linewidth=4, alpha=0.35)
        for share in (80, 5):
            ax.axhline(share, color="#888888", linewidth=0.6)
        ax.axvline(MARGIN, color="#888888", linewidth=0.6)
        ax.set_xlim(0, min(max(found["gain"]), 4 * MARGIN))
        ax.set_xlabel("true gain, points of DSC")
        ax.set_title(f'"{name}"', fontsize=11)
    axes[0].set_ylabel("studies in 100")
    axes[0].legend(fontsize=9, title="dotted: without fold luck" if last else None)
    figure.tight_layout()
    figure.savefig(to, dpi=80, facecolor="white", metadata={"Software": None})
    plt.close(figure)


def _luck(found: Figures) -> str:
    luck, made = found["luck"], found["made_of"]
    if luck is None:
        return (
            "Both triples share their folds' luck. How large that of a difference of two rows is "
            "was not measured here: the curves are without it."
        )
    pairs = ", ".join(f"{each['fold_sd']:.2f} (`{name}`)" for name, each in luck["pairs"].items())
    values = "".join(f", `{each}`" for each in made["rows_set"])
    if made["luck_rows"] == ["stored"]:
        values += ", preset `quick-1`, docs/fold-luck.json"
    return (
        "Both triples share their folds' luck, two rows do not. That of differences of rows was "
        f"measured on {luck['patients']} unseen\npatients ({luck['networks']} networks a row"
        f"{values}): sd {pairs} points. "
        + (
            f"Their root mean square, {luck['sd']:.2f},\nis added to the edited triple as one "
            "normal draw a fold, and the curves are shown with and without it."
            if luck["sd"]
            else "None\nwas seen, and none is added."
        )
    )
