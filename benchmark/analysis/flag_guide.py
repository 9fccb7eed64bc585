"""What each flag means: the one place that describes them, for `bench explain` and docs/flags.md.

The limits are those of the code that raises the flags; a test finds every flag that code can raise
and fails for one that is not described here.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.analysis.ceilings import AT_TARGET_POINTS
from benchmark.errors import BadInput, near
from benchmark.parts.measures import NEGLIGIBLE_SHARE, STILL_RISING, UNUSED_POINTS
from benchmark.parts.probes import GAP_PERCENT, NEGLIGIBLE, SATURATED
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.wording import counted

WIDTH = 100
POINT = counted(round(UNUSED_POINTS), "point")
MARGINS = ", ".join(
    f"{one.name} {one.margin:g} {one.unit.removesuffix('s') if one.margin == 1 else one.unit}"
    for one in AnalysisPlan().metrics
)
HEAD = """# The flags

Written by `bench explain --markdown`; a test fails when it is stale. A flag is a warning that a
fixed rule puts beside a row's numbers: what was measured on the test patients of a cell is past a
limit. It says where numbers need care, and changes none. `bench explain NAME` prints one of these.
M, R, T, tap, bottom, GT gap and headroom are explained in the [glossary](glossary.md).
"""


@dataclass(frozen=True, kw_only=True)
class FlagGuide:
    """One flag in plain words: what was measured, the limit from which it is raised, what that
    means for the row's numbers, and what to do. `title` is all of it in a few words."""

    name: str
    title: str
    measured: str
    limit: str
    meaning: str
    todo: str

    @property
    def slug(self) -> str:
        """The name as one word, to type: `stage_3_not_as_in_the_paper`."""
        return _slug(self.name)

    def parts(self) -> dict[str, str]:
        """Return the four parts by their headings."""
        return {
            "measured": self.measured,
            "limit": self.limit,
            "means": self.meaning,
            "do": self.todo,
        }


GUIDES = (
    FlagGuide(
        name="fsm_saturated",
        title="FSM no longer pulls: R and T differ too much in size",
        measured="M as a relative distance of R and T, from 0 to 1, on the test slices.",
        limit=f"{SATURATED:g} or more.",
        meaning="At its end M has next to no gradient, whatever xi is. FSM does next to nothing, "
        "and the row is a network that was trained longer.",
        todo="Do not read the row's gain as FSM's. Halve the rate and train longer (--set "
        "schedule.lr=... --set schedule.epochs=...), with the plain row beside it. A larger xi "
        "hardly helps. The preset quick-1 always does this.",
    ),
    FlagGuide(
        name="fsm_dead",
        title="FSM gives nothing: R is zero",
        measured="The share of the test slices in which R is zero everywhere.",
        limit="50 % or more.",
        meaning="Where R is zero M stays at 1 without a gradient: FSM trains nothing there, as if "
        "xi were 0.",
        todo="Do not read the row's gain as FSM's. Some draws of the first weights start dead: try "
        "other seeds (--seeds 1,2). Else halve the rate: --set schedule.lr=...",
    ),
    FlagGuide(
        name="no_gt_gap",
        title="the similarity does not see whose masks it is given",
        measured="The GT gap: by how many percent the distance to the teacher's features grows "
        "when the teacher reads another test patient's masks. Mean over the test patients.",
        limit=f"under {GAP_PERCENT:g} %.",
        meaning="What was learned from the teacher is the same for any patient's masks. A gain of "
        "the row is then no sign that the patients' own ground truth taught it something; any "
        "steady pull on the features could do the same.",
        todo="Look first for a cause among the row's other flags (fsm_saturated, fsm_dead, "
        "teacher_bottom_unused). Then compare with the controls that see other masks or none: "
        "bench suite --rows fsm,fsm-shuffled,fsm-constant.",
    ),
    FlagGuide(
        name="term_negligible",
        title="a term beside the loss pulls too weakly to matter",
        measured="The size of the term's gradient in percent of that of the segmentation loss, at "
        "the place where the term acts (N_CT's bottom, or its output), on the test patients, after "
        "the training. The flag names the term: m is FSM's M.",
        limit=f"under {100 * NEGLIGIBLE:g} %.",
        meaning="The term does next to nothing at the end of the training: the network is "
        "what the loss alone makes of it. It may have pulled more at the start.",
        todo="See whether FSM is saturated or dead; if not, give the term more weight (--set "
        "xi=... for fsm; bench methods show NAME names the weight of another row), or let "
        "bench sweep run xi choose it.",
    ),
    FlagGuide(
        name="teacher_bottom_unused",
        title="the teacher N_GT does not need its bottom",
        measured="How many points of DSC N_GT loses on noisy masks of the test patients when its "
        "bottom features are shuffled among the slices.",
        limit=f"under {POINT}.",
        meaning="N_GT redraws the masks from its skip connections. Its bottom, which FSM shows to "
        "N_CT, then holds little of the shape of organs, so that there is little to hand on.",
        todo="Compare with a teacher that must use its bottom (row fsm-teacher-no-skips), with "
        "more noise (--set noise=0.5), or with another tap (bench sweep run taps).",
    ),
    FlagGuide(
        name="student_bottom_unused",
        title="the CT network N_CT does not need its bottom",
        measured="How many points of DSC N_CT loses on the test patients when its bottom features "
        "are shuffled among the slices.",
        limit=f"under {POINT}.",
        meaning="N_CT segments from its upper levels. Better features at the bottom cannot help a "
        "network that does not use them.",
        todo="Expect no effect of FSM at this tap. Choose another tap (bench sweep run taps), a "
        "larger grid or more training.",
    ),
    FlagGuide(
        name="no_headroom",
        title="even perfect features at the tap would gain next to nothing",
        measured="The headroom: how many points of DSC N_CT gains when its features at the tap are "
        "replaced by those that N_GT makes of the test patient's true masks, through a small "
        "adapter that was fitted on the training patients.",
        limit=f"under {POINT}; below 0 the adapter is worse than N_CT's own features.",
        meaning="The best that FSM could hand on at this tap would not be seen in the numbers.",
        todo="Do not take 'no difference' for 'FSM does not work': here nothing could. Choose "
        "another tap, or harder data.",
    ),
    FlagGuide(
        name="shape_model_is_identity",
        title="the shape model repairs nothing",
        measured="How much of the damage in corrupted masks of the test patients the shape model "
        "takes away, in percent of the squared error.",
        limit="0 % or less.",
        meaning="The shape model gives back what it was given. A term or a repair that is built on "
        "it carries no knowledge of shapes.",
        todo="Train the shape model longer or make it narrower (bench methods show NAME lists the "
        "fields) before the row is compared with others.",
    ),
    FlagGuide(
        name="shape_term_negligible",
        title="a term of the shape loss weighs too little to matter",
        measured="The share of the term in the whole value that is minimised, on test patients.",
        limit=f"under {100 * NEGLIGIBLE_SHARE:g} %.",
        meaning="The row is trained as if the term were not there.",
        todo="Give the term more weight (bench methods show shape-loss names the fields) before "
        "the row is said to fail.",
    ),
    FlagGuide(
        name="stage 3 not as in the paper",
        title="the last training starts from another decoder than N_GT's",
        measured="Nothing: it follows from the row's values (refine_init, ct, gt).",
        limit="the decoder of stage 3 is not N_GT's, because that was asked for or because the two "
        "networks' decoders differ in shape.",
        meaning="In the paper N_CT takes over N_GT's decoder before it is refined. Here it keeps "
        "its own, or starts from random weights: the numbers are not those of the paper's method.",
        todo="Use one architecture for both networks (--set ct=NAME --set gt=NAME), or say so "
        "beside the numbers.",
    ),
    FlagGuide(
        name="not_converged",
        title="the training was still going up when it ended",
        measured="How many points soft Dice on the training slices rose from the fifth before the "
        "last of the epochs to the last, in the training whose network is scored.",
        limit=f"{STILL_RISING:g} points or more.",
        meaning="A longer training would have scored higher. Between two such rows the one that "
        "learns faster wins, which says nothing of where both would end.",
        todo="Train longer (--set schedule.epochs=...), and the rows beside it as long.",
    ),
    FlagGuide(
        name="own_loss",
        title="a loss of your own ignores what the preset changes for all other rows",
        measured="Nothing: the code of the loss is read. It never uses batch.loss_form, in which "
        "the values of ground.loss are.",
        limit="the preset or --set changes a value of ground.loss (quick adds a tenth of "
        "cross-entropy).",
        meaning="The row is trained by another loss than the rows it is compared with; a "
        "difference may come from that alone.",
        todo="Build the loss on segmentation_terms with batch.loss_form (docs/architecture.md), or "
        "compare with the preset paper, which changes none of these values.",
    ),
    FlagGuide(
        name="at_target",
        title="the row scores what its training target scores: there is no room to differ",
        measured="How many points of DSC an organ scores, mean over the test patients of a cell, "
        "under the target ceiling: what a perfect copy of the training target scores, when the "
        "labels of the training grid are brought back to the native grid as predictions are.",
        limit=f"{AT_TARGET_POINTS:g} points or less, or above it; on a native grid the target "
        "ceiling is 100.",
        meaning="Another row that learns the same target can hardly score more in this organ, "
        "however good it is. 'No difference' says here nothing of the methods.",
        todo="Look at the target ceiling and the grid ceiling beside the table. Where they lie far "
        "apart the labels bind, and not the grid: learn shares of area (--set ground.labels=area "
        "--set ground.loss.squared=true). Else train on a larger grid (--set ground.size=128), "
        "which raises both.",
    ),
    FlagGuide(
        name="not_learned",
        title="an organ scores less than one mask for all patients",
        measured="How many points of DSC an organ scores, mean over the test patients of a cell, "
        "less than the constant predictor: one mask, made of the training patients' masks, laid "
        "over every patient alike.",
        limit="under the constant predictor's DSC.",
        meaning="The network hardly ever finds this organ, or takes it for another: the training "
        "failed, or was far too short. One such training among a row's cells moves the row's mean "
        "by more than methods do.",
        todo="Look at the outlines in the report. Where all cells have it, train longer; where one "
        "has it, the preset is not stable: choose values with which no training fails, and train "
        "all rows with these. Leaving out or repeating one training alone favours its row.",
    ),
    FlagGuide(
        name="one_patient",
        title="the gain of a comparison hangs on one patient",
        measured="The mean gain of all patients minus that without one patient, for the patient "
        "who moves it most (bench compare, the report).",
        limit=f"more than the margin of the metric ({MARGINS}).",
        meaning="One patient decides the result: often a segmentation that failed. While it stands "
        "nothing is called supported or reproduced, and a word (better, worse, equivalent) is "
        "given only where the other patients give the same.",
        todo="Look at this patient: its image and outlines in the report, the organs that were "
        "missed, the data (bench data audit NAME). More patients help; leaving it out does not.",
    ),
)


def guide_of(name: str) -> FlagGuide:
    """Return what a flag means; case, spaces and hyphens do not matter. Raises `BadInput` with the
    nearest names for one that is not described."""
    known = {guide.slug: guide for guide in GUIDES}
    if _slug(name) in known:
        return known[_slug(name)]
    hint = near(_slug(name), known)
    raise BadInput(
        f"no flag {name!r}: {hint}the flags are {', '.join(known)} (bench explain); "
        "a row of another package explains its own"
    )


def how_to_read(names: Iterable[str]) -> str:
    """Return the line that says where the flags of these names are explained; "" where none is."""
    known = {guide.name: guide.slug for guide in GUIDES}
    shown = [known[name] for name in dict.fromkeys(names) if name in known]
    return f"what a flag means, and what to do: bench explain {' '.join(shown)}" if shown else ""


def guide_text(guide: FlagGuide) -> str:
    """Return a flag's guide as text for a terminal, without a newline at the end."""
    lines = [f"{guide.name}: {guide.title}"]
    for heading, text in guide.parts().items():
        lines += textwrap.wrap(
            text,
            WIDTH,
            initial_indent=f"  {heading + ':':10s}",
            subsequent_indent=" " * 12,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def flags_page(guides: Sequence[FlagGuide] = GUIDES) -> str:
    """Return the page docs/flags.md, ending in a newline."""
    parts = [HEAD]
    for guide in guides:
        items = [f"- **{heading}**: {text}" for heading, text in guide.parts().items()]
        parts.append(
            "\n".join([f"## {guide.name}", "", f"{_sentence(guide.title)}", "", *items, ""])
        )
    return "\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _slug(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())
