"""The engine needs torch, numpy, scipy and filelock, and nothing else that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCKED = ["torchvision", "rich", "mlflow", "optuna", "segmentation_models_pytorch", "timm"]
BLOCKED += ["pandas", "pyarrow", "safetensors", "nibabel", "medpy", "matplotlib", "psutil"]
BLOCKED += ["statsmodels"]

# Only these may be imported: the four, ours, the standard library, and what torch itself requires.
GUARD = """
import sys, re
from importlib.metadata import PackageNotFoundError, requires

def torch_needs():
    names, todo = {"torch", "torchgen", "functorch", "nvidia", "triton", "cuda"}, ["torch"]
    while todo:
        try:
            lines = requires(todo.pop()) or []
        except PackageNotFoundError:
            continue
        for line in lines:
            name = re.split(r"[^A-Za-z0-9_.-]", line)[0]
            if "extra ==" not in line and name.replace("-", "_") not in names:
                names.add(name.replace("-", "_"))
                todo.append(name)
    return names

ALLOWED = {"numpy", "scipy", "filelock", "benchmark", "methods", "baselines", "pkg_resources",
           *torch_needs(), *sys.stdlib_module_names}

class Guard:
    # finds nothing else
    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)

    def find_spec(self, name, path=None, target=None):
        # sysconfig's own data has a name of its own on every platform
        if name.split(".")[0] in ALLOWED or name.startswith("_sysconfigdata"):
            return self.real.find_spec(name, path, target)
        return None

sys.meta_path[:] = [Guard(finder) for finder in sys.meta_path]
"""

IMPORTS = """
import importlib, pkgutil
for package in ("plan", "files", "parts", "scoring", "training"):
    module = importlib.import_module(f"benchmark.{package}")
    for found in pkgutil.walk_packages(module.__path__, f"benchmark.{package}."):
        importlib.import_module(found.name)
for package in ("methods", "baselines"):
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(found.name)
"""

TRAINING = """
from dataclasses import replace
import torch
from baselines.unet import Plain
from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet
from benchmark.plan.ground import LossForm
from benchmark.plan.nodes import Schedule, in_order
from benchmark.training.nets import build, start
from benchmark.training.precision import hardware
from benchmark.training.trainer import Control, fit
from methods.fsm import Fsm

class Draw:
    steps_in_one_pass, case_names = 2.0, ("a", "b")
    def __call__(self, step):
        label = torch.zeros(2, 16, 16).long()
        label[:, 4:9, 2:9], label[1, 9:14, 9:14] = 1, 2
        return Batch(image_B1HW=label[:, None] / 2 + step / 10, label_BHW=label,
                     annotated_BK=torch.ones(2, 2).bool(), valid_BHW=torch.ones(2, 16, 16).bool(),
                     case_B=torch.arange(2), position_B=torch.zeros(2), loss_form=LossForm())

torch.set_num_threads(1)
ct, schedule = UNet(width=2, levels=3), Schedule(epochs=1)
for method in (Plain(ct=ct, schedule=schedule),
               Fsm(ct=ct, gt=replace(ct, reads="masks"), schedule=schedule)):
    done = {}
    for node in in_order(method.plan().node):
        nets = build(node, organs=("a", "b"), size=None, seed=0)
        before = {k: v.clone() for k, v in nets[list(nets)[0]].state_dict().items()}
        start(node, nets, {w: done[w.node][w.net].state_dict()
                           for net in node.nets.values() for w in net.init})
        history = fit(node, nets, Draw(), seed=0, hardware=hardware("cpu", "fp32"),
                      control=Control())
        done[node] = nets
        after = nets[list(nets)[0]].state_dict()
        moved = any(not torch.equal(before[k], after[k]) for k in before)
        print(node.title, history.steps, moved, sorted(history.epochs[0].terms))
"""

DRAW = """
import benchmark.data.feeding.draw, benchmark.data.volume
from benchmark.testing import MemoryTrainer, tiny_volume
print("imported")
"""


def guarded(code: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", GUARD + code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_engine_imports_and_trains_with_four_packages_alone() -> None:
    """The draw of slices and the trainer in memory, too: a machine lent for its GPU has no more."""
    assert guarded(IMPORTS + TRAINING + DRAW).splitlines() == [
        "N_CT 2 True ['dsc']",
        "N_GT 2 True ['dsc']",
        "N_CT + FSM 2 True ['dsc', 'm']",
        "refine 2 True ['dsc']",
        "imported",
    ]


def test_the_guard_blocks_what_it_should() -> None:
    code = f"""
for name in {BLOCKED!r}:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    print(name)
import torch, numpy, scipy, filelock
from benchmark.errors import BadInput
from benchmark.parts.smp import Smp
from benchmark.plan.nodes import Build
try:
    Smp().build(Build(organs=("a",), size=None, built={{}}))
except BadInput as error:
    print("refused", "pip install" in str(error))
"""
    assert guarded(code).split("\n") == ["refused True", ""]


def test_plan_and_files_load_no_torch() -> None:
    code = """
import benchmark.plan.keys, benchmark.plan.folds, benchmark.plan.presets, benchmark.plan.ground
import benchmark.files.atomic, benchmark.files.locks, benchmark.files.source
print([name for name in ("torch", "numpy") if name in sys.modules])
"""
    assert guarded(code) == "[]\n"
