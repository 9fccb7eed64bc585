"""Whatever is typed or lies in a file, the parsers end in a value, a line or a default: never in a
traceback. `make test` takes 5,000 inputs, `make fuzz` 200,000."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.cli.main import ended_by
from benchmark.cli.options import numbers
from benchmark.data.library import add, list_datasets
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.errors import LONGEST_LINE, BadInput
from benchmark.files.atomic import CHECKSUMS, damage, write_json
from benchmark.settings.overrides import parse, read_config
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve, rows_named, settings_of
from benchmark.store.ledger import Entry, Ledger
from benchmark.store.objects import Objects
from benchmark.testing import TinySource

PARSERS = 8
INPUTS = int(os.environ.get("FUZZ_INPUTS", "5000"))
QUICK = INPUTS <= 5000  # the same inputs at every run
REGISTRY = load_registry()
FIELDS = ("xi", "noise", "taps", "ct", "ct.width", "gt.levels", "schedule.epochs", "ground.size",
          "ground.loss.smooth", "schedule", "ground", "how", "a.b.c", "", "xi.x")  # fmt: skip
ODD = (
    "9" * 5000, "-" + "9" * 400, "1e999", "-1e-999", "NaN", "Infinity", "[" * 3000,
    "[" * 150 + "]" * 150, '{"a":' * 3000, "null", "true", '"', "\\", "\x00", "\ud800", "\n", "=",
    "[[-1,-1]]", "smp:unet/resnet18", "unet", "smp:", "{}", "[]", "0x10", "1_000", "٣", " ",
)  # fmt: skip
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from([10**400, -1, 255, 256, 2**63, "9" * 5000, "../x", "a\nb"]),
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)
TEXTS = st.one_of(st.sampled_from(ODD), st.text(max_size=40), VALUES.map(json.dumps))
OVERRIDES = st.builds("{}{}{}".format, st.sampled_from(FIELDS), st.sampled_from(["=", "=="]), TEXTS)


def fuzz(**inputs: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test on its share of the inputs."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        chosen = settings(
            max_examples=INPUTS // PARSERS,
            deadline=None,
            database=None,
            derandomize=QUICK,
            suppress_health_check=list(HealthCheck),
        )
        return chosen(given(**inputs)(test))

    return decorate


def taken(call: Callable[[], Any]) -> None:
    """Call, and let pass what a command would say in a line and exit code 2."""
    try:
        call()
    except BadInput as error:
        assert all(len(line) <= LONGEST_LINE + 100 for line in str(error).split("\n"))
    except argparse.ArgumentTypeError:
        pass
    except Exception as error:
        ended = ended_by(error, Path("nowhere"), "fuzz")
        if ended is None or ended[0] != 2:
            raise


def mutated(whole: Any) -> st.SearchStrategy[str]:
    """Texts of a JSON value in which something is another, missing, cut or put in."""
    text = json.dumps(whole)
    places = st.sampled_from(list(_places(whole)))
    other = st.builds(lambda place, value: _with(whole, place, value), places, VALUES)
    cut = st.integers(0, len(text)).map(lambda end: text[:end])
    put = st.builds(
        lambda at, odd: text[:at] + odd + text[at:], st.integers(0, len(text)), st.sampled_from(ODD)
    )
    return st.one_of(other.map(json.dumps), other.map(json.dumps), cut, put, TEXTS)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for name, item in inner:
        yield (*path, name)
        yield from _places(item, (*path, name))


def _with(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(whole))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copy


def put(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))


@pytest.fixture(scope="module")
def place() -> Any:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@fuzz(texts=st.lists(st.one_of(OVERRIDES, TEXTS), min_size=1, max_size=3))
def test_set(texts: list[str]) -> None:
    taken(lambda: resolve(REGISTRY, "fsm", "quick", parse(texts)).params())


@fuzz(
    text=st.one_of(
        mutated({"xi": 0.1, "ct": {"width": 4}, "taps": [[-1, -1]], "ground.size": 64}),
        st.builds("{} = {}".format, st.sampled_from(FIELDS), TEXTS),
    ),
    kind=st.sampled_from(["json", "toml"]),
)
def test_config(place: Path, text: str, kind: str) -> None:
    path = place / f"config.{kind}"
    put(path, text)
    taken(lambda: resolve(REGISTRY, "fsm", "quick", read_config(path)).params())


DESCRIBED = {
    "labels": {"background": 0, "liver": 1, "left_kidney": 2, "ignore": 3}, "numTraining": 1,
    "channel_names": {"0": "CT"}, "file_ending": ".nii.gz", "annotated": {"c": ["liver"]},
}  # fmt: skip


@fuzz(text=mutated(DESCRIBED))
def test_dataset_json(place: Path, text: str) -> None:
    folder = place / "raw"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "imagesTr" / "c_0000.nii.gz").touch()
    (folder / "labelsTr" / "c.nii.gz").touch()
    put(folder / "dataset.json", text)
    taken(lambda: NnUNetRaw(folder).organs)


ENTRY = Entry(
    dataset="set", row="fsm", label="fsm[xi=1]", preset="quick", overrides={"xi": 1}, fold=0,
    seed=0, part="test", key="0" * 20, evaluation="0" * 12, split="s", nodes=("p", "q"),
    probes=(("gap", "k", "e"),), flags=("a: 1",), params={"xi": "1"},
)  # fmt: skip
STORED = json.loads(json.dumps(vars(ENTRY)))


@fuzz(text=mutated(STORED))
def test_ledger(place: Path, text: str) -> None:
    """Without any exception: a damaged entry is named, and takes nothing along."""
    ledger = Ledger(place / "ledger")
    if not (place / "ledger").exists():
        ledger.write(ENTRY)
    put(place / "ledger" / "default" / "other.json", text)
    assert ENTRY.key in {entry.key for entry in ledger.compared() if entry.label == ENTRY.label}
    assert len(ledger.entries()) + len(ledger.damaged()) == 2
    assert all(isinstance(entry.name, str) for entry in ledger.entries())


@fuzz(text=mutated({"record.json": "0" * 64, "ct.safetensors": "1" * 64}))
def test_checksums(place: Path, text: str) -> None:
    """Without any exception, and never taken for whole."""
    folder = place / "objects" / ("0" * 20)
    if not folder.exists():
        folder.mkdir(parents=True)
        write_json(folder / "record.json", {})
    put(folder / CHECKSUMS, text)
    assert damage(folder)
    assert not Objects(place / "objects", print).has(folder.name)


@pytest.fixture(scope="module")
def stored(place: Path) -> Any:
    add(place, "tiny", TinySource(patients=1))
    return json.loads((place / "data" / "tiny" / "dataset.json").read_text())


@fuzz(data=st.data())
def test_stored_sets(place: Path, stored: Any, data: st.DataObject) -> None:
    """Listed or named as damaged."""
    text = data.draw(mutated(stored))
    put(place / "data" / "tiny" / "dataset.json", text)
    said: list[str] = []
    found = list_datasets(place, say=said.append)
    assert len(found) + len(said) == 1


LISTS = st.lists(st.integers(), max_size=5).map(lambda chosen: ",".join(map(str, chosen)))


@fuzz(text=st.one_of(TEXTS, LISTS))
def test_number_lists(text: str) -> None:
    taken(lambda: numbers(text))


@fuzz(
    text=st.lists(
        st.one_of(
            st.sampled_from(["fsm", "unet", "table1", "all", "controls", "", "fsm[", "x]"]),
            OVERRIDES.map("fsm[{}]".format),
            TEXTS,
        ),
        min_size=1,
        max_size=3,
    ).map(",".join)
)
def test_rows(text: str) -> None:
    taken(lambda: settings_of(REGISTRY, rows_named(REGISTRY, text), "quick", {}))
