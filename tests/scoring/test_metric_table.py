"""docs/metrics.md is made of docs/metrics.json, and what can be measured here is as it says."""

import importlib.util
import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
VALUES = json.loads((DOCS / "metrics.json").read_text("utf-8"))
PAGE = (DOCS / "metrics.md").read_text("utf-8")


def load(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


table, adapters = load("metric_table"), load("metric_adapters")
PAIRS = adapters.pairs()


def test_the_page_is_made_of_the_values():
    assert table.page(VALUES) == PAGE, "run `python docs/metric_table.py --only ''`"
    assert "<!-- TABLE" not in PAGE


def test_every_library_is_there_and_pinned():
    assert list(VALUES) == list(table.LINES)
    assert table.LINES.keys() == adapters.ADAPTERS.keys()
    for name, line in table.LINES.items():
        assert all("==" in package for package in line.packages), name
        assert bool(line.packages) == (name != "ours")


@pytest.mark.parametrize("name", ["ours", "medpy-0.5.2"])
def test_measured_again(name):
    if name == "medpy-0.5.2":
        assert version("medpy") == "0.5.2", "measure the new version and give it a line"
    found = adapters.measure(name)
    assert found.keys() == VALUES[name].keys() == {*PAIRS, *adapters.empty_pairs()}
    for pair, metrics in found.items():
        # A last digit may differ on another processor.
        assert metrics == pytest.approx(VALUES[name][pair], abs=2e-9), pair


@pytest.mark.parametrize("pair", PAIRS)
def test_the_lines_for_medpy_give_our_numbers(pair):
    lines = PAGE.split("With MedPy 0.5.2")[1].split("```python\n")[1].split("```")[0]
    truth, predicted = PAIRS[pair]
    names = {"truth": truth, "predicted": predicted, "spacing_mm": adapters.SPACING_MM}
    exec(lines, names)
    ours = VALUES["ours"][pair]
    assert (names["assd_mm"], names["hd95_mm"]) == pytest.approx(
        (ours["assd"], ours["hd95"]), abs=2e-9
    )


def test_monai_is_ours_as_the_page_says():
    for pair in PAIRS:
        for metric in ("assd", "hd95", "nsd"):
            assert VALUES["monai"][pair][metric] == pytest.approx(
                VALUES["ours"][pair][metric], abs=1e-5
            ), (pair, metric)


def test_the_numbers_of_the_introduction():
    """In P2 each of them is some library's, and no other numbers of mm come up but scikit-image's
    and miseval's, which are voxels."""
    in_mm = [
        found["P2"] for name, found in VALUES.items() if name not in ("scikit-image", "miseval")
    ]
    for metric, printed in (
        ("assd", {"9.896", "8.097", "7.722", "3.721"}),
        ("hd95", {"12.200", "12.189", "12.042", "9.350", "5.766"}),
    ):
        assert {f"{each[metric]:.3f}" for each in in_mm if metric in each} == printed
        introduction = PAGE.split("## ")[0]
        assert all(number in introduction for number in printed)


def test_miseval_average_is_the_maximum_of_scikit_image():
    """What the page says of it."""
    for pair in PAIRS:
        assert VALUES["miseval"][pair]["assd"] == VALUES["scikit-image"][pair]["hd"]


def test_a_miss_is_0_mm_for_seg_metrics_and_undefined_for_us():
    assert VALUES["seg-metrics"]["missed"]["hd95"] == 0
    assert math.isnan(float(VALUES["ours"]["missed"]["hd95"]))


def test_libraries_that_agree_share_a_row_and_strange_values_are_told():
    def values(found):
        return dict.fromkeys((*PAIRS, *adapters.empty_pairs()), found)

    made = table.page(
        {
            "ours": values({"dsc": 0.5, "assd": "nan"}),
            "monai": values({"dsc": 0.50004, "assd": "nan"}),
            "medpy-0.5.2": values({"dsc": 1.7e38, "assd": "NotPrintedError"}),
        }
    )
    assert "| **bench**, MONAI 1.6.1 | 0.500 | NaN | - | - | - |" in made
    assert "| MedPy 0.5.2 | 1.7e38 | nothing | - | - | - |" in made
