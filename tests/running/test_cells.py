"""Cells, by parts: what a run may see, what is checked before, and how it is stopped."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from run_here import run_cells

from benchmark.data.feeding.folds import Split, folds_of
from benchmark.data.library import DataSet
from benchmark.errors import BadInput, Stopped
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation
from benchmark.plan.nodes import Net, Row, Schedule, Train, Weights
from benchmark.running.bench import Bench, Options
from benchmark.running.cells import plan_cells
from benchmark.running.code import old_line
from benchmark.running.events import EpochEnded, Event, Listener, Said, TrainingBegun, Warned
from benchmark.running.stop import Stop
from benchmark.settings.registry import Registry, load_registry
from benchmark.settings.resolve import resolve


class Noted:
    """A listener that keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def hear(self, event: Event) -> None:
        if isinstance(event, Warned):
            self.warnings.append(event.text)


def opened(root: Path, listener: Listener | None = None, **more: Any) -> Bench:
    return Options(root=root, device="cpu", **more).open(listener)


def cells(dataset: DataSet, overrides: dict[str, Any], row: str = "unet", **more: Any) -> Any:
    chosen = {"folds": [0], "seeds": [0], **more}
    return plan_cells(resolve(load_registry(), row, "quick", overrides), dataset, **chosen)


def test_trainings_see_no_test_case(tiny_dataset: DataSet, tiny_overrides: dict[str, Any]) -> None:
    for part in ("test", "inner"):
        for cell in cells(tiny_dataset, tiny_overrides, folds=range(5), part=part):
            seen = {case.name for case in cell.data.training()}
            assert seen and not seen & set(cell.data.fold.test)


def test_a_split_of_ones_own(tiny_dataset: DataSet, tiny_overrides: dict[str, Any]) -> None:
    """Its cells are known by it; the set's own split leaves no trace in a name."""
    usual = folds_of(tiny_dataset)
    fold = replace(usual.folds[0], test=usual.folds[1].test, train=usual.folds[1].train)
    (mine,) = cells(
        tiny_dataset, tiny_overrides, split=Split(folds=(fold,), fingerprint="mine", own=True)
    )
    (given,), (plain,) = (cells(tiny_dataset, tiny_overrides, **m) for m in ({"split": usual}, {}))
    assert mine.data.fold == fold and (mine.entry("s").split, mine.entry("s").own_split) == (
        "mine",
        True,
    )
    assert given.entry("s") == plain.entry("s") and plain.entry("s").own_split is False
    assert mine.entry("s").name != plain.entry("s").name
    assert replace(plain.entry("s"), split="of more cases").name == plain.entry("s").name


def test_inner_keys_differ_and_outer_patients_stay_out(
    tiny_dataset: DataSet, tiny_overrides: dict[str, Any]
) -> None:
    (test,) = cells(tiny_dataset, tiny_overrides)
    (inner,) = cells(tiny_dataset, tiny_overrides, part="inner")
    assert test.entry("s").key != inner.entry("s").key
    assert test.entry("s").evaluation != inner.entry("s").evaluation
    inside = {*inner.data.fold.train, *inner.data.fold.test}
    assert inside == set(test.data.fold.train)


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """A plan whose second training starts from weights of another shape."""

    def plan(self) -> Weights:
        def train(width: int, *init: Weights) -> Weights:
            net = Net(arch=UNet(width=width, levels=2), init=init)
            node = Train(nets={"ct": net}, objective=Segmentation(), schedule=Schedule(), title="m")
            return node["ct"]

        return train(4, train(2))


def test_weights_that_do_not_fit_are_refused_before_any_training(tiny_dataset: DataSet) -> None:
    row = Row(method=Misfit(), group="", title="", about="", source="")
    setting = resolve(Registry(rows={"misfit": row}), "misfit")
    with pytest.raises(BadInput, match="do not fit"):
        plan_cells(setting, tiny_dataset, folds=[0], seeds=[0])


def test_object_of_other_code_is_reused_and_told(
    tiny_dataset: DataSet, tiny_overrides: dict[str, Any], tmp_path: Path
) -> None:
    first = opened(tmp_path)
    (entry,) = run_cells(cells(tiny_dataset, tiny_overrides), first)
    folder = tmp_path / "objects" / entry.key
    record = {**json.loads((folder / "record.json").read_text()), "code": "other"}
    weights = {"ct": first.objects.weights(entry.key, "ct")}
    first.objects.set_aside(entry.key)
    first.objects.commit(entry.key, weights, record)
    again = opened(tmp_path)
    run_cells(cells(tiny_dataset, tiny_overrides), again)
    assert again.tally.trained == [] and set(again.tally.old) == {entry.key}
    assert "1 stored results were made by other code" in old_line(again.tally.old)


def test_rows_never_outlive_their_networks(
    tiny_dataset: DataSet, tiny_overrides: dict[str, Any], tmp_path: Path
) -> None:
    """Killed between a second training and its scoring, the old rows must not pass as new."""
    bench = opened(tmp_path)
    (entry,) = run_cells(cells(tiny_dataset, tiny_overrides), bench)
    assert bench.results.has(entry.key, entry.evaluation)
    bench.objects.remove(entry.key)

    class Dies:
        def hear(self, event: Event) -> None:
            if isinstance(event, Said) and isinstance(event.event, TrainingBegun):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells(cells(tiny_dataset, tiny_overrides), opened(tmp_path, Dies()))
    assert not bench.results.has(entry.key, entry.evaluation)


def test_checkpoint_of_other_code_is_not_used(
    tiny_dataset: DataSet, tiny_overrides: dict[str, Any], tmp_path: Path
) -> None:
    class StopsAtThree(Noted):
        bench: Bench

        def hear(self, event: Event) -> None:
            if isinstance(event, Said) and isinstance(event.event, EpochEnded):
                self.bench.stop.requested = True

    listener = StopsAtThree()
    bench = opened(tmp_path, listener)
    listener.bench = bench
    with pytest.raises(Stopped, match="after step"):
        run_cells(cells(tiny_dataset, tiny_overrides), bench)
    (state,) = (tmp_path / "objects").glob("*.partial/*/state.json")
    found = bench.objects.checkpoint(state.parent.parent.name.removesuffix(".partial"))
    assert found is not None
    saved, about = found
    key = state.parent.parent.name.removesuffix(".partial")
    bench.objects.save_checkpoint(key, saved, {**about, "code": "other"})
    noted = Noted()
    again = opened(tmp_path, noted)
    run_cells(cells(tiny_dataset, tiny_overrides), again)
    assert again.tally.resumed == [] and again.tally.trained == [key]
    assert any("made by other code" in text for text in noted.warnings)


def test_stop_ends_at_once_outside_a_training_and_waits_inside() -> None:
    said: list[str] = []
    stop = Stop(say=said.append)
    before = signal.getsignal(signal.SIGTERM)
    with stop.listening():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with stop.training() as requested:
            assert not requested()
            signal.raise_signal(signal.SIGINT)
            assert requested() and len(said) == 1
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


def test_unknown_fold_and_an_entry_by_value(
    tiny_dataset: DataSet, tiny_overrides: dict[str, Any]
) -> None:
    with pytest.raises(BadInput, match="0 to 4"):
        cells(tiny_dataset, tiny_overrides, folds=[5])
    (cell,) = cells(tiny_dataset, tiny_overrides)
    assert cell.entry("a").name == replace(cell.entry("b"), state="done").name
