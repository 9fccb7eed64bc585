"""One bit, or all, of something that is stored is damaged; then the same command is given."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench_process import bench, flip
from chaos import ALONE, Command, Place, Seen, fault, training
from suite_process import suite_argv

DAMAGE = "damage"
SMALL = {"schedule__epochs": 1, "schedule__steps_per_epoch": 10}


def damaged(
    place: Place,
    files: str,
    said: str,
    do: Callable[[Path], None] = flip,
    command: Command = ALONE,
) -> Seen:
    """Damage a file of what a run stored; the same command is then the one that the user sees."""
    root = place.root()
    assert command.run(root).code == 0
    do(sorted(root.glob(files))[0])
    ran = command.run(root)
    verified = bench("store", "verify", "--root", str(root))
    assert verified.code == 0, verified
    return place.again(ran, root, said, command, command)


@fault(DAMAGE, "a bit of a network's weights")
def weights(place: Place) -> Seen:
    return damaged(place, "objects/[0-9a-f]*/ct.safetensors", "is damaged")


@fault(DAMAGE, "a training's record, cut off")
def record(place: Place) -> Seen:
    return damaged(place, "objects/[0-9a-f]*/record.json", "is damaged", cut)


@fault(DAMAGE, "a bit of the rows")
def rows(place: Place) -> Seen:
    return damaged(place, "results/[0-9a-f]*/[0-9a-f]*/rows.parquet", "damaged")


@fault(DAMAGE, "an entry of the ledger, cut off")
def ledger(place: Place) -> Seen:
    """The run writes it again, in silence."""
    return damaged(place, "ledger/default/*.json", "", cut)


@fault(DAMAGE, "the table of what code made what; `bench store verify`", short=True)
def code(place: Place) -> Seen:
    root = place.root()
    assert ALONE.run(root).code == 0
    file = sorted(root.glob("code/*.json"))[0]
    cut(file)
    ran = bench("store", "verify", "--root", str(root))
    file.unlink()  # as the line says
    seen = place.again(replace(ran, err=ran.out), root, "damaged: ")
    assert bench("store", "verify", "--root", str(root)).code == 0
    return seen


@fault(DAMAGE, "a bit of the slices that are kept for training", short=True)
def slices(place: Place) -> Seen:
    """They are made again, in silence."""

    def spoil(path: Path) -> None:
        flip(path, 200)
        for folder in ("objects", "results", "ledger"):  # else nothing is trained, nor read
            shutil.rmtree(path.parents[4] / folder)

    on_grid = Command(argv=lambda root: training(root, "1", ground__size=16))
    return damaged(place, "data/tiny/slices/*/hu.npy", "", spoil, on_grid)


@fault(DAMAGE, "a bit of a stored CT", short=True)
def case(place: Place) -> Seen:
    """Nobody makes it again but who has the files; with the whole one all goes on."""
    root = place.root()
    file = root / "data/tiny/cases/p00/image.npy"
    whole = file.read_bytes()
    flip(file, len(whole) // 2)
    ran = ALONE.run(root)
    file.write_bytes(whole)
    return place.again(ran, root, "p00")


@fault(DAMAGE, "a suite's plan, a number changed by hand")
def plan(place: Place) -> Seen:
    """Another name, as the line says, has the same rows and trains nothing."""
    root = place.root()
    suite = Command(argv=lambda root: suite_argv(root, "unet", "--workers", "1", "--json", **SMALL))
    assert suite.run(root).code == 0
    (file,) = root.glob("ledger/*/plan/0001.json")
    value = json.loads(file.read_text())
    value["plan"]["seeds"] = [7]
    file.write_text(json.dumps(value))
    ran = suite.run(root)
    other = replace(suite, argv=lambda root: [*suite.argv(root), "--name", "other"])
    last = other.run(root)
    assert last.json["trained"] == 0
    return place.seen(ran, root, "is damaged", last, suite)


def cut(path: Path) -> None:
    """The second half of a file is lost."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
