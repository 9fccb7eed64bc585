"""The picture of a prediction: which slices, which way up, and what its outlines are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from benchmark.reporting.overlay import COLOURS, draw_overlay, views
from benchmark.testing import ORGANS, tiny_volume

VOLUME = tiny_volume(0)
SPACING_MM = (2.0, 1.0, 1.0)
VOLUMES_ML = dict.fromkeys(ORGANS, 1.5)


def test_slices_are_in_the_middle_of_what_was_found() -> None:
    label = np.zeros((9, 20, 30), np.uint8)
    label[2:5, 4:9, 20:27] = 1
    label[6, 12, 20] = 2
    image = np.arange(label.size, dtype=np.int16).reshape(label.shape)
    axial, coronal, sagittal = views(image, label, (3.0, 1.0, 0.5))
    assert axial.title == "axial, slice 4" and coronal.title == "coronal, row 8"
    assert sagittal.title == "sagittal, column 23"
    np.testing.assert_array_equal(axial.image, image[4])
    np.testing.assert_array_equal(coronal.image[0], image[8, 8])  # the head is at the top
    np.testing.assert_array_equal(sagittal.image[:, 0], image[::-1, 0, 23])  # the front, left
    assert [v.height_to_width for v in (axial, coronal, sagittal)] == [2.0, 6.0, 3.0]
    assert [(v.left, v.right) for v in (axial, coronal, sagittal)] == [("R", "L")] * 2 + [
        ("A", "P")
    ]
    empty = views(image, np.zeros_like(label), (3.0, 1.0, 0.5))
    assert [v.title for v in empty] == ["axial, slice 4", "coronal, row 10", "sagittal, column 15"]


@pytest.mark.parametrize("found", [(1, 2, 3), (1,), ()])
def test_outlines_have_the_colours_of_the_organs_found(
    found: tuple[int, ...], tmp_path: Path
) -> None:
    label = np.where(np.isin(VOLUME.label, found), VOLUME.label, 0).astype(np.uint8)
    draw(tmp_path / "a.png", label)
    pixels = (imread(tmp_path / "a.png")[..., :3] * 255).round().astype(int)
    below = pixels[-30:]  # the legend, where every organ has its line
    for number, colour in enumerate(COLOURS[:3], start=1):
        rgb = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        drawn = (np.abs(pixels[:-40] - rgb).sum(axis=2) < 12).sum()
        assert (drawn > 20) == (number in found), (number, drawn)
        assert (np.abs(below - rgb).sum(axis=2) < 12).any()


def test_the_same_prediction_gives_the_same_file(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", VOLUME.label)
    draw(tmp_path / "b.png", VOLUME.label)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def draw(to: Path, label: np.ndarray) -> None:
    draw_overlay(
        to, VOLUME.image, label, spacing_mm=SPACING_MM, volumes_ml=VOLUMES_ML, title="a title"
    )
