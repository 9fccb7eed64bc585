"""Draw the figures of the docs: `python docs/figures.py` writes `docs/phantom.png`."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmark.phantom.recipe import INFORMATIVE, SHAPELESS

COLOURS = ("#ff5050", "#40c0ff", "#ffd040")  # liver, left kidney, right kidney
HIDDEN = "#60ff60"
WINDOW = {"cmap": "gray", "vmin": -160, "vmax": 240}  # the soft-tissue window, in HU


def phantom(to: Path, patients: tuple[int, ...] = (0, 1, 2, 3)) -> None:
    """Write a picture of some patients, one a row, from chest to loin, in the soft-tissue window.

    The sixth slice shows the liver's border in the informative (red) and the shapeless mode
    (green), where they differ most; the seventh picture is a coronal slice.
    """
    columns = (0.86, 0.66, 0.52, 0.42, 0.34, 0.62)
    figure, axes = plt.subplots(len(patients), 7, figsize=(17.5, 2.1 * len(patients)))
    for row, index in zip(axes, patients, strict=True):
        patient, regular = INFORMATIVE.anatomy(index)
        volume = INFORMATIVE.imaged(patient, regular)
        random = SHAPELESS.volume(index).label == 1
        differs = ((volume.label == 1) ^ random).sum(axis=(1, 2))
        count, height = len(volume.image), patient.slice_mm / patient.pixel_mm
        for place, ax in enumerate(row[:6]):
            z = int(columns[place] * count) if place < 5 else int(differs.argmax())
            ax.imshow(volume.image[z], interpolation="bilinear", **WINDOW)
            ax.set_ylim(112, 16)  # the trunk
            ax.axis("off")
            if place in (3, 5):
                _outlines(ax, volume.label[z])
            if place == 5 and random[z].any():
                ax.contour(random[z], [0.5], colors=HIDDEN, linewidths=0.9)
        middle = int(np.argwhere(volume.label == 1)[:, 1].mean())
        row[6].imshow(volume.image[::-1, middle], aspect=height, interpolation="bilinear", **WINDOW)
        row[6].axis("off")
        row[0].set_title(f"patient {index}, {patient.phase}", fontsize=10, loc="left")
    axes[0, 3].set_title("labels", fontsize=10)
    axes[0, 5].set_title("the border in both modes", fontsize=10)
    axes[0, 6].set_title("coronal", fontsize=10)
    figure.subplots_adjust(0, 0, 1, 0.96, 0.01, 0.16)
    figure.savefig(to, dpi=60, facecolor="white")
    plt.close(figure)


def _outlines(ax: plt.Axes, label: np.ndarray) -> None:
    for value, colour in enumerate(COLOURS, start=1):
        if (label == value).any():
            ax.contour(label == value, [0.5], colors=colour, linewidths=0.9)


if __name__ == "__main__":
    phantom(Path(__file__).parent / "phantom.png")
