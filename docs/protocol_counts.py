"""What the protocol for real data costs, counted on shapes: trainings, operations, memory, disk.

Without the data, both sets are stood in for by sets of the same numbers of patients, whose slices
are counted and hold no image (`ASSUMED`); with them (`bench data add`), the sets themselves count.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmark.cli.suite_file import SuiteOrder, read_suites
from benchmark.data.feeding.order import epoch_length, near_and_far
from benchmark.data.library import Case, DataSet, open_dataset
from benchmark.data.volume import Geometry, Label
from benchmark.phantom.recipe import Phantom
from benchmark.plan.folds import FOLDS
from benchmark.plan.keys import key
from benchmark.plan.nodes import Train, in_order
from benchmark.running.bench import Options
from benchmark.running.cells import Cell
from benchmark.running.cost import AtSpeed, PlannedTraining, held_bytes, on_shapes, planned
from benchmark.running.events import Warnings
from benchmark.running.suites import suite_cells
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import Setting, rows_named, settings_of

DOCS = Path(__file__).parent
ORDERS = DOCS / "protocol" / "protocol.toml"
MEASURED = DOCS / "speed-gpu.json"  # what `make gpu` writes
TFLOPS = 20.0  # assumed: what a training keeps up on one GPU in bf16
PIXELS = 512
ORGANS = ("liver", "left_kidney", "right_kidney")


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What is assumed of a set that is not at hand: its patients are known, slices of a patient and
    how many of them hold an organ are not."""

    patients: int
    slices: int
    with_organs: int


ASSUMED = {
    "ircadb": Assumed(patients=20, slices=140, with_organs=100),
    "multi-organ": Assumed(patients=90, slices=150, with_organs=100),
}


@dataclass(frozen=True, kw_only=True)
class StandIn(DataSet):
    """A set of which only numbers are known."""

    assumed: Assumed = field(default_factory=lambda: ASSUMED["ircadb"])

    def label(self, case: str) -> Label:
        """Return one column of a label map: what counting slices needs."""
        label = np.zeros((self.assumed.slices, 1, 1), dtype=np.uint8)
        label[: self.assumed.with_organs] = 1
        return label


def stand_in(name: str) -> StandIn:
    """Return the stand-in of a set; its folder does not exist."""
    assumed = ASSUMED[name]
    shape = (assumed.slices, PIXELS, PIXELS)
    eye = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
    place = Geometry(spacing_mm=(1, 1, 1), affine=eye, shape=shape[::-1], orientation="LPS")
    cases = tuple(
        Case(
            name=f"case_{n:02d}",
            annotated=ORGANS,
            source="",
            sha256=f"{name}-{n}",
            geometry=place,
            shape=shape,
        )
        for n in range(assumed.patients)
    )
    return StandIn(
        name=name, organs=ORGANS, cases=cases, folder=DOCS / "none", origin={}, assumed=assumed
    )


def sets_of(root: Path | None, names: Iterable[str]) -> list[DataSet]:
    """Return the sets of a workspace; without one, their stand-ins."""
    return [open_dataset(root, name) if root else stand_in(name) for name in names]


def order() -> SuiteOrder:
    """Return the protocol's suite."""
    (found,) = read_suites(ORDERS)
    return found


def settings() -> list[Setting]:
    """Return the protocol's rows with their values."""
    asked, registry = order(), load_registry()
    return settings_of(registry, rows_named(registry, asked.rows), asked.preset, asked.set)


def speed() -> tuple[float, str]:
    """Return the TFLOP/s that a training keeps up, and where that is from."""
    if not MEASURED.exists():
        return TFLOPS, (
            f"counted, at an assumed {TFLOPS:g} TFLOP/s that docs/speed-gpu.json will replace"
        )
    found = json.loads(MEASURED.read_text(encoding="utf-8"))
    step = found["parts"]["step"]["figures"]["batch 8"]
    rate = step["step_tflop"] / (step["fit_ms"] / 1e3)
    return rate, f"counted, at {rate:.0f} TFLOP/s as docs/speed-gpu.json has it of {gpu(found)}"


def gpu(found: Mapping[str, Mapping[str, str]]) -> str:
    """Return the name of the device on which `make gpu` ran."""
    return found["machine"]["device"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a set costs with one seed; every further seed costs as much, and shares nothing. `tera`
    counts floating-point operations in 10^12, `alone` trainings if no two rows shared one; bytes
    are of what stays on the disk."""

    dataset: str
    patients: int
    rows: int
    alone: int
    trainings: int
    probes: int
    steps: int
    tera: float
    weight_bytes: int
    label_voxels: int
    scan_voxels: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: the operations of the plain network's in 10^12, its least memory in fp32, and that
    of the training that holds most."""

    title: str
    plain_tflop: float
    plain_bytes: int
    most_bytes: int


def cells_of(dataset: DataSet, folds: int = FOLDS) -> list[Cell]:
    """Return the protocol's cells with one seed on the first folds of a set."""
    return suite_cells(settings(), [dataset], list(range(folds)), [0])


def cells_of_row(dataset: DataSet, row: str) -> list[Cell]:
    """Return the cell of one row in the first fold of a set, with one seed."""
    chosen = [setting for setting in settings() if setting.row == row]
    return suite_cells(chosen, [dataset], [0], [0])


def pass_of(cell: Cell) -> float:
    """Return the steps of one pass over a fold's training slices."""
    found = [
        near_and_far(cell.data.dataset.label(n), cell.data.ground) for n in cell.data.fold.train
    ]
    return epoch_length(found, cell.data.ground) / cell.data.ground.batch


def counts_of(dataset: DataSet) -> Counts:
    """Return what the protocol costs on a set, with one seed; trains and measures nothing. One
    fold of a stand-in is counted for all: they are equal."""
    folds = 1 if isinstance(dataset, StandIn) and not len(dataset.cases) % FOLDS else FOLDS
    times, cells = FOLDS // folds, cells_of(dataset, folds)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(root=Path(folder), device="cpu", precision="fp32", threads=1)
        rows, probes = planned(cells, options.open(Warnings(print)), AtSpeed(1e12))
    everything = [*rows, *probes]
    whole = [cell for cell in cells if not cell.stage]
    voxels = {case.name: int(np.prod(case.shape)) for case in dataset.cases}
    return Counts(
        dataset=dataset.name,
        patients=len(dataset.cases),
        rows=len({cell.setting.label for cell in whole}),
        alone=times * sum(len(list(in_order(cell.final.node))) for cell in whole),
        trainings=times * len(rows),
        probes=times * len(probes),
        steps=times * sum(node.steps for node in everything),
        tera=times * sum(node.seconds or 0.0 for node in everything),
        weight_bytes=times * _weights(cells, everything),
        label_voxels=times * sum(voxels[name] for cell in cells for name in cell.data.fold.test),
        scan_voxels=sum(voxels.values()),
    )


def _weights(cells: list[Cell], trainings: list[PlannedTraining]) -> int:
    """The bytes of all networks that the trainings leave behind: each stores all of its own."""
    wanted, total, known = {node.key for node in trainings}, 0, dict[Train, int]()
    for cell, node in _nodes(cells):
        if (name := key(node, cell.context)) not in wanted:
            continue
        wanted.remove(name)
        if node not in known:
            nets, _ = on_shapes(node, cell)
            known[node] = sum(t.nbytes for net in nets.values() for t in net.state_dict().values())
        total += known[node]
    return total


def _nodes(cells: list[Cell]) -> Iterator[tuple[Cell, Train]]:
    for cell in cells:
        finals = [cell.final.node, *(probe.node for probe in cell.setting.probes)]
        yield from ((cell, node) for final in finals for node in in_order(final))


def step_of(dataset: DataSet) -> Step:
    """Return what one step of the plain network takes, and the training that holds most."""
    cells = cells_of(dataset, folds=1)
    held = {
        node.title: held_bytes(node, cell)
        for cell, node in {node.title: (cell, node) for cell, node in _nodes(cells)}.values()
    }
    plain = next(cell for cell in cells if cell.setting.row == "unet")
    title = max(held, key=lambda name: held[name])
    return Step(
        title=title,
        plain_tflop=AtSpeed(1e12).seconds_per_step(plain.final.node, plain),
        plain_bytes=held_bytes(plain.final.node, plain),
        most_bytes=held[title],
    )


@cache
def label_packing() -> float:
    """Return how many voxels of a phantom's label map are one byte of a stored one, to one digit:
    of what real anatomy takes this is only the order."""
    label, file = Phantom().volume(0).label, BytesIO()
    np.savez_compressed(file, label=label)
    size = zipfile.ZipFile(file).infolist()[0].compress_size
    return float(f"{label.size / size:.0g}")
