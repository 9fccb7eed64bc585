"""The gain of each fold by itself."""

from __future__ import annotations

from statistics import fmean

from reported_suite import Reported


def test_each_fold_has_its_own_gain_and_their_mean_is_the_gain(reported: Reported) -> None:
    page = reported.text("report.md")
    lines = page.partition("### Gain by fold")[2].partition("\n\n### ")[0].splitlines()
    table = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    assert table[0] == ["row against reference", *(f"fold {k}" for k in range(5)), "sd of folds"]
    found = {name: [float(text) for text in cells] for name, *cells in table[2:]}
    *gain_F, sd = found["fsm against unet"]
    rows = [
        line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| fsm a")
    ]
    (whole,) = {cells[2] for cells in rows if cells[:2] == ["fsm against unet", "dsc"]}
    assert abs(fmean(gain_F) - float(whole.partition(" ")[0])) < 0.02  # folds of equal size
    assert len(set(gain_F)) == 5 and sd > 0
