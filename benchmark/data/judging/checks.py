"""Checks of one CT volume: each is a named result with the measured figure and its limit.

A check never changes anything. Whoever adds a data set collects the results of all cases, so
that a person sees every bad case at once, with the figure that made it bad.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.judging.measures import Windows, label_windows, scale_is_shown
from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.plan.organs import meant

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # of a set: a folder on every system
CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

LOW_HU, LOW_SHARE = -50, 0.001
TISSUE_HU, TISSUE_SHARE = (-200, 300), 0.01
HIGH_HU, HIGH_SHARE = 1500, 0.1
SOFT_ORGANS = ("liver", "kidney", "spleen", "pancreas")
SOFT_ORGAN_HU, LIVER_HU = (-50, 350), (40, 180)
FATTY_LIVER_HU, EVEN_HU = -30, 50  # steatosis takes livers down to about -20 HU
BESIDE = ("left_kidney", "right_kidney", "kidneys", "spleen")  # fat does not darken these
FORCIBLE = re.compile("(hu|air|fat|side|above|behind|volume|enclosed)_|repeated|crop_box|overlap")
LEAST_SLICES = 3
SPACING_MM = (0.05, 30.0)
LARGE = 2**23


@dataclass(frozen=True, kw_only=True)
class Check:
    """One result: `value` is what was measured, `limit` the rule, `message` the full sentence.

    Raises ValueError when the value is a non-finite number, which JSON cannot hold.
    """

    name: str
    ok: bool
    value: float | str
    limit: str
    message: str

    def __post_init__(self) -> None:
        if isinstance(self.value, float) and not np.isfinite(self.value):
            raise ValueError(f"check {self.name}: the value {self.value} is not finite")

    @property
    def forcible(self) -> bool:
        """Whether a person may override it: only what is judged plausible, never a mismatch."""
        return bool(FORCIBLE.match(self.name))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; the sentence only where the check failed."""
        values = asdict(self)
        return values if not self.ok else {k: values[k] for k in ("name", "ok", "value", "limit")}


def bounded(
    name: str,
    value: float,
    message: str,
    *,
    least: float | None = None,
    most: float | None = None,
    unit: str = "",
    digits: int = 6,
) -> Check:
    """Return whether a figure lies within [least, most], in words of its unit (" HU"); what is
    kept of it are so many digits behind the point."""
    if least is not None and most is not None:
        limit = f"{least:g}..{most:g}{unit}"
    else:
        limit = f"<= {most:g}{unit}" if least is None else f">= {least:g}{unit}"
    ok = (least is None or value >= least) and (most is None or value <= most)
    return Check(name=name, ok=ok, value=round(value, digits), limit=limit, message=message)


def check_volume(
    volume: Volume, organs: tuple[str, ...], windows: Windows | None = None
) -> tuple[Check, ...]:
    """Returns the results of all checks of a volume in memory; `organs` are its set's.

    `windows` are what `label_windows` gives, for whoever has them already.
    """
    shapes = check_shapes(volume.image.shape, volume.label.shape)
    if not shapes.ok:
        return (shapes,)
    return (
        shapes,
        check_thickness(volume.image.shape),
        check_spacing(volume.geometry.spacing_mm),
        _label_values(volume.label, organs),
        _label_not_empty(volume.label),
        *check_hu(volume, organs, windows),
    )


def check_finite(image: NDArray[Any]) -> Check:
    """Returns whether no intensity is NaN or infinite; the value counts those that are."""
    bad = 0 if image.dtype.kind in "iu" else int(image.size - np.count_nonzero(np.isfinite(image)))
    message = f"{bad} of {image.size} intensities are NaN or infinite"
    return Check(name="finite", ok=bad == 0, value=bad, limit="0", message=message)


def check_storable(image: NDArray[Any]) -> Check:
    """Returns whether finite intensities fit into 16 bits, as every HU does."""
    low, high = (float(image.min()), float(image.max())) if image.size else (0.0, 0.0)
    worst = low if -low > high else high
    message = f"intensities run from {low:.6g} to {high:.6g}, which cannot be HU"
    ok = low >= -32768 and high <= 32767
    return Check(name="int16", ok=ok, value=worst, limit="-32768..32767", message=message)


def check_values(image: NDArray[Any]) -> tuple[Check, ...]:
    """Returns whether the intensities are numbers, and where they are, whether they can be HU."""
    finite = check_finite(image)
    return (finite, check_storable(image)) if finite.ok else (finite,)


def check_shapes(image: tuple[int, ...], label: tuple[int, ...]) -> Check:
    """Returns whether image and label have the same shape."""
    message = f"the image has shape {list(image)}, its label {list(label)} (axes as in the file)"
    value = "x".join(str(size) for size in label)
    limit = "x".join(str(size) for size in image)
    return Check(name="shape", ok=image == label, value=value, limit=limit, message=message)


def check_thickness(shape: tuple[int, ...]) -> Check:
    """Returns whether a volume has an inside: of one or two slices every voxel is border.

    Surface distances would then be those of the slices' outlines with the face between them.
    """
    shown = "x".join(str(size) for size in shape)
    message = f"it has {shown} voxels (z, y, x): a volume has at least {LEAST_SLICES} each way"
    return bounded("slices", min(shape), message, least=LEAST_SLICES)


def check_affines(displacement_voxels: float) -> Check:
    """Returns whether image and label lie in the same place of the patient (half a voxel).

    Headers written by different tools differ by rounding; only a shift that moves the labels
    against the image is an error.
    """
    figure = round(displacement_voxels, 6)
    message = f"image and label lie {figure:.4g} voxels apart at the worst corner"
    if displacement_voxels > 0.5:
        message += ": of another patient, or resampled?"
    return bounded("affine", displacement_voxels, message, most=0.5, unit=" voxel")


def check_spacing(spacing_mm: tuple[float, float, float]) -> Check:
    """Returns whether the spacing can be a CT's in millimetres (and not in metres, say)."""
    low, high = SPACING_MM
    worst = max(spacing_mm, key=lambda mm: max(mm / high, low / mm if mm > 0 else np.inf))
    shown = " x ".join(f"{mm:.4g}" for mm in spacing_mm)
    message = f"the voxels measure {shown} mm (z, y, x)"
    ok = all(low <= mm <= high for mm in spacing_mm)
    limit = f"{low:g}..{high:g} mm"
    return Check(name="spacing", ok=ok, value=float(worst), limit=limit, message=message)


def _label_values(label: NDArray[Any], organs: tuple[str, ...]) -> Check:
    highest = int(label.max()) if label.size else 0
    message = f"the label holds {highest}, the set has organs 1..{len(organs)}"
    ok = label.dtype == np.uint8 and highest <= len(organs)
    limit = f"0..{len(organs)}"
    return Check(name="labels", ok=ok, value=highest, limit=limit, message=message)


def _label_not_empty(label: NDArray[Any]) -> Check:
    count = int(np.count_nonzero(label))
    message = f"{count} voxels of the label belong to an annotated organ"
    return Check(name="not_empty", ok=count > 0, value=count, limit=">= 1", message=message)


def check_hu(
    volume: Volume, organs: tuple[str, ...], windows: Windows | None = None
) -> tuple[Check, ...]:
    """Returns whether the intensities look like HU: four figures, each loose on purpose.

    They must pass a CT cropped to the abdomen, with or without contrast, padded or windowed:
    - `hu_low`: every CT of a trunk holds fat (-100), lung or air. An 8-bit picture, an MR, a
      standardised image or a CT stored without its intercept has nothing under -50.
    - `hu_tissue`: some of it is fat or soft tissue; an empty or constant scan has none.
    - `hu_high`: bone and metal are rare; raw detector units lie far above.
    - `hu_ORGAN`: kidney, spleen and pancreas have medians within -50..350 HU, the liver within
      40..180, from -30 where it is plainly fatty or unenhanced (even, and dark alone, in a scan
      whose air or fat lies right). This finds a shifted intercept, and labels that lie elsewhere.
    """
    image = volume.image
    if image.size > LARGE:  # a sixteenth of a large scan has the same shares
        image = np.ascontiguousarray(image[:, ::4, ::4])
    low, high = TISSUE_HU
    return (
        _share("hu_low", image < LOW_HU, f"under {LOW_HU} HU (fat, lung, air)", least=LOW_SHARE),
        _share(
            "hu_tissue",
            (image > low) & (image < high),
            f"between {low} and {high} HU (fat, soft tissue)",
            least=TISSUE_SHARE,
        ),
        _share("hu_high", image > HIGH_HU, f"above {HIGH_HU} HU", most=HIGH_SHARE),
        *_organ_medians(volume, organs, windows),
    )


def _share(
    name: str,
    mask: NDArray[np.bool_],
    where: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> Check:
    share = float(np.count_nonzero(mask)) / max(mask.size, 1)
    percent = f"<= {100 * (most or 0):g} %" if least is None else f">= {100 * least:g} %"
    message = f"{100 * share:.3g} % of the voxels lie {where}; in a CT it is {percent}"
    return bounded(name, share, message, least=least, most=most)


def _organ_medians(
    volume: Volume, organs: tuple[str, ...], windows: Windows | None
) -> Iterable[Check]:
    windows = windows or label_windows(volume.label, len(organs))
    under = {
        organ: volume.image[window][volume.label[window] == number]
        for number, (organ, window) in enumerate(zip(organs, windows, strict=True), start=1)
        if window is not None and any(soft in meant(organ) for soft in SOFT_ORGANS)
    }
    medians = {organ: float(np.median(hu)) for organ, hu in under.items()}
    for organ, median in medians.items():
        (low, high), note = SOFT_ORGAN_HU, ""
        if meant(organ) == "liver":
            low, high = LIVER_HU
            if FATTY_LIVER_HU <= median < low:
                doubt = _fat_doubt(volume.image, under[organ], medians)
                low, note = (low, f"; as a fatty liver {doubt}") if doubt else (FATTY_LIVER_HU, "")
        message = f"{organ} has a median of {median:.0f} HU; it should be {low}..{high}{note}"
        yield bounded(f"hu_{organ}", median, message, least=low, most=high, unit=" HU")


def _fat_doubt(
    image: NDArray[np.int16], liver: NDArray[np.int16], medians: Mapping[str, float]
) -> str:
    """Why a liver under 40 HU is not believed to be a fatty or unenhanced one; "" where it is.

    Fat darkens the liver alone, and evenly. A lost intercept darkens all, and a label that lies
    elsewhere covers several tissues.
    """
    lowest, highest = np.percentile(liver, (10, 90))
    spread = float(highest - lowest) / 2.56  # a standard deviation, if the liver is even
    if spread > EVEN_HU:
        return f"it would be even, but varies by {spread:.0f} HU"
    for organ, median in medians.items():
        if meant(organ) in BESIDE and median < 0:
            return f"it alone would be dark, but {organ} has a median of {median:.0f} HU"
    shown = scale_is_shown(image)
    return "" if shown else "it is not believed, as neither air nor fat shows a right scale"


def check_name(name: str) -> None:
    """Raise BadInput unless a set may have that name."""
    if not NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} cannot name a data set: use letters, digits, '-' and '_', at most 64 and"
            " no sign first (--name NAME)"
        )
