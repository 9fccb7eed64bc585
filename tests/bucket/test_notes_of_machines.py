"""What machines tell each other through a bucket: entries, plans, looks, splits, data sets."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import s3_server
from few_source import Few, volume
from s3_server import BUCKET

from benchmark.data.library import add, list_datasets, open_dataset
from benchmark.errors import BadInput
from benchmark.files.bucket import Bucket
from benchmark.files.mirror import Mirror, mirror_of
from benchmark.files.roots import root_of
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.suite import SuitePlan
from benchmark.running.bench import Options
from benchmark.running.held_out import look
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace, open_workspace

if reason := s3_server.missing():
    pytest.skip(reason, allow_module_level=True)
PLAN = SuitePlan(
    rows=("unet",), labels=("unet",), splits={"d": "s"}, folds=(0, 1), seeds=(0,), preset="quick",
    analysis=AnalysisPlan(seeds=(0,), datasets=("d",), version=1),
)  # fmt: skip
ENTRY = Entry(
    dataset="set", row="fsm", label="fsm[xi=1]", preset="quick", overrides={"xi": 1}, fold=0,
    seed=0, part="test", key="0123456789abcdef0123", evaluation="0123456789ab", split="s",
    nodes=("p",),
)  # fmt: skip
URL = f"s3://{BUCKET}/notes"


def none(plan: SuitePlan) -> int:
    return 0


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with s3_server.server() as address:
        yield address


@pytest.fixture
def roots(
    running: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Path]]:
    """The copies of two machines."""
    with s3_server.machine(s3_server.environment(running, tmp_path)):
        s3_server.emptied(running)
        found = []
        for name in ("one", "two"):
            monkeypatch.setenv("BENCH_CACHE", str(tmp_path / name))
            found.append(root_of(URL))
        yield found[0], found[1]


@pytest.fixture
def both(roots: tuple[Path, Path]) -> tuple[Workspace, Workspace]:
    return open_workspace(roots[0]), open_workspace(roots[1])


def test_entries_travel(
    both: tuple[Workspace, Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """The last word counts; one that is removed is gone everywhere; a damaged one is missing."""
    one, two = (each.ledger for each in both)
    one.write(ENTRY)
    assert two.entries() == []
    two.refresh()
    assert two.entries() == one.entries() and len(two.entries()) == 1
    two.write(replace(ENTRY, state="done"))
    one.refresh()
    assert [entry.state for entry in one.entries()] == ["done"]
    other = replace(ENTRY, fold=1)
    one.write(other)
    bucket = Bucket(url=URL)
    (key,) = [k for k in bucket.listed("notes/ledger/") if other.name in k]
    bucket._files.pipe_file(bucket._full(key), b"{}")
    two.refresh()
    assert [entry.fold for entry in two.entries()] == [0]
    assert "is damaged: it counts as missing" in capsys.readouterr().err
    two.remove(ENTRY)
    one.refresh()
    assert [entry.fold for entry in one.entries()] == [1], "its own copy is whole"


def test_of_two_plans_at_once_the_second_joins(both: tuple[Workspace, Workspace]) -> None:
    one, two = (each.plans for each in both)

    def meanwhile(plan: SuitePlan) -> int:
        """While one counts results, before it writes, the other writes."""
        if not two.versions("s"):
            two.record("s", replace(PLAN, folds=(2,)), none)
        return 0

    made = one.record("s", PLAN, meanwhile)
    assert made.folds == (0, 1, 2)
    both[1].ledger.refresh()
    assert [version.plan.folds for version in two.versions("s")] == [(2,), (0, 1, 2)]
    assert one.versions("s") == two.versions("s")


def test_looks_are_counted_together(both: tuple[Workspace, Workspace]) -> None:
    found = [look(each.root, "apart", ["unet"]) for each in (*both, *both)]
    assert found == [1, 2, 3, 4]


def test_data_sets_travel_and_one_name_is_one_set(roots: tuple[Path, Path]) -> None:
    one, two = roots
    made = add(one, "few", Few())
    assert [dataset.name for dataset in list_datasets(two)] == ["few"]
    assert open_dataset(two, "few").fingerprint == made.fingerprint
    assert open_dataset(two, "few").load("case_1").image.shape == volume(1).image.shape
    assert add(two, "few", Few()).fingerprint == made.fingerprint
    with pytest.raises(BadInput, match="holds another source"):
        add(two, "few", Few(found=[volume(7)], fingerprint="other"))
    mirror = mirror_of(two)
    assert isinstance(mirror, Mirror) and mirror.committed("data/") == ["data/few"]


def test_options_find_the_copy_of_their_own_machine(
    roots: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is sent to another machine opens the bucket there, not a folder of this one."""
    here = Options(root=roots[0], threads=1, log=roots[0] / "logs" / "w.log")
    sent = pickle.dumps(here)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "three"))
    options = pickle.loads(sent)
    assert options.root == root_of(URL) != roots[0]
    assert options == replace(here, root=options.root, log=options.root / "logs" / "w.log")
    plain = Options(root=tmp_path / "folder", log=Path("logs"))
    assert pickle.loads(pickle.dumps(plain)) == plain
