"""Names and values as MLflow takes them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.tracking.report import CurvePoint

LONGEST = 500  # characters of a parameter or tag; older servers refuse more
LONGEST_NAME = 250


def clean_name(name: str) -> str:
    """Return `name` as MLflow takes it for a metric or parameter.

    Other characters than letters, digits and `_ - . / space` become `_`; empty, `.` and `..`
    parts of a path are left out, as MLflow refuses names that are not normal paths.
    """
    parts = re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII).split("/")
    kept = [part for part in parts if part not in ("", ".", "..")]
    return "/".join(kept)[:LONGEST_NAME].rstrip("/") or "_"


def value_text(value: object) -> str:
    """Return `value` as a string of at most 500 characters, the cut shown by an ellipsis."""
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def flag_tags(flags: Iterable[str]) -> dict[str, str]:
    """Return a tag with all flags, and one for each name (`flag.no_gt_gap`) to filter by."""
    found: dict[str, list[str]] = {}
    for flag in flags:
        found.setdefault("flags", []).append(flag)
        found.setdefault(clean_name(f"flag.{flag.partition(':')[0]}"), []).append(flag)
    return {name: value_text("; ".join(texts)) for name, texts in found.items()}


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that may be sent, under their clean names."""
    return {clean_name(name): float(v) for name, v in metrics.items() if math.isfinite(v)}


def undefined(metrics: Mapping[str, float], points: Iterable[CurvePoint] = ()) -> dict[str, str]:
    """Return the tags that stand for values which are not finite, and so are never sent."""
    names = [name for name, value in metrics.items() if not math.isfinite(value)]
    names += [point.name for point in points if not math.isfinite(point.value)]
    return {f"{clean_name(name)}_state": "undefined" for name in names}
