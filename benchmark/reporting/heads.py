"""What the heads of the tables mean: a word for each, and its definition in the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from benchmark.scoring.surface import EMPTY, OURS


def _ours(metric: str) -> str:
    """The definition that all output shows, as a sentence with what an empty mask gives."""
    about = OURS[metric].partition(": ")[2]
    return f"{about[0].upper()}{about[1:]}. {EMPTY}"


WORDS: Mapping[str, str] = MappingProxyType(
    {
        "row": "A way of training that is compared with others: a method with its values. Lines "
        "above the rows (target ceiling, grid ceiling, mean shape, constant predictor) are not "
        "rows: they say what the training grid allows, and what a prediction scores that does not "
        "look at the CT.",
        "DSC": "Dice similarity coefficient of a predicted and a true mask, in percent: twice the "
        f"common voxels over the sum of both. {EMPTY}",
        "ASSD": _ours("assd"),
        "HD95": _ours("hd95"),
        "NSD": _ours("nsd"),
        "slicewise DSC": "The mean over slices of the DSC in each slice; all else is over volumes.",
        "false alarm": "Millilitres that were predicted of an organ that the truth does not hold.",
        "headline": "The mean over liver and left kidney, which both data sets of the paper label.",
        "n": "Patients whose value is in the mean; with n ASSD, those with a distance at all.",
        "missed": "Pairs of a patient and an organ that is there and of which nothing was found.",
        "gain": "The mean over patients and seeds of a row's score minus that of another row in "
        "the same patients, in the metric's unit. Positive is better, for distances too. In "
        "brackets: the primary 95 % interval.",
        "the paper's numbers": "What the paper prints; none of our numbers uses it.",
        "the comparison's word": "What the interval says beside the margin: better, worse, "
        "equivalent, or undecided.",
        "one patient": "The patient without whom the gain would move by more than the margin.",
        "p": "How often a difference as large would be found without any true one. Holm p is the "
        "p of a planned family of comparisons, corrected for their number.",
        "margin": "The difference that was fixed before the run as the least that matters.",
        "detectable": "The true gain that studies like this one would find with the plan's power.",
        "P(better)": "The share of patients that the row does better in than the other row, with "
        "its interval.",
        "false claim": "How often a row in fact not better would come out ahead in such a study.",
        "Nadeau-Bengio": "The gain with another interval, corrected for folds that share training "
        "patients: a look at how much the result depends on the kind of interval.",
        "rank": "1 is best. The interval holds 95 % of the ranks in bootstrap draws of patients "
        "and seeds.",
        "control of the comparison": "A check of the comparison itself whose result is known.",
        "reading": "One way to read what the paper leaves open; each is tuned and judged alone.",
        "GT gap": "By how many percent M is lower with a patient's own masks than with another "
        "patient's.",
        "M": "The distance of R and T, from 0 (equal) to 1, which stage 2 makes smaller beside "
        "the loss. T is what N_CT holds at the tap, R what FSM makes of it under the guidance of "
        "the masks' features.",
        "CKA": "Centred kernel alignment: how alike two sets of features are, 0 to 1.",
        "dead channels": "The share of N_CT's channels at the tap that are zero everywhere.",
        "teacher and student": "N_GT, which reads masks, and N_CT, which reads CT. Loses: points "
        "of DSC lost when what the deepest level holds is shuffled among slices, replaced by its "
        "mean, or zeroed.",
        "headroom": "How many points of DSC N_CT would gain with the best features that N_GT "
        "could give it at the tap.",
        "border error": "Wrong voxels within 5 mm of the true border, in percent, in a third of "
        "the border by how clearly the CT shows it.",
        "false ml": "Predicted millilitres that are not the organ and have its brightness in CT.",
        "cost": "Of one cell (a row in one fold with one seed), all its trainings together.",
        "fold and seed": "A fold is one part of the patients, tested by networks that the others "
        "trained; a seed is the number that all chance in a training comes from.",
    }
)

RULES: tuple[tuple[str, str], ...] = (
    (r"paper, |the paper's gain", "the paper's numbers"),
    (r"Nadeau-Bengio", "Nadeau-Bengio"),
    (r".*gain over|.* over it|gain|weakest gain|median$", "gain"),
    (r"teacher|student", "teacher and student"),
    (r"n$|n ASSD|patients$", "n"),
    (r"missed", "missed"),
    (r"dsc_slicewise", "slicewise DSC"),
    (r"(?i).*\bdsc\b|inner validation", "DSC"),
    (r"(?i)assd", "ASSD"),
    (r"hd95", "HD95"),
    (r"nsd", "NSD"),
    (r"false_alarm", "false alarm"),
    (r"word|status|outcome", "the comparison's word"),
    (r"one_patient", "one patient"),
    (r".*\bp$", "p"),
    (r"margin", "margin"),
    (r"detectable", "detectable"),
    (r"P\(better\)|patients better", "P(better)"),
    (r"false claim", "false claim"),
    (r"rank|95 % of|first in", "rank"),
    (r"control", "control of the comparison"),
    (r"reading|trials$", "reading"),
    (r"GT gap", "GT gap"),
    (r"M ", "M"),
    (r"CKA", "CKA"),
    (r"dead channels", "dead channels"),
    (r"headroom", "headroom"),
    (r"border error|middle third|sharpest third", "border error"),
    (r"false ml", "false ml"),
    (r"trainings|epochs|steps|million parameters|seconds", "cost"),
    (r"folds?$|fold \d+$|sd of folds$|seeds?$", "fold and seed"),
    (r"row", "row"),
)
"""The start of a head, and the word that it is explained by: the first that fits."""


def word_of(column: str) -> str:
    """Return the word of `WORDS` that explains a column's head; "" where it needs none, and for a
    metric of one's own."""
    return next((word for rule, word in RULES if re.match(rule, column)), "")
