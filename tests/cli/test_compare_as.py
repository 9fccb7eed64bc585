"""`bench compare --as`: another library's ASSD and HD95 beside ours, from stored label maps."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import planted_suite
import pytest
from bench_process import Ran, bench, tree
from medpy.metric import binary

from benchmark.data.library import open_dataset
from benchmark.running.bench import Bench


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """unet and fsm in two folds, with two seeds."""
    made = planted_suite.workspace(tmp_path_factory.mktemp("planted"))
    planted_suite.plant(made, {"unet": 0.1, "fsm": 0.05}, folds=(0, 1), values={})
    return made


def compare(planted: Bench, *more: str) -> Ran:
    return bench("compare", "fsm", "unet", "--root", str(planted.root), *more)


def lines(ran: Ran) -> dict[tuple[str, str, str], Any]:
    assert ran.code == 0, ran.err
    (found,) = ran.json["elsewhere"]
    return {(x["row"], x["organ"], x["metric"]): x["mean"] for x in found["table"]}


def by_medpy(planted: Bench, row: str, organ: str) -> tuple[float, float]:
    """ASSD and HD95 of the installed MedPy, mean over patients of the mean over seeds."""
    dataset = open_dataset(planted.root, "tiny")
    label, found = dataset.organs.index(organ) + 1, {}
    for entry in planted.ledger.entries():
        cases = {r.case for r in planted.results.rows(entry.key, entry.evaluation)}
        for case in cases if entry.row == row else ():
            known, truth = dataset.case(case), dataset.label(case) == label
            masks = planted.results.labels(entry.key, entry.evaluation, case) == label, truth
            if organ in known.annotated and all(mask.any() for mask in masks):
                pair = [f(*masks, known.geometry.spacing_mm) for f in (binary.assd, binary.hd95)]
                found.setdefault(case, []).append(pair)
    means = [np.mean(pairs, axis=0) for pairs in found.values()]
    return float(np.mean([m[0] for m in means])), float(np.mean([m[1] for m in means]))


def test_the_installed_medpy_gives_the_same(planted: Bench) -> None:
    compare(planted)  # which keeps the ceilings of the set
    before = tree(planted.root)
    found = lines(compare(planted, "--as", "medpy-0.5", "--json"))
    assert tree(planted.root) == before, "it stores nothing"
    for row in ("fsm", "unet"):
        for organ in ("liver", "left_kidney"):
            assd, hd95 = by_medpy(planted, row, organ)
            assert found[row, organ, "assd there"] == pytest.approx(assd, abs=1e-9)
            assert found[row, organ, "hd95 there"] == pytest.approx(hd95, abs=1e-9)
            assert found[row, organ, "assd"] == pytest.approx(assd, abs=1e-9)
    other = lines(compare(planted, "--as", "medpy-0.4", "--json"))
    differ = [abs(other[row, organ, "assd there"] - value)
              for (row, organ, metric), value in other.items() if metric == "assd"]  # fmt: skip
    assert statistics.fmean(differ) > 1e-4


def test_a_library_with_our_definition_has_our_numbers(planted: Bench) -> None:
    found = lines(compare(planted, "--as", "monai", "--json"))
    for (row, organ, metric), value in found.items():
        if metric != "dsc":
            ours = found[row, organ, metric.removesuffix(" there")]
            assert value == pytest.approx(ours, abs=1e-12)
    assert len(found) == 2 * 4 * 5  # rows, organs and their mean, metrics


def test_it_is_labelled_and_has_no_word_of_its_own(planted: Bench) -> None:
    plain, more = compare(planted).out, compare(planted, "--as", "medpy-0.4").out
    assert more.startswith(plain), "the comparison itself is the same"
    shown = more.removeprefix(plain)
    for part in ("MedPy 0.4.0 beside ours", "ASSD mm, MedPy 0.4.0", "HD95 mm, ours", "no word"):
        assert part in shown, shown
    assert not {"better", "worse", "equivalent", "verdict", "demonstration"} & set(shown.split())
    assert "elsewhere" not in compare(planted, "--json").json


def test_two_keys_and_what_is_not_there(planted: Bench, tmp_path: Path) -> None:
    first = {e.row: e for e in planted.ledger.entries() if (e.fold, e.seed) == (0, 0)}
    keys = [first[row].key for row in ("fsm", "unet")]
    root = ("--root", str(planted.root), "--json", "--as", "monai")
    one = bench("compare", keys[0], "unet", *root)
    both = bench("compare", *keys, *root)
    assert lines(one) == lines(both)
    ran = compare(planted, "--as", "medpy")
    assert (ran.code, ran.out) == (2, "")
    assert "--as 'medpy': did you mean medpy-0.5 or medpy-0.4? there is medpy-0.4, " in ran.err
    entry = first["unet"]
    maps = planted.results.path(entry.key, entry.evaluation) / "labels.npz"
    maps.rename(tmp_path / "away")
    ran = bench("compare", *keys, *root)
    (tmp_path / "away").rename(maps)
    assert ran.code == 2 and ran.out == ""
