"""What every row must hold, as a pytest class that anyone can subclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from benchmark.data.feeding.patients import patients
from benchmark.data.library import add
from benchmark.files.source import readable
from benchmark.parts.networks import stride_of
from benchmark.plan.given import ATLAS
from benchmark.plan.ground import Ground
from benchmark.plan.keys import Context, key, values_in
from benchmark.plan.nodes import Method, Row, Train, flags_of, in_order, probes_of, stages_of
from benchmark.plan.presets import Preset, scale_method
from benchmark.settings.overrides import override
from benchmark.settings.registry import built_in, kinds_of
from benchmark.testing.others import once_each
from benchmark.testing.shown import cases_seen_by, masks_read_by
from benchmark.testing.tiny import MemoryTrainer, TinySource
from benchmark.training.precision import hardware

CONTEXT = Context(fold="0123456789abcdef0123", seed=0)
GROUPS = ("paper", "beyond", "controls", "atlas", "spikes", "own")
STEPS = 2
TINY = Preset(about="", epochs=STEPS / 100, lr=1e-3, steps_per_epoch=1, width=4, norm="instance")


class MethodConformance:
    """Subclass it with `rows`, a registry's METHODS; `golden` maps names to the keys that their
    trainings had when results were made, so that a change of a key is noticed."""

    rows: ClassVar[Mapping[str, Row]] = {}
    golden: ClassVar[Mapping[str, list[str]]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test once a row."""
        once_each(metafunc, self.rows)

    @pytest.fixture
    def method(self, name: str) -> Method:
        """The row's method, so small that it trains in a moment."""
        return scale_method(TINY, self.rows[name].method)

    @pytest.fixture
    def trainer(self) -> MemoryTrainer:
        """The tiny set, one patient of which is annotated in the liver alone."""
        ground = Ground(batch=4)
        return MemoryTrainer(ground, hardware("cpu", "fp32"), patients=5, partly=(1, 3))

    def test_the_entry_says_what_people_need(self, name: str) -> None:
        """Title, sentence, source, a known group, and a word on every field."""
        row = self.rows[name]
        assert row.title and row.about.endswith(".") and row.source, "an entry has no text"
        assert row.group in GROUPS, f"group {row.group!r} is none of {GROUPS}"
        for item in fields(row.method):  # type: ignore[arg-type]
            said = item.metadata.get("mark") in tuple("SRCD") and item.metadata.get("about")
            assert said, f"{item.name} has no mark and text: use `field_from(...)`"

    def test_the_method_is_a_frozen_value(self, name: str) -> None:
        """Two equal settings are one, and nobody can change one later."""
        method = self.rows[name].method
        assert is_dataclass(method) and method == type(method)(**_values(method))
        with pytest.raises(AttributeError):
            setattr(method, fields(method)[0].name, None)

    def test_the_plan_is_pure(self, name: str, method: Method) -> None:
        """It gives the same keys again, whatever the random state, and draws nothing."""
        first = _keys(method)
        torch.manual_seed(1)
        before = torch.get_rng_state()
        assert _keys(method) == first, "plan() is not a function of the values"
        assert torch.equal(before, torch.get_rng_state()), "plan() draws random numbers"
        assert len(set(first)) == len(first), "plan() makes one training twice"

    def test_keys_are_what_they_were(self, name: str) -> None:
        """A changed key voids every stored result: bump a `version`, or use `later()`."""
        if name not in self.golden:
            pytest.skip("no golden keys for this row")
        assert _keys(self.rows[name].method) == self.golden[name]

    def test_kinds_are_its_own(self, name: str) -> None:
        """A key holds the kind of a value, never its class: one kind, one class."""
        known = dict(built_in())
        for row in self.rows.values():
            known |= kinds_of(row.method, known)

    def test_its_code_can_be_read(self, name: str, method: Method) -> None:
        """Stored results are known by the code that made them: an edit must be seen."""
        for node in in_order(method.plan().node):
            for value in values_in(node):
                assert readable(type(value)), f"the source of {type(value)} cannot be read"

    def test_every_value_can_be_set(self, name: str) -> None:
        """`--set NAME=VALUE` takes each plain field's own value and changes nothing."""
        method = self.rows[name].method
        plain = {n: v for n, v in _values(method).items() if not is_dataclass(v)}
        assert override(method, plain) == method

    def test_stages_probes_and_flags_are_values(self, name: str, method: Method) -> None:
        """They come with names, and their trainings can be keyed."""
        for stage, weights in stages_of(method).items():
            assert stage.isidentifier() and key(weights.node, CONTEXT) in _keys(method)
        names = [probe.name for probe in probes_of(method)]
        assert len(set(names)) == len(names), "two probes share a name"
        assert all(isinstance(flag, str) for flag in flags_of(method))

    def test_two_real_steps(self, name: str, method: Method, trainer: MemoryTrainer) -> None:
        """Terms are named and finite, what is trainable learns, what is frozen does not move."""
        done: dict[Train, dict[str, nn.Module]] = {}
        for node in in_order(method.plan().node):
            nets = trainer.ready(node, done)
            before = {n: _copy(module) for n, module in nets.items()}
            history = trainer.fit(node, nets)
            done[node] = nets
            _check_terms(node, history.steps, history.epochs)
            for net_name, module in nets.items():
                _check_moves(node, net_name, module, before[net_name])

    def test_a_second_time_is_bit_identical(
        self, name: str, method: Method, trainer: MemoryTrainer
    ) -> None:
        """All randomness comes from (seed, stream, step)."""
        final = method.plan()
        first, second = (trainer.train(final)[final.node][final.net] for _ in range(2))
        other = trainer.train(final, seed=1)[final.node][final.net]
        assert _equal(first, second), "two trainings with one seed differ"
        assert not _equal(first, other), "the seed changes nothing"

    def test_what_reads_masks_sees_masks_alone(
        self, name: str, method: Method, trainer: MemoryTrainer
    ) -> None:
        """A teacher's input does not depend on the CT, and an organ that nobody looked for has
        neither mask nor plane there: it never enters as absent."""
        for node, seen in masks_read_by(method, trainer):
            for given in seen:
                assert given.own_masks, f"{node.title}: {given.net} is shown what is not a mask"
                assert given.blind_to_ct or given.net != "gt", f"{node.title}: the teacher sees CT"
                assert not given.unknown_shown, f"{node.title}: an unknown organ is shown as absent"

    def test_a_patient_without_ct_gives_no_ct(self, name: str, method: Method) -> None:
        """With `ground.train_cases` no weight rests on the CT of another training patient, nor,
        but for trainings that ask for the atlas, on a mask of one. Those read no CT."""
        final = method.plan()
        atlas = [node for node in in_order(final.node) if node.cases == ATLAS]
        assert not any(node.reads_image for node in atlas), "an atlas has no CT"
        found = []
        for changed in (False, True):
            trainer = MemoryTrainer(Ground(batch=4, train_cases=2), hardware("cpu", "fp32"))
            kept = {case.name for case in trainer.with_ct}
            for number, case in enumerate(trainer.cases):
                if changed and case.name not in kept:
                    label = case.label_ZHW if atlas else case.label_ZHW.flip(2)
                    other = replace(case, hu_ZHW=-case.hu_ZHW, label_ZHW=label)
                    trainer.cases[number] = other
            found.append(trainer.train(final)[final.node][final.net])
        assert _equal(*found), "a training reads a patient whose CT nobody has"

    def test_probes_measure(self, name: str, method: Method, trainer: MemoryTrainer) -> None:
        """Each gives finite values of a patient by name, and flags that are texts."""
        done: dict[Train, dict[str, nn.Module]] = {}
        for probe in probes_of(method):
            done = trainer.train(_any_weights(probe.node), before=done)
            nets = done[probe.node]
            for module in nets.values():
                module.eval().requires_grad_(False)
            stride = stride_of(nets)
            some = trainer.cases[:1] + trainer.cases[2:3]
            with torch.no_grad():
                for patient in patients(
                    some, trainer.ground, stride=stride, device=torch.device("cpu")
                ):
                    values = probe.measure(nets, patient)
                    assert values, f"{probe.name} measures nothing"
                    assert all(torch.isfinite(torch.tensor(v)) for v in values.values()), values
                    assert all(isinstance(flag, str) for flag in probe.measure.flags(values))

    def test_no_test_case_is_seen(self, name: str, method: Method, tmp_path: Path) -> None:
        """Trainings, their sources and their probes' trainings read this fold's training cases."""
        dataset = add(tmp_path, "tiny", TinySource(patients=6))
        seen, fold = cases_seen_by(method, dataset, tmp_path)
        assert seen == set(fold.train) and not seen & set(fold.test)


def _values(method: Method) -> dict[str, Any]:
    return {item.name: getattr(method, item.name) for item in fields(method)}  # type: ignore[arg-type]


def _keys(method: Method) -> list[str]:
    return [key(node, CONTEXT) for node in in_order(method.plan().node)]


def _any_weights(node: Train) -> Any:
    return node[next(iter(node.nets))]


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {path: tensor.clone() for path, tensor in module.state_dict().items()}


def _equal(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[path]) for path, tensor in one.state_dict().items())


def _check_terms(node: Train, steps: int, epochs: Any) -> None:
    trains = node.schedule.epochs > 0 and any(net.trainable for net in node.nets.values())
    assert bool(steps) == trains, f"{node.title}: {steps} steps"
    for epoch in epochs:
        assert epoch.terms and all(epoch.terms), f"{node.title}: a term has no name"
        assert all(torch.isfinite(torch.tensor(v)) for v in epoch.terms.values()), epoch.terms


def _check_moves(node: Train, name: str, module: nn.Module, before: Mapping[str, Tensor]) -> None:
    """What lies under a trainable prefix moves as a whole network, all else stays to the bit."""
    prefixes = node.nets[name].trainable
    moved = {path for path, t in module.state_dict().items() if not torch.equal(t, before[path])}
    for path in moved:
        inside = any(not p or path == p or path.startswith(p + ".") for p in prefixes)
        assert inside, f"{node.title}: {name}.{path} is frozen and moved"
    if prefixes and before and node.schedule.epochs:
        assert moved, f"{node.title}: nothing of {name} is learnt"
