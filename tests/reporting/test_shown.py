"""The sentence below a run's table, from planted figures: every rule once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.analysis.seen_row import CONTROL, OTHER, PLAIN, SUBJECT, Seen
from benchmark.analysis.shown import text_of
from benchmark.store.ledger import Entry

ENTRY = Entry(
    dataset="set", row="fsm", label="fsm", preset="quick", overrides={}, fold=0, seed=0,
    part="test", key="k", evaluation="e", split="s", nodes=("k",), state="done",
)  # fmt: skip
ON = {
    "m_relative": 0.02, "dead_r": 0.0, "m_matched": 0.021, "gt_gap": 0.1, "m_gradient_ratio": 0.04,
    "headroom": 9.0, "teacher_loses_shuffled": 9.0, "student_loses_shuffled": 9.0,
}  # fmt: skip
SATURATED, DEAD = {**ON, "m_relative": 0.9998}, {**ON, "dead_r": 0.5}
MIDDLE = " in the middle of the training"
END = " at the end of the training"
ALONE = " Whether fsm gains anything, only rows beside it can tell."


def seen(*means: dict[str, float], row: str = "fsm", kind: str = SUBJECT, **more: object) -> Seen:
    """A row with a cell for each of these measurements; one cell where there is none."""
    own = [replace(ENTRY, row=row, label=row, fold=n) for n in range(max(1, len(means)))]
    base = Seen(entries=tuple(own), kind=kind, means=means)
    return replace(base, **more)  # type: ignore[arg-type]


def test_a_term_that_pulls_without_seeing_whose_masks_they_are() -> None:
    found = seen(
        ON, {**ON, "gt_gap": 0.2, "m_gradient_ratio": 0.09}, m=((0.26, 0.017), (0.3, 0.02))
    )
    assert text_of(found) == (
        f"FSM pulled with 4.0 to 9.0 % of the loss's gradient{END}; M fell to 0.017 to 0.020 "
        "(0.26 to 0.30 in the first epoch); shown another patient's masks it stays as low (GT gap "
        f"0.1 to 0.2 %): no sign of transfer.{ALONE}"
    )


def test_what_was_measured_during_the_training_goes_first() -> None:
    text = text_of(seen(ON, pulled=(4.2, 9.1)))
    assert text.startswith(
        f"FSM pulled with 4.2 to 9.1 % of the loss's gradient{MIDDLE}; M is 0.021 "
    )


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ((0.14, 0.06), "hardly changes (GT gap 0.1 %): no sign of transfer."),
        ((-7.0, 1.0), "is as low or lower (GT gap -7.0 to 1.0 %): no sign of transfer."),
        ((5.0, 9.0), "is higher (GT gap 5.0 to 9.0 %): it depends on whose they are."),
        ((4.9, 9.0), "is higher in some cells only (GT gap 4.9 to 9.0 %): undecided."),
        ((float("nan"),), "another patient's masks could not be shown."),
    ],
)
def test_the_word_on_transfer_follows_the_gap(gaps: tuple[float, ...], said: str) -> None:
    assert said in text_of(seen(*({**ON, "gt_gap": gap} for gap in gaps)))


def test_without_a_partner_nothing_is_said_of_transfer() -> None:
    means = {name: value for name, value in ON.items() if name != "gt_gap"}
    text = text_of(seen(means))
    assert "another patient's masks could not be shown." in text and "transfer" not in text


def test_m_that_did_not_fall_is_not_said_to() -> None:
    text = text_of(seen(ON, m=((0.02, 0.02),)))
    assert (
        "; M ended at 0.020 (0.020 in the first epoch); shown another patient's masks it hardly"
        in text
    )


@pytest.mark.parametrize(
    ("means", "why"),
    [
        ([SATURATED], "M stands at its end (0.9998 of 1)"),
        ([DEAD, {**DEAD, "dead_r": 1.0}], "R is zero in 50 to 100 % of the slices"),
        ([DEAD, SATURATED], "R is zero in 50 % of the slices or M stands at its end (0.9998 of 1)"),
    ],
)
def test_fsm_that_is_switched_off(means: list[dict[str, float]], why: str) -> None:
    weak = [{**each, "m_gradient_ratio": 0.0003} for each in means]
    assert text_of(seen(*weak)) == (
        f"FSM was switched off: {why}, and M has next to no gradient there; it hardly pulled: "
        f"0.030 % of the loss's gradient{END}. A gain of the row would not be FSM's."
    )


def test_fsm_that_pulled_before_it_was_switched_off_may_have_gained() -> None:
    text = text_of(seen({**SATURATED, "m_gradient_ratio": 0.0003}, pulled=(4.0, 9.0)))
    assert text.startswith("FSM was switched off in the end: ") and text.endswith(ALONE)
    assert f"it pulled with 4.0 to 9.0 % of the loss's gradient{MIDDLE}." in text


def test_fsm_that_is_switched_off_in_some_cells() -> None:
    text = text_of(seen(ON, SATURATED))
    assert text.startswith("FSM was switched off in 1 of 2 cells; it pulled with 4.0 % of the ")


def test_a_weak_pull_is_called_weak_only_where_it_was_never_strong() -> None:
    weak = {**ON, "m_gradient_ratio": 0.0099}
    assert text_of(seen(weak)).startswith("FSM hardly pulled: 0.99 % of the loss's gradient at")
    assert text_of(seen(weak, pulled=(4.0, 4.0))).startswith("FSM pulled with 4.0 % of the loss's")
    assert text_of(seen(weak, ON)).startswith("FSM pulled with 0.99 to 4.0 % of the loss's")


def test_the_controls_stand_beside_m_where_they_are_stored() -> None:
    beside = {"fsm-shuffled": (0.017, 0.017), "fsm-constant": (0.006, 0.007)}
    assert text_of(seen(ON, beside_m=beside)).endswith(
        ": no sign of transfer. At the same step M was 0.017 where FSM saw another patient's masks "
        "(fsm-shuffled) and 0.0060 to 0.0070 where it saw none (fsm-constant)."
    )
    assert "At the same step" not in text_of(seen(SATURATED, beside_m=beside))


def test_why_little_could_be_handed_on() -> None:
    little = {**ON, "headroom": 0.2, "teacher_loses_shuffled": 0.0, "student_loses_shuffled": 0.9}
    text = text_of(seen(little))
    assert text.endswith(
        "Little could be handed on at this tap: N_GT loses 0.0 points of DSC when its bottom is "
        "shuffled; N_CT loses 0.9 points of DSC when its bottom is shuffled; even the true masks' "
        "features gain 0.2 points."
    )
    assert text_of(seen(little, ON)).endswith(ALONE), "not in all cells"


def test_a_control_is_told_by_what_it_changes_and_has_no_transfer() -> None:
    about = "FSM sees the masks of another training patient."
    text = text_of(seen(ON, row="fsm-shuffled", kind=CONTROL, about=about))
    assert text.startswith("In this control (FSM sees the masks of another training patient) FSM p")
    assert "transfer" not in text and "GT gap 0.1 %)." in text
    assert text.endswith(
        " It is a control: it says something only beside the row that it controls."
    )


@pytest.mark.parametrize("params", [{"teacher": "ct"}, {"gt.reads": "image"}])
def test_a_teacher_that_reads_images_is_shown_images(params: dict[str, str]) -> None:
    found = seen(ON)
    of_ct = replace(found, entries=(replace(ENTRY, params=params),))
    assert "shown another patient's image it hardly changes" in text_of(of_ct)


def test_a_rival_with_the_same_teacher() -> None:
    means = {"gt_gap": 0.3, "m_matched": 2.0, "guide_gradient_ratio": 0.5}
    assert text_of(seen(means, row="vid", kind=OTHER)) == (
        f"The distance to N_GT's features pulled with 50 % of the loss's gradient{END}; shown "
        "another patient's masks it hardly changes (GT gap 0.3 %): no sign of transfer. Whether "
        "vid gains anything, only rows beside it can tell."
    )


def test_terms_without_a_teacher() -> None:
    one = {"code_gradient_ratio": 0.012}
    text = text_of(seen(one, row="acnn", kind=OTHER))
    assert text.startswith(
        "The term beside the loss pulled at the end of the training: code with 1.2 % of the loss's "
        "gradient. Whether acnn"
    )
    two = text_of(seen({**one, "edge_gradient_ratio": 2.0}, row="mine", kind=OTHER))
    assert two.startswith("The terms beside") and "gradient and edge with 2.0 times the loss" in two


def test_shape_models() -> None:
    means = {"restored_percent": 40.0, "recon_share": 0.5, "code_share": 0.021}
    assert text_of(seen(means, row="shape-loss", kind=OTHER)).startswith(
        "The shape model takes 40 % of the damage in masks away; of what is minimised its terms "
        "are recon 50.0 % and code 2.1 %. Whether"
    )
    text = text_of(seen({"restored_percent": -3.0}, row="post-dae", kind=OTHER))
    assert text.startswith("The shape model repairs nothing: it takes -3 % of the damage in masks")


def test_rows_of_which_nothing_but_scores_was_measured() -> None:
    assert text_of(seen(row="unet", kind=PLAIN)) == (
        "unet is the plain network: it has no term to look at. Its scores are what other rows are "
        "compared with."
    )
    text = text_of(seen(row="param-transfer", kind=OTHER, about="Starts from N_GT."))
    assert text.startswith(
        "Nothing but its scores was measured of param-transfer (Starts from N_GT)."
    )


def test_probes_of_somebody_elses() -> None:
    entry = replace(ENTRY, row="mine", probes=(("heat", "k", "e"),))
    text = text_of(Seen(entries=(entry,), kind=OTHER, means=({"heat": 1.0},)))
    assert text.startswith("No sentence is made of what was measured of mine: heat.")


def test_cells_that_failed_and_inner_patients() -> None:
    lost = replace(ENTRY, state="failed", fold=1)
    found = seen(ON)
    some = replace(found, entries=(*found.entries, lost))
    assert text_of(some).startswith("Of 1 of 2 cells: FSM pulled with 4.0 % of")
    none = text_of(Seen(entries=(lost,), kind=SUBJECT))
    assert none == "No cell of fsm was done: there is nothing to look at."
    inner = text_of(Seen(entries=(replace(ENTRY, part="inner"),), kind=SUBJECT))
    assert inner.startswith(
        "fsm was scored on inner validation patients, for tuning alone: no test"
    )


def test_a_preset_that_may_give_a_verdict_names_who_gives_it() -> None:
    found = seen(ON)
    paper = replace(found, entries=(replace(ENTRY, preset="paper"),))
    assert text_of(paper).endswith("can tell, and a verdict needs bench report.")


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (0.0, "0 % of"),
        (0.0996, "10 % of"),
        (1.0, "100 % of"),
        (1.234, "1.2 times"),
        (0.00017, "0.017 % of"),
        (1e-8, "under 0.0001 % of"),
    ],
)
def test_two_digits_that_count(ratio: float, shown: str) -> None:
    text = text_of(seen({**ON, "m_gradient_ratio": ratio}))
    assert f" {shown} the loss's gradient" in text
