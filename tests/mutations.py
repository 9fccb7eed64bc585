"""Forty small faults, put into a copy of this checkout one after the other: do the nearest tests
notice?

    python tests/mutations.py              # all, about ten minutes on one core
    python tests/mutations.py holm keys    # those whose name holds one of these words

No part of `make test`. The exit code is 1 where more than two survive, and where a fault finds no
place. A fault is known by its text: the file that holds it may lie anywhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = ("benchmark", "methods", "baselines", "sweeps")
COPIED = (*CODE, "tests", "docs", "pyproject.toml", "README.md", "Makefile")
MOST_SURVIVORS = 2


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One fault: `old` stands once in the code, `new` takes its place, `tests` should see it."""

    name: str
    old: str
    new: str
    tests: tuple[str, ...]


def of(tests: str, *faults: tuple[str, str, str]) -> list[Mutation]:
    """Return the faults (name, old, new) that the same test files should see."""
    near = tuple(f"tests/{path}" for path in tests.split())
    return [Mutation(name=name, old=old, new=new, tests=near) for name, old, new in faults]


MUTATIONS = [
    *of(
        "scoring/test_overlap.py",
        ("DSC halved", "return 200.0 * n_voxels_both", "return 100.0 * n_voxels_both"),
        ("a false alarm slice is no slice", "counted = n_either_Z > 0", "counted = n_true_Z > 0"),
    ),
    *of(
        "scoring/test_surface.py",
        (
            "the array's edge is no border",
            "padded = np.zeros([length + 2",
            "padded = np.ones([length + 2",
        ),
        (
            "HD95 of the better direction",
            "return max(float(np.percentile(each, 95))",
            "return min(float(np.percentile(each, 95))",
        ),
        (
            "ASSD as the mean of means",
            "return float(np.mean(distances.pooled_mm))",
            "return mean_of_means_mm(distances)",
        ),
        (
            "NSD without the tolerance itself",
            "<= tolerance_mm + ROUNDING_MM",
            "< tolerance_mm - ROUNDING_MM",
        ),
        ("the window loses a slice", "int(used[-1]) + 2", "int(used[-1])"),
    ),
    *of(
        "scoring/test_score_case.py",
        ("a missed organ costs nothing", '"assd_penalised": diagonal_mm', '"assd_penalised": 0.0'),
        (
            "the joint window ends with the smaller mask",
            "min(max(window[axis].stop",
            "min(min(window[axis].stop",
        ),
    ),
    *of(
        "scoring/test_hard_cases.py",
        ("thirds are halves", "rank * 3 // len(order)", "rank * 2 // len(order)"),
    ),
    *of(
        "scoring/statistics/test_families.py",
        ("Holm without steps", "* (k - np.arange(k))", "* k"),
        ("Holm not monotone", "np.maximum.accumulate(stepped, axis=-1)", "stepped"),
    ),
    *of(
        "scoring/statistics/test_paired.py",
        ("Nadeau-Bengio's factor", "+ 1 / (folds - 1)", "+ 1 / folds"),
        ("flips without the observed one", "(1 + np.count_nonzero(", "(np.count_nonzero("),
        (
            "Wilcoxon without its own rank sum",
            "ways[off_centre >= seen]",
            "ways[off_centre > seen]",
        ),
        ("TOST by the smaller p", "return float(max(above, stats", "return float(min(above, stats"),
    ),
    *of(
        "scoring/statistics/test_components.py",
        ("degrees of patients", "float(n - n_folds)", "float(n - 1)"),
        ("fold luck holds the runs'", "/ size - run_squared / n_seeds, 0.0)", "/ size, 0.0)"),
    ),
    *of(
        "scoring/test_verdict.py",
        (
            "any GT gap will do",
            "gap.primary.estimate >= plan.gap_minimum",
            "gap.primary.estimate > 0",
        ),
    ),
    *of(
        "scoring/test_primary_words.py",
        (
            "one patient may refute",
            "return one is None or (one.without",
            "return True or (one.without",
        ),
    ),
    *of(
        "plan/test_keys.py",
        (
            "1 and 1.0 are two",
            "return int(value) if float(value).is_integer() else value",
            "return value",
        ),
        ("the version is in no key", 'if getattr(value, "version", 1) != 1:', "if False:"),
        (
            "a later field is in no key",
            'item.metadata.get("later") and _is_default(item, current)',
            'item.metadata.get("later")',
        ),
    ),
    *of(
        "plan/test_split.py",
        (
            "inner trainings see their validation",
            "train=kept, validation=()",
            "train=self.train, validation=()",
        ),
    ),
    *of(
        "parts/test_similarity.py",
        (
            "relative M holds its sizes",
            "raw_B / (size_B + EPSILON)",
            "raw_B / (size_B.detach() + EPSILON)",
        ),
        (
            "no_target holds nothing",
            'f_BCHW.detach() if self.gradient == "no_target"',
            'f_BCHW if self.gradient == "no_target"',
        ),
    ),
    *of(
        "parts/test_objectives.py",
        (
            "an unknown organ's pixels count",
            "return torch.cat([background, organs * known], dim=1)",
            "return probs_BCHW",
        ),
    ),
    *of(
        "training/test_trainer.py",
        (
            "moments in another layout",
            "memory_format=torch.preserve_format",
            "memory_format=torch.contiguous_format",
        ),
        ("one mask of dropout for all steps", '"dropout", step))', '"dropout"))'),
        ("the last step may be stopped", "control.stop() and not last", "control.stop()"),
        (
            "Adam counts anew",
            'tensors[prefix + "step"].clone()',
            'torch.zeros_like(tensors[prefix + "step"])',
        ),
    ),
    *of(
        "training/test_prediction.py",
        (
            "height and width padded crosswise",
            "(0, -width % stride, 0, -height % stride)",
            "(0, -height % stride, 0, -width % stride)",
        ),
    ),
    *of(
        "data/test_organ_hu.py data/test_anatomy.py",
        (
            "no HU check of the kidneys",
            "any(soft in meant(organ) for soft in SOFT_ORGANS)",
            "meant(organ) in SOFT_ORGANS",
        ),
        (
            "a dark kidney vouches for a fatty liver",
            "in BESIDE and median < 0",
            "in BESIDE and median < -500",
        ),
    ),
    *of(
        "files/test_atomic.py",
        (
            "a changed file passes its checksum",
            "if sha256_file(there[name]) != sha256:",
            'if sha256 == "":',
        ),
    ),
    *of(
        "store/test_objects.py",
        ("one checkpoint is kept", "[:-KEPT_CHECKPOINTS]", "[:-1]"),
    ),
    *of(
        "store/test_results_and_ledger.py",
        (
            "damaged rows are intact",
            "self.has(key, evaluation) and not damage(",
            "self.has(key, evaluation) or not damage(",
        ),
        (
            "inner and test cells share a file",
            "self.fold, self.seed, self.part]",
            "self.fold, self.seed]",
        ),
    ),
    *of(
        "running/test_cells.py",
        (
            "test patients are trained on",
            "return self.cache.cases(self.with_ct)",
            "return self.cache.cases((*self.fold.train, *self.fold.test))",
        ),
        (
            "rows outlive their networks",
            "discard_all(node_key)  # rows never",
            'has(node_key, "")  # rows never',
        ),
    ),
]


def main(words: list[str]) -> int:
    """Apply each mutation and say what became of it; return the exit code."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="bench-mutations-") as folder:
        copy = Path(folder)
        _copy(copy)
        places = {mutation: place(mutation, copy) for mutation in chosen}
        lost = [mutation.name for mutation, path in places.items() if path is None]
        for name in lost:
            print(f"NO PLACE  {name}: its text stands nowhere, or more than once")
        files = sorted({path for mutation in chosen for path in mutation.tests})
        said = tested(copy, files)
        if said:
            print(f"the nearest tests fail without any fault:\n{said}")
            return 1
        survived = [
            mutation.name
            for mutation, path in places.items()
            if path and lives(mutation, path, copy)
        ]
    caught = len(chosen) - len(survived) - len(lost)
    print(
        f"{caught} of {len(chosen)} caught"
        + (f"; survived: {', '.join(survived)}" if survived else "")
    )
    return int(len(survived) > MOST_SURVIVORS or bool(lost))


def place(mutation: Mutation, copy: Path) -> Path | None:
    """Return the one file that holds the old text once; None where it is not so."""
    found = [
        (path, path.read_text("utf-8").count(mutation.old))
        for top in CODE
        for path in sorted((copy / top).rglob("*.py"))
    ]
    held = [(path, count) for path, count in found if count]
    return held[0][0] if len(held) == 1 and held[0][1] == 1 else None


def lives(mutation: Mutation, path: Path, copy: Path) -> bool:
    """Put the fault in, run its tests, take it out; print and return whether it survived."""
    text, began = path.read_text("utf-8"), time.monotonic()
    path.write_text(text.replace(mutation.old, mutation.new), "utf-8")
    try:
        said = tested(copy, list(mutation.tests))
    finally:
        path.write_text(text, "utf-8")
    first = next(
        (line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))), said[-200:]
    )
    seconds = time.monotonic() - began
    print(
        f"{'caught' if said else 'SURVIVED':9} {seconds:5.1f} s  {mutation.name}  {first[:110]}",
        flush=True,
    )
    return not said


def tested(copy: Path, files: list[str]) -> str:
    """Run test files in the copy until the first failure; return "" or what was said."""
    # no stored bytecode: a file may change within one second and keep its size
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--no-header",
        *files,
    ]
    ran = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    return (ran.stdout + ran.stderr) if ran.returncode else ""


def _copy(copy: Path) -> None:
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=skipped)
        else:
            shutil.copy(source, copy / name)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
