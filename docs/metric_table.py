"""Write docs/metrics.md: the same masks through each library of metrics.

python docs/metric_table.py                      # measure all: 5 to 20 minutes, 3 GB for a while
python docs/metric_table.py --only monai,pymia   # measure these anew
python docs/metric_table.py --only ''            # measure nothing, write the page anew

Each library is installed, pinned, into an environment of its own, and measured there by
`docs/metric_adapters.py`. The values are kept in docs/metrics.json, of which the page is made; a
test compares both, and measures our own values and MedPy's again. It needs Python 3.11 (MedPy 0.4.0
needs an old NumPy) and a package index, so it is no part of the tests.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
VALUES, PAGE = DOCS / "metrics.json", DOCS / "metrics.md"
NUMPY = ("numpy==2.4.6", "scipy==1.17.1")
ITK = "simpleitk==2.5.7"
PLASTIMATCH = ("plastimatch==1.10.0", "numpy==2.4.6", ITK)
TORCH = ("torch==2.13.0", *NUMPY)

Values = dict[str, dict[str, dict[str, float | str]]]
"""Line, pair, metric: the value. What `docs/metric_adapters.py` measured."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the tables: its name on the page and what is installed to measure it."""

    title: str
    packages: tuple[str, ...] = ()


LINES = {
    "ours": Line(title="**bench**"),
    "monai": Line(title="MONAI 1.6.1", packages=("monai==1.6.1", *TORCH)),
    "monai-subvoxels": Line(title="MONAI 1.6.1 `use_subvoxels`", packages=("monai==1.6.1", *TORCH)),
    "medpy-0.5.2": Line(title="MedPy 0.5.2", packages=("medpy==0.5.2", *NUMPY)),
    "medpy-0.4.0": Line(
        title="MedPy 0.4.0", packages=("medpy==0.4.0", "numpy==1.23.5", "scipy==1.10.1")
    ),
    "panoptica": Line(
        title="panoptica 2.1.7", packages=("panoptica==2.1.7", "numpy==2.2.6", NUMPY[1])
    ),
    "seg-metrics": Line(title="seg-metrics 1.2.8", packages=("seg-metrics==1.2.8", ITK, *NUMPY)),
    "surface-distance": Line(
        title="surface-distance 0.1",
        packages=("surface-distance==0.1", "numpy==1.26.4", "scipy==1.15.3"),
    ),
    "segmentationmetrics": Line(
        title="segmentationmetrics 1.2.0", packages=("segmentationmetrics==1.2.0", *NUMPY)
    ),
    "pymia": Line(title="pymia 0.3.4", packages=("pymia==0.3.4", "numpy==2.2.6", NUMPY[1], ITK)),
    "plastimatch-boundary": Line(title="plastimatch 1.10.0 (boundary)", packages=PLASTIMATCH),
    "plastimatch-voxels": Line(title="plastimatch 1.10.0", packages=PLASTIMATCH),
    "simpleitk": Line(title="SimpleITK 2.5.7", packages=(ITK, NUMPY[0])),
    "scikit-image": Line(title="scikit-image 0.26.0", packages=("scikit-image==0.26.0", *NUMPY)),
    "miseval": Line(title="miseval 1.3.0", packages=("miseval==1.3.0", "hausdorff==0.2.6", *NUMPY)),
    "torchmetrics": Line(title="torchmetrics 1.9.0", packages=("torchmetrics==1.9.0", *TORCH)),
}
METRICS = {"dsc": "DSC", "assd": "ASSD", "hd": "HD", "hd95": "HD95", "nsd": "NSD"}
PAIRS = ("P1", "P2", "P3", "P4", "P5", "P6", "P10")
WIDE = 1e6  # what is larger is no distance in mm; it is printed short

TEXT = """# The same masks in other libraries

Written by `python docs/metric_table.py`; do not edit by hand. The values lie in `metrics.json`.

Two papers that print "ASSD" or "HD95" need not mean the same number. Here seven pairs of masks go
through the libraries that papers use, each at a pinned version. Pair P2 alone gives an ASSD of
9.896, 8.097, 7.722 or 3.721 mm and an HD95 of 12.200, 12.189, 12.042, 9.350 or 5.766 mm. **Compare
a printed distance only with a distance from the same row of these tables.**

## Why they differ

A **border voxel** is a voxel of the mask with a face on the outside. For each border voxel of one
mask one takes the distance, in mm, to the nearest border voxel of the other: two lists of
distances, from truth to prediction and back. From there on the libraries part:

- **ASSD: pooled or mean of means.** One mean over both lists together (bench, MONAI, MedPy 0.5.2,
  seg-metrics), or the mean of the two lists' means (MedPy 0.4.0, panoptica, plastimatch; others
  call that MASD). They are equal if both lists are equally long. In P2 the prediction has far more
  border voxels than the truth, so pooled its distances weigh more.
- **HD95: larger, pooled or mean.** The larger of the two lists' 95th percentiles (bench, MONAI),
  one percentile of both lists together (MedPy, panoptica, seg-metrics), or the mean of the two
  percentiles (plastimatch).
- **Weights by area.** surface-distance, segmentationmetrics and pymia (HD95, NSD) lay a surface
  between the voxels and weigh each piece by its area. With thick slices a piece that faces the next
  slice counts much less than one on the side. MONAI's `use_subvoxels` does the same for NSD.
- **All voxels.** SimpleITK's "average Hausdorff distance", pymia's `AverageDistance` and the lines
  of plastimatch without "(boundary)" take the mean over all voxels of a mask, and a voxel inside
  the other mask has distance 0. So the number shrinks as the organ grows.
- **The edge of the array.** Where a mask touches the edge, most libraries take its last voxels as
  border voxels; seg-metrics does not, and plastimatch not on a single slice (P4, P6, P10).
- **Corners.** seg-metrics also takes voxels that touch the outside with an edge or a corner alone
  (P3); with `fully_connected=False` it does not.
- **Voxels for mm.** scikit-image and miseval take no spacing; their numbers are in voxels.

NSD is the share of the border within a tolerance, 1.5 mm here; bench counts border voxels of both
masks together.

## The pairs

Arrays (Z, Y, X) of 14 x 30 x 36 voxels with a spacing of 3.0 x 0.8 x 0.5 mm;
`docs/metric_adapters.py` makes them.

| pair | truth and prediction |
|---|---|
| P1 | a box, and the box moved by 1, 2 and 3 voxels |
| P2 | a small box inside a large one |
| P3 | a ball, and the ball with a small islet far away (under 5 % of the border voxels) |
| P4 | a box that the edge of the array cuts off, and a wider one |
| P5 | one voxel each, 3.716 mm apart |
| P6 | a single slice, 1 x 30 x 36 |
| P10 | the truth fills the array; the prediction is P1's truth |

`-`: the library has no such number. A word like `AssertionError` is the error it raised.

## DSC

A share of 1 (bench stores percent).

<!-- TABLE dsc -->

## ASSD in mm

In the rows without an ASSD it is what comes nearest by name: the mean of the two directed averages
(surface-distance), `mean_surface_distance` (segmentationmetrics), `msd` (seg-metrics), the average
Hausdorff distance (SimpleITK, pymia, plastimatch, miseval), the modified Hausdorff distance
(scikit-image).

<!-- TABLE assd -->

miseval's "AverageHausdorffDistance" is the maximum: compare it with scikit-image's HD below. The
numbers of seg-metrics in P10 are not distances: it finds no border voxel in the truth.

## HD in mm

The largest distance. bench does not report it.

<!-- TABLE hd -->

torchmetrics measures slices only, and mixes up rows and columns where a slice is not square (its
issue 3300): in P6 2.193 mm is right. miseval takes each row of the slice for a point, so its
"HausdorffDistance" is not a distance between masks at all.

## HD95 in mm

<!-- TABLE hd95 -->

The islet of P3 is under 5 % of the border voxels, so the percentile does not see it; by area it is
more than 5 %. plastimatch gives 0 for two single voxels that lie apart (P5).

## NSD at 1.5 mm

A share of 1 (bench stores percent).

<!-- TABLE nsd -->

panoptica takes the mean of the two masks' shares (P3, P4).

## Empty masks

The organ is the truth of P1. torchmetrics' distance is that of its middle slice. "nothing": the
program ended without printing one. bench counts these cases apart (`missed`, `false_alarm`,
`both_empty`) and gives a miss DSC 0 and, in `assd_penalised`, the diagonal of the volume.

**The prediction is empty, the truth is not (a miss)**

<!-- TABLE missed -->

seg-metrics gives a miss the best distance there is, 0 mm: a mean over patients gets better with
each organ that a network misses.
panoptica and miseval give numbers that look like distances and are none.

**The truth is empty, the prediction is not (a false alarm)**

<!-- TABLE false_alarm -->

**Both are empty**

<!-- TABLE both_empty -->

## How to get our numbers elsewhere

`truth` and `predicted` are bool arrays (Z, Y, X), `spacing_mm` the spacing in the same order, and
neither mask is empty. With MedPy 0.5.2 (a test runs these lines):

```python
from medpy.metric import binary
from numpy import percentile

assd_mm = binary.assd(predicted, truth, voxelspacing=spacing_mm)
both_ways = (truth, predicted), (predicted, truth)
directed_mm = [binary.__surface_distances(*pair, spacing_mm) for pair in both_ways]
hd95_mm = max(percentile(each, 95) for each in directed_mm)
```

With MONAI 1.6.1 (the calls behind its row above):

<!-- not run: MONAI is not installed beside bench -->
```python
import torch
from monai import metrics

masks = [torch.from_numpy(mask[None, None].astype("float32")) for mask in (predicted, truth)]
how = {"include_background": True, "spacing": spacing_mm}
assd_mm = metrics.compute_average_surface_distance(*masks, symmetric=True, **how).item()
hd95_mm = metrics.compute_hausdorff_distance(*masks, percentile=95, **how).item()
```

MONAI's defaults are others: an ASSD in one direction, spacing 1, and the first channel left out.
With a crop box, cut both masks to the box first.

## Which row to read for a paper's number

| the paper says | row |
|---|---|
| MedPy, with a version of 0.5 | MedPy 0.5.2; its ASSD is ours, its HD95 is not |
| MedPy, with a version up to 0.4 | MedPy 0.4.0; its ASSD is not ours |
| MONAI with `symmetric=True` and a spacing | MONAI; all three are ours |
| Metrics Reloaded | ours; its MASD is MedPy 0.4.0's ASSD |
| DeepMind's surface-distance, "surface DSC" | surface-distance |
| ITK's average Hausdorff distance | SimpleITK |
| nothing | none: P2 shows how far apart two numbers of one name can be |

Do not turn one row into another by a factor: how they differ hangs on the shapes.

## Not run

MetricsReloaded (github.com/csudre) and DisTorch (github.com/jeromerony) are on no package index, so
the script cannot install them. Measured earlier, by hand, with MetricsReloaded at snapshot ca3d352
and a snapshot of DisTorch, on the same pairs:

| library | P1: ASSD, HD95, NSD | P2: ASSD, HD, HD95 | P3: HD95 |
|---|---|---|---|
| MetricsReloaded | 1.894, 3.162, 0.383 | 9.896 (MASD 8.097), 13.454, 12.200 | 0.0 |
| DisTorch, pixel centres | 1.894, -, 0.371 | 9.896, 13.454, 12.200 | 0.0 |
| DisTorch, boundary | 1.631, -, 0.496 | 9.119, 13.454, 12.135 | 7.727 |

## Versions

Python 3.11. surface-distance needs NumPy 1 and pymia NumPy below 2.4: surface-distance 0.1 raises
AttributeError for empty masks on NumPy 2.

<!-- PINS -->
"""


def main() -> None:
    """Measure the lines that are asked for, keep their values, write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(LINES), help="lines, with commas between")
    names = [name for name in parser.parse_args().only.split(",") if name]
    unknown = sorted(set(names) - set(LINES))
    if unknown:
        parser.error(f"no line is called {unknown}; there are {', '.join(LINES)}")
    values: Values = json.loads(VALUES.read_text("utf-8")) if VALUES.exists() else {}
    for packages in dict.fromkeys(LINES[name].packages for name in names):
        values |= measure([name for name in names if LINES[name].packages == packages], packages)
        values = {name: values[name] for name in LINES if name in values}
        VALUES.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(values), encoding="utf-8")


def measure(names: list[str], packages: tuple[str, ...]) -> Values:
    """Return the values of lines that share packages, which are installed first and removed after.

    Without packages this Python measures (our own line). Raises CalledProcessError where an
    installation or an adapter fails.
    """
    print("measure", *names, file=sys.stderr)
    with tempfile.TemporaryDirectory() as place:
        python = sys.executable
        if packages:
            subprocess.run([python, "-m", "venv", place], check=True)
            python = str(Path(place) / "bin/python")
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        found = {}
        for name in names:
            file = Path(place) / "values.json"
            subprocess.run([python, DOCS / "metric_adapters.py", name, file], check=True)
            found[name] = json.loads(file.read_text("utf-8"))
    return found


def page(values: Values) -> str:
    """Return the page of these values."""
    parts = {f"TABLE {metric}": _pairs_table(values, metric) for metric in METRICS}
    parts |= {
        f"TABLE {case}": _case_table(values, case)
        for case in ("missed", "false_alarm", "both_empty")
    }
    parts["PINS"] = "\n".join(
        f"- {line.title}: {', '.join(f'`{package}`' for package in line.packages)}"
        for line in LINES.values()
        if line.packages
    )
    text = TEXT
    for mark, part in parts.items():
        text = text.replace(f"<!-- {mark} -->", part)
    return text


def _pairs_table(values: Values, metric: str) -> str:
    """One metric: a column a pair. Libraries that print the same numbers share a row."""
    rows = {
        name: [_cell(found[pair].get(metric)) for pair in PAIRS] for name, found in values.items()
    }
    return _table(["library", *PAIRS], rows)


def _case_table(values: Values, case: str) -> str:
    """One case of empty masks: a column a metric."""
    rows = {
        name: [_cell(found[case].get(metric)) for metric in METRICS]
        for name, found in values.items()
    }
    return _table(["library", *METRICS.values()], rows)


def _table(head: list[str], rows: dict[str, list[str]]) -> str:
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, cells in rows.items():
        if set(cells) != {"-"}:
            alike.setdefault(tuple(cells), []).append(LINES[name].title)
    lines = [_row(head), "|---" * len(head) + "|"]
    return "\n".join([*lines, *(_row([", ".join(who), *cells]) for cells, who in alike.items())])


def _row(cells: list[Any]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: float | str | None) -> str:
    """A number with three digits, "-" for what is not offered, or what came instead."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return {"nan": "NaN", "NotPrintedError": "nothing"}.get(value, value)
    return f"{value:.1e}".replace("e+", "e") if abs(value) > WIDE else f"{value:.3f}"


if __name__ == "__main__":
    main()
