"""`--set`: all at once, typed, ranged; one content for one value however it is written."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.errors import BadInput
from benchmark.plan.keys import Context, key
from benchmark.plan.presets import PRESETS
from benchmark.settings.overrides import did_you_mean, override, parse, read_config
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import Setting, resolve
from methods.fsm import Fsm

CONTEXT = Context(fold="f", seed=0)


def setting(preset: str = "quick", **values: Any) -> Setting:
    chosen = {name.replace("__", "."): value for name, value in values.items()}
    return resolve(load_registry(), "fsm", preset, chosen)


def key_of(found: Setting) -> str:
    return key(found.method.plan().node, CONTEXT)


def test_parse_reads_json_else_text() -> None:
    texts = ["xi=1", "a.b=true", "norm=raw", "taps=[[-1,-1]]", "size=null", "x=a=b", "s="]
    assert parse(texts) == {
        "xi": 1, "a.b": True, "norm": "raw", "taps": [[-1, -1]], "size": None, "x": "a=b", "s": "",
    }  # fmt: skip
    assert parse(["xi=1", "xi=2"]) == {"xi": 2}, "the last one counts"


def test_one_value_in_two_ways_is_one_key_and_one_label() -> None:
    assert key_of(setting(xi=1)) == key_of(setting(xi=1.0)) != key_of(setting())
    assert setting(xi=1).label == setting(xi=1.0).label == "fsm[xi=1]"
    assert setting(xi=0.3, noise=0.1).label == setting(noise=0.1, xi=0.3).label


def test_order_counts_for_nothing() -> None:
    """Values that hold together are taken together, in whichever order they were typed."""
    pairs: list[dict[str, Any]] = [
        {"ground__hu_low": 400, "ground__hu_high": 600},
        {"refine_init": "n_gt", "ct__width": 4, "gt__width": 4},
        {"ct": "unet", "ct__width": 4},
    ]
    for values in pairs:
        backwards = dict(reversed(values.items()))
        assert key_of(setting(**values)) == key_of(setting(**backwards))
        assert setting(**values).ground == setting(**backwards).ground
    assert setting(ct__width=4, ct="unet").params()["ct.width"] == "4"


def test_preset_then_override() -> None:
    assert float(setting().params()["schedule.lr"]) == PRESETS["quick"].lr
    assert setting(schedule__lr=0.1).params()["schedule.lr"] == "0.1"
    paper = setting("paper").params()
    assert (paper["schedule.epochs"], paper["ct.width"], paper["ct.norm"]) == ("100", "64", "none")
    with pytest.raises(BadInput, match="quick, lite, study, paper"):
        setting("big")


def test_nothing_set_changes_nothing() -> None:
    assert override(Fsm(), {}) == Fsm()
    changed = override(Fsm(), {"ct.width": 3, "ct.norm": "group", "schedule.lr": 1})
    assert (changed.ct.width, changed.ct.norm, changed.schedule.lr) == (3, "group", 1.0)
    assert changed.gt == Fsm().gt and isinstance(changed.schedule.lr, float)


def test_config_tables_are_dotted_names(tmp_path: Any) -> None:
    file = tmp_path / "a.toml"
    file.write_text("xi = 1\n[ct]\nwidth = 3\n[ground.loss]\nce = 1\n")
    assert read_config(file) == {"xi": 1, "ct.width": 3, "ground.loss.ce": 1}


def test_what_is_near_to_nothing_gets_no_hint() -> None:
    names = ["xi", "schedule.epochs", "ground.batch", "ground.loss.ce"]
    assert did_you_mean("ground.zoom", names) == did_you_mean("zzz", names) == ""
    assert did_you_mean("ct.epochs", names) == "did you mean schedule.epochs? "
    assert did_you_mean("x", []) == ""


def test_registry_names_what_is_near_and_what_is_lost() -> None:
    registry = load_registry()
    assert {"fsm", "no-noise", "no-refine", "unet"} <= set(registry.rows)
    assert registry.problems == ()
    with pytest.raises(BadInput, match="did you mean no-noise"):
        registry.row("no-nois")
