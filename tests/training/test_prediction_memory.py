"""A large CT with many classes is predicted in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")
pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="this system has no VmHWM")

# 27 classes on 48 slices of 384 x 384 are 730 MiB of probabilities, and as much again per copy.
CHILD = r"""
import json, re
import numpy as np, torch
from torch import nn
from benchmark.training.precision import hardware
from benchmark.training.prediction import predict_together

class Many(nn.Module):
    def forward(self, x):
        return x * torch.arange(27.0)[None, :, None, None]

def peak_mib():  # ru_maxrss would begin at the peak of the process that started this one
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024

image = np.zeros((48, 384, 384), np.int16)
image[:, 100:200] = 300
def scaled(hu):
    return hu.float() / 300

def predict(slices):
    chunks = torch.split(torch.from_numpy(image[:slices]), 2)
    return predict_together([Many()], chunks, scaled=scaled,
                            shape_ZYX=(slices, 384, 384), hardware=hardware("cpu", "fp32"))

predict(4)
before = peak_mib()
label = predict(48)
print(json.dumps([before, peak_mib(), int(label.max()), int((label == 26).sum())]))
"""


def test_memory_grows_by_the_label_map_alone() -> None:
    code = f"import torch; torch.set_num_threads(1)\n{CHILD}"
    # glibc raises this threshold as it goes, and then keeps blocks of a batch or not, by chance
    fixed = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1024**2)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=fixed)
    before, after, highest, found = json.loads(done.stdout)
    assert (highest, found) == (26, 48 * 100 * 384)
    assert after - before < 40, (before, after)  # MiB: a label map of 7, less than one more batch
