"""The parts of `docs/gpu.py`: each is run in a process of its own, and notes figure by figure.

python docs/gpu_parts.py --part step --out FILE [--rehearse]

A process that is killed leaves what it had noted. It needs the engine's packages alone.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmark.errors import Stopped
from benchmark.parts.networks import UNet
from benchmark.parts.stages import plain
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Train, in_order
from benchmark.running import speed
from benchmark.running.speed import Bare, Loop, Way, Workload, alternated, ratio
from benchmark.training import trainer
from benchmark.training.precision import Hardware, hardware
from benchmark.training.trainer import Control, State
from methods.fsm import Fsm

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How large and how long: of the paper's network, or tiny for a rehearsal on a CPU."""

    paper: UNet = field(default_factory=UNet)
    pixels: int = 512
    batches: tuple[int, ...] = (8, 16, 32)
    small: tuple[str, ...] = ("quick", "lite")
    packed: tuple[str, ...] = ("quick", "lite")
    resumed: tuple[str, ...] = ("paper", "lite")
    seconds: float = 0.8  # of a block
    rounds: int = 3
    matrix: int = 8192
    together: tuple[int, ...] = (1, 2, 4, 8)
    packing_seconds: float = 4.0

    @property
    def hardware(self) -> Hardware:
        """The device at hand, with the precision that bench takes there."""
        return hardware()

    def work(self, batch: int) -> Workload:
        """Return the paper's plain training with this batch."""
        return speed.plain_work(self.paper, Ground(batch=batch), self.pixels)

    def stages(self, arch: UNet, batch: int, pixels: int) -> dict[str, Workload]:
        """Return the plain training and those of FSM."""
        method = Fsm(ct=arch, gt=replace(arch, reads="masks"))
        nodes = {"plain": plain(arch, method.schedule)}
        nodes |= {node.title: node for node in in_order(method.plan().node)}
        ground = Ground(batch=batch)
        return {
            name: Workload(node=_slow(node), ground=ground, pixels=pixels)
            for name, node in nodes.items()
        }


FULL = Look()
TINY = Look(
    paper=UNet(width=4, levels=3),
    pixels=32,
    batches=(2, 3),
    small=(),
    packed=("quick",),
    resumed=("lite",),
    seconds=0.02,
    rounds=2,
    matrix=128,
    together=(1, 2),
    packing_seconds=0.3,
)


@dataclass(kw_only=True)
class Notes:
    """The figures of a part, written to a file after each."""

    path: Path
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, **values: Any) -> None:
        """Note the values under a name, beside those that are there."""
        self.figures[name] = {**self.figures.get(name, {}), **values}
        new = self.path.with_suffix(".new")  # whoever kills this finds the file of before
        new.write_text(json.dumps(self.figures), encoding="utf-8")
        new.replace(self.path)

    @contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        """What fails in the block is noted as the `error` of that name, and what follows goes on:
        want of memory, or a form that this torch cannot make."""
        try:
            yield
        except Exception as error:
            self.add(name, error=said(error))
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def said(error: BaseException) -> str:
    """Return an error in one line without the place of this repository."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}".replace(f"{ROOT}/", "")


def _slow(node: Train) -> Train:
    """With a rate at which no weights leave the finite numbers."""
    return replace(node, schedule=replace(node.schedule, lr=speed.RATE))


def steps_for(way: Way, seconds: float) -> int:
    """Return how many steps take about so long, after the first ones have chosen kernels."""
    way(1)
    return max(2, min(2000, round(seconds / max(way(2), 1e-6))))


def compared(ways: Mapping[str, Way], look: Look) -> dict[str, list[float]]:
    """Return each way's seconds a step, the ways in turn, blocks of about equal length."""
    steps = {name: steps_for(way, look.seconds) for name, way in ways.items()}
    blocks = {name: _block(way, steps[name]) for name, way in ways.items()}
    return alternated(blocks, 0, look.rounds)


def _block(way: Way, steps: int) -> Way:
    return lambda _: way(steps)


def peak_gib(make: Callable[[], Way]) -> float | None:
    """Return the most memory that a way holds on the device, alone there; None on a CPU."""
    if not torch.cuda.is_available():
        return None
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    make()(2)
    return torch.cuda.max_memory_allocated() / 2**30


def matrix_rate(side: int, dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    """Return the operations a second of a square matrix product of random numbers."""
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    clock = speed.clock_of(hardware(device.type))

    def products(count: int) -> float:
        began = clock()
        for _ in range(count):
            torch.mm(one, other)
        return (clock() - began) / count

    count = _times(products, seconds)
    return 2 * side**3 / max(median([products(count) for _ in range(3)]), 1e-9)


def _times(way: Way, seconds: float) -> int:
    return max(1, min(1000, round(seconds / max(way(3), 1e-6))))


def copy_rate(device: torch.device, seconds: float) -> float:
    """Return the bytes a second of a copy on the device, those read and those written."""
    count = 2**30 if device.type == "cuda" else 2**20
    source = torch.randint(0, 255, (count,), dtype=torch.uint8, device=device)
    target, clock = torch.empty_like(source), speed.clock_of(hardware(device.type))

    def copies(number: int) -> float:
        began = clock()
        for _ in range(number):
            target.copy_(source)
        return (clock() - began) / number

    return 2 * count / max(copies(_times(copies, seconds)), 1e-9)


def part_step(look: Look, notes: Notes) -> None:
    """The paper's network: the real `fit` beside the bare step and beside the matrix rate."""
    device = look.hardware.device
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        rate = matrix_rate(look.matrix, dtype, device, look.seconds / 3)
        notes.add("rates", **{f"matrix_{name}_tflops": rate / 1e12})
    notes.add("rates", copy_gb_s=copy_rate(device, look.seconds / 3) / 1e9)
    rate = notes.figures["rates"][f"matrix_{'bf16' if look.hardware.bf16 else 'fp32'}_tflops"]
    for batch in look.batches:
        with notes.guarded(f"batch {batch}"):
            _step(look, notes, batch, rate)
    again = matrix_rate(look.matrix, torch.bfloat16, device, look.seconds / 3)
    notes.add("rates", matrix_bf16_tflops_after=again / 1e12)


def _step(look: Look, notes: Notes, batch: int, rate_tflops: float) -> None:
    name, work = f"batch {batch}", look.work(batch)
    forward, both = speed.operations(work)
    floor = both / (rate_tflops * 1e12)
    notes.add(name, forward_tflop=forward / 1e12, step_tflop=both / 1e12, floor_ms=1e3 * floor)
    peaks = {
        "bare": peak_gib(partial(Bare, work, look.hardware)),
        "fit": peak_gib(partial(Loop, work, look.hardware)),
    }
    taken = compared({"bare": Bare(work, look.hardware), "fit": Loop(work, look.hardware)}, look)
    for way, seconds in taken.items():
        notes.add(
            name,
            **{
                f"{way}_ms": 1e3 * median(seconds),
                f"{way}_slices_s": batch / median(seconds),
                f"{way}_of_floor": floor / median(seconds),
                f"{way}_peak_gib": peaks[way],
            },
        )
    notes.add(name, fit_to_bare=ratio(taken["fit"], taken["bare"]))


def part_stages(look: Look, notes: Notes) -> None:
    """Each training of FSM beside the plain one, by the real `fit`."""
    batch = look.batches[0]
    works = look.stages(look.paper, batch, look.pixels)
    peaks = {}
    for name, work in works.items():
        peaks[name] = peak_gib(partial(Loop, work, look.hardware))
    taken = compared({name: Loop(work, look.hardware) for name, work in works.items()}, look)
    for name, seconds in taken.items():
        notes.add(
            name,
            fit_ms=1e3 * median(seconds),
            to_plain=ratio(seconds, taken["plain"]),
            peak_gib=peaks[name],
        )


def part_forms(look: Look, notes: Notes) -> None:
    """Bare steps in other layouts, precisions and with cuDNN free to choose, as multiples of the
    speed of what bench takes."""
    works = {f"paper, batch {look.batches[0]}": look.work(look.batches[0])}
    works |= {name: speed.work_of(name) for name in look.small}
    for name, work in works.items():
        with notes.guarded(name):
            taken = compared(_forms(work, look.hardware), look)
            notes.add(name, ms={form: 1e3 * median(found) for form, found in taken.items()})
            gains = {form: ratio(taken["as bench"], found) for form, found in taken.items()}
            notes.add(name, gain=gains)


def _forms(work: Workload, given: Hardware) -> dict[str, Way]:
    as_bench = Bare(work, given)
    other = "nchw" if as_bench.hardware.layout == "channels_last" else "channels_last"
    precision = {True: "fp32", False: "bf16"}[given.bf16]
    return {
        "as bench": as_bench,
        other: Bare(work, replace(given, layout=other)),
        precision: Bare(work, replace(given, bf16=not given.bf16)),
        "cuDNN not deterministic": _with_cudnn(Bare(work, given), benchmark=False),
        "cuDNN not deterministic, by a race": _with_cudnn(Bare(work, given), benchmark=True),
    }


def _with_cudnn(way: Way, *, benchmark: bool) -> Way:
    def run(steps: int) -> float:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=benchmark, deterministic=False, allow_tf32=False
        ):
            return way(steps)

    return run


class Replay:
    """A bare step recorded once as a CUDA graph and played again."""

    def __init__(self, bare: Bare) -> None:
        self._clock = speed.clock_of(bare.hardware)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                bare.step()
        torch.cuda.current_stream().wait_stream(aside)
        self._graph, self._bare = torch.cuda.CUDAGraph(), bare
        with torch.cuda.graph(self._graph):
            bare.step()

    def __call__(self, steps: int) -> float:
        """Play the step so often; return seconds a step."""
        began = self._clock()
        for _ in range(steps):
            self._graph.replay()
        return (self._clock() - began) / steps


def part_graph(look: Look, notes: Notes) -> None:
    """The bare step as a CUDA graph: small networks first, where starting kernels costs most."""
    works = {name: speed.work_of(name) for name in look.small}
    works[f"paper, batch {look.batches[0]}"] = look.work(look.batches[0])
    for name, work in works.items():
        with notes.guarded(name):
            eager, recorded = Bare(work, look.hardware), Bare(work, look.hardware, capturable=True)
            _note_gain(notes, name, compared({"eager": eager, "form": Replay(recorded)}, look))


def part_compile(look: Look, notes: Notes) -> None:
    """The bare step with the network through torch.compile."""
    works = {f"paper, batch {look.batches[0]}": look.work(look.batches[0])}
    works |= {name: speed.work_of(name) for name in look.small}
    for name, work in works.items():
        with notes.guarded(name):
            eager, made = Bare(work, look.hardware), Bare(work, look.hardware)
            made.forward = torch.compile(made.forward)
            began = time.perf_counter()
            made(1)
            notes.add(name, compile_s=time.perf_counter() - began)
            _note_gain(notes, name, compared({"eager": eager, "form": made}, look))


def _note_gain(notes: Notes, name: str, taken: Mapping[str, list[float]]) -> None:
    notes.add(
        name,
        eager_ms=1e3 * median(taken["eager"]),
        form_ms=1e3 * median(taken["form"]),
        gain=ratio(taken["eager"], taken["form"]),
    )


class Watched:
    """A draw that has the device's synchronisations reported from one step to another."""

    def __init__(self, loop: Loop, mode: str, first: int, behind: int) -> None:
        self.steps_in_one_pass = loop.draw.steps_in_one_pass
        self.case_names = loop.draw.case_names
        self._draw, self._mode, self._first, self._behind = loop.draw, mode, first, behind

    def __call__(self, step: int) -> Any:
        """Return the batch of a step."""
        if step == self._first:
            torch.cuda.set_sync_debug_mode(self._mode)
        if step == self._behind:
            torch.cuda.set_sync_debug_mode("default")
        return self._draw(step)


def part_sync(look: Look, notes: Notes) -> None:
    """Whether the host waits for the device within an epoch of `fit`, and where."""
    trainer.SHOW_EVERY_SECONDS = 1e9  # twice a second it may: that is what a person watches
    first, behind, steps = 4, 20, 24  # an epoch's end and each 32nd step look at the terms
    for name, work in look.stages(UNet(width=8, norm="instance"), 8, 64).items():
        with notes.guarded(name):
            loop = Loop(work, look.hardware)
            try:
                loop.fit(Watched(loop, "error", first, behind), steps)
                notes.add(name, waits=False)
            except RuntimeError as error:
                notes.add(name, waits=True, first=f"{_ours(error)}: {said(error)}")
            finally:
                torch.cuda.set_sync_debug_mode("default")
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                loop.fit(Watched(loop, "warn", first, behind), steps)
            notes.add(name, places=_places(heard, behind - first))


def _ours(error: BaseException) -> str:
    """The line of this repository in which it was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if str(ROOT) in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "elsewhere"


def _places(heard: list[warnings.WarningMessage], steps: int) -> dict[str, float]:
    """How often a step each line made the host wait."""
    counts: dict[str, float] = {}
    for one in heard:
        if "synchroniz" in str(one.message):
            place = f"{Path(one.filename).name}:{one.lineno}"
            counts[place] = counts.get(place, 0) + 1 / steps
    return counts


def part_resume(look: Look, notes: Notes) -> None:
    """Whether a training that goes on from a saved state ends with the same weights, bit for bit,
    and whether the same training twice does."""
    small = replace(look.paper, norm="instance", width=min(16, look.paper.width))
    forms = {"paper": (look.paper, min(256, look.pixels)), "lite": (small, min(128, look.pixels))}
    for size in look.resumed:
        arch, pixels = forms[size]
        for precision in ("bf16", "fp32"):
            for stage, work in look.stages(arch, 4, pixels).items():
                name = f"{size} {precision} {stage}"
                with notes.guarded(name):
                    notes.add(name, **_resumed(work, hardware("auto", precision)))


def _resumed(work: Workload, given: Hardware, steps: int = 8, at: int = 4) -> dict[str, bool]:
    states: list[State] = []

    def save(state: State) -> None:
        copies = {name: tensor.clone() for name, tensor in state.tensors.items()}
        states.append(replace(state, tensors=copies))

    whole, twice, resumed = (Loop(work, given) for _ in range(3))
    whole.fit(whole.draw, steps, Control(save=save, every_seconds=0.0))
    twice.fit(twice.draw, steps)
    state = next(state for state in states if state.step == at)
    resumed.fit(resumed.draw, steps, Control(state=state))
    return {"resumed_same": _same(whole, resumed), "twice_same": _same(whole, twice)}


def _same(one: Loop, other: Loop) -> bool:
    return all(
        torch.equal(tensor, other.nets[name].state_dict()[path])
        for name, net in one.nets.items()
        for path, tensor in net.state_dict().items()
    )


def part_packing(look: Look, notes: Notes) -> None:
    """How many trainings of a small preset one device takes at once: processes that train for the
    same seconds, and all their steps together."""
    for preset in look.packed:
        for count in look.together:
            with notes.guarded(f"{preset} x {count}"):
                rates = _together(preset, count, look.packing_seconds)
                notes.add(f"{preset} x {count}", steps_s=sum(rates), slowest=min(rates))


def _together(preset: str, count: int, seconds: float) -> list[float]:
    command = [sys.executable, __file__, "--worker", preset, "--seconds", str(seconds)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        if any(_told(worker) != "ready" for worker in workers):
            raise RuntimeError("a worker ended before it was ready")
        for worker in workers:  # all are warm by now
            assert worker.stdin
            worker.stdin.write("go\n")
            worker.stdin.flush()
        return [float(_told(worker)) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _told(worker: subprocess.Popen[str]) -> str:
    """The next line that a worker prints; "" once it has ended."""
    assert worker.stdout
    return worker.stdout.readline().strip()


def work_for(preset: str, seconds: float) -> None:
    """Train a preset's network; say "ready", wait for a line, and print the steps a second of the
    seconds after it."""
    torch.set_num_threads(1)
    loop = Loop(speed.work_of(preset), hardware())
    counted = Counted(loop, seconds)
    try:
        loop.fit(counted, 10**8, Control(stop=counted.is_over))
    except Stopped:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    print(counted.steps / (time.perf_counter() - counted.began), flush=True)


class Counted:
    """A draw that says "ready" after the warm steps, waits for a line, and counts from there."""

    def __init__(self, loop: Loop, seconds: float, warm: int = 5) -> None:
        self.steps_in_one_pass = loop.draw.steps_in_one_pass
        self.case_names = loop.draw.case_names
        self._draw, self._seconds, self._warm = loop.draw, seconds, warm
        self.steps, self.began = 0, float("inf")

    def __call__(self, step: int) -> Any:
        """Return the batch of a step."""
        if step == self._warm:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            print("ready", flush=True)
            sys.stdin.readline()
            self.began = time.perf_counter()
        self.steps += step >= self._warm
        return self._draw(step)

    def is_over(self) -> bool:
        """Return whether the seconds are over."""
        return time.perf_counter() - self.began > self._seconds


def part_checks(look: Look, notes: Notes) -> None:
    """`pytest -m gpu`, or the same functions one by one where there is no pytest."""
    if importlib.util.find_spec("pytest"):
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider",
                   "tests/test_gpu.py"]  # fmt: skip
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        lines = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        last = (ran.stdout.strip().splitlines() or ran.stderr.strip().splitlines() or [""])[-1]
        notes.add("pytest", code=ran.returncode, said=last, failed=[line[:300] for line in lines])
        if ran.returncode == 0:
            return
    sys.path.insert(0, str(ROOT / "tests/helpers"))
    checks = importlib.import_module("gpu_checks").CHECKS
    for name, check in checks.items():
        with notes.guarded(name):
            check()
            notes.add(name, passed=True)


PARTS: dict[str, Callable[[Look, Notes], None]] = {
    name.removeprefix("part_"): value
    for name, value in list(globals().items())
    if name.startswith("part_")
}


def main() -> None:
    """Run one part, or a worker of the part "packing"."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=sorted(PARTS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--worker")
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    if args.worker:
        work_for(args.worker, args.seconds)
        return
    if args.rehearse:
        torch.set_num_threads(1)
    PARTS[args.part](TINY if args.rehearse else FULL, Notes(path=args.out))


if __name__ == "__main__":
    main()
