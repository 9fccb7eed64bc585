"""The protocol for real data: its file, its page, and what the page says."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import protocol
import protocol_claims as claims
import protocol_counts as counts
import pytest
from nnunet_anchor import line, scored
from nnunet_export import export, predicted, thinned
from simulation import Design, calibrate

from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.phantom.recipe import Phantom
from benchmark.plan.analysis import AnalysisPlan, fingerprint
from benchmark.plan.folds import Fold
from benchmark.plan.nodes import Train, in_order
from benchmark.running.cost import AtSpeed, held_bytes
from benchmark.running.speed import operations, work_of
from benchmark.running.suites import suite_plan
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve

KEPT = json.loads(protocol.KEPT.read_text(encoding="utf-8"))
ASKED = counts.order()
SEEDS = ASKED.seeds or ()


def test_the_page_is_not_stale() -> None:
    """Write it again with `python docs/protocol.py`, with --count where the counts are stale."""
    assert KEPT["made_from"] == protocol.made_from(), "python docs/protocol.py --count"
    assert protocol.PAGE.read_text(encoding="utf-8") == protocol.page(KEPT)


def test_the_file_asks_for_a_claim_by_the_default_plan() -> None:
    """All rows that the plan names are there; nothing but its seeds is the file's own."""
    settings, analysis = counts.settings(), AnalysisPlan()
    cells = [
        cell
        for name in ASKED.datasets.split(",")
        for seed in SEEDS
        for cell in [replace(counts.cells_of_row(counts.stand_in(name), "unet")[0], seed=seed)]
    ]
    plan = suite_plan(settings, cells, ASKED.preset, ASKED.set, ASKED.analysis)
    assert SEEDS == (0, 1, 2, 3, 4) and ASKED.folds is None
    assert fingerprint(plan.analysis) == fingerprint(AnalysisPlan(seeds=SEEDS))
    named = {analysis.subject, analysis.baseline, *analysis.controls}
    named |= {*analysis.competitors, *analysis.ablations}
    assert named == {setting.label for setting in settings} and plan.preset in analysis.presets


@pytest.mark.parametrize("longer, twice", [("steps_per_epoch", True), ("epochs", False)])
def test_only_longer_epochs_keep_what_rows_are_to_each_other(longer: str, twice: bool) -> None:
    """Why the page says to raise steps_per_epoch: unet-200 stays twice as long as unet."""
    values = {f"schedule.{longer}": 300}
    steps = {}
    for row in ("unet", "unet-200", "fsm"):
        setting = resolve(load_registry(), row, "paper", values)
        steps[row] = [node.schedule.steps(10.0) for node in in_order(setting.plan.node)]
    assert (steps["unet-200"] == [2 * n for n in steps["unet"]]) is twice
    assert steps["fsm"] == 3 * steps["unet"]


def node_of(row: str) -> tuple[Train, counts.Cell]:
    (cell,) = (c for c in counts.cells_of_row(counts.stand_in("ircadb"), row) if not c.stage)
    return cell.final.node, cell


def test_a_step_is_counted_as_the_speed_command_counts_it() -> None:
    """The loss adds nothing that counts; every fold and seed takes the same steps."""
    node, cell = node_of("unet")
    counted = AtSpeed(1e12).seconds_per_step(node, cell)
    assert counted == pytest.approx(operations(work_of("paper"))[1] / 1e12, rel=1e-3)
    assert counted == pytest.approx(KEPT["step"]["plain_tflop"])
    held = held_bytes(node, cell)
    assert held == KEPT["step"]["plain_bytes"]
    first = 8 * 64 * 512 * 512 * 4  # one map of the first level
    assert 8 * first < held < 20 * first


def test_patients_that_suffice_are_the_fewest() -> None:
    for sd in claims.PATIENT_SDS:
        few = claims.patients_for(claims.GAIN, 5, sd)
        assert few is not None
        assert claims.detectable(few, 5, sd) <= claims.GAIN
        assert few == 10 or claims.detectable(few - 1, 5, sd) > claims.GAIN


def test_the_expected_error_is_that_of_drawn_studies() -> None:
    """4000 studies of 20 patients and 5 seeds; their means differ by what is planned with."""
    fold, run, _ = claims.luck()
    rng, fold_n, many = np.random.default_rng(0), np.arange(20) % 5, 4000
    gain = 2.0 * rng.normal(size=(many, 20, 1)) + fold * rng.normal(size=(many, 5, 1))[:, fold_n]
    gain = gain + run * rng.normal(size=(many, 5, 5))[:, fold_n]
    gain = gain + 2**0.5 * 0.7 * rng.normal(size=(many, 20, 5))
    error = float(gain.mean(axis=(1, 2)).std())
    assert error == pytest.approx(float(claims.spread(20, 5, 2.0).error), rel=0.05)


@pytest.mark.parametrize("patients, seeds, sd", [(20, 5, 2.0), (90, 5, 4.0), (20, 3, 1.0)])
def test_a_gain_that_is_said_to_be_found_is_found(patients: int, seeds: int, sd: float) -> None:
    """In 80 of 100 simulated studies: by the real interval, which has to estimate its spread. (Its
    error is larger than the true one on average, since no part of it can be under 0.)"""
    fold, run, _ = claims.luck()
    root = 2**0.5  # the simulation's sds are those of one row
    design = Design(
        patients=patients, seeds=seeds, patient_sd=sd / root, run_sd=run / root,
        fold_sd=fold / root, gain=claims.detectable(patients, seeds, sd),
    )  # fmt: skip
    assert calibrate(design, draws=1000, seed=1, families=False).found == pytest.approx(80, abs=4)


def test_every_outcome_is_spoken() -> None:
    found = [verdict.outcome for _, verdict in claims.outcomes(SEEDS)]
    assert set(found) == {"supported", "not supported", "undecided", "incomplete"}
    assert all(verdict.level == "claim" for _, verdict in claims.outcomes(SEEDS))


@cache
def patients() -> dict[str, Volume]:
    return {v.case: v for v in (thinned(Phantom().volume(n), 4) for n in range(2))}


def test_nnunets_layout_is_read_back_and_scored_on_the_same_grid(tmp_path: Path) -> None:
    volumes = patients()
    fold = Fold(index=0, train=("phantom_001",), validation=(), test=("phantom_000",))
    folder = export(tmp_path / "Dataset715_Anchor", volumes.values(), Phantom.organs, [fold])
    reader = NnUNetRaw(folder)
    assert reader.organs == Phantom.organs and reader.cases == tuple(volumes)
    for case, volume in volumes.items():
        read, checks = reader.read(case)
        assert read is not None and all(check.ok for check in checks)
        np.testing.assert_array_equal(read.image, volume.image)
        np.testing.assert_array_equal(read.label, volume.label)
        assert read.geometry.spacing_mm == pytest.approx(volume.geometry.spacing_mm, abs=1e-5)
    splits = json.loads((folder / "splits_final.json").read_text(encoding="utf-8"))
    assert splits == [{"train": ["phantom_001"], "val": ["phantom_000"]}]
    lines = list(scored(volumes, {0: (fold, folder / "labelsTr")}, Phantom.organs))
    assert {x["case"] for x in lines} == {"phantom_000"}
    assert [x["value"] for x in lines if x["metric"] == "dsc"] == [100.0] * 3
    with pytest.raises(BadInput, match="another grid than phantom_001"):
        predicted(folder / "labelsTr" / "phantom_000.nii.gz", volumes["phantom_001"])


def test_what_nnunet_cannot_be_told_is_refused(tmp_path: Path) -> None:
    volume = next(iter(patients().values()))
    for more, words in (
        ({"annotated": ("liver",)}, "nobody looked for left_kidney"),
        ({"box": ((0, 4), (0, 4), (0, 4))}, "has a crop box"),
    ):
        with pytest.raises(BadInput, match=words):
            export(tmp_path / "x", [replace(volume, **more)], Phantom.organs, [])


def test_a_proof_of_the_chain_is_never_quoted() -> None:
    found = {"proof_of_the_chain": True, "nnunetv2": "2", "trainer": "t", "epochs": None,
             "steps": 250, "dataset": "phantom-60",
             "summary": {"liver": {"dsc": 93.21, "patients": 60}}}  # fmt: skip
    assert line(found) == ""
    assert "liver 93.2 (n = 60)" in line({**found, "proof_of_the_chain": False})
