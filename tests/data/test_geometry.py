from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from benchmark.data.volume import corner_displacement_voxels, from_canonical, shear, to_canonical

SHAPE = (4, 5, 6)
ORIENTATIONS = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def rotation(degrees: float) -> np.ndarray:
    """A rotation about an axis that is none of the patient's."""
    axis, angle = np.array([1.0, 2.0, 3.0]) / np.sqrt(14), np.radians(degrees)
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def affine_of(axes, signs, degrees: float, spacing=(0.7, 0.8, 2.5)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ (np.eye(3)[list(axes)].T * np.array(signs)) * spacing
    affine[:3, 3] = 11, -20, 300
    return affine


@pytest.mark.parametrize("degrees", [0.0, 20.0])
@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_canonical_and_back(axes, signs, degrees) -> None:
    array = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    affine = affine_of(axes, signs, degrees)
    canonical, geometry = to_canonical(array, affine)
    # nibabel is the reference for letters, and for the array by its own reorientation
    assert geometry.orientation == "".join(nib.aff2axcodes(affine))
    wanted = nib.orientations.axcodes2ornt(("S", "P", "L"))
    change = nib.orientations.ornt_transform(nib.io_orientation(affine), wanted)
    np.testing.assert_array_equal(canonical, nib.apply_orientation(array, change))
    assert canonical.flags.c_contiguous
    sizes = dict(zip(SHAPE, (0.7, 0.8, 2.5), strict=True))
    np.testing.assert_allclose(geometry.spacing_mm, [sizes[size] for size in canonical.shape])
    assert geometry.shape == SHAPE
    back = from_canonical(canonical, geometry)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


def test_axes_run_to_head_back_and_left() -> None:
    array = np.zeros((3, 3, 3), np.int16)
    array[2, 2, 1] = 7  # in LAS: left-most, front-most, middle
    array_ZYX, geometry = to_canonical(array, np.diag([-1.0, 1.0, 1.0, 1.0]))
    assert geometry.orientation == "LAS"
    assert array_ZYX[1, 0, 2] == 7  # middle height, front (Y runs to the back), left (X end)


@pytest.mark.parametrize(
    "broken", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 1, 0, 1])]
)
def test_broken_affine(broken) -> None:
    with pytest.raises(ValueError, match="affine"):
        to_canonical(np.zeros(SHAPE, np.int16), broken)


def test_singular_affine_and_wrong_shapes() -> None:
    twice = np.eye(4)
    twice[:3, 1] = twice[:3, 0]
    with pytest.raises(ValueError, match="singular"):
        to_canonical(np.zeros(SHAPE, np.int16), twice)
    with pytest.raises(ValueError, match="three axes"):
        to_canonical(np.zeros((2, 2), np.int16), np.eye(4))
    canonical, geometry = to_canonical(np.zeros(SHAPE, np.int16), np.eye(4))
    with pytest.raises(ValueError, match="shape"):
        from_canonical(canonical[1:], geometry)


def test_displacement_is_measured_at_the_far_corner() -> None:
    affine = affine_of((1, 2, 0), (1, -1, 1), 20.0)
    assert corner_displacement_voxels(affine, affine, SHAPE) < 1e-9
    moved = affine.copy()
    moved[:3, 3] += affine[:3, 2]  # one voxel along the third axis
    assert corner_displacement_voxels(affine, moved, SHAPE) == pytest.approx(1.0)
    stretched = affine.copy()
    stretched[:3, 2] *= 1.1  # nothing at the origin, (6 - 1) * 0.1 voxels at the end
    assert corner_displacement_voxels(affine, stretched, SHAPE) == pytest.approx(0.5)


def test_shear() -> None:
    assert shear(affine_of((2, 0, 1), (1, 1, -1), 33.0)) < 1e-12
    sheared = np.eye(4)
    sheared[0, 1] = 0.1
    assert shear(sheared) == pytest.approx(0.1, abs=1e-3)
