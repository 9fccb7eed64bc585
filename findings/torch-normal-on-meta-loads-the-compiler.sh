#!/usr/bin/env bash
# torch 2.13.0 (CPU), Python 3.11, Linux.
#
# Building a network on the meta device is thought to be free: no memory, no random numbers. It is, for `uniform_` and
# `trunc_normal_`, hence for a plain nn.Conv2d (its default initialisation is uniform). The first `normal_` on a meta tensor,
# hence `nn.init.kaiming_normal_` in a constructor, loads some 800 modules (sympy, torch._dynamo, torch.fx, torch._refs)
# and takes about a second of CPU. Later calls cost nothing. No random state moves.
#
# Seen (seconds vary with the machine):
#   uniform_: 0 modules, 0.00 s
#   trunc_normal_: 0 modules, 0.00 s
#   normal_: 822 modules, 1.14 s
#   normal_ again: 0 modules, 0.00 s
#   the random state is as it was: True
#
# What helps: leave initialisation out where `tensor.is_meta`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
cat > "$place/look.py" <<'PYTHON'
import sys
import time

import torch


def loads(name):
    """Return how many modules the call loads, and print that with its CPU seconds."""
    known, began = set(sys.modules), time.process_time()
    method = name.split()[0]
    if method == "trunc_normal_":
        torch.nn.init.trunc_normal_(weight)
    else:
        getattr(weight, method)()
    count = len(set(sys.modules) - known)
    print(f"{name}: {count} modules, {time.process_time() - began:.2f} s")
    return count


weight = torch.empty(8, 1, 3, 3, device="meta")
free = [loads("uniform_"), loads("trunc_normal_")]
torch.manual_seed(0)
state = torch.get_rng_state()
first, second = loads("normal_"), loads("normal_ again")
same = torch.equal(state, torch.get_rng_state())
print("the random state is as it was:", same)
sys.exit(0 if free == [0, 0] and first > 400 and second == 0 and same else 1)
PYTHON
"$place/venv/bin/python" "$place/look.py"
