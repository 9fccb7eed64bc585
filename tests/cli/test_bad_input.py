"""Bad input: one clear line (two at most), exit code 2, and nothing written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from bench_process import Ran, bench, finish, run_argv, setting_argv, spawn, tiny_workspace, tree

from benchmark.store.workspace import open_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with the tiny set."""
    return tiny_workspace(open_workspace(tmp_path / "workspace").root)


def refused(ran: Ran, *words: str) -> None:
    assert ran.code == 2, ran
    assert ran.out == ""
    assert 1 <= len(ran.err.splitlines()) <= 2 and "Traceback" not in ran.err, ran.err
    for word in words:
        assert word in ran.err, ran.err


SETTINGS = {
    "xi=abc": ["xi", "float"],
    "xi=-1": ["xi", "-1", "range"],
    "xi=NaN": ["xi", "nan"],
    "xi=Infinity": ["xi", "inf"],
    "xi=1e999": ["xi", "inf"],
    "xi=1" + "0" * 400: ["xi", "number"],
    "xi=true": ["xi", "float"],
    "xi=": ["xi", "float"],
    "xi": ["xi", "NAME=VALUE"],
    "=1": ["NAME=VALUE"],
    "xl=1": ["xl", "schedule, xi"],
    "xi.a=1": ["xi", "plain value"],
    "refine=3": ["refine", "true or false"],
    "taps=5": ["taps", "list"],
    "taps=[]": ["taps"],
    "taps=[[-1]]": ["taps", "2"],
    "taps=[[-9,-1]]": ["taps"],
    "noise=2": ["2", "range"],
    "drop=1.5": ["1.5", "range"],
    "norm=L2": ["norm", "L2", "relative"],
    "corruption=salt": ["corruption", "salt", "pixel"],
    "ct.width=0": ["width", "0", "range"],
    "ct.width=2.5": ["width", "int"],
    "ct.wide=2": ["ct.wide", "did you mean ct.width? the fields here are"],
    "epochs=5": ["no field 'epochs'", "did you mean schedule.epochs? the fields here are noise"],
    "epoch=5": ["did you mean schedule.epochs?"],
    "scedule.epochs=5": ["no field 'scedule'", "did you mean schedule.epochs?"],
    "width=5": ["did you mean ct.width or gt.width?"],
    "ce=1": ["did you mean ground.loss.ce?"],
    "ct=resnet": ["architecture", "resnet"],
    "ct=5": ["ct", "architecture"],
    "schedule=5": ["schedule.epochs"],
    "schedule.epochs=-1": ["epochs", "range"],
    "schedule.epochs=Infinity": ["epochs"],
    "schedule.lr=2": ["lr", "range"],
    "schedule.steps_per_epoch=0": ["steps_per_epoch", "range"],
    "ground.size=3": ["ground.size", "3", "range"],
    "ground.batch=0": ["ground.batch", "range"],
    "ground.hu_low=900": ["hu_high", "range"],
    "ground.zoom=2": ["ground.zoom"],
    "ground=1": ["ground"],
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_setting(root: Path, setting: str) -> None:
    before = tree(root)
    refused(bench(*run_argv(root, "fsm", "--set", setting)), *SETTINGS[setting])
    assert tree(root) == before


OPTIONS: dict[str, tuple[list[str], list[str]]] = {
    "preset": (["--preset", "huge"], ["huge", "quick, lite, study, paper"]),
    "data set": (["--dataset", "tinny"], ["tinny", "known: phantom", "tiny"]),
    "fold": (["--folds", "7"], ["7", "0 to 4"]),
    "folds": (["--folds", "x"], ["--folds", "x"]),
    "negative fold": (["--folds=-1"], ["-1"]),
    "no folds": (["--folds", ""], ["--folds"]),
    "seed": (["--seeds", "1.5"], ["--seeds"]),
    "huge seed": (["--seeds", "99999999999999999999"], ["--seeds"]),
    "device": (["--device", "banana"], ["banana", "cuda"]),
    "other device": (["--device", "meta"], ["meta"]),
    "precision": (["--precision", "fp8"], ["fp8", "bf16"]),
    "threads": (["--threads", "0"], ["--threads", "from 1 to"]),
    "missing config": (["--config", "nowhere.json"], ["nowhere.json", "No such file"]),
    "folder as config": (["--config", "."], ["--config"]),
    "option": (["--epocks", "3"], ["--epocks", "--help"]),
    "no value": (["--method"], ["--method"]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_option(root: Path, name: str) -> None:
    argv, words = OPTIONS[name]
    before = tree(root)
    refused(bench(*run_argv(root, "fsm", *argv)), *words)
    assert tree(root) == before


def test_method_with_near_names(root: Path) -> None:
    before = tree(root)
    refused(bench(*run_argv(root, "no-refin")), "no-refin", "did you mean no-refine", "unet")
    assert tree(root) == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("broken.json", b'{"xi": '),
        ("broken.toml", b"xi = = 3"),
        ("list.json", b"[1, 2]"),
        ("binary.json", b"\xff\xfe\x00"),
        ("date.toml", b"norm = 2020-01-01"),
        ("time.toml", b"xi = 2020-01-01"),
        ("unknown.json", b'{"ct": {"wide": 3}}'),
    ],
)
def test_config(root: Path, file: str, content: bytes) -> None:
    path = root.parent / file
    path.write_bytes(content)
    before = tree(root)
    refused(bench(*run_argv(root, "fsm", "--config", str(path))), "norm" if "date" in file else "")
    assert tree(root) == before


@pytest.mark.parametrize("name", ["smp:nothing/resnet18", "smp:unet/nothing"])
def test_architecture_of_smp(root: Path, name: str) -> None:
    before = tree(root)
    argv = ["run", "--method", "unet", *setting_argv(root, {"ct": name}), "--mlflow", "none"]
    refused(bench(*argv), "nothing")
    assert tree(root) == before


def test_n_gt_decoder_needs_equal_architectures(root: Path) -> None:
    argv = run_argv(root, "fsm", "--set", "refine_init=n_gt", ct__width=8)
    refused(bench(*argv), "refine_init", "own")
    assert not (root / "objects").exists()


def test_a_lone_patient_makes_no_fold(root: Path) -> None:
    tiny_workspace(root, patients=1, name="lone")
    refused(bench(*run_argv(root, "fsm", "--dataset", "lone")), "1 patient", "2 folds")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_where_there_is_none(root: Path) -> None:
    refused(bench(*run_argv(root, "fsm", "--device", "cuda")), "cuda", "--device cpu")


def test_workspace_is_a_file(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    refused(bench(*run_argv(place, "fsm")), str(place), "--root")
    refused(bench("status", "--root", str(place)), str(place))
    assert place.read_text() == "mine"


def test_workspace_cannot_be_made(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    refused(bench(*run_argv(place / "below", "fsm")), "cannot be written", "--root")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_workspace_is_read_only(root: Path) -> None:
    before = tree(root)
    root.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        refused(bench(*run_argv(root, "fsm")), "cannot be written", "--root")
    finally:
        root.chmod(stat.S_IRWXU)
    assert tree(root) == before


def test_workspace_of_another_format(root: Path) -> None:
    (root / "format").write_text("99\n")
    before = tree(root)
    refused(bench(*run_argv(root, "fsm")), "format 99")
    refused(bench("status", "--root", str(root)), "format 99")
    assert tree(root) == before


@pytest.mark.parametrize("command", [["status"], ["store", "verify"], ["store", "gc"], ["sync"]])
def test_reading_commands_never_make_a_workspace(tmp_path: Path, command: list[str]) -> None:
    mine = tmp_path / "documents"
    refused(bench(*command, "--root", str(tmp_path / "nowhere")), "no workspace")
    mine.mkdir()
    refused(bench(*command, "--root", str(mine)), "no workspace")
    assert list(tmp_path.iterdir()) == [mine] and not list(mine.iterdir())


@pytest.mark.parametrize(
    "argv",
    [["nonsense"], ["store"], ["store", "burn"], ["methods", "show"], ["run"]],
    ids=" ".join,
)
def test_command_line(argv: list[str]) -> None:
    refused(bench(*argv))


def test_unknown_method_to_show() -> None:
    refused(bench("methods", "show", "fms"), "fms", "did you mean fsm")


def test_process_ends_with_two(root: Path) -> None:
    refused(finish(spawn(*run_argv(root, "fsm", "--set", "xi=-1"))), "xi")
