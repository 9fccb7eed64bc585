"""Every block of code on README and the site is run, or says why not."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from bench_process import REPOSITORY, bench, run_argv, tiny_workspace
from doc_blocks import ELSEWHERE, KINDS, Block, blocks_of, commands, pages, shortened
from metric_adapters import SPACING_MM, pairs
from native import small
from nnunet_files import make
from outside_masks import write_masks

from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import DataSet, add
from benchmark.data.volume import Volume, from_canonical
from benchmark.testing import TinySource, tiny_volume

BLOCKS = [block for page in pages() for block in blocks_of(page)]
RUN = [block for block in BLOCKS if not block.reason and block.page not in ELSEWHERE]
SHELL = sorted({block.page for block in RUN if block.kind == "bash"})
MOST_NOT_RUN = 22  # lower it with each that is run
PATIENTS = 15  # as the phantom has: tuning needs four inner patients

pytestmark = pytest.mark.slow


def test_each_block_has_a_language_that_says_what_is_done_with_it() -> None:
    assert not [block.place for block in BLOCKS if block.kind not in KINDS]
    assert not [block.place for block in BLOCKS if block.reason and len(block.reason) < 20]
    not_run = [block.place for block in BLOCKS if block.reason]
    print("\n".join(not_run))
    assert len(not_run) <= MOST_NOT_RUN
    shown = [block for block in BLOCKS if block.kind == "text"]
    assert not [one.place for one in shown if one.text.startswith(("bench ", "make ", "pip "))]


def test_a_page_that_is_run_elsewhere_is_read_there() -> None:
    tests = [path.read_text("utf-8") for path in (REPOSITORY / "tests").glob("*/test_*page*.py")]
    there = [page for page in ELSEWHERE if (REPOSITORY / page).is_file()]
    assert all(any(Path(page).name in text for text in tests) for page in there)


@pytest.mark.parametrize("block", [b for b in RUN if b.kind == "toml"], ids=lambda b: b.place)
def test_toml_can_be_read(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [b for b in RUN if b.kind == "json"], ids=lambda b: b.place)
def test_json_can_be_read(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", [b for b in RUN if b.kind == "python"], ids=lambda b: b.place)
def test_python_runs_as_it_stands(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_block")
    monkeypatch.setitem(sys.modules, "a_block", module)  # dataclasses look for it
    if block.page == "docs/metrics.md":  # its words say what these are
        truth, predicted = next(iter(pairs().values()))
        vars(module).update(truth=truth, predicted=predicted, spacing_mm=SPACING_MM)
    exec(compile(block.text, block.place, "exec"), vars(module))
    assert len(vars(module)) > 5


@dataclass(frozen=True, kw_only=True)
class Other:
    """Three other patients of the tiny kind: a test set that is kept apart."""

    organs: tuple[str, ...] = TinySource.organs
    fingerprint: str = "tiny-other"

    def volumes(self) -> Iterator[Volume]:
        return (tiny_volume(number) for number in range(40, 43))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pages take for granted, and nobody writes to it: the rows `unet` and `fsm`, trained, in
    a workspace, and the files that commands name."""
    room = tmp_path_factory.mktemp("prepared")
    root = tiny_workspace(room / "workspace", PATIENTS)
    mine = add(root, "mine", TinySource(patients=6))
    apart = add(root, "mine-test", Other())
    for row in ("unet", "fsm"):
        ran = bench(*run_argv(root, row))
        assert ran.code == 0, ran.err
    _scans(room)
    _of_others(room, mine)
    write_masks(room / "theirs" / "apart_0", apart, [case.name for case in apart.cases])
    make(room / "Dataset007_Mine", cases=3)
    return room


def _scans(room: Path) -> None:
    """Small phantoms as files: CTS and MASKS, one CT, one pair in other forms."""
    for number in range(3):
        volume = small(number)
        affine = np.array(volume.geometry.affine)
        for folder, array in (("CTS", volume.image), ("MASKS", volume.label)):
            path = room / folder / f"case_{number:02d}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(from_canonical(array, volume.geometry), affine), path)
    shutil.copy(room / "CTS/case_00.nii.gz", room / "CT.nii.gz")
    for name, source in (("ct.mha", "CTS"), ("labels.nrrd", "MASKS")):
        image = SimpleITK.ReadImage(str(room / source / "case_01.nii.gz"))
        SimpleITK.WriteImage(image, str(room / name))


def _of_others(room: Path, mine: DataSet) -> None:
    """What another tool predicted for `mine`, its folds in a file, and an experiment."""
    numbers = {"background": 0, "liver": 1, "left_kidney": 2, "right_kidney": 3}
    trained = room / "nnUNet_results/Dataset007_Mine/nnUNetTrainer__nnUNetPlans__2d"
    split = []
    for fold in folds_of(mine).folds:
        write_masks(trained / f"fold_{fold.index}" / "validation", mine, fold.test)
        write_masks(room / "theirs" / f"fold_{fold.index}", mine, fold.test, share=0.3)
        split.append({"train": [*fold.train], "val": [*fold.test]})
    (trained / "dataset.json").write_text(json.dumps({"labels": numbers}))
    (trained / "splits_final.json").write_text(json.dumps(split))
    turned = [{"train": one["train"], "val": one["val"]} for one in split[1:]]
    (room / "splits_final.json").write_text(json.dumps([*turned, split[0]]))


@pytest.fixture
def room(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, in which the commands of a page are run."""
    room = tmp_path / "room"
    shutil.copytree(prepared, room)
    monkeypatch.chdir(room)
    monkeypatch.setenv("BENCH_ROOT", str(room / "workspace"))
    return room


@pytest.mark.parametrize("page", SHELL)
def test_the_commands_of_a_page_run_in_its_order(page: str, room: Path) -> None:
    of_page = [block for block in RUN if block.page == page]
    (experiment,) = [b for b in BLOCKS if b.kind == "toml" and "preset" in b.text]
    (room / "experiment.toml").write_text(experiment.text)
    for block in of_page:
        for argv in commands(block.text) if block.kind == "bash" else ():
            assert argv[0] == "bench", f"{block.place}: say why {argv[0]} is not run"
            short = shortened(argv[1:], "tiny")
            ran = bench(*short)
            line = " ".join(argv)
            assert ran.code in _codes(argv), f"{block.place}: {line}\n{ran.out}\n{ran.err}"
            assert "Traceback" not in ran.err, f"{block.place}: {line}\n{ran.err}"


def _codes(argv: list[str]) -> tuple[int, ...]:
    """The exit codes of a command that did what it says: 1 says that something is incomplete."""
    reads = ("compare", "report", "doctor", "status")
    return (0, 1) if argv[1] in reads else (0,)


def test_the_notebook_runs_from_top_to_bottom(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells, one after the other: what a person sees who runs all."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # of the commands that it runs
    notebook = json.loads((REPOSITORY / "examples" / "notebook.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["language"]) == (4, "python")
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)
    assert names["found"].patients == PATIENTS and len(names["figure"].axes) == 1
    assert names["scores"]["value"].notna().any() and not names["folder"].is_absolute()
