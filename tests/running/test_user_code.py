"""A person's own loss, in a package of their own: what an edit does to what is stored.

The package is installed by pip outside of the repository and edited between two commands.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bench_process import Ran, finish, setting_argv, spawn_warm, tiny_workspace, weights

ROWS = '''
"""Two trainings, the second from the first one's weights, each with a loss of its own."""
from dataclasses import dataclass
from benchmark.parts.networks import UNet
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, Weights, field_from
from my_losses import First, Second

@dataclass(frozen=True, kw_only=True)
class Twice:
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "C", "of both trainings")

    def plan(self) -> Weights:
        one = Train(title="one", nets={"ct": Net(arch=self.ct)}, objective=First(),
                    schedule=self.schedule)
        again = Net(arch=self.ct, init=(one["ct"],))
        two = Train(title="two", nets={"ct": again}, objective=Second(), schedule=self.schedule)
        return two["ct"]

METHODS = {"twice": Row(method=Twice(), group="beyond", title="twice", about="Two.", source="-")}
'''
LOSSES = '''
"""The losses."""
from dataclasses import dataclass
from typing import ClassVar
from benchmark.parts.objectives import segmentation_terms

def weighted(term):
    return 1.0 * term

@dataclass(frozen=True, kw_only=True)
class First:
    """Stage 1."""
    kind: ClassVar[str] = "mine/first"
    def __call__(self, nets, batch):
        terms = segmentation_terms(nets["ct"](batch.image_B1HW), batch)
        return {name: weighted(term) for name, term in terms.items()}

@dataclass(frozen=True, kw_only=True)
class Second:
    """Stage 2."""
    kind: ClassVar[str] = "mine/second"
    def __call__(self, nets, batch):
        terms = segmentation_terms(nets["ct"](batch.image_B1HW), batch)
        return {name: 0.5 * term for name, term in terms.items()}
'''
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "my-rows"
version = "1"
[project.entry-points."beyond_loss.methods"]
mine = "my_rows"
[tool.setuptools]
py-modules = ["my_rows", "my_losses"]
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put the package."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    files = {"my_rows.py": ROWS, "my_losses.py": LOSSES, "pyproject.toml": PROJECT}
    for name, text in files.items():
        (source / name).write_text(text)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(site), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return site


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_workspace(tmp_path / "workspace")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Path:
    """A workspace in which both trainings are done; nobody writes to it."""
    root = tiny_workspace(tmp_path_factory.mktemp("both"))
    edit(site)
    assert run(root, site, "--json").json["trained"] == 2
    return root


@pytest.fixture
def trained(both: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(both, tmp_path / "trained"))


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Path:
    """A workspace in which a run was killed in its second training; nobody writes to it."""
    root = tiny_workspace(tmp_path_factory.mktemp("half"))
    edit(site)
    process = spawn_warm(*argv(root, "--checkpoint-seconds", "0", **LONG), site=site)
    until = time.monotonic() + 60
    while _steps_of_the_second(root) < 20:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    finish(process)
    return root


def edit(site: Path, *changes: tuple[str, str]) -> None:
    """Write the losses with these changes."""
    text = LOSSES
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (site / "my_losses.py").write_text(text)


def run(root: Path, site: Path, *more: str, **values: Any) -> Ran:
    return finish(spawn_warm(*argv(root, *more, **values), site=site), 120)


def argv(root: Path, *more: str, **values: Any) -> list[str]:
    small = {"ground.size": None, "ct.width": 4, "ct.levels": 3, "schedule.epochs": 2,
             "schedule.steps_per_epoch": 3}  # fmt: skip
    small |= {name.replace("__", "."): value for name, value in values.items()}
    options = setting_argv(root, small)
    return ["run", "--method", "twice", "--folds", "0", "--mlflow", "none", *options, *more]


NEGATED = ("return 1.0 * term", "return -1.0 * term")
SECOND = ("0.5 * term", "0.6 * term")
LONG = {"schedule__epochs": 40}
COMMENT = ('"""Stage 1."""', '"""Stage one, in other words."""  # and why')


def test_an_edited_loss_is_trained_anew_with_its_children(trained: Path, site: Path) -> None:
    root, first = trained, weights(trained)
    edit(site, COMMENT)
    again = run(root, site, "--json")
    assert (again.json["trained"], again.json["reused"]) == (0, 2) and "other code" not in again.err
    edit(site, NEGATED)
    changed = run(root, site, "--json")
    assert (changed.code, changed.json["trained"], changed.json["reused"]) == (0, 2, 0)
    (line,) = [line for line in changed.err.splitlines() if "other code" in line]
    assert "weighted changed" in line and "1 that started from it" in line and "--reuse" in line
    after = weights(root)
    assert after.keys() == first.keys() and all(after[name] != first[name] for name in first)
    assert len(list((root / "objects/aside").iterdir())) == 2, "nothing is lost"
    assert len(list((root / "results/aside").iterdir())) == 1, "the children's rows go with them"


def test_an_edit_of_the_second_stage_leaves_the_first(trained: Path, site: Path) -> None:
    edit(site, SECOND)
    plan = ["plan", *argv(trained, "--json")[1:]]
    planned = finish(
        spawn_warm(*[word for word in plan if word not in ("--mlflow", "none")], site=site)
    )
    assert [node["cached"] for node in planned.json["nodes"]] == [True, False], planned.err
    changed = run(trained, site, "--json")
    assert (changed.json["trained"], changed.json["reused"]) == (1, 1)


@pytest.mark.long
def test_two_workers_train_an_edited_loss_anew(trained: Path, site: Path) -> None:
    edit(site)
    root, more = trained, ["--json", "--folds", "0,1", "--workers"]
    assert run(root, site, *more, "1").json["trained"] == 2, "those of fold 1"
    edit(site, NEGATED)
    changed = run(root, site, *more, "2")
    assert (changed.code, changed.json["trained"], changed.json["reused"]) == (0, 4, 0)
    assert changed.err.count("weighted changed") == 2
    lines = [line for line in changed.err.splitlines() if ", key " in line]
    assert [line[:4] for line in lines[:2]] in (["[1/2", "[2/2"], ["[2/2", "[1/2"]), (
        "both folds are trained again at once"
    )


def test_reuse_keeps_what_the_old_code_made(trained: Path, site: Path) -> None:
    root, before = trained, weights(trained)
    edit(site, NEGATED)
    kept = run(root, site, "--reuse", "--json")
    assert (kept.json["trained"], kept.json["reused"]) == (0, 2) and weights(root) == before
    (line,) = [line for line in kept.err.splitlines() if "other code" in line]
    assert "weighted" in line and "used as they are" in line
    assert run(root, site, "--json").json["trained"] == 2, "without --reuse the edit counts"


@pytest.mark.long
def test_a_suite_trains_an_edited_loss_anew(trained: Path, site: Path) -> None:
    """What `bench run` has trained, it only reuses while the code is the same."""
    edit(site)
    sets = argv(trained)[argv(trained).index("--dataset") + 2 :]
    suite = ["suite", "--root", str(trained), "--rows", "unet,twice", "--datasets", "tiny",
             "--folds", "0", "--workers", "1", "--mlflow", "none", *sets, "--json"]  # fmt: skip
    first = finish(spawn_warm(*suite, site=site), 120)
    assert (first.json["trained"], first.json["reused"]) == (1, 2), first.err
    assert "other code" not in first.err
    edit(site, NEGATED)
    changed = finish(spawn_warm(*suite, site=site), 120)
    assert changed.json["trained"] == 2, changed.err
    assert "trained again" in changed.err


@pytest.mark.parametrize("change", [COMMENT, SECOND, pytest.param(NEGATED, marks=pytest.mark.long)])
def test_a_checkpoint_falls_with_its_own_training_alone(
    half_done: Path, tmp_path: Path, site: Path, change: tuple[str, str]
) -> None:
    """A comment loses nothing, its own loss its checkpoint, stage 1's loss both."""
    root = Path(shutil.copytree(half_done, tmp_path / "copy"))
    edit(site, change)
    ran = run(root, site, "--json", **LONG)
    assert ran.code == 0, ran.err
    resumed, trained = ran.json["resumed"], ran.json["trained"]
    if change == COMMENT:
        assert len(resumed) == 1 and resumed[0]["step"] >= 20 and trained == 1
        assert "other code" not in ran.err
    else:
        assert resumed == [] and trained == (1 if change == SECOND else 2)
        assert ("Second" if change == SECOND else "weighted") in ran.err


def _steps_of_the_second(root: Path) -> int:
    """The newest checkpoint's step once the first training is stored and its own are gone."""
    stored = {path.parent.name for path in root.glob("objects/[0-9a-f]*/record.json")}
    partial = [path for path in root.glob("objects/[0-9a-f]*.partial/*") if path.name.isdigit()]
    steps = [int(path.name) for path in partial if path.parent.stem not in stored]
    return max(steps, default=0) if stored else 0


PROBED = """
from dataclasses import dataclass, replace
from typing import ClassVar
import my_rows
from benchmark.plan.nodes import Probe

@dataclass(frozen=True, kw_only=True)
class Size:
    kind: ClassVar[str] = "mine/size"
    def __call__(self, nets, patient):
        return {"size": 1.0}
    def flags(self, means):
        return (f"size: {means['size']:.0f} of it",)

@dataclass(frozen=True, kw_only=True)
class Probed(my_rows.Twice):
    def probes(self):
        return (Probe(name="size", node=self.plan().node, measure=Size()),)

METHODS = {"probed": replace(my_rows.METHODS["twice"], method=Probed())}
"""


def test_an_edited_measure_is_measured_again(root: Path, site: Path) -> None:
    edit(site)
    extra = site / "my_rows.py"
    extra.write_text(ROWS)
    (site / "my_probes.py").write_text(PROBED)
    info = next(site.glob("my_rows-*.dist-info")) / "entry_points.txt"
    kept = info.read_text()
    info.write_text(kept + "probed = my_probes\n")
    try:
        words = argv(root, "--json")
        words[2] = "probed"
        first = finish(spawn_warm(*words, site=site), 120)
        assert first.code == 0 and first.json["trained"] == 2, first.err
        (site / "my_probes.py").write_text(PROBED.replace("1.0}", "2.0}"))
        second = finish(spawn_warm(*words, site=site), 120)
        assert second.json["trained"] == 0 and "measured again" in second.err, second.err
        (entry,) = [json.loads(p.read_text()) for p in root.glob("ledger/default/*.json")]
        assert entry["flags"] == ["size: 2 of it"]
    finally:
        info.write_text(kept)
