"""Objects: whole or not there, by key, with the newest whole checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bench_process import flip

from benchmark.store.checkpoints import KEPT_CHECKPOINTS
from benchmark.store.objects import Objects
from benchmark.training.meter import Epoch
from benchmark.training.trainer import State

KEY, OTHER = "0123456789abcdef0123", "f" * 20


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def objects(tmp_path: Path, warnings: list[str]) -> Objects:
    return Objects(tmp_path / "objects", warnings.append)


def nets() -> dict[str, dict[str, torch.Tensor]]:
    weight = torch.arange(24.0).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last)
    return {"ct": {"a.weight": weight, "a.count": torch.tensor(3)}}


def state(step: int) -> State:
    epoch = Epoch(index=0, terms={"L": 0.5}, at_ms=1)
    return State(step=step, tensors={"net/ct/w": torch.full((3,), float(step))}, epochs=(epoch,))


def test_commit_and_read_back(objects: Objects, warnings: list[str]) -> None:
    assert not objects.has(KEY) and not objects.whole(KEY) and objects.stored() == []
    objects.save_checkpoint(KEY, state(1), {})
    objects.commit(KEY, nets(), {"code": "x"})
    assert objects.has(KEY) and objects.whole(KEY) and objects.stored() == [KEY]
    read = objects.weights(KEY, "ct")
    assert torch.equal(read["a.weight"], nets()["ct"]["a.weight"]) and read["a.count"] == 3
    assert objects.record(KEY) == {"code": "x"}
    assert objects.checkpoint(KEY) is None, "a finished training has no checkpoints"
    assert not warnings and list(objects.faults()) == [(KEY, "")]


def test_of_two_commits_the_first_stays(objects: Objects, warnings: list[str]) -> None:
    objects.commit(KEY, nets(), {"code": "x"})
    objects.commit(KEY, {}, {"code": "y"})
    assert objects.whole(KEY) and objects.record(KEY) == {"code": "x"}
    assert len(warnings) == 1 and "trained twice" in warnings[0]
    flip(objects.folder / KEY / "ct.safetensors")  # a damaged one does not count
    objects.commit(KEY, nets(), {"code": "z"})
    assert objects.whole(KEY) and objects.record(KEY) == {"code": "z"}


def test_failed_commit_leaves_nothing(objects: Objects) -> None:
    with pytest.raises(ValueError, match="JSON"):
        objects.commit(KEY, nets(), {"seconds": float("nan")})
    assert not objects.has(KEY) and list(objects.folder.iterdir()) == []


def test_damage_is_set_aside_under_a_new_name_each_time(
    objects: Objects, warnings: list[str]
) -> None:
    for number in range(2):
        objects.commit(KEY, nets(), {"code": "x"})
        flip(objects.folder / KEY / "ct.safetensors")
        assert dict(objects.faults())[KEY]
        assert not objects.whole(KEY)
        assert (objects.folder / "aside" / f"{KEY}-{number}").is_dir()
        assert KEY in warnings[-1] and "ct.safetensors" in warnings[-1]
    assert objects.stored() == []
    objects.clear_aside()
    assert not (objects.folder / "aside").exists()


def test_object_with_a_bad_record_is_not_there(objects: Objects) -> None:
    objects.commit(KEY, nets(), {"code": "x"})
    flip(objects.folder / KEY / "record.json")
    assert not objects.has(KEY), "has() promises a record that can be read"
    assert objects.stored() == [KEY], "verify still sees it"


def test_newest_checkpoints_are_kept(objects: Objects) -> None:
    for step in (3, 7, 12):
        objects.save_checkpoint(KEY, state(step), {"code": "x"})
    assert len(list((objects.folder / f"{KEY}.partial").iterdir())) == KEPT_CHECKPOINTS
    found = objects.checkpoint(KEY)
    assert found is not None
    saved, about = found
    assert saved.step == 12 and about["code"] == "x" and saved.epochs == state(12).epochs
    assert torch.equal(saved.tensors["net/ct/w"], torch.full((3,), 12.0))
    assert objects.checkpoint_step(KEY) == 12


def test_torn_checkpoint_is_left_for_the_one_before(objects: Objects, warnings: list[str]) -> None:
    for step in (3, 7):
        objects.save_checkpoint(KEY, state(step), {})
    (objects.folder / f"{KEY}.partial" / "000000007" / "state.safetensors").write_bytes(b"")
    found = objects.checkpoint(KEY)
    assert found is not None and found[0].step == 3 and "000000007" in warnings[0]
    # and it must not push good ones out, since it would count as the newest
    for step in (4, 5):
        objects.save_checkpoint(KEY, state(step), {})
    found = objects.checkpoint(KEY)
    assert found is not None and found[0].step == 5 and len(warnings) == 1


def test_unused_spares_used_and_living(objects: Objects) -> None:
    objects.commit(KEY, nets(), {})
    objects.save_checkpoint(OTHER, state(1), {})
    assert objects.unused(set()) == [KEY, OTHER]
    assert objects.unused({KEY}) == [OTHER]
    with objects.lock(OTHER):
        assert objects.is_training(OTHER)
        assert objects.unused(set()) == [KEY]
        assert not objects.remove(OTHER) and objects.checkpoint_step(OTHER) == 1
    assert objects.remove(OTHER) and objects.remove(KEY)
    assert objects.unused(set()) == []


def test_temporaries_are_no_objects(objects: Objects) -> None:
    folder = objects.folder / f".tmp-{KEY}-x"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    assert objects.stored() == objects.unused(set()) == [] and not list(objects.faults())


def epoch(index: int) -> Epoch:
    return Epoch(index=index, terms={"dsc": 1 / (1 + index)}, at_ms=1000 + index)


def test_epochs_lie_beside_the_checkpoints_until_the_training_is_stored(objects: Objects) -> None:
    assert objects.epochs(KEY) == []
    objects.begin_epochs(KEY, "N_GT", ())
    assert objects.epochs_file(KEY).exists() and objects.epochs(KEY) == []
    for index in range(3):
        objects.add_epoch(KEY, "N_GT", epoch(index))
    first = {"title": "N_GT", "index": 0, "terms": {"dsc": 1.0}, "at_ms": 1000}
    assert objects.epochs(KEY)[0] == first and len(objects.epochs(KEY)) == 3
    assert objects.checkpoint(KEY) is None and objects.checkpoint_step(KEY) is None
    assert objects.unused(set()) == [KEY], "`store gc` takes it with the rest"
    objects.commit(KEY, nets(), {})
    assert objects.epochs(KEY) == [] and not objects.epochs_file(KEY).parent.exists()


def test_a_torn_last_epoch_is_not_there_and_a_resumed_training_cuts_it(objects: Objects) -> None:
    objects.begin_epochs(KEY, "N_GT", [epoch(0)])
    objects.add_epoch(KEY, "N_GT", epoch(1))
    whole = objects.epochs_file(KEY).read_bytes()
    for cut in range(1, 20):
        objects.epochs_file(KEY).write_bytes(whole[:-cut])
        assert [found["index"] for found in objects.epochs(KEY)] == [0]
    objects.begin_epochs(KEY, "N_GT", [epoch(0)])
    objects.add_epoch(KEY, "N_GT", epoch(1))
    assert objects.epochs_file(KEY).read_bytes() == whole
