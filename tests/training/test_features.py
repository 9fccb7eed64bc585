"""Measures share feature maps, and get what their encoders would have given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import pytest
import torch
from torch import Tensor, nn

from benchmark.data.feeding.patients import patients
from benchmark.parts.batch import Patient
from benchmark.parts.networks import Network, UNet, UNetEncoder
from benchmark.parts.objectives import Matched
from benchmark.parts.probes import with_teacher
from benchmark.parts.similarity import Similarity
from benchmark.parts.stages import frozen, matched, stage3, teacher
from benchmark.parts.views import MaskNoise
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Build, Net, Probe, Schedule, Train, in_order
from benchmark.running.probing import _values
from benchmark.testing import ORGANS, MemoryTrainer
from benchmark.training.nets import build, freeze, start
from benchmark.training.precision import hardware
from benchmark.training.prediction import Features

CT, GT = UNet(width=4, levels=3), UNet(reads="masks", width=4, levels=3)
Values = list[dict[str, float]]


@pytest.fixture
def some_patients() -> list[Patient]:
    trainer = MemoryTrainer(Ground(batch=4), hardware("cpu", "fp32"), patients=3)
    device = torch.device("cpu")
    return list(patients(trainer.cases, trainer.ground, stride=4, device=device))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """Grows by one entry, of weights and input, for each time that an encoder computes."""
    done: list[tuple[bytes, bytes]] = []
    forward = UNetEncoder.forward

    def counted(self: UNetEncoder, x_BCHW: Tensor) -> list[Tensor]:
        given = x_BCHW.contiguous(), next(self.parameters()).detach().contiguous()
        done.append((given[1].numpy().tobytes(), given[0].numpy().tobytes()))
        return forward(self, x_BCHW)

    monkeypatch.setattr(UNetEncoder, "forward", counted)
    return done


def fsm_probes(lr: float = 3e-4) -> tuple[Probe, ...]:
    schedule, noise = Schedule(epochs=1, lr=lr), MaskNoise()
    n_gt = teacher(GT, schedule, noise=noise)
    stage2 = matched(Matched(), Similarity(), frozen(n_gt["gt"]), CT, schedule)
    final = stage3(stage2["ct"], n_gt["gt"], "auto")
    return with_teacher(stage2, final, taps=((-1, -1),), noise=noise)


def untrained(probes: tuple[Probe, ...]) -> dict[Train, dict[str, nn.Module]]:
    """The networks of all nodes behind probes, as each starts from its parents."""
    done: dict[Train, dict[str, nn.Module]] = {}
    for node in (node for probe in probes for node in in_order(probe.node)):
        if node not in done:
            nets = build(node, organs=ORGANS, size=None, seed=0)
            used = [weights for net in node.nets.values() for weights in net.init]
            start(node, nets, {w: done[w.node][w.net].state_dict() for w in used})
            done[node] = {name: net.eval() for name, net in nets.items()}
    return done


def all_values(of: Callable[[], Features], seen: list[Patient]) -> dict[str, Values]:
    probes = fsm_probes()
    nets = untrained(probes)
    return {p.name: [v for _, v in _values(p, nets[p.node], seen, of())] for p in probes}


def test_the_probes_of_fsm_run_each_encoder_once_a_slice(
    some_patients: list[Patient], runs: list[tuple[bytes, bytes]]
) -> None:
    """N_CT on the image in five probes; N_GT on own masks in four, on noisy and another's in one.
    Stage 3 and the probe's own training froze copies of both: they are the same encoders."""
    all_values(lambda: Features(0), some_patients)
    wanted = set(runs)
    batches = sum(len(patient.batches) for patient in some_patients)
    assert len(runs) == 12 * batches and len({weights for weights, _ in wanted}) == 2
    runs.clear()
    one = Features()
    all_values(lambda: one, some_patients)
    assert set(runs) == wanted and len(runs) == len(wanted) <= 4 * batches


@pytest.mark.parametrize("limit", [2**28, 2**20, 0])
def test_shared_values_are_those_of_each_probe_alone_to_the_bit(
    some_patients: list[Patient], limit: int
) -> None:
    one = Features(limit)
    assert all_values(lambda: one, some_patients) == all_values(lambda: Features(0), some_patients)


def net(arch: UNet = CT, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return arch.build(Build(organs=ORGANS, size=None, built={})).eval().requires_grad_(False)


def encoded(features: Features, network: Network, x: Tensor, arch: UNet = CT) -> list[Tensor]:
    with features.shared({"any": network}, {"any": Net(arch=arch)}):
        return cast(list[Tensor], network.encoder(x))


def test_copies_are_one_and_all_else_is_computed(runs: list[tuple[bytes, bytes]]) -> None:
    features, x = Features(), torch.rand(2, 1, 16, 16)
    one = encoded(features, net(), x)
    again = encoded(features, net(), x.clone())
    assert len(runs) == 1 and all(a is b for a, b in zip(one, again, strict=True))
    encoded(features, net(seed=1), x)
    encoded(features, net(), x + 1)
    encoded(features, net(), x.expand(2, 1, 16, 16).transpose(2, 3).contiguous().transpose(2, 3))
    assert len(runs) == 4, "other weights, another input, other strides"


def test_what_does_not_fit_is_computed_again(runs: list[tuple[bytes, bytes]]) -> None:
    x = torch.rand(2, 1, 16, 16)
    size = sum(maps.nbytes for maps in net().encoder(x))
    features = Features(size + 1)
    runs.clear()
    for given in (x, x + 1, x + 1, x):
        encoded(features, net(), given)
    assert len(runs) == 3, "the first is kept, the second is not"


def test_maps_that_somebody_wrote_to_are_computed_again(runs: list[tuple[bytes, bytes]]) -> None:
    features, x = Features(), torch.rand(2, 1, 16, 16)
    kept = [maps.clone() for maps in encoded(features, net(), x)]
    encoded(features, net(), x)[-1].zero_()
    after = encoded(features, net(), x)
    assert all(torch.equal(a, b) for a, b in zip(kept, after, strict=True)) and len(runs) == 2


def test_who_listens_to_a_part_of_an_encoder_hears_it_each_time() -> None:
    features, network, heard = Features(), net(), list[int]()
    first: nn.Module = cast(Any, network.encoder).blocks[0]
    first.register_forward_hook(lambda *_: heard.append(1))
    for _ in range(2):
        encoded(features, network, torch.ones(1, 1, 16, 16))
    assert len(heard) == 2


def test_who_asks_for_a_gradient_gets_a_graph() -> None:
    features, network, x = Features(), net(), torch.ones(1, 1, 16, 16)
    assert not encoded(features, network, x)[-1].requires_grad
    of_input = encoded(features, network, x.clone().requires_grad_())
    assert of_input[-1].requires_grad
    network.requires_grad_(True)
    assert encoded(features, network, x)[-1].requires_grad
    with torch.no_grad():
        assert encoded(features, network, x)[-1] is encoded(features, network, x)[-1]


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """A measure that knows nothing of shared features, and changes what it is given."""

    kind: ClassVar[str] = "theirs"

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        network = cast(Network, nets["ct"])
        (batch, *_) = patient.batches
        maps = network.encoder(batch.image_B1HW)
        found = {"bottom": float(maps[-1].sum())}
        maps[-1].zero_()
        next(network.encoder.parameters()).mul_(0.5)
        return found

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        return ()


def test_a_measure_of_somebodys_own_is_run_as_ever(some_patients: list[Patient]) -> None:
    probes, features = fsm_probes(), Features()
    nets, (patient, *_) = untrained(probes), some_patients
    _values(probes[0], nets[probes[0].node], [patient], features)
    theirs = replace(probes[0], measure=Theirs())
    found = [_values(theirs, nets[theirs.node], [patient], features)[0][1] for _ in range(2)]
    assert found[0] != found[1], "its own change of the weights counts"
    encoder = cast(Network, nets[theirs.node]["ct"]).encoder
    assert "forward" not in vars(encoder), "nothing stays behind on a network"


def test_what_headroom_freezes_builds_no_graph(some_patients: list[Patient]) -> None:
    """Of a step of its training only what comes after the adapter is gone through backwards."""
    probe = fsm_probes()[-1]
    nets = untrained((probe,))[probe.node]
    trained, graphs = freeze(probe.node, nets), dict[str, bool]()
    for name in ("ct", "gt"):
        encoder = cast(Network, nets[name]).encoder
        encoder.register_forward_hook(
            lambda _, __, maps, name=name: graphs.update({name: any(x.requires_grad for x in maps)})
        )
    terms = probe.node.objective(nets, some_patients[0].batches[0])
    torch.stack([*terms.values()]).sum().backward()
    assert graphs == {"ct": False, "gt": False}
    assert {id(x) for x in trained} == {id(x) for x in nets["adapter"].parameters()}
    assert all(x.grad is not None for x in trained)


def test_the_rate_of_headroom_is_legal_for_every_rate_of_a_stage() -> None:
    assert fsm_probes(lr=2e-3)[-1].node.schedule.lr == pytest.approx(5e-3)
    assert fsm_probes(lr=1.0)[-1].node.schedule.lr == 1.0
