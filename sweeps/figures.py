"""Response pictures: functions from a summary to a matplotlib figure, and their files.

Blue is what tuning saw, orange the default setting, grey single folds.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study
from scipy import stats

from benchmark.files.atomic import commit_file
from sweeps.samplers import at_share
from sweeps.summary import LEVEL, ScoredTrial, Summary

BLUE, ORANGE, GREY = "#1f5fa8", "#d9730d", "#9a9a9a"
WIDE = (6.4, 4.2)  # inches
KINDS = ("png", "svg")
IMPORTANCE = "importance"
MARGIN = 0.03  # of a space, on both sides
LEAST_TRIALS = 4  # for an importance to mean anything


def write_figures(study: Study, summary: Summary, folder: Path) -> list[Path]:
    """Write every picture of a study that there is something for, as PNG and SVG; return the
    files. An importance of fewer trials, which does not hold any more, goes. Raises `OSError`
    where the folder cannot be written."""
    for kind in KINDS:
        (folder / f"{summary.study}-{IMPORTANCE}.{kind}").unlink(missing_ok=True)
    files = []
    for name, figure in figures(study, summary):
        for kind in KINDS:
            path = folder / f"{summary.study}-{name}.{kind}"
            with commit_file(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=150)
            files.append(path)
    return files


def without_picture(study: Study) -> str:
    """Return why a parameter of a study has no picture of its own; "" where all have one."""
    choices = _choices(study)[0]
    if len(choices) % 2 == 0:
        return ""
    return (
        f"{choices[-1]} has no picture: it is a choice without a scale, and a matrix takes two of "
        "them; its values stand in the list above"
    )


def _choices(study: Study) -> tuple[list[str], dict[str, BaseDistribution]]:
    """The categorical parameters, and the distributions of all."""
    found: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        found |= trial.distributions
    return [n for n, d in found.items() if isinstance(d, CategoricalDistribution)], found


def figures(study: Study, summary: Summary) -> Iterator[tuple[str, Figure]]:
    """Yield (name, figure): a response for each parameter on a scale, a matrix for each two
    categorical ones, and the importance where there are several and the response exceeds run
    noise: of noise alone, one parameter would get nearly all of it."""
    points = [point for point in summary.points if not point.diverged]
    if not points:
        return
    choices, distributions = _choices(study)
    for name, distribution in distributions.items():
        if name not in choices:
            yield f"response-{name}", response_figure(summary, name, distribution)
    for first, second in zip(choices[::2], choices[1::2], strict=False):
        yield f"matrix-{first}-{second}", matrix_figure(summary, first, second, distributions)
    if len(distributions) > 1 and len(points) >= LEAST_TRIALS and summary.response.exceeds:
        yield IMPORTANCE, importance_figure(study, summary)


def response_figure(summary: Summary, name: str, distribution: Any) -> Figure:
    """Return DSC against one parameter: a thin line a fold, the mean over folds, and the 95 %
    interval of the mean over patients (Student's t; it says nothing of run noise).

    With several parameters the others vary too: dots instead of lines. Diverged trials are crosses
    at the lower edge.
    """
    figure, axes = _axes(summary)
    points = _sorted(summary, name)
    x = [float(point.params[name]) for point in points]
    if len(points[0].params) == 1:
        for fold in points[0].folds:
            axes.plot(x, [p.folds.get(fold) for p in points], color=GREY, lw=0.8, zorder=1)
        axes.plot([], [], color=GREY, lw=0.8, label="single folds")
        half = [_half_interval(point) for point in points]
        low = [p.value - h for p, h in zip(points, half, strict=True)]
        high = [p.value + h for p, h in zip(points, half, strict=True)]
        patients = len({case for cases in points[0].patients.values() for case in cases})
        label = f"95 % interval over {patients} patients"
        axes.fill_between(x, low, high, color=BLUE, alpha=0.13, lw=0, label=label)
        axes.plot(x, [p.value for p in points], "o-", color=BLUE, ms=5, label="mean over folds")
    else:
        axes.plot(x, [p.value for p in points], "o", color=BLUE, ms=5, label="trials")
    _mark_diverged(axes, summary, name)
    _mark_best_and_default(axes, summary, name, distribution)
    _scale(axes, distribution)
    axes.set_xlabel(f"{name} (log scale)" if distribution.log else name)
    axes.set_ylabel("DSC of inner validation patients (%)")
    _finish(figure, axes, summary)
    return figure


def matrix_figure(
    summary: Summary, first: str, second: str, distributions: Mapping[str, Any]
) -> Figure:
    """Return two categorical parameters as a matrix of mean DSC; an empty field was not tried."""
    rows, columns = (distributions[name].choices for name in (first, second))
    found: dict[tuple[Any, Any], list[float]] = defaultdict(list)
    for point in summary.points:
        if not point.diverged:
            found[point.params[first], point.params[second]].append(point.value)
    means = [
        [statistics.fmean(found[r, c]) if found[r, c] else math.nan for c in columns] for r in rows
    ]
    figure, axes = _axes(summary, (4.6, 4.2))
    known = [value for line in means for value in line if not math.isnan(value)]
    image = axes.imshow(means, cmap="Blues", vmin=min(known) - 1, vmax=max(known) + 1)
    middle = (min(known) + max(known)) / 2
    for i, line in enumerate(means):
        for j, value in enumerate(line):
            text = "-" if math.isnan(value) else f"{value:.1f}"
            dark = not math.isnan(value) and value > middle
            axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(columns)), [str(choice) for choice in columns])
    axes.set_yticks(range(len(rows)), [str(choice) for choice in rows])
    axes.set_xlabel(second)
    axes.set_ylabel(first)
    figure.colorbar(image, ax=axes, label="DSC (%)", shrink=0.8)
    return figure


def importance_figure(study: Study, summary: Summary) -> Figure:
    """Return the share of each parameter in what makes good trials good (PED-ANOVA)."""
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    names = list(reversed(shares))
    figure, axes = _axes(summary, (6.4, 0.9 + 0.45 * len(names)))
    axes.barh(names, [shares[name] for name in names], color=BLUE, height=0.55)
    for place, name in enumerate(names):
        axes.text(shares[name] + 0.01, place, f"{shares[name]:.2f}", va="center", fontsize=8)
    axes.set_xlim(0, 1.1)
    axes.set_xlabel(f"importance (PED-ANOVA over {len(summary.points)} trials)")
    return figure


def _axes(summary: Summary, size: tuple[float, float] = WIDE) -> tuple[Figure, Any]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_title(summary.study, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _sorted(summary: Summary, name: str) -> list[ScoredTrial]:
    chosen = [p for p in summary.points if name in p.params and not p.diverged]
    return sorted(chosen, key=lambda point: (point.params[name], point.number))


def _half_interval(point: ScoredTrial) -> float:
    """Half the 95 % interval of the mean over patients; one seen in several folds counts once."""
    by_case: dict[str, list[float]] = defaultdict(list)
    for cases in point.patients.values():
        for case, value in cases.items():
            by_case[case].append(value)
    values = [statistics.fmean(found) for found in by_case.values()]
    if len(values) < 2:
        return 0.0
    error = statistics.stdev(values) / math.sqrt(len(values))
    return float(stats.t.ppf(1 - LEVEL / 2, len(values) - 1)) * error


def _mark_diverged(axes: Any, summary: Summary, name: str) -> None:
    x = [p.params[name] for p in summary.points if p.diverged and name in p.params]
    if x:
        bottom = axes.get_ylim()[0]
        axes.plot(x, [bottom] * len(x), "x", color="black", label="diverged (counts as 0)")


def _mark_best_and_default(axes: Any, summary: Summary, name: str, distribution: Any) -> None:
    if summary.best and name in summary.best.params:
        at = [summary.best.params[name]], [summary.best.value]
        axes.plot(*at, "o", mfc="none", mec=BLUE, ms=12, label="best")
    if summary.default is not None:
        label = f"default setting ({summary.default:.1f} %)"
        place = summary.default_values.get(name)
        if isinstance(place, int | float) and distribution.low <= place <= distribution.high:
            axes.plot([place], [summary.default], "D", color=ORANGE, ms=7, zorder=4, label=label)
        else:
            axes.axhline(summary.default, color=ORANGE, lw=1.2, ls="--", label=label)


def _scale(axes: Any, distribution: Any) -> None:
    """The whole space, so that a reader sees what was not tried; a little more, for the edges."""
    if distribution.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
    axes.set_xlim(at_share(distribution, -MARGIN), at_share(distribution, 1 + MARGIN))


def _finish(figure: Figure, axes: Any, summary: Summary) -> None:
    axes.grid(axis="y", color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    text = "\n".join(textwrap.wrap(summary.response.sentence, 105))
    figure.suptitle(text, fontsize=7.5, color="#444444")
