"""For tests: packages of somebody else with a row that hangs, or breaks, as it is asked to."""

HANGING = """
import ctypes, os, sys, time
from dataclasses import dataclass
from typing import ClassVar
import benchmark.running.stop as stop
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, field_from

stop.HANG_SECONDS, stop.LEAVE_SECONDS = 1.0, 1.0
steps = 0

@dataclass(frozen=True, kw_only=True)
class Hangs:
    kind: ClassVar[str] = "test/hangs"
    net: str = "ct"
    reads: str = "image"
    how: str = "slow"
    def __call__(self, nets, batch):
        global steps
        steps += 1
        if steps == 4 and os.environ["HANGS"] == "yes":
            print("in step 4", file=sys.stderr, flush=True)
            if self.how == "python":
                while True:
                    time.sleep(0.01)
            if self.how == "library":  # no handler of Python's runs meanwhile
                libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
                libc.pthread_mutex_lock(mutex)
                libc.pthread_mutex_lock(mutex)
        if self.how == "slow":
            time.sleep(0.3)
        return Segmentation()(nets, batch)

@dataclass(frozen=True, kw_only=True)
class Method:
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "C", "of the training")
    how: str = field_from("slow", "C", "what a step does")
    def plan(self):
        return Train(title="N_CT", nets={"ct": Net(arch=self.ct)}, objective=Hangs(how=self.how),
                     schedule=self.schedule)["ct"]

METHODS = {"hangs": Row(method=Method(), group="x", title="hangs", about="-", source="-")}
"""
BREAKING = """
import os, time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import torch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, field_from

def memory():
    raise MemoryError("no room\\nfor that")

def gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

def runtime():
    raise RuntimeError("mat1 and mat2\\ncannot be multiplied")

def leaves():
    raise SystemExit(7)

def nothing():
    return None

def text():
    return {"L": "no tensor"}

def good():
    return {}

def room():
    torch.empty(2**46)  # more than any machine has

def nan():
    return {"L": torch.tensor(float("nan"), requires_grad=True)}

def prints():
    print("said in a step", flush=True)
    return {}

def exits():
    os._exit(7)

def asked(how):
    # what BREAKS asks for (all: what the field says), with ONCE in the first step that comes
    told = os.environ.get("BREAKS", "none")
    once = Path(os.environ["ONCE"]) if "ONCE" in os.environ else None
    if told == "none" or (once and once.exists()):
        return {}
    if once:
        once.touch()
    return globals()[how if told in ("all", "scoring") else told]()

def slow():
    Path(os.environ["BEGAN"], f"began-{os.getpid()}").touch()
    time.sleep(600)

trained = False  # a network is tried before that

def scoring():
    return os.environ.get("BREAKS") == "scoring"

def greedy(encoder, _):
    if trained and scoring() and not encoder.training:
        asked("room")

@dataclass(frozen=True, kw_only=True)
class Greedy(UNet):
    kind: ClassVar[str] = "test/greedy"
    def build(self, to):
        net = super().build(to)
        net.encoder.register_forward_pre_hook(greedy)
        return net

@dataclass(frozen=True, kw_only=True)
class Breaks:
    kind: ClassVar[str] = "test/breaks"
    net: str = "ct"
    reads: str = "image"
    how: str = "good"
    def __call__(self, nets, batch):
        global trained
        trained = True
        counted = batch.image_B1HW.is_meta and os.environ.get("BREAKS") != "all"  # no real step
        told = {} if counted or scoring() else asked(self.how)
        return told if told or told is None else Segmentation()(nets, batch)

@dataclass(frozen=True, kw_only=True)
class Method:
    ct: Arch = field_from(Greedy, "C", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "C", "of the training")
    how: str = field_from("good", "C", "how it fails")
    def plan(self):
        return Train(title="N_CT", nets={"ct": Net(arch=self.ct)}, objective=Breaks(how=self.how),
                     schedule=self.schedule)["ct"]

METHODS = {"breaks": Row(method=Method(), group="x", title="breaks", about="-", source="-")}
"""
