#!/usr/bin/env bash
# miseval 1.3.0 (with hausdorff 0.2.6, NumPy 2.4.6), Python 3.11, Linux.
#
# miseval offers "HausdorffDistance" and "AverageHausdorffDistance" of two masks. Neither is what its name says.
#
# "HausdorffDistance" gives the 2-D mask itself to hausdorff_distance of the package `hausdorff`, which wants a list of
# points. So each row of the mask is taken for one point with as many coordinates as the mask has columns. A box that is
# moved up or down has the same rows in another order: the distance is 0, however far it moved, with no overlap left. Moved
# sideways by 30 pixels, it is the square root of 10 (the box is 10 wide), and moved by 29 or 31 the same. No warning.
#
# "AverageHausdorffDistance" is the maximum: it equals the Hausdorff distance of scikit-image 0.26.0, not an average.
# Two boxes that agree but for one pixel 30 pixels away have an "average" of 30.
#
# Seen (a box of 10 x 10 in a mask of 64 x 64):
#   moved down 30: DSC 0.0, HausdorffDistance 0.0, scikit-image 30.0
#   moved right 30: DSC 0.0, HausdorffDistance 3.162, scikit-image 30.0
#   moved right 31: DSC 0.0, HausdorffDistance 3.162, scikit-image 31.0
#   one pixel 30 away: DSC 0.995, AverageHausdorffDistance 30.0, scikit-image 30.0
#
# What helps: medpy.metric.binary.hd and assd, with the spacing.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet \
    miseval==1.3.0 hausdorff==0.2.6 scikit-image==0.26.0 numpy==2.4.6 scipy==1.17.1
cat > "$place/look.py" <<'PYTHON'
import sys

import numpy as np
from miseval import evaluate
from skimage.metrics import hausdorff_distance


def look(name, predicted, metric):
    """Print and return what miseval and scikit-image say of the box and a prediction."""
    dsc, theirs = (float(evaluate(truth, predicted, metric=which)) for which in ("DSC", metric))
    right = float(hausdorff_distance(truth, predicted))
    print(f"{name}: DSC {round(dsc, 3)}, {metric} {round(theirs, 3)}, scikit-image {right}")
    return round(theirs, 3), right


truth = np.zeros((64, 64), int)
truth[10:20, 10:20] = 1
spot = truth.copy()
spot[49, 19] = 1
seen = [
    look("moved down 30", np.roll(truth, 30, 0), "HausdorffDistance"),
    look("moved right 30", np.roll(truth, 30, 1), "HausdorffDistance"),
    look("moved right 31", np.roll(truth, 31, 1), "HausdorffDistance"),
    look("one pixel 30 away", spot, "AverageHausdorffDistance"),
]
sys.exit(0 if seen == [(0.0, 30.0), (3.162, 30.0), (3.162, 31.0), (30.0, 30.0)] else 1)
PYTHON
"$place/venv/bin/python" "$place/look.py"
