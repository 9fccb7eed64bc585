"""Does a label belong to this image of this patient? Checks that a mirrored, turned, shifted or
exchanged label fails, made on every case that a reader reads.

Each limit passes what medicine knows and fails what data sets get wrong; `docs/data.md` has the
table of faults and of what catches them. All are matters of judgement, so a person may override
them (`--force CASE`), which is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from benchmark.data.judging.checks import SOFT_ORGANS, Check, bounded
from benchmark.data.judging.measures import AIR_PEAK_HU, Organ, Windows, air_hu, midline, organs_in
from benchmark.data.volume import Volume
from benchmark.plan.organs import meant, meant_twice

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

HOLLOW = re.compile(
    "stomach|esophagus|duodenum|bowel|colon|lung|trachea|rectum|intestine|jejunum|ileum|cecum|"
    "caecum|sigmoid|appendix|airway|bronch"
)
AIR_HU, MAX_AIR = -300, 0.01
FAT_HU = -30
FAT_UNDER_LIVER_HU, LEAST_FAT_HU = 70, -90  # noise within a fatty liver is no fat beside it
MAX_FAT: Mapping[str, float] = MappingProxyType(
    {"liver": 0.04, "spleen": 0.04, "left_kidney": 0.12, "right_kidney": 0.12, "kidneys": 0.12}
)


def verify(
    volume: Volume, organs: tuple[str, ...], windows: Windows | None = None
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Return the checks of a volume's anatomy, and warnings (a kidney in an odd place)."""
    found = list(organs_in(volume, organs, windows))
    checks = [_repeated(volume.image)]
    checks += [] if (air := _air_peak(volume.image)) is None else [air]
    for organ in found:
        checks += _contents(organ)
    places, warnings = where_organs_lie(volume, found)
    return (*checks, *places), warnings


def unchecked(organs: Sequence[str]) -> tuple[str, ...]:
    """Return lines about organs that are not checked as others are; none where all are."""
    bare = [
        name
        for name in organs
        if meant(name) not in VOLUME_ML and not any(soft in meant(name) for soft in SOFT_ORGANS)
    ]
    lines = [f"{' and '.join(names)} name one organ" for names in meant_twice(organs)]
    if bare:
        what = "a label of it that lies elsewhere is not seen"
        lines.append(f"no check of place, size and HU knows {', '.join(bare)}: {what}")
    return tuple(lines)


def _contents(organ: Organ) -> Iterator[Check]:
    """Air and fat under the label, and the organ's volume."""
    if not HOLLOW.search(organ.meant):
        yield _share(organ, "air", AIR_HU, MAX_AIR)
    if organ.meant in MAX_FAT:
        yield _share(organ, "fat", fat_below_hu(organ), MAX_FAT[organ.meant])
    if organ.meant in VOLUME_ML:
        low, high = VOLUME_ML[organ.meant]
        ok = organ.ml <= high and (organ.cut or organ.ml >= low)
        limit = f"{low:g}..{high:g} ml"
        yield Check(
            name=f"volume_{organ.name}",
            ok=ok,
            value=round(organ.ml, 3),
            limit=limit,
            message=f"{organ.name} measures {organ.ml:.3g} ml; it should be {limit}",
        )


def fat_below_hu(organ: Organ) -> int:
    """Return under which HU a voxel of an organ is fat beside it: in a fatty liver, lower."""
    if organ.meant != "liver":
        return FAT_HU
    return int(max(min(FAT_HU, np.median(organ.hu) - FAT_UNDER_LIVER_HU), LEAST_FAT_HU))


def _share(organ: Organ, what: str, below_hu: int, most: float) -> Check:
    share = float(np.count_nonzero(organ.hu < below_hu)) / organ.hu.size
    message = (
        f"{100 * share:.3g} % of {organ.name} is {what} (under {below_hu} HU), over {100 * most:g}"
        " %: is the label shifted, of another patient, or drawn wide in thick slices? Look at it"
    )
    return bounded(f"{what}_{organ.name}", share, message, most=most)


def _air_peak(image_ZYX: NDArray[np.int16]) -> Check | None:
    """Whether the air around the patient lies at -1000 HU; None where the scan shows none."""
    hu = air_hu(image_ZYX)
    if hu is None:
        return None
    low, high = AIR_PEAK_HU
    message = f"air lies at {hu:.0f} HU, not at -1000: a wrong rescale intercept"
    return bounded("hu_air", hu, message, least=low, most=high, unit=" HU")


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


KIDNEYS = ("left_kidney", "right_kidney", "kidneys")
ABOVE_MM, ABOVE_CUT_MM = 10.0, 40.0  # a liver cut by the scan's end has its middle elsewhere

BEHIND_MM, BEHIND_CUT_MM = 10.0, 30.0  # kidneys lie along the spine, 19 to 88 mm behind the liver


def where_organs_lie(
    volume: Volume, organs: Sequence[Organ]
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Return the checks of where organs lie, and warnings (a kidney in an odd place)."""
    found = dict[str, Organ]()
    for organ in organs:
        found.setdefault(organ.meant, organ)
    checks = list[Check]()
    if "liver" in found:
        checks.append(_liver_side(volume, found["liver"]))
        checks += _above(volume, found)
        checks += _behind(volume, found)
    sides, warnings = _kidney_sides(volume, found)
    return (*checks, *sides), warnings


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
    for kidney in (found[name] for name in KIDNEYS if name in found):
        above_mm = (liver.middle[0] - kidney.middle[0]) * z_mm
        where = f"{-above_mm:.0f} mm below that of {kidney.name}"
        message = f"the liver's middle lies {where}; flipped?"
        name = f"above_{kidney.name}"
        yield bounded(name, above_mm, message, least=-allowed_mm, unit=" mm", digits=3)


def _behind(volume: Volume, found: Mapping[str, Organ]) -> Iterator[Check]:
    """All kidneys in front of the liver: the patient (or the label) is mirrored front to back.

    One of two in front, or one below the liver, is ectopic or transplanted, and no error.
    """
    liver, y_mm = found["liver"], volume.geometry.spacing_mm[1]
    allowed_mm = BEHIND_CUT_MM if liver.cut_z else BEHIND_MM
    kidneys = [found[name] for name in KIDNEYS if name in found]
    behind_mm = [(kidney.middle[1] - liver.middle[1]) * y_mm for kidney in kidneys]
    front = [mm < -allowed_mm for mm in behind_mm]
    for kidney, mm in zip(kidneys, behind_mm, strict=True):
        low = kidney.middle[0] < liver.z_range[0]
        where = f"{-mm:.0f} mm in front of the liver's middle"
        yield Check(
            name=f"behind_{kidney.name}",
            ok=not all(front) or low,
            value=round(mm, 3),
            limit=f">= {-allowed_mm:g} mm",
            message=f"{kidney.name} lies {where}; mirrored front to back?",
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
        wrong_mm[kidney.name] = -left if kidney.meant == "left_kidney" else left
    wrong = [kidney for kidney in kidneys if wrong_mm[kidney.name] > 0]
    floor = found["liver"].z_range[0] if "liver" in found else -1
    odd = len(wrong) == 1 and (len(kidneys) == 2 or wrong[0].middle[0] < floor)
    checks, warnings = [], []
    for kidney in kidneys:
        figure = round(wrong_mm[kidney.name], 3)
        side = kidney.meant.split("_")[0]
        message = f"the {side} kidney lies {figure:.0f} mm on the other side of the body's middle"
        ok = kidney not in wrong or odd
        if kidney in wrong and odd:
            warnings.append(f"{message}: ectopic or transplanted?")
        checks.append(
            Check(name=f"side_{kidney.name}", ok=ok, value=figure, limit="<= 0 mm", message=message)
        )
    return tuple(checks), tuple(warnings)
