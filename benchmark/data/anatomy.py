"""Does a label belong to this image of this patient? Checks that a mirrored, turned, shifted or
exchanged label fails, made on every case that a reader reads.

Each limit passes what medicine knows and fails what data sets get wrong; `docs/data.md` has the
table of faults and of what catches them. All are matters of judgement, so a person may override
them (`--force CASE`), which is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from benchmark.data.checks import Check, Windows, label_windows
from benchmark.data.volume import Volume

Range = tuple[float, float]
VOLUME_ML: Mapping[str, Range] = MappingProxyType(
    {
        "liver": (400, 5000),
        "left_kidney": (30, 800),
        "right_kidney": (30, 800),
        "kidneys": (60, 1600),
        "spleen": (15, 3000),
        "pancreas": (8, 400),
        "gallbladder": (0.5, 600),
        "stomach": (10, 4000),
        "esophagus": (1, 200),
        "duodenum": (5, 500),
        "aorta": (10, 1000),
    }
)
"""From small adults and resections to the largest that surgery reports."""

HOLLOW = ("stomach", "esophagus", "duodenum", "bowel", "colon", "lung", "trachea", "rectum")
AIR_HU, MAX_AIR = -300, 0.01
FAT_HU = -30
MAX_FAT: Mapping[str, float] = MappingProxyType(
    {"liver": 0.04, "spleen": 0.04, "left_kidney": 0.12, "right_kidney": 0.12, "kidneys": 0.12}
)
AIR_PEAK_HU = (-1060, -940)  # air is -1000 by definition, clipped at -1024 by many scanners
AIR_SEARCHED_HU = (-1900, -500)
FAT_PEAK_HU, FAT_SEARCHED_HU = (-140, -70), (-250, 10)
BODY_HU = -300
ABOVE_MM, ABOVE_CUT_MM = 10.0, 40.0  # a liver cut by the scan's end has its middle elsewhere


@dataclass(frozen=True, kw_only=True)
class Organ:
    """What is measured of one organ; `middle` is its centre in voxels (z, y, x)."""

    name: str
    hu: NDArray[np.int16]
    ml: float
    middle: tuple[float, float, float]
    z_range: tuple[int, int]
    cut: bool  # it reaches a face of the volume (or of its crop box)
    cut_z: bool


def verify(
    volume: Volume, organs: tuple[str, ...], windows: Windows | None = None
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Return the checks of a volume's anatomy, and warnings (a kidney in an odd place)."""
    found = {organ.name: organ for organ in measure(volume, organs, windows)}
    checks = [_repeated(volume.image)]
    checks += [] if (air := _air_peak(volume.image)) is None else [air]
    for organ in found.values():
        checks += _contents(organ)
    if "liver" in found:
        checks.append(_liver_side(volume, found["liver"]))
        checks += _above(volume, found)
    sides, warnings = _kidney_sides(volume, found)
    return (*checks, *sides), warnings


def measure(
    volume: Volume, organs: tuple[str, ...], windows: Windows | None = None
) -> Iterator[Organ]:
    """Yield what is measured of each organ that has a voxel, in the order of `organs`."""
    ml = float(np.prod(volume.geometry.spacing_mm)) / 1000
    ends = volume.box or tuple((0, size) for size in volume.label.shape)
    windows = windows or label_windows(volume.label, len(organs))
    for number, (name, window) in enumerate(zip(organs, windows, strict=True), start=1):
        if window is None:
            continue
        mask = volume.label[window] == number
        faces = [
            w.start <= first or w.stop >= behind
            for w, (first, behind) in zip(window, ends, strict=True)
        ]
        z, y, x = (
            float(np.average(np.arange(w.start, w.stop), weights=mask.sum(axis=others)))
            for w, others in zip(window, ((1, 2), (0, 2), (0, 1)), strict=True)
        )
        hu = volume.image[window][mask]
        yield Organ(
            name=name,
            hu=hu,
            ml=hu.size * ml,
            middle=(z, y, x),
            z_range=(window[0].start, window[0].stop - 1),
            cut=any(faces),
            cut_z=faces[0],
        )


def _contents(organ: Organ) -> Iterator[Check]:
    """Air and fat under the label, and the organ's volume."""
    if not any(word in organ.name for word in HOLLOW):
        yield _share(organ, "air", AIR_HU, MAX_AIR)
    if organ.name in MAX_FAT:
        yield _share(organ, "fat", FAT_HU, MAX_FAT[organ.name])
    if organ.name in VOLUME_ML:
        low, high = VOLUME_ML[organ.name]
        ok = organ.ml <= high and (organ.cut or organ.ml >= low)
        limit = f"{low:g}..{high:g} ml"
        yield Check(
            name=f"volume_{organ.name}",
            ok=ok,
            value=round(organ.ml, 3),
            limit=limit,
            message=f"{organ.name} measures {organ.ml:.3g} ml; it should be {limit}",
        )


def _share(organ: Organ, what: str, below_hu: int, most: float) -> Check:
    share = float(np.count_nonzero(organ.hu < below_hu)) / organ.hu.size
    message = (
        f"{100 * share:.3g} % of {organ.name} is {what} (under {below_hu} HU); at most"
        f" {100 * most:g} % can be: the label lies elsewhere"
    )
    return Check(
        name=f"{what}_{organ.name}",
        ok=share <= most,
        value=round(share, 6),
        limit=f"<= {most:g}",
        message=message,
    )


def _air_peak(image_ZYX: NDArray[np.int16]) -> Check | None:
    """Where the air around the patient lies; None where the scan shows none.

    A scan cut to the body may show only lungs, which are brighter than air. They are told from
    air at a wrong place by the fat, which would then be wrong, too.
    """
    low, high = AIR_SEARCHED_HU
    sample = image_ZYX[:, ::4, ::4]
    dark = sample[(sample > low) & (sample < high)]
    counts, edges = np.histogram(dark, bins=np.arange(low, high + 1, 20))
    peak = int(np.argmax(counts))
    if dark.size < 0.01 * sample.size:
        return None
    hu = float(np.median(dark[np.abs(dark - edges[peak] - 10) <= 70]))
    ok = AIR_PEAK_HU[0] <= hu <= AIR_PEAK_HU[1]
    if not ok and FAT_PEAK_HU[0] <= _fat_peak(sample) <= FAT_PEAK_HU[1]:
        return None
    limit = f"{AIR_PEAK_HU[0]}..{AIR_PEAK_HU[1]} HU"
    message = f"air lies at {hu:.0f} HU, not at -1000: a wrong rescale intercept"
    return Check(name="hu_air", ok=ok, value=hu, limit=limit, message=message)


def _fat_peak(image: NDArray[np.int16]) -> float:
    """The most frequent value from fat to water; muscle and organs lie above."""
    low, high = FAT_SEARCHED_HU
    counts, edges = np.histogram(image, bins=np.arange(low, high + 1, 10))
    smooth = np.convolve(counts, np.ones(3), mode="same")
    return float(edges[int(np.argmax(smooth))] + 5)


def _repeated(image_ZYX: NDArray[np.int16]) -> Check:
    """Neighbouring slices with the same pixels: one was duplicated. Constant ones do not count."""
    coarse = image_ZYX[:, ::8, ::8]
    alike = np.flatnonzero((coarse[1:] == coarse[:-1]).all(axis=(1, 2)))
    same = [
        int(z)
        for z in alike
        if np.array_equal(image_ZYX[z], image_ZYX[z + 1]) and np.ptp(image_ZYX[z]) > 0
    ]
    where = f"; the first are {same[0]} and {same[0] + 1}" if same else ""
    message = f"{len(same)} slices are the same as their neighbour{where}"
    return Check(name="repeated", ok=not same, value=len(same), limit="0", message=message)


def midline(volume: Volume, z_range: tuple[int, int]) -> float:
    """Return the middle of the body in X over some slices (first and last), in voxels."""
    body = volume.image[z_range[0] : z_range[1] + 1, ::4, :] > BODY_HU
    weights = body.sum(axis=(0, 1))
    if not weights.any():
        return float(body.shape[2] - 1) / 2
    return float(np.average(np.arange(body.shape[2]), weights=weights))


def _liver_side(volume: Volume, liver: Organ) -> Check:
    x_mm = volume.geometry.spacing_mm[2]
    right_mm = (midline(volume, liver.z_range) - liver.middle[2]) * x_mm
    message = f"the liver lies {-right_mm:.0f} mm to the left of the body's middle; mirrored?"
    return Check(
        name="side_liver",
        ok=right_mm > 0,
        value=round(right_mm, 3),
        limit="> 0 mm",
        message=message,
    )


def _above(volume: Volume, found: Mapping[str, Organ]) -> Iterator[Check]:
    liver, z_mm = found["liver"], volume.geometry.spacing_mm[0]
    allowed_mm = ABOVE_CUT_MM if liver.cut_z else ABOVE_MM
    for kidney in ("left_kidney", "right_kidney", "kidneys"):
        if kidney not in found:
            continue
        above_mm = (liver.middle[0] - found[kidney].middle[0]) * z_mm
        yield Check(
            name=f"above_{kidney}",
            ok=above_mm >= -allowed_mm,
            value=round(above_mm, 3),
            limit=f">= {-allowed_mm:g} mm",
            message=f"the liver's middle lies {-above_mm:.0f} mm below that of {kidney}; flipped?",
        )


def _kidney_sides(
    volume: Volume, found: Mapping[str, Organ]
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Both kidneys on the other side, or one at its usual height, is an exchange of names.

    One that lies beside the other (crossed) or below the liver (pelvic, transplanted) is a
    patient's own way, and only said.
    """
    kidneys = [found[name] for name in ("left_kidney", "right_kidney") if name in found]
    wrong_mm = {}
    for kidney in kidneys:
        left = (kidney.middle[2] - midline(volume, kidney.z_range)) * volume.geometry.spacing_mm[2]
        wrong_mm[kidney.name] = -left if kidney.name == "left_kidney" else left
    wrong = [kidney for kidney in kidneys if wrong_mm[kidney.name] > 0]
    floor = found["liver"].z_range[0] if "liver" in found else -1
    odd = len(wrong) == 1 and (len(kidneys) == 2 or wrong[0].middle[0] < floor)
    checks, warnings = [], []
    for kidney in kidneys:
        figure = round(wrong_mm[kidney.name], 3)
        side = kidney.name.split("_")[0]
        message = f"the {side} kidney lies {figure:.0f} mm on the other side of the body's middle"
        ok = kidney not in wrong or odd
        if kidney in wrong and odd:
            warnings.append(f"{message}: ectopic or transplanted?")
        checks.append(
            Check(name=f"side_{kidney.name}", ok=ok, value=figure, limit="<= 0 mm", message=message)
        )
    return tuple(checks), tuple(warnings)
