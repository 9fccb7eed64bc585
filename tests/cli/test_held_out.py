"""A test set that is kept apart: `bench run --test-on SET`, and nnU-Net's `labelsTs`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from bench_process import Ran, bench, run_argv, tree
from nnunet_files import arrays, make, save

from benchmark.data.library import add, open_dataset
from benchmark.data.volume import Volume
from benchmark.store.ledger import Ledger
from benchmark.store.results import Results
from benchmark.testing import TinySource, tiny_volume


@dataclass(frozen=True, kw_only=True)
class LiverAlone:
    """Other patients of the tiny kind, in which nobody looked for kidneys; the liver is number 2
    there, behind an organ that the networks do not know."""

    first: int = 40
    unknown: bool = False  # whether nobody said what lies around the liver
    organs: tuple[str, ...] = ("marker", "liver")

    @property
    def fingerprint(self) -> str:
        return f"liver-{self.first}{'-unknown' * self.unknown}"

    def volumes(self) -> Iterator[Volume]:
        for number in range(self.first, self.first + 3):
            made = tiny_volume(number)
            label = np.where(made.label == 1, 2, 0).astype(np.uint8)
            label[0, 0, 0] = 1
            around = label == 0 if self.unknown else None
            yield replace(made, label=label, annotated=self.organs, unknown=around)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("apart")
    add(where, "tiny", TinySource(patients=6))
    add(where, "other", LiverAlone())
    add(where, "same", LiverAlone(first=4))
    add(where, "unknown", LiverAlone(unknown=True))
    return where


def run(root: Path, *more: str) -> Ran:
    return bench(*run_argv(root, "unet", "--folds", "0,1", "--workers", "1", *more))


def test_each_network_is_scored_there_once(root: Path) -> None:
    first = run(root, "--test-on", "other", "--json")
    assert first.code == 0, first.err
    found = first.json["test_on"]
    assert (found["dataset"], found["looks"], found["organs"]) == ("other", 1, ["liver"])
    lines = {(line["organ"], line["metric"]): line for line in found["lines"]}
    assert lines["liver", "dsc"]["n"] == 3 and ("marker", "dsc") not in lines
    assert lines["liver", "dsc"]["mean"] > 20  # in the other set's numbers; else it is 0
    entries = [e for e in Ledger(root / "ledger").entries() if e.part == "on other"]
    assert sorted(entry.fold for entry in entries) == [0, 1]
    results = Results(root / "results", print)
    kept = [e for e in tree(root / "results").items() if "/".join([entries[0].key, ""]) in e[0]]
    for entry in entries:
        cases = {row.case for row in results.rows(entry.key, entry.evaluation)}
        assert cases == {case.name for case in open_dataset(root, "other").cases}
    again = run(root, "--test-on", "other", "--json")
    assert again.json["trained"] == 0 and again.json["test_on"]["looks"] == 2
    assert again.json["test_on"]["lines"] == found["lines"]
    now = [e for e in tree(root / "results").items() if "/".join([entries[0].key, ""]) in e[0]]
    assert now == kept


def test_unknown_voxels_are_out_of_its_scores(root: Path) -> None:
    found = {}
    for name in ("other", "unknown"):
        assert run(root, "--test-on", name).code == 0
        entry = next(e for e in Ledger(root / "ledger").entries() if e.part == f"on {name}")
        rows = Results(root / "results", print).rows(entry.key, entry.evaluation)
        found[name] = {r.case: r.value for r in rows if (r.organ, r.metric) == ("liver", "dsc")}
    assert all(found["unknown"][case] > value > 20 for case, value in found["other"].items())


def test_it_has_a_column_of_its_own_and_stays_out_of_all_tables(root: Path) -> None:
    before = run(root, "--json")
    ran = run(root, "--test-on", "other")
    assert ran.code == 0, ran.err
    assert "other: DSC" in ran.out
    shown = {
        line.split("│")[1].strip(): line.split("│")[-4:-1] for line in ran.out.splitlines()
        if line.startswith("│ ")
    }  # fmt: skip
    assert shown["liver"][2].strip() == "3" and float(shown["liver"][0].split()[0]) > 20
    assert float(shown["liver"][1].split()[0]) > 0 and "other: ASSD mm" in ran.out
    assert [text.strip() for text in shown["left_kidney"]] == ["-"] * 3
    # of three organs here, of one there
    assert [text.strip() for text in shown["mean"]] == ["-"] * 3
    assert re.search(r"looked at (once|\d times) in this workspace", ran.out)
    after = run(root, "--json")
    assert after.json["table"] == before.json["table"] and "test_on" not in after.json
    made = bench("report", "--root", str(root), "--json", "--skip-hard-cases")
    dsc = [x for x in made.json["table"] if (x["organ"], x["metric"]) == ("liver", "dsc")]
    (only,) = dsc
    assert only["row"].startswith("unet[") and only["n"] == 3
    assert bench("score", "--root", str(root), "--mlflow", "none").code == 0


def test_a_set_with_a_patient_in_common_is_refused_before_a_training(root: Path) -> None:
    before = tree(root)
    ran = run(root, "--test-on", "same", "--seeds", "7")
    assert ran.code == 2 and "shares no patient" in ran.err and "is case p04 of tiny" in ran.err
    assert tree(root) == before


def test_labels_apart_are_a_set_of_their_own(tmp_path: Path) -> None:
    raw, root = make(tmp_path / "raw", 6), str(tmp_path / "w")
    alone = bench("data", "add", "folder", str(raw), "--name", "alone", "--root", root)
    for number in (7, 8):
        image, label = arrays(number)
        save(raw / "imagesTs" / f"t{number}_0000.nii.gz", image)
        save(raw / "labelsTs" / f"t{number}.nii.gz", label)
    ran = bench("data", "add", "folder", str(raw), "--name", "mine", "--root", root)
    assert alone.code == ran.code == 0, ran.err
    assert "mine-test is kept apart as a test" in ran.out and "--test-on mine-test" in ran.out
    sets = {name: open_dataset(Path(root), name) for name in ("alone", "mine", "mine-test")}
    assert [case.name for case in sets["mine-test"].cases] == ["t7", "t8"]
    assert [case.sha256 for case in sets["mine"].cases] == [
        case.sha256 for case in sets["alone"].cases
    ]
    listed = json.loads(bench("data", "list", "--json", "--root", root).out)
    assert {"mine", "mine-test"} <= {each["name"] for each in listed}
