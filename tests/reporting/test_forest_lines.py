"""The reference lines of a forest: within the panel they are drawn, beyond it they are named."""

from __future__ import annotations

from benchmark.reporting import look
from benchmark.reporting.forest import draw_limits, draw_references


def test_those_within_the_panel_are_lines_and_the_others_are_named_above_it() -> None:
    _, (ax,) = look.canvas(1, 1, height=2)
    ax.plot([-1.0, 3.0], [0, 0])
    limits, before = ax.get_xlim(), len(ax.lines)
    words = draw_references(ax, {"target ceiling": 2.5, "mean shape": -21.04, "far": 40.0})
    assert ax.get_xlim() == limits, "the intervals keep their room"
    (line,) = ax.lines[before:]
    assert list(line.get_xdata()) == [2.5, 2.5] and line.get_label() == "target ceiling"
    assert ax.get_title(loc="left") == "← mean shape -21.0\n→ far +40.0"
    assert words == ["target ceiling +2.50", "mean shape -21.04", "far +40.00"]


def test_without_any_the_panel_stays_as_it_is() -> None:
    _, (ax,) = look.canvas(1, 1, height=2)
    ax.plot([-1.0, 3.0], [0, 0])
    assert draw_references(ax, {}) == [] and len(ax.lines) == 1
    assert ax.get_title(loc="left") == "" and ax.get_legend() is None


def test_each_row_has_its_own_limit_where_there_is_room() -> None:
    _, (ax,) = look.canvas(1, 1, height=2)
    ax.plot([-1.0, 3.0], [0, 1])
    limits, before = ax.get_xlim(), len(ax.collections)
    words = draw_limits(ax, ["calm", "unknown", "wild"], {"calm": 1.0, "wild": 2.5})
    assert ax.get_xlim() == limits, "the intervals keep their room"
    ticks = [
        path.vertices.tolist() for each in ax.collections[before:] for path in each.get_paths()
    ]
    assert ticks == [
        [[-1.0, -0.3], [-1.0, 0.3]],
        [[1.0, -0.3], [1.0, 0.3]],
        [[2.5, 1.7], [2.5, 2.3]],
    ]
    assert words == ["limit of detection 1.00 to 2.50"]
    assert draw_limits(ax, ["calm"], {}) == []
