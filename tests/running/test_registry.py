"""One kind, one class; and nobody takes the name of a built-in row or data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_process import bench, package, run_argv, tiny_workspace

from benchmark.data.embedded import embedded
from benchmark.data.library import add, open_dataset
from benchmark.errors import BadInput
from benchmark.phantom.recipe import INFORMATIVE
from benchmark.plan.nodes import Row
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.testing import TinySource

ROWS = """
from dataclasses import dataclass
from typing import ClassVar
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, field_from

@dataclass(frozen=True, kw_only=True)
class Negated:
    kind: ClassVar[str] = "KIND"
    net: str = "ct"
    reads: str = "image"
    def __call__(self, nets, batch):
        return {name: -term for name, term in Segmentation()(nets, batch).items()}

@dataclass(frozen=True, kw_only=True)
class Mine:
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "C", "of the training")
    mine: bool = field_from(MINE, "C", "which loss")
    def plan(self):
        objective = Negated() if self.mine else Segmentation()
        return Train(title="N_CT", nets={"ct": Net(arch=self.ct)}, objective=objective,
                     schedule=self.schedule)["ct"]

METHODS = {"NAME": Row(method=Mine(), group="beyond", title="mine", about="Mine.", source="-")}
"""
METHODS = "beyond_loss.methods"


def rows(kind: str, name: str = "mine", mine: bool = True) -> str:
    return ROWS.replace("KIND", kind).replace("NAME", name).replace("MINE", str(mine))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages before all others; named so that a package there comes first."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_a_kind_of_ours_is_refused_by_name(site: Path) -> None:
    package(site, "aa_kinds", rows("segmentation"), METHODS, "aa_kinds")
    registry = load_registry()
    (problem,) = registry.problems
    for word in ("'mine'", "aa_kinds.Negated", "'segmentation'", "objectives.Segmentation"):
        assert word in problem
    assert "mine" not in registry.rows
    with pytest.raises(BadInput, match="kind 'segmentation'"):
        registry.row("mine")


def test_a_kind_of_its_own_is_taken(site: Path) -> None:
    package(site, "aa_own", rows("aa/negated"), METHODS, "aa_own")
    registry = load_registry()
    assert registry.problems == () and "mine" in registry.rows


def test_two_packages_with_one_kind_are_told_apart(site: Path) -> None:
    package(site, "aa_first", rows("aa/negated"), METHODS, "aa_first")
    package(site, "ab_second", rows("aa/negated", "second"), METHODS, "ab_second")
    registry = load_registry()
    assert "mine" in registry.rows and "second" not in registry.rows
    assert "ab_second.Negated has the kind 'aa/negated', which is aa_first" in registry.problems[0]


def test_a_kind_behind_a_field_is_refused_when_the_field_is_set(site: Path) -> None:
    package(site, "aa_field", rows("segmentation", mine=False), METHODS, "aa_field")
    registry = load_registry()
    assert registry.problems == ()
    with pytest.raises(BadInput, match=r"aa_field\.Negated has the kind 'segmentation'"):
        resolve(registry, "mine", overrides={"mine": True})


def test_the_name_of_a_built_in_row_is_reserved(site: Path, tmp_path: Path) -> None:
    ours = load_registry().rows["unet"]
    package(site, "aa_names", rows("aa/negated", "unet"), METHODS, "aa_names")
    registry = load_registry()
    assert registry.rows["unet"] is ours
    assert registry.problems == (
        "aa_names: the name 'unet' is that of a built-in row: give the row another",
    )
    root = tiny_workspace(tmp_path / "workspace")
    ran = bench(*run_argv(root, "unet", "--folds", "0"))
    assert ran.code == 0 and "aa_names: the name 'unet'" in ran.err
    suite = bench("suite", "--root", str(root), "--rows", "unet", "--datasets", "tiny",
                  "--folds", "9", "--mlflow", "none")  # fmt: skip
    assert "aa_names: the name 'unet'" in suite.err


def test_the_name_of_a_built_in_set_is_reserved(site: Path, tmp_path: Path) -> None:
    code = "from benchmark.testing import TinySource\nSET = TinySource()\n"
    package(site, "phantom", code, "beyond_loss.datasets", "phantom:SET")
    assert embedded()["phantom"].load() is INFORMATIVE
    said: list[str] = []
    with pytest.raises(BadInput, match="no data set 'nothing'"):
        open_dataset(tmp_path, "nothing", say=said.append)
    assert said == []
    listed = bench("data", "list", "--root", str(tmp_path))
    assert "phantom:SET: the data set 'phantom' is left out" in listed.err
    with pytest.raises(BadInput, match="name of a built-in data set"):
        add(tmp_path, "phantom", TinySource(), command="bench data add folder x")


def test_our_rows_keep_their_names_and_kinds() -> None:
    registry = load_registry()
    assert registry.problems == () and registry.theirs == set()
    assert all(isinstance(row, Row) for row in registry.rows.values())
    assert {"segmentation", "matched", "unet", "mask-noise", "gt-gap"} <= registry.kinds.keys()
    # those that stand in the file of a rival are as reserved as those of the parts
    assert {"guided", "bridge", "anchored", "shape-loss", "coded", "stack"} <= registry.kinds.keys()
