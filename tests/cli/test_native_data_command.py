"""`bench data` on the native layouts, from the command to the page with pictures."""

from __future__ import annotations

import base64
import io
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from bench_process import bench, finish, spawn
from PIL import Image


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few patients in each layout, as a user writes them."""
    home = tmp_path_factory.mktemp("trial")
    for layout, patients in (("ircadb", "3"), ("multi-organ", "2")):
        out = ("--layout", layout, "--out", str(home / layout))
        made = bench("data", "phantom", "--patients", patients, *out)
        assert made.code == 0, made.err
        assert f"bench data add {layout} {home / layout}" in made.out
    return home


def multi(trial: Path) -> list[str]:
    home = trial / "multi-organ"
    images = [f"{source}={home / source}" for source in ("tcia", "btcv")]
    return [str(home / "labels"), "--images", images[0], "--images", images[1]]


def test_what_the_trial_writes_can_be_added_as_it_says(trial: Path, tmp_path: Path) -> None:
    root = ("--root", str(tmp_path))
    added = bench("data", "add", "ircadb", str(trial / "ircadb"), *root)
    assert added.code == 0, added.err
    first, then, apart = added.out.splitlines()
    assert apart.endswith(f"--dataset OTHER --test-on ircadb --root {tmp_path}")
    assert first == "data set ircadb: 3 cases, liver, left_kidney, right_kidney"
    assert then == f"next: bench run --method unet --dataset ircadb --root {tmp_path}"
    added = bench("data", "add", "multi-organ", *multi(trial), *root)
    assert added.code == 0, added.err
    rows = {row["case"]: row for row in bench("data", "audit", "ircadb", "--json", *root).json}
    assert rows["ircadb_03"]["not_annotated"] == ["left_kidney", "right_kidney"]
    assert list(rows["ircadb_01"]["organs"]) == ["liver", "left_kidney", "right_kidney"]
    rows = {row["case"]: row for row in bench("data", "audit", "multi-organ", "--json", *root).json}
    assert set(rows) == {"tcia_0001", "btcv_0001"}
    assert rows["tcia_0001"]["not_annotated"] == ["right_kidney"]
    assert all(check["ok"] for row in rows.values() for check in row["checks"])
    assert rows["btcv_0001"]["box"] is not None
    listed = {row["name"]: row["cases"] for row in bench("data", "list", "--json", *root).json}
    assert (listed["ircadb"], listed["multi-organ"]) == (3, 2)


def test_bad_cases_are_listed_with_figures_and_nothing_is_added(
    trial: Path, tmp_path: Path
) -> None:
    raw, root = tmp_path / "raw", ("--root", str(tmp_path / "root"))
    shutil.copytree(trial / "ircadb", raw)
    patient = raw / "3Dircadb1.3" / "PATIENT_DICOM"
    (patient / "image_7").unlink()
    refused = bench("data", "add", "ircadb", str(raw), *root)
    assert refused.code == 2 and "Traceback" not in refused.err
    assert re.search(r"case ircadb_03: slices are [\d.]+ mm apart, but [\d.]+ mm", refused.err)
    assert not list((tmp_path / "root" / "data").iterdir())
    left = bench("data", "add", "ircadb", str(raw), "--skip-bad", *root)
    assert left.code == 0 and "left out case ircadb_03" in left.err and "2 cases" in left.out
    forced = bench("data", "add", "ircadb", str(raw), "--force", "ircadb_03", "--name", "x", *root)
    assert forced.code == 2  # a missing slice is no matter of judgement


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["ircadb", "nowhere"], "there is no nowhere"),
        (["multi-organ", "nowhere", "--images", "ct=x"], "write tcia=PATH"),
        (["multi-organ", "nowhere"], "--images"),
        (["pair", "a", "b", "--map", "liver"], "liver=5,left_kidney=3"),
        (["pair", "a", "b", "--map", "liver=5"], "there is no a"),
        (["ircadb", "nowhere", "--organ", "??"], "use letters"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, argv: list[str], part: str) -> None:
    ran = bench("data", "add", *argv, "--root", str(tmp_path / "root"))
    assert ran.code == 2 and part in ran.err and len(ran.err.splitlines()) <= 2
    assert not list(tmp_path.rglob("*.npy"))


def test_layout_wants_a_new_folder(tmp_path: Path) -> None:
    for argv in (["--layout", "ircadb"], ["--out", str(tmp_path / "x")]):
        assert bench("data", "phantom", "--patients", "1", *argv).code == 2
    argv = ["--layout", "ircadb", "--out", str(tmp_path)]
    ran = bench("data", "phantom", "--patients", "1", *argv)
    assert ran.code == 2 and "exists" in ran.err


def test_adding_again_takes_less_than_a_second(trial: Path, tmp_path: Path) -> None:
    argv = ["data", "add", "ircadb", str(trial / "ircadb"), "--root", str(tmp_path)]
    assert finish(spawn(*argv)).code == 0
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        again = finish(spawn(*argv))
        seconds.append(time.perf_counter() - start)
        assert again.code == 0 and "3 cases" in again.out
    assert min(seconds) < 1.0, seconds


def pictures(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def test_the_page_shows_where_labels_lie(trial: Path, tmp_path: Path) -> None:
    root = ("--root", str(tmp_path))
    bench("data", "add", "ircadb", str(trial / "ircadb"), *root)
    shown = bench("data", "audit", "ircadb", "--html", str(tmp_path / "page.html"), *root)
    assert shown.code == 0 and str(tmp_path / "page.html") in shown.err
    page = (tmp_path / "page.html").read_text()
    assert "http" not in page and "<script" not in page  # one file, nothing fetched
    for word in ("ircadb_01", "ircadb_03", "left_kidney: not annotated", "checks passed"):
        assert word in page
    sheet = pictures(page)
    assert len(sheet) == 9  # three a case
    red = np.array([0xE6, 0x19, 0x4B])
    for picture in sheet[:3]:
        liver = np.argwhere((picture == red).all(axis=2))
        if len(liver):  # the patient's right is the picture's left
            assert liver[:, 1].mean() < picture.shape[1] / 2
    without = bench("data", "audit", "ircadb", "--no-html", *root)
    assert without.code == 0 and not (tmp_path / "reports").exists()
    assert without.out == shown.out
