#!/usr/bin/env bash
# seg-metrics 1.2.8 (with SimpleITK 2.5.7, NumPy 2.4.6), Python 3.11, Linux.
#
# A network that misses an organ altogether gets the best surface distances there are: where the prediction is empty and the
# truth is not, seg-metrics gives 0 mm for hd, hd95, msd (the average surface distance), mdsd and stdsd. Most libraries give inf,
# NaN or an error there. A warning in the log speaks of precision and recall, not of the distances. So a mean over patients
# gets better with each organ that is missed, and a network that finds nothing has a mean HD95 of 0 mm (its Dice is 0).
# The same holds where the truth is empty and the prediction is not.
#
# The cause: the distance map of an empty mask is set to 0 everywhere, so each border voxel of the other mask is
# 0 mm away from it.
#
# Seen (a box of 6 x 12 x 16 voxels, spacing 3.0 x 0.8 x 0.5 mm):
#   moved by 1, 2, 3 voxels: dice 0.564, hd 3.716, hd95 3.162, msd 1.894
#   nothing predicted: dice 0.0, hd 0.0, hd95 0.0, msd 0.0
#   nothing to find: dice 0.0, hd 0.0, hd95 0.0, msd 0.0
#
# What helps: look for empty masks first and give them a value of your own, such as the diagonal of the volume.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet \
    seg-metrics==1.2.8 simpleitk==2.5.7 numpy==2.4.6 scipy==1.17.1
cat > "$place/look.py" <<'PYTHON'
import logging
import sys

import numpy as np
from seg_metrics.seg_metrics import write_metrics

logging.disable(logging.WARNING)
NAMES = ["dice", "hd", "hd95", "msd"]


def look(name, truth, predicted):
    """Print and return the metrics of a pair of masks."""
    found = write_metrics(
        [1], gdth_img=truth, pred_img=predicted, metrics=list(NAMES), spacing=(3.0, 0.8, 0.5)
    )[0]
    values = [round(float(found[each][0]), 3) for each in NAMES]
    print(f"{name}:", ", ".join(f"{each} {value}" for each, value in zip(NAMES, values)))
    return values


empty = np.zeros((14, 30, 36), np.uint8)
box = empty.copy()
box[4:10, 8:20, 8:24] = 1
near = look("moved by 1, 2, 3 voxels", box, np.roll(box, (1, 2, 3), (0, 1, 2)))
missed = look("nothing predicted", box, empty)
false_alarm = look("nothing to find", empty, box)
sys.exit(0 if near == [0.564, 3.716, 3.162, 1.894] and missed == false_alarm == [0.0] * 4 else 1)
PYTHON
"$place/venv/bin/python" "$place/look.py"
