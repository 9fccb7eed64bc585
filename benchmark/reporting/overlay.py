"""A picture of a prediction: three slices through what was found, with its outlines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.volume import Image, Label

# Okabe and Ito's colours, told apart by colour-blind readers; their black would drown in a CT.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")
STYLES = ("-", "--", ":")  # for the organs after those
SOFT_TISSUE_HU = (-160, 240)
INCHES = 4.0  # height of the picture


@dataclass(frozen=True, kw_only=True)
class View:
    """One slice: values and labels as shown (row 0 at the top), and the letters at its sides."""

    title: str
    image: NDArray[Any]
    label: NDArray[Any]
    height_to_width: float  # of one pixel
    left: str
    right: str

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height, up to a common factor."""
        rows, columns = self.image.shape
        return columns, rows * self.height_to_width


def views(image_ZYX: Image, label_ZYX: Label, spacing_mm: tuple[float, float, float]) -> list[View]:
    """Return an axial, a coronal and a sagittal slice, each in the middle of all that is labelled
    (of the volume where nothing is): a rule, so that nobody picks a fine one."""
    z, y, x = _middle(label_ZYX)
    step_z, step_y, step_x = spacing_mm
    return [
        View(
            title=f"axial, slice {z}",
            image=image_ZYX[z],
            label=label_ZYX[z],
            height_to_width=step_y / step_x,
            left="R",
            right="L",
        ),
        View(
            title=f"coronal, row {y}",
            image=image_ZYX[::-1, y],
            label=label_ZYX[::-1, y],
            height_to_width=step_z / step_x,
            left="R",
            right="L",
        ),
        View(
            title=f"sagittal, column {x}",
            image=image_ZYX[::-1, :, x],
            label=label_ZYX[::-1, :, x],
            height_to_width=step_z / step_y,
            left="A",
            right="P",
        ),
    ]


def draw_overlay(
    to: Path,
    image_ZYX: Image,
    label_ZYX: Label,
    *,
    spacing_mm: tuple[float, float, float],
    volumes_ml: Mapping[str, float],
    title: str,
) -> None:
    """Write a PNG. `volumes_ml` are the organs in the order of their labels, for the legend.

    Raises OSError where `to` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = views(image_ZYX, label_ZYX, spacing_mm)
    widths = [INCHES * view.size_mm[0] / view.size_mm[1] for view in shown]
    legend = 0.25 * (1 + (len(volumes_ml) - 1) // 4)
    figure = Figure(figsize=(sum(widths), INCHES + 0.6 + legend), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(shown), width_ratios=widths)
    for ax, view in zip(axes, shown, strict=True):
        _draw(ax, view, len(volumes_ml))
    handles = [
        Line2D([], [], color=colour, linestyle=style, label=f"{organ} {ml:.1f} ml")
        for (organ, ml), (colour, style) in zip(
            volumes_ml.items(), map(_look, range(len(volumes_ml))), strict=True
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=9)
    # without a date or a version: the same prediction gives the same file
    figure.savefig(to, format="png", dpi=110, metadata={"Software": None})


def _middle(label_ZYX: Label) -> tuple[int, int, int]:
    """The middle between the first and the last labelled voxel of each axis."""
    found = []
    for axis, size in enumerate(label_ZYX.shape):
        others = tuple(other for other in range(3) if other != axis)
        held = np.flatnonzero(label_ZYX.any(axis=others))
        found.append((int(held[0]) + int(held[-1])) // 2 if len(held) else size // 2)
    return found[0], found[1], found[2]


def _draw(ax: Any, view: View, organs: int) -> None:
    low, high = SOFT_TISSUE_HU
    ax.imshow(view.image, cmap="gray", vmin=low, vmax=high, aspect=view.height_to_width)
    for number in range(1, organs + 1):
        mask = view.label == number
        if mask.any():
            colour, style = _look(number - 1)
            outline(ax, mask, colour=colour, style=style, width=1.2)
    show_all(ax, view.image)
    ax.set_axis_off()
    ax.set_title(view.title, fontsize=8)
    for place, letter in ((0.02, view.left), (0.98, view.right)):
        side = "left" if place < 0.5 else "right"
        middle = {"color": "white", "ha": side, "va": "center", "fontsize": 9}
        ax.text(place, 0.5, letter, transform=ax.transAxes, **middle)


def outline(ax: Any, mask: NDArray[Any], *, colour: str, style: str, width: float) -> None:
    """Draw the outline of a mask (rows, columns), closed at the edge of the picture too."""
    rows, columns = (np.arange(-1, size + 1) for size in mask.shape)
    rimmed = np.pad(mask.astype(float), 1)
    ax.contour(columns, rows, rimmed, [0.5], colors=[colour], linestyles=style, linewidths=width)


def show_all(ax: Any, image: NDArray[Any]) -> None:
    """Make the axes end where a picture (rows, columns) ends, its first row on top."""
    ax.set_xlim(-0.5, image.shape[1] - 0.5)
    ax.set_ylim(image.shape[0] - 0.5, -0.5)


def _look(number: int) -> tuple[str, str]:
    """The colour and the line of an organ."""
    return COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
