"""A name that was mistyped is answered with the nearest of those that there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_process import bench, run_argv, tiny_workspace

TYPED = {
    "rnu": "run",
    "run --metod fsm": "--method",
    "plan --methd=fsm": "--method",
    "store verfy": "verify",
    "sweep rum xi": "run",
    "data ad folder x": "add",
    "data phantom --patients 2 --layout ircad --out x": "ircadb",
    "import nnunett x": "nnunet",
    "new metrik x": "metric",
    "explain fsm_saturatd": "fsm_saturated",
    "run --method fms": "fsm",
    "run --method FSN": "fsm",
    "run --method unet --dataset tinny": "tiny",
    "suite --rows unet --datasets tiny,tinni": "tiny",
    "data audit tiney": "tiny",
    "run --method unet --preset quik": "quick",
    "suite --rows tabel1": "table1",
    "run --method fsm --set shedule.epochs=2": "schedule.epochs",
    "sweep run nois --trials 2": "noise",
    "sweep run xi --trials 1 --dataset tiny --sampler tpee": "tpe",
    "run --method unet --dataset tiny --set ct=smp:unet/resnet19": "resnet18",
    "run --method unet --dataset tiny --set ct=smp:linknett/resnet18": "linknet",
    "score --dataset tinny": "tiny",
    "store rm unnet": "unet",
    "export --method unnet -o x": "unet",
    "report --suite scrach": "scratch",
    "compare unet unet-20": "unet-200",
    "compare unet unet --as medpy-0.6": "medpy-0.5",
}
NO_ROOT = ("rnu", "explain", "new")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny set, and one row on it."""
    root = tiny_workspace(tmp_path_factory.mktemp("near") / "workspace")
    assert bench(*run_argv(root, "unet"), "--folds", "0").code == 0
    return root


@pytest.mark.parametrize("line", TYPED)
def test_the_nearest_name_is_given(line: str, root: Path) -> None:
    words = line.split()
    ran = bench(*words, *([] if words[0] in NO_ROOT else ["--root", str(root)]))
    (told,) = [one for one in ran.err.splitlines() if "did you mean" in one]
    assert (ran.code, ran.out) == (2, "")
    hint = told.partition("did you mean ")[2].partition("?")[0]
    assert TYPED[line] in hint.split(" or ")


def test_a_name_that_is_near_to_none_gets_no_hint(root: Path) -> None:
    for line in ("run --method zzzzzz", "run --zzzzzz 1", "zzzzzz"):
        words = line.split()
        ran = bench(*words, *(["--root", str(root)] * (words[0] == "run")))
        assert ran.code == 2 and "did you mean" not in ran.err and "zzzzzz" in ran.err


def test_an_option_is_refused_by_the_command_it_was_given_to() -> None:
    ran = bench("data", "list", "--jsno")
    assert ran.err == (
        "bench: unrecognized arguments: --jsno: did you mean --json? (see bench data list --help)\n"
    )
