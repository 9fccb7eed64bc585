"""The embedded phantom: frozen, plausible, and hard in the two ways that the paper names."""

from __future__ import annotations

from functools import cache

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.phantom import patient as phantom_patient
from benchmark.phantom.anatomy import Anatomy
from benchmark.phantom.imaging import halve, scan, scan_noise
from benchmark.phantom.patient import PhantomPatient, draw_patient
from benchmark.phantom.recipe import INFORMATIVE, SHAPELESS, Phantom, label_of
from benchmark.phantom.trunk import Tissue

PHASES = 5  # patients 0..4 have every contrast phase


@cache
def made(recipe: Phantom, index: int) -> tuple[PhantomPatient, Anatomy, Volume]:
    patient, anatomy = recipe.anatomy(index)
    return patient, anatomy, recipe.imaged(patient, anatomy)


def volumes_ml(volume: Volume) -> list[float]:
    voxel = float(np.prod(volume.geometry.spacing_mm)) / 1000
    return [float((volume.label == value).sum()) * voxel for value in (1, 2, 3)]


def test_two_calls_give_the_same_volume_to_the_bit() -> None:
    again = INFORMATIVE.volume(0)
    first = made(INFORMATIVE, 0)[2]
    assert np.array_equal(again.image, first.image)
    assert np.array_equal(again.label, first.label)
    assert again.geometry == first.geometry


def test_a_bigger_phantom_holds_the_smaller_one() -> None:
    (small,) = Phantom(patients=1).volumes()
    first = next(Phantom(patients=7).volumes())
    assert small.case == first.case == "phantom_000"
    assert np.array_equal(small.image, first.image)
    assert np.array_equal(small.label, first.label)


def test_another_seed_is_another_patient() -> None:
    assert draw_patient(0, 0).liver != draw_patient(1, 0).liver
    assert draw_patient(0, 0).liver != draw_patient(0, 1).liver


def test_patients_differ_in_phase_spacing_and_noise() -> None:
    patients = [draw_patient(0, index) for index in range(15)]
    assert {patient.phase for patient in patients} == {"portal", "venous", "arterial", "unenhanced"}
    assert all(2.4 <= patient.pixel_mm <= 3.2 for patient in patients)
    assert all(4 <= patient.slice_mm <= 8 for patient in patients)
    assert len({patient.pixel_mm for patient in patients}) > 10
    assert len({patient.slice_mm for patient in patients}) > 10
    flat = np.zeros((4, 128, 128), np.float32)
    levels = [scan_noise(patient, flat).std() for patient in patients]
    assert max(levels) > 1.5 * min(levels) > 3


@pytest.mark.parametrize("index", range(PHASES))
def test_organs_have_the_volume_of_organs_and_lie_on_their_side(index: int) -> None:
    volume = made(INFORMATIVE, index)[2]
    liver, left, right = volumes_ml(volume)
    assert 1000 < liver < 2000
    assert 110 < left < 220
    assert 110 < right < 220
    middle = [np.argwhere(volume.label == value).mean(axis=0) for value in (1, 2, 3)]
    center = volume.image.shape[2] / 2
    assert middle[0][2] < center - 5  # the liver to the patient's right, so at smaller X
    assert middle[2][2] < center - 10 and middle[1][2] > center + 10
    assert middle[1][0] > middle[2][0]  # the left kidney is the higher one
    assert middle[0][0] > middle[2][0]
    for edge in (volume.label[0], volume.label[-1]):
        assert not edge.any()  # the scan holds the organs whole


@pytest.mark.parametrize("index", range(PHASES))
def test_the_image_reads_as_a_ct(index: int) -> None:
    patient, anatomy, volume = made(INFORMATIVE, index)
    image = volume.image
    assert image.dtype == np.int16 and volume.label.dtype == np.uint8
    assert abs(float(np.median(image[:, :3, :3])) + 1000) < 3
    whole = {
        tissue: halve((anatomy.codes == tissue).astype(np.float32)) > 0.99
        for tissue in (Tissue.FAT, Tissue.LUNG, Tissue.LIVER, Tissue.CORTEX)
    }
    level = {tissue: float(image[mask].mean()) for tissue, mask in whole.items()}
    assert -125 < level[Tissue.FAT] < -80
    assert -900 < level[Tissue.LUNG] < -700
    liver, kidney = level[Tissue.LIVER], level[Tissue.CORTEX]
    expected = {
        "unenhanced": (45 < liver < 80 and 15 < kidney < 55),
        "arterial": (55 < liver < 95 and kidney > liver + 40),
        "portal": (85 < liver < 130 and kidney > liver + 25),
        "venous": (80 < liver < 125 and kidney > liver + 25),
    }
    assert expected[patient.phase], (patient.phase, level)
    lung = (image[-1] < -700) & (anatomy.codes[-1, ::2, ::2] == Tissue.LUNG)
    assert lung.mean() > 0.1  # lungs in the top slice
    assert image.max() > 400  # bone
    assert (anatomy.codes == Tissue.GAS).sum() > 1000


def test_the_geometry_is_that_of_the_canonical_axes() -> None:
    volume = made(INFORMATIVE, 0)[2]
    geometry = volume.geometry
    affine = np.array(geometry.affine)
    assert "".join(nib.orientations.aff2axcodes(affine)) == geometry.orientation == "LPS"
    assert geometry.shape == volume.image.shape[::-1]
    assert np.allclose(np.linalg.norm(affine[:3, :3], axis=0), geometry.spacing_mm[::-1])
    assert volume.annotated == Phantom.organs and volume.source == ""
    assert len(volume.source_sha256) == 64


def border_step(recipe: Phantom, index: int) -> float:
    """The mean HU just inside the liver minus that of the neighbours that touch it."""
    _patient, anatomy, volume = made(recipe, index)
    touching = np.zeros(anatomy.codes.shape, np.float32)
    touching[anatomy.box.at] = anatomy.contact
    outside = halve(touching) > 0.99
    ours = halve((anatomy.label == 1).astype(np.float32)) > 0.99
    inside = ours & binary_dilation(outside, iterations=2)
    assert outside.sum() > 200 and inside.sum() > 200
    return float(volume.image[inside].mean() - volume.image[outside].mean())


@pytest.mark.parametrize("index", [0, 2])
def test_isointense_contact_has_no_step_in_hu(index: int) -> None:
    assert abs(border_step(Phantom(isointense=1), index)) < 5
    assert border_step(Phantom(isointense=0), index) > 12


def test_isointense_is_the_share_of_the_contact() -> None:
    for share in (0.0, 0.4, 1.0):
        anatomy = made(Phantom(isointense=share), 0)[1]
        measured = anatomy.isointense.sum() / anatomy.contact.sum()
        assert measured == pytest.approx(share, abs=0.02)


def test_hu_overlap_brings_spleen_and_bowel_nearer() -> None:
    patient, anatomy, _volume = made(INFORMATIVE, 2)
    distance = []
    for overlap in (0.0, 1.0):
        image = scan(patient, anatomy, overlap)
        level = {
            tissue: np.median(image[halve((anatomy.codes == tissue).astype(np.float32)) > 0.99])
            for tissue in (Tissue.LIVER, Tissue.SPLEEN, Tissue.MEDULLA)
        }
        distance.append(
            [
                abs(level[Tissue.SPLEEN] - level[Tissue.LIVER]),
                abs(level[Tissue.MEDULLA] - level[Tissue.LIVER]),
            ]
        )
    apart, together = distance
    assert apart[0] > 6 and apart[1] > 20
    assert together[0] < 4 and together[1] < 12


@pytest.mark.parametrize("index", [0, 2])
def test_both_modes_have_the_same_image_and_like_volumes(index: int) -> None:
    regular, random = made(INFORMATIVE, index)[2], made(SHAPELESS, index)[2]
    assert np.array_equal(regular.image, random.image)
    assert volumes_ml(random)[0] == pytest.approx(volumes_ml(regular)[0], rel=0.06)
    assert volumes_ml(random)[1:] == volumes_ml(regular)[1:]
    assert regular.source_sha256 != random.source_sha256


@pytest.mark.parametrize("index", [0, 2])
def test_only_the_shapeless_border_leaves_the_regular_liver(index: int) -> None:
    patient, regular, _ = made(INFORMATIVE, index)
    random = made(SHAPELESS, index)[1]
    voxel = float(np.prod([patient.slice_mm, patient.pixel_mm, patient.pixel_mm])) / 8000
    ours, moved = (a.label[a.box.at] == 1 for a in (regular, random))
    changed = ours != moved
    assert changed.sum() * voxel > 50  # ml
    # All of the change lies where the contact is hidden, and none elsewhere.
    assert (regular.alike[changed] > 0.5).all()
    assert np.abs(regular.smooth[changed]).max() <= 2 * phantom_patient.HIDDEN_SD + 0.1
    # Along the hidden contact the informative liver ends at the regular one, to the voxel.
    assert not (ours & regular.isointense).any()
    assert 0.15 < (moved & regular.isointense).sum() / regular.isointense.sum() < 0.85


def roughness(mask: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    """The share of `where` in which the liver differs from its own smoothed version."""
    smooth = gaussian_filter(mask.astype(np.float32), (1.5, 4, 4)) > 0.5
    return float(((mask != smooth) & where).sum() / where.sum())


def test_the_hidden_border_is_rough_only_without_shape() -> None:
    regular, random = made(INFORMATIVE, 0)[1], made(SHAPELESS, 0)[1]
    near = binary_dilation(regular.isointense, iterations=4)
    rough = [roughness(a.label[a.box.at] == 1, near) for a in (regular, random)]
    assert rough[1] > 1.3 * rough[0], rough


def test_a_voxel_is_an_organ_when_more_than_half_of_it_is() -> None:
    fine = np.zeros((2, 2, 4), np.uint8)
    fine[0, :, :2] = 1  # four of eight
    fine[0, :, 2:] = fine[1, 0, 2] = 2  # five of eight
    assert label_of(fine).tolist() == [[[0, 2]]]


def test_partial_volume_fills_the_step_between_liver_and_lung() -> None:
    """Along z nothing blurs, so values between liver and lung come from partial volume alone."""
    patient, anatomy, _volume = made(INFORMATIVE, 0)
    image = scan(patient, anatomy, 0.5)
    lung = halve((anatomy.codes == Tissue.LUNG).astype(np.float32))
    mixed = (lung[1:-1] > 0.3) & (lung[1:-1] < 0.7)
    mixed &= (lung[:-2] == 0) & (lung[2:] == 1)
    assert mixed.sum() > 20
    between = image[1:-1][mixed]
    assert np.mean((between > -750) & (between < -100)) > 0.9


def test_noise_is_coloured_as_filtered_back_projection_makes_it() -> None:
    patient = draw_patient(0, 0)
    field = scan_noise(patient, np.zeros((24, 128, 128), np.float32))
    power = (np.abs(np.fft.fft2(field)) ** 2).mean(axis=0)
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None])
    low, middle, high = (
        power[(f > a) & (f < b)].mean() for a, b in ((0.005, 0.03), (0.15, 0.25), (0.45, 0.5))
    )
    assert middle > 2 * low and middle > 4 * high
    near = np.corrcoef(field[:, :, :-1].ravel(), field[:, :, 1:].ravel())[0, 1]
    assert near > 0.15  # white noise has 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patients", 0),
        ("patients", 2.5),
        ("patients", True),
        ("patients", 5000),
        ("seed", -1),
        ("isointense", 1.01),
        ("isointense", float("nan")),
        ("isointense", "0.5"),
        ("hu_overlap", -0.1),
        ("shape_informative", 1),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=name):
        Phantom(**{name: value})  # type: ignore[arg-type]


def test_the_fingerprint_knows_every_value() -> None:
    recipes = [
        Phantom(),
        SHAPELESS,
        Phantom(patients=14),
        Phantom(seed=1),
        Phantom(isointense=0.5),
        Phantom(hu_overlap=0.4),
    ]
    assert len({recipe.fingerprint for recipe in recipes}) == len(recipes)
    assert Phantom(isointense=1).fingerprint == Phantom(isointense=1.0).fingerprint


def test_the_phantom_is_frozen() -> None:
    """Red when the phantom changes: then raise its VERSION and pin the new figures here."""
    assert INFORMATIVE.fingerprint == (
        "45bb36a20a210c3de3b0d688b3b8ebde0c8f002d2078b921ccdb633fc475bb18"
    )
    volume = made(INFORMATIVE, 0)[2]
    assert volume.image.shape == (35, 128, 128)
    assert volume.geometry.spacing_mm == (7.01, 2.748, 2.748)
    assert volumes_ml(volume) == pytest.approx([1651.3, 171.3, 158.2], abs=0.5)
    mean = [float(volume.image[volume.label == value].mean()) for value in range(4)]
    assert mean == pytest.approx([-538.9, 99.9, 138.7, 138.3], abs=0.5)
    assert volumes_ml(made(SHAPELESS, 0)[2])[0] == pytest.approx(1663.9, abs=0.5)
