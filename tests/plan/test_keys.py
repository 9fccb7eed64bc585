"""Keys: equal content has one key, whatever it is called; every value counts."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from baselines.unet import METHODS as BASELINES
from benchmark.errors import BadInput
from benchmark.parts import similarity
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Matched, Segmentation
from benchmark.parts.similarity import Similarity
from benchmark.parts.smp import Smp
from benchmark.plan.folds import fold_fingerprint
from benchmark.plan.ground import Augmentation, Ground, LossForm
from benchmark.plan.keys import Context, canonical, digest, draw_seed, key, spec
from benchmark.plan.nodes import Method, Net, Schedule, Train, Weights, in_order, later
from benchmark.plan.presets import PRESETS, Preset, scale_ground, scale_method
from methods.fsm import METHODS, Fsm

CONTEXT = Context(fold="0123456789abcdef0123", seed=0)
ROWS = {**BASELINES, **METHODS}

GOLDEN: dict[tuple[str, str], list[str]] = {
    ("unet", "quick-1"): ["3674e788d46f6106e66d"],
    ("fsm", "quick-1"): ["60c96c85548768cc0b5c", "c7de3138a8c3bf3a2a9b", "dc046b842475f4d0aa3d"],
    ("no-refine", "quick-1"): ["60c96c85548768cc0b5c", "c7de3138a8c3bf3a2a9b"],
    ("no-noise", "quick-1"): [
        "5b327bbb03e6d0ca47d3",
        "4d0c8fe51e0ef1c75c1e",
        "db86776270146f222b55",
    ],
    ("unet", "quick"): ["8fa13fa07bb3044b0bd2"],
    ("fsm", "quick"): ["7a8fc81899072386de98", "a86cd4154bdbf43de664", "af0f3fd225622e7e203f"],
    ("no-refine", "quick"): ["7a8fc81899072386de98", "a86cd4154bdbf43de664"],
    ("no-noise", "quick"): ["69feee1804ca3347aa1b", "1c1d1469c263dcaa9fba", "c9bb3d9b1be225f28389"],
    ("unet", "paper"): ["c3ad93ec0431a74b6bff"],
    ("fsm", "paper"): ["235ce35e847421981820", "112844844ba8860117d7", "982850c781fb452b805e"],
    ("no-refine", "paper"): ["235ce35e847421981820", "112844844ba8860117d7"],
    ("no-noise", "paper"): ["6b09df51f096d8e48c0b", "362afbe0097e01be23df", "d28b837bb6fbb6b5806b"],
}
GOLDEN_GROUND: dict[str, str] = {
    "quick-1": "d1266b7dc1c64543a2dc",
    "quick": "42cb5deef120a3c08483",
    "paper": "feb41be3f8107b04e92d",
}


def keys(method: Method, context: Context = CONTEXT) -> list[str]:
    return [key(node, context) for node in in_order(method.plan().node)]


@pytest.mark.parametrize("preset", ["quick-1", "quick", "paper"])
@pytest.mark.parametrize("row", ["unet", "fsm", "no-refine", "no-noise"])
def test_the_keys_of_the_rows_are_what_they_were(row: str, preset: str) -> None:
    """A change here voids every stored result: bump a `version`, or use `later()`."""
    assert keys(scale_method(PRESETS[preset], ROWS[row].method)) == GOLDEN[row, preset]


@pytest.mark.parametrize("preset", ["quick-1", "quick", "paper"])
def test_the_fingerprint_of_the_ground_is_what_it_was(preset: str) -> None:
    ground = scale_ground(PRESETS[preset], Ground())
    assert fold_fingerprint({"p": "ab"}, ("liver",), ground) == GOLDEN_GROUND[preset]


def test_draw_seeds_are_what_they_were() -> None:
    assert draw_seed(0, "ct", 3) == 6137972867111848112
    assert len({draw_seed(0, "ct", 3), draw_seed(0, "gt", 3), draw_seed(1, "ct", 3)}) == 3
    assert draw_seed(1, 23) != draw_seed(12, 3)


def test_renamed_classes_and_modules_have_the_same_key(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Unnet(UNet):
        pass

    @dataclass(frozen=True, kw_only=True)
    class Fsmm(Fsm):
        pass

    Unnet.__module__ = "moved.elsewhere"
    assert keys(Fsmm(ct=Unnet(), gt=Unnet(reads="masks"))) == keys(Fsm())
    spec_of = importlib.util.spec_from_file_location("elsewhere", similarity.__file__)
    assert spec_of is not None and spec_of.loader is not None
    elsewhere = importlib.util.module_from_spec(spec_of)
    sys.modules["elsewhere"] = elsewhere
    try:
        spec_of.loader.exec_module(elsewhere)
        assert elsewhere.Similarity is not Similarity
        assert digest(canonical(elsewhere.Similarity())) == digest(canonical(Similarity()))
    finally:
        del sys.modules["elsewhere"]


def test_titles_rows_and_preset_names_do_not_count() -> None:
    node = Fsm().plan().node
    assert key(replace(node, title="another"), CONTEXT) == key(node, CONTEXT)
    text = str([spec(node, CONTEXT) for node in in_order(node)])
    assert not any(name in text for name in ("U-Net+Our", "no-noise", "quick", "methods.fsm"))
    renamed: Preset = replace(PRESETS["quick"], about="another text")
    assert keys(scale_method(renamed, Fsm())) == keys(scale_method(PRESETS["quick"], Fsm()))


def test_one_and_one_point_zero_are_one_number() -> None:
    assert keys(Fsm(xi=1)) == keys(Fsm(xi=1.0))
    assert keys(Fsm(xi=1)) != keys(Fsm(xi=1.5))
    assert canonical(2**60 + 1) == 2**60 + 1
    assert digest(canonical(True)) != digest(canonical(1))
    assert digest(canonical("1")) != digest(canonical(1))


def test_a_field_added_later_counts_only_away_from_its_default() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Old:
        kind: ClassVar[str] = "thing"
        a: float = 1.0

    @dataclass(frozen=True, kw_only=True)
    class New(Old):
        b: int = later(3)
        c: Ground = later(Ground())

    assert canonical(New()) == canonical(Old())
    assert canonical(New(c=Ground())) == canonical(Old())
    assert canonical(New(b=4)) != canonical(Old())
    assert canonical(New(c=Ground(batch=2))) != canonical(Old())


def test_a_version_counts_once_it_is_not_one() -> None:
    @dataclass(frozen=True, kw_only=True)
    class One(Segmentation):
        version: ClassVar[int] = 1

    @dataclass(frozen=True, kw_only=True)
    class Two(Segmentation):
        version: ClassVar[int] = 2

    assert canonical(One()) == canonical(Segmentation()) != canonical(Two())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="NaN"):
        canonical({"deep": [value]})
    for build in (lambda: Fsm(xi=value), lambda: Schedule(epochs=value), lambda: Fsm(noise=value)):
        with pytest.raises(BadInput):
            build()
    for change in ({"hu_low": value}, {"hu_high": value}, {"margin": value}):
        with pytest.raises(BadInput):
            Ground(**change)
    with pytest.raises(BadInput):
        LossForm(ce=value)


def test_what_has_no_canonical_form_is_refused() -> None:
    class Plain:
        pass

    @dataclass
    class Kindless:
        a: int = 1

    for value in ({1, 2}, Plain(), Kindless(), b"bytes", object):
        with pytest.raises(TypeError):
            canonical(value)


def test_parents_fold_and_seed_count() -> None:
    base = keys(Fsm())
    for context in (Context(fold="ffff", seed=0), Context(fold=CONTEXT.fold, seed=1)):
        assert not set(base) & set(keys(Fsm(), context))
    noisier = keys(Fsm(noise=0.3))  # a field of stage 1 alone: stages 2 and 3 follow by parents
    assert not set(base) & set(noisier)

    def child(parent: Weights, lr: float = 3e-4) -> str:
        net = Net(arch=UNet(), init=(parent,))
        node = Train(nets={"ct": net}, objective=Segmentation(), schedule=Schedule(lr=lr))
        return key(node, CONTEXT)

    parent = Train(nets={"ct": Net(arch=UNet())}, objective=Segmentation(), schedule=Schedule())
    other = replace(parent, schedule=Schedule(lr=1e-3))
    assert child(parent["ct"]) == child(replace(parent, title="x")["ct"])
    assert child(parent["ct"]) != child(other["ct"])
    assert child(parent["ct"]) != child(parent["ct"].only("encoder"))
    assert child(parent["ct"].only("encoder")) != child(parent["ct"].only("encoder", "body"))


FSM_CHANGES: dict[str, Any] = {
    "xi": 1.0,
    "noise": 0.5,
    "corruption": "block",
    "drop": 0.2,
    "atlas": True,
    "taps": ((-1, -2),),
    "norm": "rms",
    "gradient": "no_target",
    "stats": "gap_only",
    "teacher_input": "noisy",
    "teacher": "untrained",
    "sees": "other",
    "learn_fsm": False,
    "refine": False,
    "refine_init": "own",
    "ct": UNet(dropout=0.1),
    "gt": UNet(reads="masks", dropout=0.1),
    "schedule": Schedule(lr=1e-3),
}


@pytest.mark.parametrize("name", [item.name for item in fields(Fsm)])
def test_every_field_of_fsm_changes_a_key(name: str) -> None:
    changed = keys(replace(Fsm(), **{name: FSM_CHANGES[name]}))
    assert set(changed) != set(keys(Fsm()))
    assert changed[-1] != keys(Fsm())[-1]


PART_CHANGES: list[tuple[Any, dict[str, Any]]] = [
    (UNet(), {"reads": "masks", "width": 8, "levels": 4, "norm": "group", "dropout": 0.1,
              "skips": False}),
    (Smp(), {"reads": "masks", "decoder": "fpn", "encoder": "resnet34"}),
    (Schedule(), {"epochs": 1.0, "lr": 1e-3, "steps_per_epoch": 3, "stream": "x",
                 "decay": "cosine"}),
    (Matched(), {"xi": 1.0, "norm": "raw", "gradient": "no_input", "taps": ((0, 0),),
                 "reads": "image"}),
    (Segmentation(), {"net": "gt", "reads": "masks"}),
    (Similarity(), {"taps": ((0, 0),), "stats": "gap_only", "student": "a", "teacher": "b"}),
    (Augmentation(), {"rotation_degrees": 1.0, "scale": 0.2, "shift": 0.2, "hu_shift": 1.0,
                      "hu_noise": 1.0}),
    (LossForm(), {"organs_only": True, "per_sample": True, "squared": True, "ce": 1.0,
                     "smoothing": 1e-3}),
    (Ground(), {"size": 64, "hu_low": -100.0, "hu_high": 200.0, "batch": 4, "margin": 0.2,
                "others": 0.2, "labels": "area", "labelled": 0.2, "train_cases": 4,
                "augmentation": Augmentation(scale=0.0),
                "loss": LossForm(ce=0.5)}),
]  # fmt: skip


@pytest.mark.parametrize("part, changes", PART_CHANGES, ids=lambda part: type(part).__name__)
def test_every_field_of_every_part_counts(part: Any, changes: dict[str, Any]) -> None:
    assert set(changes) == {item.name for item in fields(part)}
    found = {digest(canonical(replace(part, **{name: new}))) for name, new in changes.items()}
    assert len(found | {digest(canonical(part))}) == len(changes) + 1


def test_the_whole_ground_is_in_the_folds_fingerprint() -> None:
    def of(ground: Ground) -> str:
        return fold_fingerprint({"p": "ab"}, ("liver",), ground)

    ground_changes = PART_CHANGES[-1][1]
    changed = {of(replace(Ground(), **{name: new})) for name, new in ground_changes.items()}
    assert len(changed | {of(Ground())}) == len(ground_changes) + 1


def test_rows_share_their_common_trainings() -> None:
    fsm, no_refine = keys(Fsm()), keys(ROWS["no-refine"].method)
    assert len(fsm) == 3 and fsm[:2] == no_refine
    assert keys(Fsm(xi=1.0))[0] == fsm[0]
    assert keys(ROWS["no-noise"].method) == keys(replace(Fsm(), noise=0.0))
    assert not set(keys(ROWS["no-noise"].method)) & set(fsm)
    assert not set(keys(ROWS["unet"].method)) & set(fsm)


def test_trainings_come_after_their_parents_and_once() -> None:
    nodes = list(in_order(Fsm().plan().node))
    assert [node.title for node in nodes] == ["N_GT", "N_CT + FSM", "refine"]
    for place, node in enumerate(nodes):
        assert set(node.parents()) <= set(nodes[:place])


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_remembered_content_gives_the_key_of_the_whole(row: str) -> None:
    """What all folds and seeds share is made once: the first key and the next are those that the
    whole content hashes to."""
    nodes = list(in_order(ROWS[row].method.plan().node))
    for context in (CONTEXT, Context(fold="ffff", seed=7)):
        for node in nodes:
            whole = {"fold": context.fold, "seed": context.seed, "train": spec(node, context)}
            assert key(node, context) == digest(whole)
