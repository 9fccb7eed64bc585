"""`bench compare A B`: two rows, or two cells by key, paired patient by patient."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import add_common
from benchmark.cli.out import put
from benchmark.plan.analysis import ANALYSES
from benchmark.plan.wording import counted, p_text

if TYPE_CHECKING:
    from benchmark.plan.analysis import AnalysisPlan
    from benchmark.reporting.tables import Line
    from benchmark.running.bench import Bench
    from benchmark.running.comparing import Named, Paired
    from benchmark.running.standing import Standing
    from benchmark.scoring.comparison import Comparison
    from benchmark.scoring.surface import Elsewhere

HELP = "two rows or keys, paired: bench compare fsm unet"
DEMONSTRATION = "demonstration"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("row", metavar="A", help="a row, a label as tables print it, or a key")
    parser.add_argument("reference", metavar="B", help="what it is compared with")
    parser.add_argument("--dataset", metavar="NAME", help="default: all that both were run on")
    parser.add_argument(
        "--suite", metavar="NAME", help="default: main, else the suite that was written to last"
    )
    parser.add_argument("--preset", metavar="quick|lite|paper")
    parser.add_argument(
        "--metric", action="append", default=[], metavar="NAME",
        help="dsc or assd_penalised; may be repeated (default: both)",
    )  # fmt: skip
    parser.add_argument(
        "--as", dest="other", metavar="NAME",
        help="show ASSD and HD95 of another library too, from the stored label maps: medpy-0.4, "
        "medpy-0.5, pooled-hd95, monai or metrics-reloaded",
    )  # fmt: skip
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print the comparison; returns 1 where a planned cell is missing. Raises `BadInput`."""
    from benchmark.cli.session import reading_bench, say
    from benchmark.cli.show_ceilings import ceilings_json, compared_ceilings, show_ceilings
    from benchmark.cli.show_elsewhere import show_elsewhere
    from benchmark.plan.analysis import AnalysisPlan
    from benchmark.reporting.mixtures import value_mixtures
    from benchmark.running.comparing import named, paired
    from benchmark.running.registry import load_registry
    from benchmark.running.renewal import older_line, outdated_line
    from benchmark.running.standing import chosen_suite, standing
    from benchmark.scoring.surface import elsewhere

    other = elsewhere(args.other) if args.other else None
    bench = reading_bench(args)
    chosen = chosen_suite(bench, args.suite)
    suite = standing(bench, chosen.name)
    plan = suite.plan.analysis if suite.plan else AnalysisPlan()
    metrics = [plan.metric(name) for name in args.metric] or list(plan.metrics)
    first, second = (
        named(suite, name, dataset=args.dataset, preset=args.preset)
        for name in (args.row, args.reference)
    )
    found = paired(bench, first, second, plan=plan, metrics=metrics)
    entries = (*first.entries, *second.entries)
    old = outdated_line(bench, entries, load_registry().rows)
    for line in filter(None, (*value_mixtures(entries), old, older_line(bench, entries))):
        say(f"warning: {line}")
    say(chosen.line)
    there = _elsewhere(bench, found, first, second, other) if other else {}
    ceilings = compared_ceilings(bench, found, first, second)
    if args.json:
        more = _elsewhere_json(there, other, args.other) if other else {}
        shown = {**_json(found, suite, plan), **ceilings_json(ceilings), **more}
        put(json.dumps(shown, indent=1))
        for text in ceilings.why_not:
            say(text)
    else:
        for pair in found:
            _print(pair, suite, plan)
            show_ceilings(pair, ceilings)
            if other and pair.dataset in there:
                show_elsewhere(pair.dataset, there[pair.dataset], other)
    return 1 if any(pair.missing for pair in found) else 0


def _elsewhere(
    bench: Bench, found: list[Paired], first: Named, second: Named, other: Elsewhere
) -> dict[str, list[Line]]:
    """The lines in another library's definition, by data set; none where a cell is missing."""
    from benchmark.running.comparing import compared
    from benchmark.running.elsewhere import in_other

    whole = [pair.dataset for pair in found if not pair.missing]
    return {d: in_other(bench, compared(first, second, d), d, other) for d in whole}


def _elsewhere_json(there: dict[str, list[Line]], other: Elsewhere, name: str) -> dict[str, Any]:
    from benchmark.cli.show_elsewhere import elsewhere_json

    return {"elsewhere": [elsewhere_json(d, lines, other, name) for d, lines in there.items()]}


def _json(found: list[Paired], suite: Standing, plan: AnalysisPlan) -> dict[str, Any]:
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
                "gains": (pair.gains or {})[each.metric.name],
            }
            for pair in found
            for each in pair.comparisons
        ],
        "incomplete": [asdict(cell) for pair in found for cell in pair.missing],
    }


def _figures(found: Comparison) -> dict[str, Any]:
    """All figures of a comparison as plain values; what is not finite is null.

    What the text calls p is `p`, its equivalence p is `equivalence.p` (primary analysis), its
    sign-flip p, Wilcoxon p and TOST p are `these_networks.sign_flip_p`, `.wilcoxon_p` and
    `.ttost_p`."""
    names = ("row", "reference", "patients", "seeds", "folds", "mean", "median", "patients_better",
             "p", "false_claim", "smallest_detectable")  # fmt: skip
    groups = {
        name: asdict(value) if (value := getattr(found, name)) else None
        for name in ("primary", "one_patient", "equivalence", "nadeau_bengio", "these_networks")
    }
    better = dict(zip(("p", "low", "high"), found.better, strict=True)) if found.better else None
    plain = {name: getattr(found, name) for name in names} | groups
    shown: dict[str, Any] = _finite({**plain, "better": better})
    return {"metric": found.metric.name, "unit": found.metric.unit, **shown,
            "margin": found.metric.margin, "notes": list(found.notes)}  # fmt: skip


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


def _print(pair: Paired, suite: Standing, plan: AnalysisPlan) -> None:
    from benchmark.cli.show_suite import incomplete_text
    from benchmark.reporting.flag_guide import how_to_read
    from benchmark.scoring.surface import described

    if pair.missing:
        put(f"{pair.dataset}: {incomplete_text(suite, pair.missing)}")
        return
    for found in pair.comparisons:
        put(
            f"{found.row} against {found.reference} on {pair.dataset}, preset {pair.preset}, suite "
            f"{suite.name}: {found.metric.name} in {found.metric.unit}, mean over "
            f"{', '.join(pair.organs)}; {counted(found.patients, 'patient')}, "
            f"{counted(found.seeds, 'seed')}, {counted(found.folds, 'fold')}; a gain above 0 is "
            "better"
        )
        for line in _lines(found, pair, plan):
            put(f"  {line}")
    if suite.post_hoc:
        put(f"suite {suite.name}: {suite.post_hoc}")
    if "assd_penalised" in (pair.gains or {}):
        put(described(["assd", "assd_penalised"]))
    if more := how_to_read(["one_patient"] if any(map(_hangs, pair.comparisons)) else []):
        put(more)
    put("one comparison, not corrected for others that were made")


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
