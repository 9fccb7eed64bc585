"""docs/rows.md is what the registry says."""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.methods import rows_page
from benchmark.plan.budget import budget
from benchmark.settings.registry import grouped, load_registry

PAGE = Path(__file__).parents[2] / "docs" / "rows.md"
ROWS = load_registry().rows


def test_the_page_is_not_stale() -> None:
    """Write it again with `bench methods --markdown > docs/rows.md`."""
    assert PAGE.read_text(encoding="utf-8") == rows_page(ROWS)


def test_the_paper_comes_first_in_its_own_order() -> None:
    groups = dict(grouped(ROWS))
    assert list(groups) == ["paper", "beyond", "controls", "atlas", "spikes"]
    assert list(groups["paper"]) == [
        "unet", "shape-loss", "param-transfer", "joint-train", "no-refine", "no-noise", "fsm",
    ]  # fmt: skip


def test_budgets_are_the_papers() -> None:
    """docs/methods.md section 2; shape-loss also pays for the early predictions of its U-Net."""
    found = {}
    for name in dict(grouped(ROWS))["paper"]:
        spent = budget(ROWS[name].method.plan().node)
        found[name] = (spent.ct_epochs, spent.gt_epochs)
        assert spent.ct_steps is None, "a pass has no length of its own"
    assert found == {
        "unet": (100, 0), "shape-loss": (210, 100), "param-transfer": (100, 100),
        "joint-train": (200, 100), "no-refine": (100, 100), "no-noise": (200, 100),
        "fsm": (200, 100),
    }  # fmt: skip
