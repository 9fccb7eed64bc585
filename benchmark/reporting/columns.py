"""The lines of a table from a frame of a million rows: what `tables.table` gives, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from benchmark.reporting.reading.suite import Scores
from benchmark.reporting.tables import Line, organ_groups
from benchmark.scoring.cases import METRIC_UNITS


def lines_of(scores: Scores) -> list[Line]:
    """Return the lines of all rows, metrics and organs, in a fixed order."""
    frame = scores.frame
    by = ["row", "metric", "organ", "case"]
    patient = frame.dropna(subset=["value"]).groupby(by, observed=True)["value"].mean()
    missed = frame.loc[frame["state"] == "missed", [*by]].drop_duplicates()
    n_missed = missed.groupby(["row", "metric", "organ"], observed=True).size()
    units = frame[["metric", "unit"]].drop_duplicates().astype(str)
    unit_of = dict(zip(units["metric"], units["unit"], strict=True))
    seen = set(frame[["row", "metric"]].drop_duplicates().astype(str).itertuples(index=False))
    lines: list[Line] = []
    for name, organs in organ_groups(scores.organs).items():
        figures = _figures(patient, organs)
        for row, metric in sorted(seen):
            mean, sd, n = figures.get((row, metric), (None, None, 0))
            lines.append(
                Line(
                    dataset=scores.group.dataset,
                    row=row,
                    preset=scores.group.preset,
                    organ=name,
                    metric=metric,
                    unit=unit_of[metric],
                    mean=mean,
                    sd=sd,
                    n=n,
                    n_missed=sum(int(n_missed.get((row, metric, organ), 0)) for organ in organs),
                )
            )
    return _ordered(lines, scores, list(unit_of))


Figures = Mapping[tuple[str, str], tuple[float | None, float | None, int]]


def _figures(patient: pd.Series, organs: Sequence[str]) -> Figures:
    """(row, metric) -> mean over organs of the mean over patients, sd over patients of each
    one's mean over organs, and their number. No mean where an organ has no value at all."""
    chosen = patient[patient.index.get_level_values("organ").isin(organs)]
    organ = chosen.groupby(["row", "metric", "organ"], observed=True).mean()
    mean = organ.groupby(["row", "metric"], observed=True).agg(["mean", "size"])
    case = chosen.groupby(["row", "metric", "case"], observed=True).mean()
    spread = case.groupby(["row", "metric"], observed=True).agg(["std", "size"])
    found = {}
    for place, (value, n_organs) in zip(mean.index, mean.to_numpy(), strict=True):
        sd, n = spread.loc[place]
        found[str(place[0]), str(place[1])] = (
            float(value) if n_organs == len(organs) else None,
            float(sd) if n > 1 else None,
            int(n),
        )
    return found


def _ordered(lines: list[Line], scores: Scores, metrics: list[str]) -> list[Line]:
    order = dict.fromkeys([*METRIC_UNITS, *sorted(metrics)])
    metric = {name: place for place, name in enumerate(order)}
    rows = {row: place for place, row in enumerate(scores.group.rows)}
    organs = {organ: place for place, organ in enumerate(organ_groups(scores.organs))}
    return sorted(lines, key=lambda x: (rows[x.row], metric[x.metric], organs[x.organ]))


def indexed(lines: Sequence[Line]) -> dict[tuple[str, str, str], Line]:
    """Return the lines by (row, metric, organ)."""
    return {(line.row, line.metric, line.organ): line for line in lines}
