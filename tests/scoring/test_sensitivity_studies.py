"""Drawn studies are read as the suite reads them; planted gains and nulls are found as they are."""

import numpy as np
import pytest
from sensitivity_edit import DOSES
from sensitivity_figures import Size, figures, limit, luck_of, true_gain
from sensitivity_studies import draw, judged, own_studies, read, shares, told

FOLDS, SEEDS, POOL = 5, 6, 200


def planted(gain_D, *, run_sd=0.6, patient_sd=1.0, rest_sd=1.5, pool=POOL, seed=0, folds=FOLDS):
    """DSC (F, S, n, D) of networks whose edits gain so much, each patient a little more or less."""
    rng = np.random.default_rng(seed)
    base = 90 + rng.normal(0, 3, (1, 1, pool)) + rng.normal(0, run_sd, (folds, SEEDS, 1))
    base = base + rng.normal(0, rest_sd, (folds, SEEDS, pool))
    tilt = rng.normal(0, patient_sd, pool) / 3
    tilt -= tilt.mean()
    gain_D = np.asarray(gain_D)
    return base[..., None] + gain_D * (1 + tilt[:, None])


def studies(count, patients, seed=1, **more):
    rng = np.random.default_rng(seed)
    return draw(rng, count, patients=patients, scored=np.arange(POOL), seeds=SEEDS, **more)


@pytest.mark.parametrize("patients", [15, 60])
@pytest.mark.parametrize("gain", [0.0, 0.9, 1.3, 2.5, -2.0])
def test_many_at_once_are_read_as_compare_and_judge_read_one(patients, gain):
    drawn = studies(40, patients)
    edited, plain = drawn.values(planted([0.0, gain]), 1, fold_sd=0.3)
    found = told(edited - plain, drawn.fold_n)
    assert not found.moved.any()
    each = [judged(a, b, drawn.fold_n) for a, b in zip(edited, plain, strict=True)]
    assert found.better.tolist() == [c.word == "better" for c, _ in each]
    assert found.worse.tolist() == [c.word == "worse" for c, _ in each]
    assert found.supported.tolist() == [outcome == "supported" for _, outcome in each]


def test_a_study_that_one_patient_moves_is_read_by_the_suite_itself():
    drawn = studies(30, 15)
    edited, plain = drawn.values(planted([0.0, 3.0]), 1, fold_sd=0.0)
    edited[::2, 4] += 40.0
    alone = told(edited - plain, drawn.fold_n)
    assert alone.moved.tolist() == [True, False] * 15
    found = read(edited, plain, drawn.fold_n)
    each = [judged(a, b, drawn.fold_n) for a, b in zip(edited, plain, strict=True)]
    assert found.better.tolist() == [c.word == "better" for c, _ in each]
    assert found.supported.tolist() == [outcome == "supported" for _, outcome in each]
    assert not found.supported[::2].any() and found.supported[1::2].any()


def test_a_study_holds_two_triples_of_each_fold_that_share_no_network():
    drawn = studies(300, 20)
    both = np.concatenate([drawn.edited_bFS, drawn.plain_bFS], axis=-1)
    assert (np.sort(both, axis=-1) == np.arange(SEEDS)).all()
    assert np.bincount(drawn.fold_n).tolist() == [4] * FOLDS
    assert (np.sort(drawn.place_bF, axis=-1) == np.arange(FOLDS)).all()
    assert len(np.unique(drawn.patient_bn)) == POOL


def test_values_are_those_of_the_study_s_own_networks_and_patients():
    """Each value is its own address: fold, seed, patient and dose."""
    f, s, n, d = np.ogrid[:FOLDS, :SEEDS, :POOL, :2]
    address = (((f * 10 + s) * 1000 + n) * 10 + d).astype(float)
    drawn = studies(5, 15)
    edited, plain = drawn.values(address, 1, fold_sd=0.0)
    for b, i, k in np.ndindex(edited.shape):
        fold = drawn.fold_n[i]
        where = drawn.place_bF[b, fold] * 10
        patient = drawn.patient_bn[b, i]
        assert edited[b, i, k] == ((where + drawn.edited_bFS[b, fold, k]) * 1000 + patient) * 10 + 1
        assert plain[b, i, k] == ((where + drawn.plain_bFS[b, fold, k]) * 1000 + patient) * 10
    moved = drawn.values(address, 1, fold_sd=2.0)[0] - edited
    assert np.allclose(moved, 2.0 * drawn.luck_bF[:, drawn.fold_n][..., None])


@pytest.mark.parametrize("patients", [15, 60])
@pytest.mark.parametrize("fold_sd", [0.0, 0.5])
def test_where_there_is_no_gain_few_studies_claim_one_and_a_large_one_is_found(patients, fold_sd):
    found = shares(planted([0.0, 4.0], rest_sd=1.0), studies(800, patients), fold_sd=fold_sd)
    assert found["better"][0] <= 0.05 and found["worse"][0] <= 0.05
    assert found["supported"][0] <= 0.05
    assert found["better"][1] >= 0.97 and found["supported"][1] >= 0.97


def test_the_null_is_one_that_can_fail():
    """Six seeds that no draw has made alike: two triples of them that truly differ are called so
    far more often than in 5 % of studies."""
    dsc = planted([0.0], run_sd=0.1, rest_sd=0.3)
    dsc[:, 3:] += 3.0
    drawn = studies(200, 60)
    fixed = type(drawn)(**vars(drawn) | {
        "edited_bFS": np.broadcast_to([3, 4, 5], drawn.edited_bFS.shape),
        "plain_bFS": np.broadcast_to([0, 1, 2], drawn.plain_bFS.shape),
    })  # fmt: skip
    assert shares(dsc, fixed)["better"][0] > 0.9


def test_the_true_gain_is_the_planted_one_with_its_error():
    gain, error = true_gain(planted([0.0, 0.5, 2.0]))
    assert np.allclose(gain, [0.0, 0.5, 2.0]) and error[0] == 0
    errors = [true_gain(planted([0.0, 2.0], seed=k))[1][1] for k in range(20)]
    assert abs(np.mean(errors) - 2.0 / 3 / np.sqrt(POOL)) < 0.01


def test_own_patients_keep_their_folds():
    dsc = planted([0.0, 4.0], pool=60)
    fold_n = np.random.default_rng(3).permutation(np.arange(60) % FOLDS)
    for fold in range(FOLDS):
        dsc[fold, :, fold_n != fold] = np.nan
    drawn = own_studies(np.random.default_rng(0), 100, dsc)
    assert drawn.fold_n.tolist() == fold_n.tolist()
    edited, plain = drawn.values(dsc, 1, fold_sd=0.0)
    assert np.isfinite(edited).all() and np.isfinite(plain).all()
    found = shares(dsc, drawn)
    assert found["better"][0] <= 0.05 and found["better"][1] >= 0.97


def test_the_limit_is_where_the_curve_stays_over_the_share():
    gains = [0.0, 1.0, 2.0, 3.0]
    assert limit(gains, [0.0, 0.9, 0.6, 1.0], 0.8) == 2.5, "a dip counts"
    assert limit(gains, [0.0, 0.2, 0.4, 0.6], 0.8) == float("inf")


def test_the_luck_of_folds_is_the_root_mean_square_of_the_differences():
    rng = np.random.default_rng(0)
    rows = {name: planted([0.0], seed=k, pool=50)[..., 0] for k, name in enumerate("abc")}
    rows["c"] = rows["c"] + 5.0 * rng.standard_normal((FOLDS, 1, 1))
    found = luck_of(rows)
    assert set(found["pairs"]) == {"b - a", "c - a", "c - b"}
    sds = [each["fold_sd"] for each in found["pairs"].values()]
    assert found["sd"] == pytest.approx(sum(sd**2 / 3 for sd in sds) ** 0.5) and max(sds) > 1.5
    assert found["networks"] == 30 and found["patients"] == 50
    assert luck_of({}) is None


def test_all_figures_of_a_planted_row():
    """The limit lies where theory has it, and planning foretells it within a factor of 1.5."""
    gain_D = np.array(DOSES) * 6.0
    size = Size(studies=300, checked=2, resamples=5, studies_each=60, planned=20)
    dsc, own = planted(gain_D), planted(gain_D, pool=60)
    fold_n = np.arange(60) % FOLDS
    for fold in range(FOLDS):
        own[fold, :, fold_n != fold] = np.nan
    rows = {name: planted([0.0], seed=k)[..., 0] for k, name in enumerate("abc")}
    found = figures(dsc, own, luck_of(rows), size)
    assert np.allclose(found["gain"], gain_D) and np.allclose(found["own_gain"], gain_D, atol=0.1)
    for curve in found["curves"]:
        assert curve["null"][0] == curve["better"][0] <= 0.05
        better, low, high = curve["limits"]["better"]
        assert low <= high and curve["half"] < better < curve["limits"]["supported"][0] + 0.3
        assert 1 / 1.5 < better / max(curve["least"], 1.0) < 1.5
    limits = {(c["patients"], c["fold_sd"] > 0): c["limits"]["better"][0] for c in found["curves"]}
    assert limits[15, False] > limits[60, False]
