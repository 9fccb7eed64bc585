"""What bench costs beside the training itself: processor time (user + system), medians.

python docs/overheads.py [--against CHECKOUT] [--rounds 3] [--only first,again,plan,surfaces,stage2]

Each figure is taken in a process of its own, in turn with what it is compared with: this checkout,
an older one (`--against`), and the least that does the same. It prints a Markdown table. The first
round makes the workspace in a temporary folder (a minute); the rest takes about ten minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.running.speed import alternated, ratio

HERE = Path(__file__).parents[1]
BENCH = "import sys; from benchmark.cli.main import main; sys.exit(main(sys.argv[1:]))"
ROW = ("--threads", "1", "--folds", "0", "--json")
SHORT = ("--set", "schedule.epochs=1", "--set", "schedule.steps_per_epoch=2")

FIRST = """
import os, sys, time, torch
from torch.optim import Adam
step, out = Adam.step, os.dup(1)
def first(self, closure=None):
    step(self, closure)
    os.write(out, f"{time.process_time()}\\n".encode())
    os._exit(0)
Adam.step = first
from benchmark.cli.main import main
main(sys.argv[1:])
"""
LEAST = """
import sys, time, torch
torch.set_num_threads(1)
from torch.nn import functional as F
from benchmark.parts.networks import UNet
from benchmark.plan.nodes import Build
from benchmark.plan.presets import PRESETS
chosen, size = PRESETS[sys.argv[1]], {"quick": 64, "lite": 128}[sys.argv[1]]
to = Build(organs=("a", "b", "c"), size=size, built={})
net = UNet(width=chosen.width, norm=chosen.norm).build(to)
adam = torch.optim.Adam(net.parameters(), fused=True)
F.cross_entropy(net(torch.rand(8, 1, size, size)), torch.randint(4, (8, size, size))).backward()
adam.step()
print(time.process_time())
"""
PLAN = """
import sys, time
from pathlib import Path
from benchmark.data.library import open_dataset
from benchmark.running.bench import Options
from benchmark.running.cost import planned
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import rows_named, settings_of
from benchmark.running.suites import suite_cells
from benchmark.running.tasks import Graph, Work
root, registry = Path(sys.argv[1]), load_registry()
dataset, bench = open_dataset(root, "phantom"), Options(root=root, device="cpu").open()
settings = settings_of(registry, rows_named(registry, "all"), "quick", {})
began = time.process_time()
cells = suite_cells(settings, [dataset], list(range(5)), list(range(16)))
nodes, probes = planned(cells, bench)
seconds = {node.key: node.seconds or 0.0 for node in (*nodes, *probes)}
Work(graph=Graph()).add(cells, bench, "main", seconds, as_suite=True)
print((time.process_time() - began) / len(cells))
"""
SURFACES = """
import sys, time
import numpy as np
def ball(shape, centre, radius):
    squares = [(step * (np.arange(n) - c)) ** 2 for n, c, step in zip(shape, centre, STEP)]
    return np.add.outer(np.add.outer(*squares[:2]), squares[2]) <= radius ** 2
STEP, LARGE, SMALL = (1.5, 0.75, 0.75), (150, 512, 512), (100, 256, 256)
random = np.random.default_rng(0)
def salted(mask):
    return mask ^ (random.random(SMALL) < 0.02)
organ = ball(SMALL, (50, 128, 128), 50)
one, other = {
    "far": lambda: (ball(LARGE, (35, 130, 130), 45), ball(LARGE, (112, 380, 380), 45)),
    "salt": lambda: (salted(organ), salted(organ)),
    "pepper": lambda: (organ, salted(organ)),
    "fills": lambda: (ball(LARGE, (70, 256, 200), 70), np.ones(LARGE, dtype=bool)),
}[sys.argv[1]]()
if sys.argv[2] == "bench":
    import scipy.ndimage, scipy.spatial  # loaded when first used: not what is timed here
    from benchmark.scoring.surface import surface_distances
    began = time.process_time()
    surface_distances(one, other, STEP)
else:
    import SimpleITK as sitk
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    began = time.process_time()
    borders = []
    for mask in (one, other):
        image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
        image.SetSpacing(STEP[::-1])
        borders.append(sitk.LabelContour(image, False))
    for start, goal in (borders, borders[::-1]):
        maurer = sitk.SignedMaurerDistanceMap(goal, squaredDistance=False, useImageSpacing=True)
        np.abs(sitk.GetArrayViewFromImage(maurer)[sitk.GetArrayViewFromImage(start) != 0])
print(time.process_time() - began)
"""
STAGE2 = """
import sys, torch
torch.set_num_threads(1)
from dataclasses import replace
from benchmark.plan.nodes import in_order
from benchmark.plan.presets import preset_named, scale_method
from benchmark.running.speed import Loop, alternated, work_of
from benchmark.training.precision import hardware
from methods.fsm import Fsm
work = work_of(sys.argv[1])
second = list(in_order(scale_method(preset_named(sys.argv[1]), Fsm()).plan().node))[1]
both = {"plain": work, "two": replace(work, node=second)}
ways = {name: Loop(one, hardware("cpu")) for name, one in both.items()}
times = alternated(ways, {"quick": 8, "lite": 3}[sys.argv[1]], 3)
print(sorted(b - a for a, b in zip(times["plain"], times["two"]))[1])
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A process to time: by the seconds that it prints, or `whole` by all that it took."""

    code: str
    argv: tuple[str, ...]
    checkout: Path = HERE
    whole: bool = False

    def seconds(self) -> float:
        """Run it; return processor seconds. Raises where it fails."""
        environment = os.environ | {"PYTHONPATH": str(self.checkout)}
        before = os.times()
        ran = subprocess.run(
            [sys.executable, "-c", self.code, *self.argv],
            env=environment, cwd=self.checkout, check=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        after = os.times()
        took = after.children_user + after.children_system
        took -= before.children_user + before.children_system
        return took if self.whole else float(ran.stdout.split()[-1])


Ways = Mapping[str, Way]


def first(root: Path, checkout: Path) -> Iterator[tuple[str, Way, Way | None]]:
    """From the start of `bench run` to the end of the first step, slices kept on disk."""
    for preset in ("quick", "lite"):
        argv = ("run", "--method", "unet", "--preset", preset, "--fresh", *ROW)
        least = Way(code=LEAST, argv=(preset,))
        way = Way(code=FIRST, argv=(*argv, "--root", str(root)), checkout=checkout)
        yield f"first step, {preset} / import torch and one step", way, least


def again(root: Path, checkout: Path) -> Iterator[tuple[str, Way, Way | None]]:
    """A row whose cell is stored, with MLflow and without."""
    argv = ("run", "--method", "fsm", *ROW, *SHORT, "--root", str(root))
    way = Way(code=BENCH, argv=argv, checkout=checkout, whole=True)
    least = Way(code=BENCH, argv=(*argv, "--mlflow", "none"), checkout=checkout, whole=True)
    yield "a stored row again / the same with --mlflow none", way, least


def plan(root: Path, checkout: Path) -> Iterator[tuple[str, Way, Way | None]]:
    """All rows, five folds, 16 seeds."""
    yield "planning, s a cell of 3,360", Way(code=PLAN, argv=(str(root),), checkout=checkout), None


def surfaces(root: Path, checkout: Path) -> Iterator[tuple[str, Way, Way | None]]:
    """Distances between surfaces beside SimpleITK's filters on the whole array, on one thread."""
    for case, title in {
        "far": "two large masks far apart",
        "salt": "2 % salt and pepper on both masks",
        "pepper": "2 % salt and pepper on one mask",
        "fills": "a prediction that fills the volume",
    }.items():
        way = Way(code=SURFACES, argv=(case, "bench"), checkout=checkout)
        yield f"{title} / SimpleITK", way, Way(code=SURFACES, argv=(case, "itk"))


def stage2(root: Path, checkout: Path) -> Iterator[tuple[str, Way, Way | None]]:
    """What a step of stage 2 takes more than one of the plain network."""
    for preset in ("quick", "lite"):
        way = Way(code=STAGE2, argv=(preset,), checkout=checkout)
        yield f"a step of stage 2 less a plain step, {preset}, s", way, None


PARTS: Mapping[str, Callable[[Path, Path], Iterator[tuple[str, Way, Way | None]]]] = {
    "first": first, "again": again, "plan": plan, "surfaces": surfaces, "stage2": stage2,
}  # fmt: skip


def prepare(root: Path, checkout: Path, parts: list[str]) -> None:
    """Run once what is to be found stored."""
    for preset in ("quick", "lite") if "first" in parts else ():
        argv = ("run", "--method", "unet", "--preset", preset, *SHORT, *ROW, "--mlflow", "none")
        Way(code=BENCH, argv=(*argv, "--root", str(root)), checkout=checkout, whole=True).seconds()
    for _, way, _ in again(root, checkout) if "again" in parts else ():
        way.seconds()
    if "plan" in parts and not (root / "data").exists():
        plan_data = ("plan", "--method", "unet", "--root", str(root))
        Way(code=BENCH, argv=plan_data, checkout=checkout, whole=True).seconds()


def measured(ways: list[Way], rounds: int) -> list[list[float]]:
    """Return each way's seconds, one a round, the ways in turn."""
    runs = {str(place): lambda _, way=way: way.seconds() for place, way in enumerate(ways)}
    return list(alternated(runs, 1, rounds).values())


def cell(own: list[float], least: list[float] | None) -> str:
    """Return a median, with the median of the paired ratios where there is something beside it."""
    text = f"{statistics.median(own):.3g}"
    if least is None:
        return text
    return f"{text} / {statistics.median(least):.3g} = {ratio(own, least):.2f}"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="an older one, beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...")
    args = parser.parse_args()
    parts = args.only.split(",")
    checkouts = [HERE, *([args.against.resolve()] if args.against else [])]
    with tempfile.TemporaryDirectory() as folder:
        roots = {one: Path(folder) / str(place) for place, one in enumerate(checkouts)}
        for one, root in roots.items():
            prepare(root, one, parts)
        print("| processor seconds | now |" + (" before |" if args.against else ""))
        print("| --- | --- |" + (" --- |" if args.against else ""))
        for part in parts:
            lines = zip(*(PARTS[part](root, one) for one, root in roots.items()), strict=True)
            for line in lines:
                show(list(line), args.rounds)


def show(line: list[tuple[str, Way, Way | None]], rounds: int) -> None:
    """Measure one line in all checkouts and print it; one that cannot is shown as "-"."""
    cells = []
    try:
        ways = [way for _, own, least in line for way in (own, least) if way]
        taken = iter(measured(ways, rounds))
        cells = [cell(next(taken), next(taken) if least else None) for _, _, least in line]
    except subprocess.CalledProcessError:  # an older checkout may lack what is asked
        _, own, least = line[0]
        taken = iter(measured([way for way in (own, least) if way], rounds))
        cells = [cell(next(taken), next(taken) if least else None), "-"]
    print(f"| {line[0][0]} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
