"""Two rows side by side on standard output: their comparison, their ceilings, and, for `--as`, both
by another library's definition."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from benchmark.analysis.ceiling_means import over_organs
from benchmark.analysis.ceilings import (
    FLAGS,
    Ceilings,
    alike,
    headed,
    organ_texts,
)
from benchmark.analysis.differences import THEIRS
from benchmark.analysis.flag_guide import how_to_read
from benchmark.analysis.flags import Flag, flags_by_set
from benchmark.analysis.pairs import Paired
from benchmark.analysis.suites import Standing
from benchmark.analysis.tables import ScoreLine, number_text
from benchmark.cli.out import print_rows, put
from benchmark.cli.show import incomplete_text
from benchmark.plan.analysis import ANALYSES, AnalysisPlan
from benchmark.plan.wording import counted, p_text
from benchmark.scoring.comparison import Comparison
from benchmark.scoring.surface import Elsewhere, described
from benchmark.store.ledger import shown_suite

DEMONSTRATION = "demonstration"
HEADLINE = "headline"
SECONDARY = "; secondary endpoint, a metric of one's own: no verdict rests on it"


def comparison_json(found: list[Paired], suite: Standing, plan: AnalysisPlan) -> dict[str, Any]:
    """Return all figures of the comparisons, and what is missing for them."""
    return {
        "suite": suite.name,
        "post_hoc": suite.post_hoc,
        "analysis": ANALYSES[plan.version],
        "comparisons": [
            {
                "dataset": pair.dataset,
                "preset": pair.preset,
                "organs": list(pair.organs),
                **_figures(each),
                "word": _word(each, pair, plan),
                "secondary": each.metric.name in pair.secondary,
                "gains": (pair.gains or {})[each.metric.name],
                "scores": [
                    {"row": name, "mean": mean, "sd": sd}
                    for name, (mean, sd) in zip(
                        (each.row, each.reference),
                        (pair.scores or {})[each.metric.name],
                        strict=True,
                    )
                ],
            }
            for pair in found
            for each in pair.comparisons
        ],
        "incomplete": [asdict(cell) for pair in found for cell in pair.missing],
        "notes": [{"dataset": pair.dataset, "note": note} for pair in found for note in pair.notes],
    }


def _figures(found: Comparison) -> dict[str, Any]:
    """All figures of a comparison as plain values; what is not finite is null.

    What the text calls p is `p`, its equivalence p is `equivalence.p` (primary analysis), its
    sign-flip p, Wilcoxon p and TOST p are `these_networks.sign_flip_p`, `.wilcoxon_p` and
    `.ttost_p`."""
    counts = ["row", "reference", "patients", "seeds", "folds", "mean", "median"]
    names = [*counts, "patients_better", "p", "false_claim", "smallest_detectable"]
    groups = {
        name: asdict(value) if (value := getattr(found, name)) else None
        for name in ("primary", "one_patient", "equivalence", "nadeau_bengio", "these_networks")
    }
    better = dict(zip(("p", "low", "high"), found.better, strict=True)) if found.better else None
    plain = {name: getattr(found, name) for name in names} | groups
    shown: dict[str, Any] = _finite({**plain, "better": better})
    return {
        "metric": found.metric.name,
        "unit": found.metric.unit,
        **shown,
        "margin": found.metric.margin,
        "notes": list(found.notes),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _word(found: Comparison, pair: Paired, plan: AnalysisPlan) -> str:
    """The comparison's word, which a demonstration has not."""
    if pair.preset not in plan.presets and found.word != "values only":
        return DEMONSTRATION
    return found.word


def show_comparison(pair: Paired, suite: Standing, plan: AnalysisPlan) -> None:
    """Print the comparison on one data set, or what is missing for it."""
    if pair.missing:
        put(f"{pair.dataset}: {incomplete_text(suite, pair.missing, pair.commands)}")
        return
    for found in pair.comparisons:
        put(
            f"{found.row} against {found.reference} on {pair.dataset}, preset {pair.preset}, suite "
            f"{shown_suite(suite.name)}: {found.metric.name} in {found.metric.unit}, mean over "
            f"{', '.join(pair.organs)}; {counted(found.patients, 'patient')}, "
            f"{counted(found.seeds, 'seed')}, {counted(found.folds, 'fold')}; {_direction(found)}"
            + (SECONDARY if found.metric.name in pair.secondary else "")
        )
        put(f"  {_scores(found, pair)}")
        for line in _lines(found, pair, plan):
            put(f"  {line}")
    for note in pair.notes:
        put(f"note: {note}")
    if suite.post_hoc:
        put(f"suite {shown_suite(suite.name)}: {suite.post_hoc}")
    if "assd_penalised" in (pair.gains or {}):
        put(described(["assd", "assd_penalised"]))
    if more := how_to_read(["one_patient"] if any(map(_hangs, pair.comparisons)) else []):
        put(more)
    put("one comparison, not corrected for others that were made")


def _direction(found: Comparison) -> str:
    """Which way is better, and what a gain is in."""
    values = "higher" if found.metric.higher_is_better else "lower"
    gain = "a gain above 0 is better"
    if found.metric.unit == "percent" and not found.metric.higher_is_better:
        gain += f" ({found.row} lower, in percent as the metric has it, no share of its value)"
    return f"{values} values are better, {gain}"


def _scores(found: Comparison, pair: Paired) -> str:
    """Both rows' own scores."""
    texts = []
    both = (pair.scores or {})[found.metric.name]
    for name, (mean, sd) in zip((found.row, found.reference), both, strict=True):
        texts.append(f"{name} {mean:.2f}" + ("" if sd is None else f" +- {sd:.2f}"))
    return f"{', '.join(texts)} {found.metric.unit} (mean +- sd over patients)"


def _hangs(found: Comparison) -> bool:
    """Whether its lines name one patient who moves the gain."""
    return found.primary is not None and found.one_patient is not None


def _lines(found: Comparison, pair: Paired, plan: AnalysisPlan) -> list[str]:
    unit, margin = found.metric.unit, found.metric.margin
    word = _word(found, pair, plan)
    if found.primary is None:
        gains = ", ".join(f"{v:+.2f}" for v in (pair.gains or {})[found.metric.name].values())
        lines = [f"{word}: mean gain {found.mean:+.2f} {unit}; each patient: {gains}"]
        return [*lines, *(f"note: {note}" for note in found.notes)]
    kept, these = found.primary, found.these_networks
    p = "" if found.p is None else f", p {p_text(found.p)}"
    if found.equivalence and found.equivalence.p is not None:
        p += f", equivalence p {p_text(found.equivalence.p)}"
    lines = [
        f"{word}: gain {kept.estimate:+.2f} {unit}, {kept.level:.0%} interval {kept.low:+.2f} to "
        f"{kept.high:+.2f}{p}, margin {margin:g} ({ANALYSES[plan.version]})"
        + (f"; {found.influence}" if found.one_patient else "")
    ]
    if found.nadeau_bengio:
        other = found.nadeau_bengio
        lines.append(f"Nadeau-Bengio interval {other.low:+.2f} to {other.high:+.2f} (sensitivity)")
    lines.append(
        f"median gain over patients {found.median:+.2f} {unit}; better in "
        f"{found.patients_better} of {counted(found.patients, 'patient')}"
    )
    if None not in (these.sign_flip_p, these.wilcoxon_p, these.ttost_p):
        lines.append(
            f"these trained networks only: sign-flip p {p_text(these.sign_flip_p)}, Wilcoxon p "
            f"{p_text(these.wilcoxon_p)}, TOST p {p_text(these.ttost_p)}"
        )
    if found.better:
        lines.append("P(better in a patient) {:.2f}, {:.2f} to {:.2f}".format(*found.better))
    if found.false_claim is not None:
        lines.append(f"probability that a claim of a gain is false: {found.false_claim:.3f}")
    if found.smallest_detectable is not None:
        lines.append(
            f"least difference that this design would find: {found.smallest_detectable:.2f} {unit}"
        )
    if word == DEMONSTRATION:
        lines.append(f"preset {pair.preset} is a demonstration: no verdict")
    return [*lines, *(f"note: {note}" for note in found.notes)]


def show_ceilings(pair: Paired, ceilings: Ceilings) -> None:
    """Print the reference lines of the comparison on one data set over the organs of its endpoint,
    or why there are none, and which row is at its target or did not learn an organ."""
    here = ceilings.on(pair.dataset)
    for line in (*_ceiling_lines(pair, here), *here.words):
        put(line)
    flags = [flag for _, flag in _flags(here)]
    for flag in flags:
        put(f"flag: {flag.row}: {flag.line()}")
    if flags:
        put(how_to_read(flag.name for flag in flags))


def ceilings_json(ceilings: Ceilings) -> dict[str, Any]:
    """Return the same as plain values for a program."""
    flags = [{"dataset": dataset, **flag.as_json()} for dataset, flag in _flags(ceilings)]
    by_name = {name: [one for one in flags if one["name"] == name] for name in FLAGS}
    return {"ceilings": ceilings.as_json(), **by_name}


def _ceiling_lines(pair: Paired, ceilings: Ceilings) -> list[str]:
    """Two lines for rows with the same references, else two a row."""
    found = []
    for row in dict.fromkeys(line.row for line in ceilings.lines):
        beside = ceilings.of(row, pair.dataset)
        means = {organ: beside[organ].mean for organ in pair.organs if organ in beside}
        if len(means) > 1:
            whole = list(means.values())
            means["mean"] = over_organs(whole, max(mean.n for mean in whole))
        found.append((row, organ_texts(means)))
    return [line for of, texts in alike(found) for line in headed(of, texts)]


def _flags(ceilings: Ceilings) -> list[tuple[str, Flag]]:
    return [found for found in flags_by_set(ceilings.entries) if found[1].name in FLAGS]


def show_elsewhere(dataset: str, lines: Iterable[ScoreLine], definition: Elsewhere) -> None:
    """Print a line a row and organ, and their mean: DSC, and the distances of both definitions."""
    columns = {"dsc": "DSC %"}
    for metric, heading in (("assd", "ASSD mm"), ("hd95", "HD95 mm")):
        columns |= {metric: f"{heading}, ours", metric + THEIRS: f"{heading}, {definition.about}"}
    by_place = {(line.row, line.organ, line.metric): line for line in lines}
    body = []
    for row, organ in dict.fromkeys((row, organ) for row, organ, _ in by_place):
        if organ != HEADLINE:
            found = {metric: by_place.get((row, organ, metric)) for metric in columns}
            values = [number_text(line, metric) for metric, line in found.items()]
            dsc = by_place[row, organ, "dsc"]
            body.append((row, organ, *values, str(dsc.n), str(dsc.n_missed)))
    title = f"{dataset}: {definition.about} beside ours, from the stored label maps"
    headings = ("row", "organ or mean", *columns.values(), "patients", "missed")
    print_rows(title, headings, body, left=2, width=160)
    put("stored nowhere, and no word above rests on it; a missed organ has no distance in either")


def elsewhere_json(
    dataset: str, lines: Iterable[ScoreLine], definition: Elsewhere, name: str
) -> dict[str, Any]:
    """Return the same as plain values."""
    return {
        "dataset": dataset,
        "as": name,
        "library": definition.about,
        "table": [asdict(line) for line in lines if line.organ != HEADLINE],
    }
