"""What a person should know of a stored case: measures, HU, organs, checks; and a page with the
middle slices of every case and its organs' outlines, for the eye.

A mirrored, turned or shifted label is seen at once in three pictures a case: the slice with most
liver, the one with most kidney, and a cut from the front.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmark.data.judging.anatomy import verify
from benchmark.data.judging.checks import check_volume
from benchmark.data.judging.measures import organs_in
from benchmark.data.library import DataSet
from benchmark.data.volume import Volume
from benchmark.files.atomic import commit_file
from benchmark.plan.wording import counted


def audited(dataset: DataSet, volume: Volume) -> dict[str, Any]:
    """Return what `bench data audit --json` says of a case that was loaded.

    `shape`, `spacing_mm` and `box` belong to the canonical axes (z, y, x), `orientation` to the
    array on disk. An annotated organ without a voxel has 0 ml and a median HU of null. The checks
    are those made on adding, with those of the volume made again.
    """
    record = dataset.record(volume.case)
    checks = {check["name"]: check for check in record["checks"]}
    again = list(check_volume(volume, dataset.organs))
    if "reader" in dataset.origin:
        again += verify(volume, dataset.organs)[0]
    known = (*dataset.organs, *dataset.origin.get("not_annotated", ()))
    unknown = 0 if volume.unknown is None else int(np.count_nonzero(volume.unknown))
    return {
        "case": volume.case,
        **({"unknown_voxels": unknown} if unknown else {}),
        "shape": list(volume.image.shape),
        "spacing_mm": list(volume.geometry.spacing_mm),
        "orientation": volume.geometry.orientation,
        "hu": [float(np.percentile(volume.image[:, ::4, ::4], q)) for q in (0, 5, 50, 95, 100)],
        "box": volume.box,
        "organs": _organs(volume, dataset.organs),
        "not_annotated": [organ for organ in known if organ not in volume.annotated],
        "checks": list((checks | {check.name: check.to_dict() for check in again}).values()),
        "forced": record["forced"],
        "warnings": _warnings(dataset, volume.case),
    }


def _organs(volume: Volume, organs: Sequence[str]) -> dict[str, dict[str, float | None]]:
    empty: dict[str, float | None] = {"ml": 0.0, "hu_median": None, "hu_mean": None}
    result = {organ: dict(empty) for organ in organs if organ in volume.annotated}
    for organ in organs_in(volume, tuple(organs)):
        if organ.name in result:
            result[organ.name] = {
                "ml": round(organ.ml, 3),
                "hu_median": float(np.median(organ.hu)),
                "hu_mean": round(float(organ.hu.mean(dtype=np.float64)), 2),
            }
    return result


def _warnings(dataset: DataSet, case: str) -> list[str]:
    start = f"case {case}: "
    said = dataset.origin.get("warnings", ())
    return [line.removeprefix(start) for line in said if line.startswith(start)]


WINDOW_HU = (-160, 240)
PICTURE_PIXELS = 240
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#bcf60c")

STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; background: #fff; color: #111 }
section { border-top: 1px solid #ccc; padding: .6em 0; break-inside: avoid }
h2 { font-size: 1em; margin: .2em 0 } img { margin-right: 6px; background: #000 }
table { border-collapse: collapse } td, th { padding: 1px 10px 1px 0; text-align: left }
.bad { color: #b00020; font-weight: 600 } .key span { margin-right: 1em }
"""


class Page:
    """One self-contained HTML page; `add` takes the cases one at a time."""

    def __init__(self, dataset: DataSet) -> None:
        self._dataset = dataset
        self._parts: list[str] = []

    def add(self, volume: Volume, row: Mapping[str, Any]) -> None:
        """Add a case: its pictures and what `benchmark.data.audit` found."""
        pictures = "".join(
            f'<img alt="{html.escape(title)}" title="{html.escape(title)}" src="{_png(picture)}">'
            for title, picture in contact_sheet(volume, self._dataset.organs)
        )
        self._parts.append(
            f"<section><h2>{html.escape(volume.case)}</h2>{pictures}{_table(row)}</section>"
        )

    def write(self, path: Path) -> None:
        """Write the page; it appears whole or not at all."""
        organs = "".join(
            f'<span style="color:{_colour(n)}">&#9632; {html.escape(organ)}</span>'
            for n, organ in enumerate(self._dataset.organs)
        )
        name = html.escape(self._dataset.name)
        text = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
            f"<style>{STYLE}</style><h1>{name}: {counted(len(self._parts), 'case')}"
            "</h1>"
            f'<p class="key">{organs}</p><p>The patient\'s right is on the left of a picture. '
            f"HU {WINDOW_HU[0]}..{WINDOW_HU[1]}.</p>{''.join(self._parts)}</html>\n"
        )
        with commit_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def contact_sheet(volume: Volume, organs: Sequence[str]) -> list[tuple[str, NDArray[np.uint8]]]:
    """Return titles and RGB pictures (rows, columns, 3): two slices from below, one from the front.

    The slices are those with the most liver and the most of the other organs, the cut goes
    through the middle of all labels.
    """
    z_mm, y_mm, x_mm = volume.geometry.spacing_mm
    first = volume.label == 1
    chosen = dict.fromkeys([_fullest(first), _fullest((volume.label > 0) & ~first)])
    sheet = [
        (f"slice {z}", _picture(volume.image[z], volume.label[z], (y_mm, x_mm))) for z in chosen
    ]
    held = np.flatnonzero(volume.label.any(axis=(0, 2)))
    y = int(held[len(held) // 2]) if len(held) else volume.label.shape[1] // 2
    front = _picture(volume.image[::-1, y], volume.label[::-1, y], (z_mm, x_mm))
    return [*sheet, (f"front, row {y}", front)]


def _fullest(mask_ZYX: NDArray[np.bool_]) -> int:
    areas = mask_ZYX.sum(axis=(1, 2))
    return int(np.argmax(areas)) if areas.any() else len(areas) // 2


def _picture(
    hu: NDArray[np.int16], label: NDArray[np.uint8], spacing_mm: tuple[float, float]
) -> NDArray[np.uint8]:
    """Grey HU with outlines, in the body's proportions."""
    low, high = WINDOW_HU
    grey = ((np.clip(hu, low, high).astype(np.float32) - low) / (high - low) * 255).astype(np.uint8)
    extent_mm = [size * mm for size, mm in zip(hu.shape, spacing_mm, strict=True)]
    rows, columns = (max(1, round(PICTURE_PIXELS * mm / max(extent_mm))) for mm in extent_mm)
    enlarged = Pillow.fromarray(grey).resize((columns, rows), Pillow.Resampling.BILINEAR)
    colours = np.repeat(np.asarray(enlarged)[..., None], 3, axis=2)
    drawn = np.asarray(Pillow.fromarray(label).resize((columns, rows), Pillow.Resampling.NEAREST))
    edge = np.zeros(drawn.shape, dtype=bool)
    for axis in (0, 1):
        differs = np.diff(drawn, axis=axis) != 0
        ahead = ((0, 1), (0, 0)) if axis == 0 else ((0, 0), (0, 1))
        behind = ((1, 0), (0, 0)) if axis == 0 else ((0, 0), (1, 0))
        edge |= np.pad(differs, ahead) | np.pad(differs, behind)
    for number in np.unique(drawn[drawn > 0]):
        rgb = [int(_colour(int(number) - 1)[k : k + 2], 16) for k in (1, 3, 5)]
        colours[edge & (drawn == number)] = rgb
    return colours


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _png(picture: NDArray[np.uint8]) -> str:
    stream = BytesIO()
    Pillow.fromarray(picture).save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _table(row: Mapping[str, Any]) -> str:
    shape = " x ".join(str(n) for n in row["shape"])
    spacing = " x ".join(f"{mm:.4g}" for mm in row["spacing_mm"])
    hu = " / ".join(f"{value:.0f}" for value in row["hu"])
    lines = [f"{shape} voxels of {spacing} mm (z, y, x), {row['orientation']} on disk, HU {hu}"]
    lines += [_organ(name, found) for name, found in row["organs"].items()]
    lines += [f"{html.escape(name)}: not annotated" for name in row["not_annotated"]]
    for check in row["checks"]:
        if not check["ok"]:
            forced = ", forced by a person" if check["name"] in row["forced"] else ""
            found = f"{check['name']} = {check['value']}, not {check['limit']}{forced}"
            lines.append(f'<span class="bad">{html.escape(found)}</span>')
    passed = sum(check["ok"] for check in row["checks"])
    lines += [html.escape(line) for line in row["warnings"]]
    lines.append(f"{passed} of {len(row['checks'])} checks passed")
    return "<table>" + "".join(f"<tr><td>{line}</td></tr>" for line in lines) + "</table>"


def _organ(name: str, found: Mapping[str, float | None]) -> str:
    if found["hu_median"] is None:
        return f"{html.escape(name)}: looked for, not there"
    return f"{html.escape(name)}: {found['ml']:.1f} ml, median {found['hu_median']:.0f} HU"
