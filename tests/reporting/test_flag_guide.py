"""Every flag that code can raise is described, with the limit that the code has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from bench_process import bench

from baselines.shapes import ShapeModelProbe
from benchmark.analysis.flag_guide import GUIDES, flags_page, guide_of, how_to_read
from benchmark.parts.measures import BottomUse, Headroom, Replaced, TermShares
from benchmark.parts.objectives import Segmentation
from benchmark.parts.probes import FsmState, GtGap, TermGradients
from benchmark.parts.views import CorruptShapes
from benchmark.plan.nodes import Measure, probes_of
from benchmark.settings.registry import load_registry

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "flags.md"
PACKAGES = ("benchmark", "methods", "baselines", "sweeps")
HOLE = "<>"  # stands for a value in an f-string
NAMES = {guide.name for guide in GUIDES}


class Past(dict[str, float]):
    """Means in which every value is past any limit, on the side that `low` says."""

    def __init__(self, low: set[str]) -> None:
        super().__init__()
        self.low, self.read = low, set[str]()

    def __missing__(self, name: str) -> float:
        self.read.add(name)
        return -1e6 if name in self.low else 1e6

    def get(self, name: str, default: object = None) -> float:  # type: ignore[override]
        return self[name]

    def items(self) -> Iterator[tuple[str, float]]:  # type: ignore[override]
        return iter([("m_gradient_ratio", self["m_gradient_ratio"])])


def raised_by(measure: Measure) -> set[str]:
    """The names of all flags of a measure, by turning each value that it reads to both sides."""
    found, low = set(), set[str]()
    for _ in range(8):
        means = Past(low)
        found |= {text.partition(":")[0] for text in measure.flags(means)}
        for name in means.read:
            one = Past({name} ^ low)
            found |= {text.partition(":")[0] for text in measure.flags(one)}
        low = means.read - low
    return found


def texts_in(function: ast.FunctionDef) -> Iterator[str]:
    """The texts that a function makes, without its docstring and those within other texts."""
    doc = ast.get_docstring(function, clean=False)
    inner = {id(part) for node in ast.walk(function) if isinstance(node, ast.JoinedStr)
             for part in node.values}  # fmt: skip
    for node in ast.walk(function):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in inner and node.value != doc:
            yield str(node.value)


def raised_in_code() -> set[str]:
    """The names before the colon of every text that a function of flags makes; a value in a name
    is `HOLE`."""
    found = set()
    for path in (path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and re.fullmatch(r"flags|\w+_flags", node.name):
                found |= {m[1] for text in texts_in(node) if (m := re.match(r"([^:]+): ", text))}
    return found


def fits(name: str, raised: str) -> bool:
    return bool(re.fullmatch(re.escape(raised).replace(HOLE, r"\w+"), name))


def test_every_flag_in_the_code_is_described() -> None:
    raised = raised_in_code()
    assert len(raised) >= 10, raised
    assert [one for one in raised if not any(fits(name, one) for name in NAMES)] == []


def test_every_flag_of_the_comparison_is_described() -> None:
    """It stands in brackets at the end of a text, where `bench compare` prints it."""
    code = "".join(
        path.read_text("utf-8") for path in (REPOSITORY / "benchmark/scoring").glob("*.py")
    )
    raised = set(re.findall(r'\((\w+_\w+)\)"', code))
    assert raised == {"one_patient"} <= NAMES


def test_no_flag_is_described_that_nothing_raises() -> None:
    raised = {*raised_in_code(), "one_patient"}
    assert [name for name in NAMES if not any(fits(name, one) for one in raised)] == []


@pytest.mark.parametrize("row", load_registry().rows)
def test_every_flag_of_a_row_is_described(row: str) -> None:
    """With the names that a row gives its probes: teacher_bottom_unused."""
    for probe in probes_of(load_registry().rows[row].method):
        raised = raised_by(probe.measure)
        assert raised and raised <= NAMES, (probe.name, raised - NAMES)


def test_every_flag_of_the_probes_of_fsm_is_found() -> None:
    """Else the test above looks at less than it says."""
    raised = [raised_by(probe.measure) for probe in probes_of(load_registry().rows["fsm"].method)]
    assert set().union(*raised) == {
        "no_gt_gap", "fsm_dead", "fsm_saturated", "term_negligible", "teacher_bottom_unused",
        "student_bottom_unused", "no_headroom",
    }  # fmt: skip


SHAPES = CorruptShapes(discs=1)
LIMITS: list[tuple[str, Measure, Mapping[str, float], Mapping[str, float]]] = [
    ("no_gt_gap", GtGap(objective=Segmentation()), {"gt_gap": 4.99}, {"gt_gap": 5}),
    ("fsm_dead", FsmState(), {"dead_r": 0.5}, {"dead_r": 0.49}),
    ("fsm_saturated", FsmState(), {"m_relative": 0.99}, {"m_relative": 0.98}),
    (
        "term_negligible", TermGradients(objective=Segmentation()),
        {"m_gradient_ratio": 0.0099}, {"m_gradient_ratio": 0.01},
    ),
    (
        "teacher_bottom_unused", BottomUse(name="teacher", net="gt"),
        {"teacher_loses_shuffled": 0.99}, {"teacher_loses_shuffled": 1.0},
    ),
    (
        "student_bottom_unused", BottomUse(name="student", net="ct"),
        {"student_loses_shuffled": 0.99}, {"student_loses_shuffled": 1.0},
    ),
    ("no_headroom", Headroom(objective=Replaced()), {"headroom": 0.99}, {"headroom": 1.0}),
    (
        "shape_model_is_identity", ShapeModelProbe(view=SHAPES),
        {"restored_percent": 0.0}, {"restored_percent": 0.1},
    ),
    (
        "shape_term_negligible", TermShares(objective=Segmentation(), terms=("code",)),
        {"code_share": 0.049}, {"code_share": 0.05},
    ),
]  # fmt: skip
SAID = {
    "no_gt_gap": "under 5 %", "fsm_dead": "50 % or more", "fsm_saturated": "0.99 or more",
    "term_negligible": "under 1 %", "teacher_bottom_unused": "under 1 point",
    "student_bottom_unused": "under 1 point", "no_headroom": "under 1 point",
    "shape_model_is_identity": "0 % or less", "shape_term_negligible": "under 5 %",
}  # fmt: skip


@pytest.mark.parametrize(("name", "measure", "past", "within"), LIMITS, ids=[x[0] for x in LIMITS])
def test_the_limit_is_the_codes(
    name: str, measure: Measure, past: Mapping[str, float], within: Mapping[str, float]
) -> None:
    assert [text.partition(":")[0] for text in measure.flags(past)] == [name]
    assert measure.flags(within) == ()
    assert guide_of(name).limit.startswith(SAID[name])


def test_the_page_is_not_stale() -> None:
    """Write it again with `bench explain --markdown > docs/flags.md`."""
    assert PAGE.read_text(encoding="utf-8") == flags_page()
    assert bench("explain", "--markdown").out == flags_page()


def test_explain_lists_all_and_tells_of_some() -> None:
    listed = bench("explain")
    assert listed.code == 0 and all(guide.slug in listed.out for guide in GUIDES)
    told = bench("explain", "fsm_saturated", "Stage 3 not as in the paper")
    assert told.code == 0 and told.out.count("\n  limit:    ") == 2
    assert "fsm_saturated: " in told.out and "0.99 or more" in told.out and "xi" in told.out
    assert max(map(len, told.out.splitlines())) <= 100
    (one,) = bench("explain", "one_patient", "--json").json
    assert set(one) == {"name", "title", "measured", "limit", "meaning", "todo"}
    assert [x["name"] for x in bench("explain", "--json").json] == [x.name for x in GUIDES]


def test_an_unknown_flag_gets_the_nearest_names() -> None:
    ran = bench("explain", "fsm_satured")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert "did you mean fsm_saturated?" in ran.err and "one_patient" in ran.err
    assert bench("explain", "zzz").code == 2


def test_the_line_below_a_table_can_be_typed() -> None:
    line = how_to_read(["stage 3 not as in the paper", "no_gt_gap", "no_gt_gap", "somebodys"])
    argv = line.partition(": bench ")[2].split()
    assert argv == ["explain", "stage_3_not_as_in_the_paper", "no_gt_gap"]
    assert bench(*argv).code == 0
    assert how_to_read([]) == how_to_read(["somebodys"]) == ""
