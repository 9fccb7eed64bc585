"""Do the organs lie where a patient has them? What a mirrored, turned or exchanged label fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmark.data.judging.checks import Check
from benchmark.data.judging.measures import Organ, midline
from benchmark.data.volume import Volume

KIDNEYS = ("left_kidney", "right_kidney", "kidneys")
ABOVE_MM, ABOVE_CUT_MM = 10.0, 40.0  # a liver cut by the scan's end has its middle elsewhere

BEHIND_MM, BEHIND_CUT_MM = 10.0, 30.0  # kidneys lie along the spine, 19 to 88 mm behind the liver


def place(volume: Volume, organs: Sequence[Organ]) -> tuple[tuple[Check, ...], tuple[str, ...]]:
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
        message = (
            f"the liver's middle lies {-above_mm:.0f} mm below that of {kidney.name}; flipped?"
        )
        yield Check(
            name=f"above_{kidney.name}",
            ok=above_mm >= -allowed_mm,
            value=round(above_mm, 3),
            limit=f">= {-allowed_mm:g} mm",
            message=message,
        )


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
