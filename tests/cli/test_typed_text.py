"""Text that a person types or gives: whatever it is, one line of bounded length and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_process import bench, package, run_argv, tiny_workspace

from benchmark.errors import LONGEST_LINE, BadInput, shortened
from benchmark.reporting.page import _environment
from benchmark.settings.registry import load_registry

DIGITS, DEEP, LONG = "9" * 5000, "[" * 2000, "y" * 5000


def refused(*argv: str) -> str:
    ran = bench(*argv)
    assert ran.code == 2 and "Traceback" not in ran.err, ran.err[-2000:]
    (line,) = ran.err.splitlines()
    assert len(line) < LONGEST_LINE + 200
    return line


@pytest.mark.parametrize("text", [DIGITS, DEEP, "[" * 200 + "]" * 200, '{"a":' * 2000, LONG])
def test_values(tmp_path: Path, text: str) -> None:
    refused(*run_argv(tmp_path / "w", "unet"), "--set", f"schedule.epochs={text}")
    refused("suite", "--rows", f"unet[schedule.epochs={text}]", "--root", str(tmp_path / "w"))
    (tmp_path / "c.json").write_text('{"schedule.epochs": ' + text)
    (tmp_path / "c.toml").write_text(f"a = {text}")
    for name in ("c.json", "c.toml"):
        refused(*run_argv(tmp_path / "w", "unet"), "--config", str(tmp_path / name))
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--threads", "1" + "0" * 20), ("--threads", "0"), ("--checkpoint-seconds", "nan"),
        ("--checkpoint-seconds", "-1"), ("--folds", DIGITS), ("--seeds", LONG),
        ("--method", LONG), ("--dataset", LONG), ("--preset", LONG), ("--device", LONG),
        ("--tuned", LONG), ("--config", LONG), ("--precision", LONG), ("--set", LONG),
        ("--set", f"{LONG}=1"), ("--method", "a b " * 2000),
    ],
)  # fmt: skip
def test_options(tmp_path: Path, option: str, value: str) -> None:
    root = tiny_workspace(tmp_path)
    refused(*run_argv(root, "unet"), option, value)


def test_other_commands(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    assert bench(*run_argv(root, "unet", "--folds", "0")).code == 0
    for argv in (
        ["ui", "--port", "99999999"], ["compare", LONG, LONG], ["report", "--suite", LONG],
        ["predict", LONG, "-o", "x.nii.gz", "--key", LONG],
        ["predict", LONG, "-o", LONG, "--key", "k"],
        ["suite", "--workers", "1" + "0" * 12], ["suite", "--checkpoint-seconds", "nan"],
        ["suite", "--name", LONG], ["suite", "--datasets", LONG],
        ["sweep", "run", "xi", "--trials", "1", "--checkpoint-seconds", "nan"],
        ["sweep", "run", "xi", "--trials", "1", "--workers", "1" + "0" * 12],
        ["data", "add", "pair", "a.nii", "b.nii", "--map", f"liver={DIGITS}"],
        ["data", "audit", LONG],
    ):  # fmt: skip
        refused(*argv, "--root", str(root))


@pytest.mark.parametrize(
    "text", ['{"labels": ' + DEEP, json.dumps({"labels": {"liver": DIGITS}}), DEEP]
)
def test_dataset_json(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "set"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    (folder / "dataset.json").write_text(text)
    refused("data", "add", "folder", str(folder), "--root", str(tmp_path / "w"))


def test_what_is_quoted_is_cut_in_one_place() -> None:
    path = "/home/somebody/" + "folder/" * 20
    assert str(BadInput(f"{path} is no folder")) == f"{path} is no folder"
    for text in (LONG, "a b " * 2000, f"x\n{LONG}\ny"):
        said = str(BadInput(f"--name {text!r}: no"))
        assert said.startswith("--name") and said.endswith(": no") and len(said) < 1100
        assert "letters more" in said
    assert shortened("a\nb") == "a\nb"


def test_no_title_of_a_row_is_html_in_the_report() -> None:
    render = _environment().from_string("{{ text|line }}{{ text|cell }}").render
    said = render(text="<script>alert(1)</script>|<img src=x>\n# p < 0.05")
    assert "<script" not in said and "</" not in said and "<img" not in said and "\n" not in said
    assert "p < 0.05" in said and "&lt;script>" in said


ROWS = "from baselines.unet import METHODS as OURS\nMETHODS = {NAME: OURS['unet']}\n"


@pytest.mark.parametrize("name", ["../../evil", "two\nlines", "", "a[b]", "a,b", "x" * 65, "a@b"])
def test_names_that_break_lines_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    code = ROWS.replace("NAME", repr(name))
    site = package(tmp_path / "site", "aa_named", code, "beyond_loss.methods", "aa_named")
    monkeypatch.syspath_prepend(str(site))
    registry = load_registry()
    assert name not in registry.rows and "a row's name is of letters" in registry.problems[0]
