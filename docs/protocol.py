"""Write docs/protocol.md: what a claim on the paper's data needs, costs, and can say.

python docs/protocol.py               # the page; its counts are kept in docs/protocol/counts.json
python docs/protocol.py --count       # count anew first: minutes, after a change of rows or presets
python docs/protocol.py --root ROOT   # print what it costs with a workspace's sets; writes nothing

No figure of the page is typed by hand but what is assumed of sets that are not at hand
(`ASSUMED`, `TFLOPS` in docs/protocol_counts.py), which the page names.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import protocol_claims as claims
import protocol_counts as counts
from protocol_counts import Counts, Step

from benchmark.files.atomic import write_json
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.folds import FOLDS
from benchmark.plan.keys import Context, canonical, digest, key
from benchmark.scoring.comparison import level_of

DOCS = Path(__file__).parent
PAGE, KEPT = DOCS / "protocol.md", DOCS / "protocol" / "counts.json"
TEMPLATE = (DOCS / "protocol" / "page.txt").read_text(encoding="utf-8")
SEEDS = (1, 3, 5)


def made_from() -> str:
    """Return the hash of what the counts follow from: the rows with all their values, the sets and
    what is assumed of them."""
    nobody = Context(fold="", seed=0)
    rows = [[s.label, key(s.plan.node, nobody), canonical(s.ground)] for s in counts.settings()]
    assumed = {name: dataclasses.asdict(each) for name, each in counts.ASSUMED.items()}
    return digest([rows, counts.order().datasets, assumed, counts.PIXELS])


def count(root: Path | None) -> dict[str, Any]:
    """Return the counts of every set, and of one step, as plain values."""
    sets = counts.sets_of(root, counts.order().datasets.split(","))
    return {
        "made_from": made_from(),
        "sets": [dataclasses.asdict(counts.counts_of(each)) for each in sets],
        "step": dataclasses.asdict(counts.step_of(sets[0])),
        "voxels_a_byte": counts.label_packing(),
    }


def page(found: dict[str, Any]) -> str:
    """Return the page from the counts."""
    sets, asked = [Counts(**each) for each in found["sets"]], counts.order()
    seeds = asked.seeds or (0,)
    return TEMPLATE.format(
        rows=", ".join(f"`{s.label}`" for s in counts.settings()),
        **costs(found, sets, len(seeds)),
        **needs(len(seeds), [each.patients for each in sets]),
        outcomes=spoken(seeds),
        both="\n".join(f"- {sentence}" for sentence in claims.both(seeds)),
        one_pass=", ".join(f"{name}: {n}" for name, n in one_pass(sets).items()),
        gap=f"{AnalysisPlan().gap_minimum:g}",
        margin=f"{AnalysisPlan().metrics[0].margin:g}",
        controls=len(AnalysisPlan().controls),
    )


def costs(found: dict[str, Any], sets: Sequence[Counts], seeds: int) -> dict[str, Any]:
    """Return the page's words on trainings, time, memory and disk."""
    rate, how = counts.speed()
    step, packing = Step(**found["step"]), float(found["voxels_a_byte"])
    head = ["set", "patients", "rows", "trainings, unshared", "trainings", "for probes", "steps",
            "GPU hours", "weights", "label maps", "data set"]  # fmt: skip
    lines = [
        [f"`{x.dataset}`", f"{x.patients}", f"{x.rows}", f"{seeds * x.alone:,}",
         f"{seeds * x.trainings:,}", f"{seeds * x.probes:,}",
         f"{seeds * x.steps / 1e6:.1f} million",
         f"{hours(x, seeds, rate):,.0f}", size(seeds * x.weight_bytes),
         f"{size(seeds * x.label_voxels / packing)} ({size(seeds * x.label_voxels)} unpacked)",
         size(3 * x.scan_voxels)]
        for x in sets
    ]  # fmt: skip
    by_seeds = [
        [f"{n} ({level_of(n, FOLDS)})", *(f"{hours(x, n, rate):,.0f}" for x in sets),
         f"{sum(hours(x, n, rate) for x in sets) / 24:,.0f}"]
        for n in SEEDS
    ]  # fmt: skip
    return {
        "seeds": seeds,
        "costs": table(head, lines),
        "by_seeds": table(["seeds", *(f"hours, `{x.dataset}`" for x in sets), "days, both"],
                          by_seeds),
        "how": how,
        "tflop": f"{step.plain_tflop:.1f}",
        "held_plain": size(step.plain_bytes),
        "held_most": size(step.most_bytes),
        "largest": step.title,
        "packing": f"{packing:g}",
        "assumed": assumed(),
        "voxel_bytes": 3,
    }  # fmt: skip


def assumed() -> str:
    """Return what is assumed of the sets."""
    return "; ".join(
        f"`{name}`: {x.patients} patients of {x.slices} slices, {x.with_organs} with an organ"
        for name, x in counts.ASSUMED.items()
    )


def hours(found: Counts, seeds: int, rate: float) -> float:
    """Return the hours of one GPU that does `rate` TFLOP/s."""
    return seeds * found.tera / rate / 3600


def one_pass(sets: Iterable[Counts]) -> dict[str, int]:
    """Return how many steps one pass over a fold's training slices has, by set."""
    return {x.dataset: round(_pass(counts.stand_in(x.dataset))) for x in sets}


def _pass(dataset: counts.StandIn) -> float:
    (cell,) = counts.cells_of_row(dataset, "unet")
    return counts.pass_of(cell)


def needs(seeds: int, patients: Sequence[int]) -> dict[str, Any]:
    """Return the page's words on what a claim of 2 points needs."""
    fold, run, source = claims.luck()
    least = [
        [f"{sd:g}", *(f"{claims.detectable(n, s, sd):.1f}" for n in patients for s in SEEDS[1:])]
        for sd in claims.PATIENT_SDS
    ]
    needed = []
    for sd in claims.PATIENT_SDS:
        found, decided = claims.patients_for(claims.GAIN, seeds, sd), claims.decides(
            claims.GAIN, seeds, sd)  # fmt: skip
        needed.append(
            [f"{sd:g}", f"{found or 'more than 2000'}",
             f"{decided.patients} with {decided.seeds} seeds" if decided else "none"]
        )  # fmt: skip
    return {
        "gain": f"{claims.GAIN:g}",
        "fold_sd": f"{fold:.2f}",
        "run_sd": f"{run:.2f}",
        "luck_source": source,
        "power": f"{100 * AnalysisPlan().power:.0f}",
        "least": table(["patients' sd", *(f"{n} patients, {s} seeds" for n in patients
                                          for s in SEEDS[1:])], least),
        "needed": table(["patients' sd", f"to find it in {100 * AnalysisPlan().power:.0f} of 100",
                         f"for an estimate of {claims.GAIN:g} to decide"], needed),
    }  # fmt: skip


def spoken(seeds: tuple[int, ...]) -> str:
    """Return what the report says in each outcome."""
    parts = []
    for about, verdict in claims.outcomes(seeds):
        parts.append(f"**{verdict.outcome}**, where {about}:\n")
        parts += [f"> {sentence}" for sentence in verdict.sentences]
        parts.append("")
    return "\n".join(parts).rstrip()


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def size(count: float) -> str:
    """Return bytes for people, in powers of 1000."""
    number, unit = next(((1e12, "TB"), (1e9, "GB"))[i] for i in (0, 1) if i or count >= 1e12)
    return f"{count / number:.1f} {unit}"


def main() -> None:
    """Write the page, or print what the sets of a workspace cost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--root", type=Path)
    args = parser.parse_args()
    if args.root:
        found = count(args.root)
        words = costs(
            found, [Counts(**x) for x in found["sets"]], len(counts.order().seeds or (0,))
        )
        print("\n\n".join([words["costs"], words["how"], words["by_seeds"]]))
        return
    if args.count or not KEPT.exists():
        write_json(KEPT, count(None))
    PAGE.write_text(page(json.loads(KEPT.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
