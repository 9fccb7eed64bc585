"""A sweep in folds of one's own: `bench sweep run --split FILE`."""

from __future__ import annotations

from pathlib import Path

from bench_process import bench
from sweep_process import PATIENTS, sweep_argv, workspace

from benchmark.data.feeding.splits import read_split
from benchmark.data.library import open_dataset
from benchmark.store.ledger import Ledger
from benchmark.store.results import Results


def test_trials_are_scored_on_inner_patients_of_the_given_folds(tmp_path: Path) -> None:
    root = workspace(tmp_path / "w")
    file = tmp_path / "mine.csv"
    lines = [f"p{number:02d},{number % 3}" for number in range(PATIENTS)]
    file.write_text("\n".join(["case,fold", *lines]) + "\n")
    argv = sweep_argv(root, "xi", "--trials", "1", "--repeats", "0")
    ran = bench(*argv, "--split", str(file))
    assert ran.code == 0, ran.err
    split = read_split(file, open_dataset(root, "tiny"))
    entries, results = Ledger(root / "ledger").entries(), Results(root / "results", print)
    assert {(entry.split, entry.own_split) for entry in entries} == {(split.fingerprint, True)}
    for entry in entries:
        scored = {row.case for row in results.rows(entry.key, entry.evaluation)}
        assert scored == {*split.folds[entry.fold].validation}
    other = bench(*argv)
    assert other.code == 2 and "was made for split" in other.err
    best = bench("sweep", "best", "xi", "--root", str(root))
    assert best.code == 0 and f"--split {split.fingerprint} --folds 0,1" in best.out
