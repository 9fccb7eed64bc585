"""What MLflow's page says beside its numbers: the note of an experiment, with a line for each
family of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmark.scoring.surface import EMPTY, OURS

NOTE = "mlflow.note.content"
FORMER = (
    "One run a row of the comparison, its folds below it, "
    "its suite above it. Rows only: search `tags.level = 'row'`."
)
"""The note of experiments that were made before each metric had its line."""

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "cv/METRIC/ORGAN": "of a row: mean over patients of all folds, mean over seeds. ORGAN is "
        "an organ, or `mean`, the mean over all organs of the set, or `headline`, that over liver "
        "and left kidney. The tag `patients` says over how many patients, and what is missing",
        "apart/SET/METRIC/ORGAN": "of a row on a set that was kept apart (`--test-on SET`): mean "
        "over its patients, of the networks of all folds; search `tags.level = 'row apart'`",
        "fold-apart/SET/METRIC/ORGAN": "the same of one fold's network; search "
        "`tags.level = 'fold apart'`",
        "cv/METRIC_minus_unet/ORGAN": "of a row: its mean paired difference to `unet`; "
        "`cv/low_...` and `cv/high_...` are the ends of its 95 % "
        "interval, the tags `gain` and `gain_95` are those of DSC",
        "reference/NAME/ORGAN": "of a row: the DSC of the ceilings of its grid, and of "
        "predictions that never look at the CT",
        "test/METRIC/ORGAN": "of a fold: mean over its test patients",
        "train/STAGE/TERM": "of a fold: a term of the loss, a point an epoch",
        "probe/NAME": "of a fold: what was measured of its networks",
        "time/STAGE_seconds": "of a fold: seconds of a training",
        "suite/rows, suite/cells": "of a suite: how many rows it has, and how many rows times "
        "folds times seeds",
    }
)
METRICS: Mapping[str, str] = MappingProxyType(
    {
        "dsc": "Dice similarity coefficient over the volume, in percent; more is better",
        "dsc_slicewise": "mean over slices of the DSC in each, in percent",
        **{name: text.partition(": ")[2] for name, text in OURS.items()},
        "false_alarm_ml": "millilitres predicted of an organ that the truth does not hold",
    }
)
"""Every metric that `benchmark.scoring.cases` gives."""


def experiment_note() -> str:
    """Return the note of an experiment, as Markdown."""
    lines = [FORMER, "", "| metric | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in (*NAMES.items(), *METRICS.items())]
    return "\n".join([*lines, "", f"{EMPTY} Distances are in mm, less is better."])
