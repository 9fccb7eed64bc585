"""docs/sensitivity.md is made of docs/sensitivity.json by this code; README holds its sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import sensitivity
from sensitivity_edit import DOSES
from sensitivity_page import commands, page, sentence

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MADE = {"row": "unet", "dataset": "phantom-60", "preset": "study", "set": [], "seeds": 6,
        "luck_rows": ["unet", "unet-200"], "luck_seeds": [0, 1, 2],
        "rows_set": ["ground.labelled=0.01"], "unseen": 60}  # fmt: skip
figures_exist = pytest.mark.skipif(
    not (DOCS / "sensitivity.json").exists(), reason="not measured yet: make sensitivity"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Figures of planted scores, made by the script itself."""
    to = tmp_path_factory.mktemp("sensitivity")
    rng = np.random.default_rng(0)
    runs = 90 + rng.normal(0, 0.6, (5, 6, 1)) + rng.normal(0, 1.0, (5, 6, 60))
    unseen = runs[..., None] + 6.0 * np.array(DOSES)
    own = np.where((np.arange(60) % 5 == np.arange(5)[:, None])[:, None, :, None], unseen, np.nan)
    luck = {f"luck {row}": rng.normal(90, 1, (5, 3, 60)) for row in MADE["luck_rows"]}
    made = np.array(json.dumps(MADE))
    np.savez(to / "sensitivity.npz", made_of=made, unseen=unseen, own=own, **luck)
    assert sensitivity.main(["--to", str(to), "--studies", "20", "--resamples", "1"]) == 0
    return to


def test_the_script_prints_the_sentence_of_the_figures_it_stored(folder, capsys):
    assert sensitivity.main(["--to", str(folder), "--only", "page"]) == 0
    found = json.loads((folder / "sensitivity.json").read_text("utf-8"))
    text = sentence(found)
    assert capsys.readouterr().out == text + "\n"
    curve = next(c for c in reversed(found["curves"]) if c["patients"] == 60)
    assert curve["fold_sd"] == found["luck"]["sd"]
    assert f"{curve['limits']['better'][0]:.2f} points (95 % interval" in text
    written = (folder / "sensitivity.md").read_text("utf-8")
    assert text in written and written == page(found)
    assert (folder / "sensitivity.png").stat().st_size > 10_000


def test_what_was_not_reached_is_said(folder):
    found = json.loads((folder / "sensitivity.json").read_text("utf-8"))
    for curve in found["curves"]:
        curve["limits"] = {"better": [None] * 3, "supported": [None] * 3}
        curve |= {"half": None, "needed": None, "null": [0.07, 0.03, 0.12]}
    assert "finds no true gain of up to 6.0 points in 80 of 100 studies" in sentence(found)
    written = page(found)
    assert "Not so with 15 patients" in written and "More do with 15 patients" in written


def test_the_commands_are_those_that_made_the_figures():
    whole = commands(MADE)
    assert "bench suite --name sensitivity --rows unet --seeds 0,1,2,3,4,5 --datasets" in whole
    assert "--rows unet,unet-200 --seeds 0,1,2 --set ground.labelled=0.01 --datasets" in whole
    options = whole.split('ARGS="')[1].split('"')[0].split()
    asked = sensitivity._parser().parse_args(options)
    assert (asked.rows_set, asked.luck_rows) == (["ground.labelled=0.01"], "unet,unet-200")


def test_without_scores_one_line_says_what_to_do(tmp_path, capsys):
    assert sensitivity.main(["--to", str(tmp_path)]) == 2
    assert sensitivity.main(["--to", str(tmp_path), "--only", "page"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 2
    assert "give --root" in told.err


@figures_exist
def test_the_page_was_made_by_this_code():
    found = json.loads((DOCS / "sensitivity.json").read_text("utf-8"))
    assert found["source"] == sensitivity.source(), "run `make sensitivity`"
    assert page(found) == (DOCS / "sensitivity.md").read_text("utf-8")


@figures_exist
def test_readme_holds_the_sentence_of_the_figures():
    found = json.loads((DOCS / "sensitivity.json").read_text("utf-8"))
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert sentence(found) in readme, f"README should say: {sentence(found)}"
