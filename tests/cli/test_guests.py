"""What installed packages do at import, in plan() or in volumes() is named and breaks nothing else;
and standard output has the result alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_process import Ran, finish, package, setting_argv, spawn, tiny_workspace

LEAVES = "import sys\nsys.exit(3)\n"
NOISY = """
import ctypes, os, sys
print("python at import")
os.write(1, b"descriptor at import\\n")
libc = ctypes.CDLL(None)
libc.puts(b"C at import")
libc.fflush(None)
from dataclasses import dataclass
from benchmark.parts.networks import UNet
from benchmark.parts.stages import plain
from benchmark.plan.nodes import Arch, Row, Schedule, field_from

@dataclass(frozen=True, kw_only=True)
class Noisy:
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "C", "of the training")
    how: str = field_from("good", "C", "what plan() does")
    def plan(self):
        print("python in plan")
        os.write(1, b"descriptor in plan\\n")
        libc.puts(b"C in plan")
        libc.fflush(None)
        if self.how == "raises":
            raise KeyError("no such part")
        if self.how == "leaves":
            sys.exit(4)
        return plain(self.ct, self.schedule)["ct"]
    def flags(self):
        if self.how == "flags":
            raise KeyError("no such flag")
        return ()

METHODS = {"noisy": Row(method=Noisy(), group="x", title="noisy", about="-", source="-")}
"""
BROKEN = NOISY.replace('field_from("good"', 'field_from("raises"').replace(
    '"noisy": ', '"broken": '
)
SETS = """
import numpy as np, sys
from dataclasses import replace
from benchmark.testing import TinySource, tiny_volume

class Raises(TinySource):
    def volumes(self):
        raise RuntimeError("no volumes\\ntoday")

class Leaves(TinySource):
    def volumes(self):
        sys.exit(5)
        yield

class Holey(TinySource):
    def volumes(self):
        one = tiny_volume(0)
        yield replace(one, image=np.where(one.image > 0, np.nan, one.image))

class Odd(TinySource):
    def volumes(self):
        yield 5

class Nameless:
    def volumes(self):
        return []

raises, leaves, holey, odd, nameless, number = (
    Raises(), Leaves(), Holey(), Odd(), Nameless(), 5)
"""
COMMAND = """
HELP = "says hello"
def configure(parser):
    pass
def run(args):
    print("hello")
    return 0
"""


def run(site: Path, *argv: str) -> Ran:
    return finish(spawn(*argv, site=site), 120)


@pytest.mark.parametrize(
    ("group", "argv"),
    [
        ("beyond_loss.methods", ["methods", "--json"]),
        ("beyond_loss.commands", ["methods", "--json"]),
        ("beyond_loss.datasets", ["data", "list", "--json", "--root", "nowhere"]),
    ],
)
def test_a_package_that_leaves_at_import_is_named(
    tmp_path: Path, group: str, argv: list[str]
) -> None:
    site = package(tmp_path / "site", "leaver", LEAVES, group, "leaver")
    ran = run(site, *argv)
    assert ran.code == 0 and len(ran.json) > 1, ran.err
    (line,) = [line for line in ran.err.splitlines() if "leaver" in line]
    assert "3" in line


@pytest.mark.long
def test_standard_output_is_the_result_alone(tmp_path: Path) -> None:
    site = package(tmp_path / "site", "noisy", NOISY, "beyond_loss.methods", "noisy")
    root = tiny_workspace(tmp_path / "workspace")
    argv = ["run", "--method", "noisy", "--mlflow", "none", "--folds", "0", *setting_argv(root)]
    ran = run(site, *argv, "--json")
    assert ran.code == 0 and ran.json["trained"] == 1, ran.err
    for who in ("python", "descriptor", "C"):
        assert f"{who} at import" in ran.err and f"{who} in plan" in ran.err
    assert run(site, "plan", *[a for a in argv[1:] if a not in ("--mlflow", "none")], "--json").json
    assert run(site, "methods", "show", "noisy", "--json").json["name"] == "noisy"
    assert run(site, "compare", "noisy", "noisy", "--root", str(root), "--json").json
    helped = run(site, "run", "--help")
    assert helped.code == 0 and helped.out.startswith("usage: bench run")


def test_a_command_of_another_package_prints_its_own_result(tmp_path: Path) -> None:
    site = package(tmp_path / "site", "hello", COMMAND, "beyond_loss.commands", "hello")
    assert run(site, "hello").out == "hello\n"


@pytest.mark.parametrize(
    ("how", "word"),
    [("raises", "no such part"), ("leaves", "sys.exit(4)"), ("flags", "no such flag")],
)
def test_a_plan_that_raises_is_one_line(tmp_path: Path, how: str, word: str) -> None:
    site = package(tmp_path / "site", "noisy", NOISY, "beyond_loss.methods", "noisy")
    root = tiny_workspace(tmp_path / "workspace")
    values = [*setting_argv(root), "--set", f"how={how}", "--folds", "0"]
    for command in (["run", "--mlflow", "none"], ["plan"]):
        ran = run(site, *command, "--method", "noisy", *values)
        assert ran.code == 2 and "Traceback" not in ran.err, ran.err
        assert word in ran.err.splitlines()[-1]


def test_a_row_that_cannot_be_shown(tmp_path: Path) -> None:
    site = package(tmp_path / "site", "noisy", BROKEN, "beyond_loss.methods", "noisy")
    ran = run(site, "methods", "show", "broken")
    assert ran.code == 2 and "Traceback" not in ran.err and "no such part" in ran.err


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("raises", "no volumes today"), ("leaves", "SystemExit: 5"), ("holey", "NaN"),
        ("odd", "yields int"), ("nameless", "organs"), ("number", "not a source"),
    ],
)  # fmt: skip
def test_a_data_set_that_is_none_breaks_no_other(tmp_path: Path, name: str, word: str) -> None:
    site = package(tmp_path / "site", "odd_sets", SETS, "beyond_loss.datasets", f"odd_sets:{name}")
    root = tiny_workspace(tmp_path / "workspace")
    argv = ["run", "--method", "unet", "--mlflow", "none", *setting_argv(root)]
    argv[argv.index("tiny")] = "odd_sets"
    ran = run(site, *argv)
    assert ran.code == 2 and "Traceback" not in ran.err, ran.err
    assert "'odd_sets'" in ran.err.splitlines()[-1] and word in ran.err
    listed = run(site, "data", "list", "--json", "--root", str(root))
    assert listed.code == 0 and {"tiny", "phantom"} <= {row["name"] for row in listed.json}
