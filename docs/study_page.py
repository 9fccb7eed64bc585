"""docs/study/README.md, and README's sentence of the study, from docs/study/study.json: every
sentence is made by rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.plan.wording import counted, listed

PLAN, PAGE = "docs/study/study.toml", "docs/study/README.md"
FIRST, REAL, NONE = "spikes", "spikes-2-percent", "null-2-percent"
QUESTION = "few-labels-2-percent"
ASKED = {
    "Does the suite find a gain that is known to be real?": (FIRST, REAL),
    "Does it find one where there is none?": (NONE,),
    "Does a network learn more from ground-truth images than its loss tells it?": (QUESTION,),
}
SHORT = {
    FIRST: "A gain known to be real (`spike-100`, with a hundred times the labels of `unet`)",
    REAL: "The same with fifty times the labels",
    NONE: "No gain (`spike-null`, with as many labels as `unet`, of other slices)",
    QUESTION: "`fsm`, where the loss sees a fiftieth of the labels",
}
LABELS = {FIRST: "1 % of the labels", REAL: "2 % of the labels"}
NO_ANSWER = ("incomplete", "demonstration")
WORDS = """\
All patients here are *phantoms*: computed, with masks that are known exactly ([the
phantom](../phantom.md)). A *row* is one way of training ([all rows](../rows.md)), a *fold* a fifth
of the patients, tested by networks that were trained on the others. Each row is trained in five
folds with three *seeds*, the numbers that all chance comes from; a *cell* is one row in one fold
with one seed. Three seeds are a *screen*; a claim would need five. Whatever comes out is said of
phantoms, not of patients.

`ground.labelled=0.02`: the loss of the network that reads CT sees the labels of a fiftieth of its
training slices. Which slices these are is drawn once, by a hash of patient and slice: all seeds
and all rows but `spike-null` see the same ones. `spike-25`, `spike-50` and `spike-100` get a
quarter, half or all of the labels back that `unet` lacks (to spike a sample is to add a known
amount of what is looked for). The teacher of `fsm`, a network that reads masks, sees every mask.

Gains are differences of DSC, the overlap with the true masks, in points (percent), with a 95 %
interval over patients, folds and trainings. Where the gain differs much between folds, five of
them leave the interval wide, however many patients gain. [Other words](../glossary.md); [how a
verdict is found](../methods.md#6-controls-and-the-verdict).

The first suite, `spikes`, gives a hundredth of the labels. The others are a second plan: they give
a fiftieth, and that was chosen after the first suite and before any of them was trained, on
*inner* patients (a part of a fold's training patients, kept out of the training; other folds test
them). [Decision 0027](../decisions/0027-a-study-that-anyone-can-repeat.md) says why. Cells that
several suites share are trained once and counted in each."""


def page(facts: Mapping[str, Any], anchor: str) -> str:
    """Return the page: the three questions with their answers, the words, then every suite."""
    suites = {suite["name"]: suite for suite in facts["suites"]}
    lines = ["# The study", "", "Written by `python docs/study.py`; no sentence is by hand.", ""]
    for question, names in ASKED.items():
        answers = " ".join(_answer(name, suites[name]) for name in names)
        lines += [f"**{question}** {answers}", ""]
    lines += [WORDS, "", *([f"Beside `unet`: {anchor}", ""] if anchor else [])]
    for name, suite in suites.items():
        whole = suite["said"] and not suite["left"]
        lines += [f"## {f'[{name}]({name}/report.md)' if whole else name}", ""]
        lines += [suite["about"] + ("" if suite["about"].endswith("?") else "."), ""]
        lines += [f"- {sentence}" for sentence in _sentences(suite)]
        lines += ["", f"`bench suite --config {PLAN} --name {name}`", ""]
    return "\n".join(lines).rstrip() + "\n"


def _answer(name: str, suite: Mapping[str, Any]) -> str:
    """What the suite says on each set that is whole; else how far it is."""
    known = [s for s in suite["said"] if s["outcome"] not in NO_ANSWER]
    said = " ".join(sentence for each in known for sentence in each["sentences"][:2])
    where = f"With {LABELS[name]}: " if name in LABELS else ""
    return where + (said or f"{'not' if where else 'Not'} known yet ({_left(suite)}).")


def _sentences(suite: Mapping[str, Any]) -> Iterator[str]:
    for each in suite["said"]:
        yield " ".join(each["sentences"])
    if suite["left"]:
        yield f"{'Not whole' if suite['said'] else 'Not run'}: {_left(suite)}."


def _left(suite: Mapping[str, Any]) -> str:
    done = f"{suite['done']} of {counted(suite['cells'], 'cell')} are trained"
    return f"{done}; {suite['left']} are left"


def sentence(facts: Mapping[str, Any]) -> str:
    """Return README's sentence of the study."""
    suites = {suite["name"]: suite for suite in facts["suites"]}
    parts = " ".join(_short(name, suites[name]) for name in SHORT)
    return f"**The study** ([what came out]({PAGE}), [its plan]({PLAN}), `make study`). {parts}"


def _short(name: str, suite: Mapping[str, Any]) -> str:
    known = [each for each in suite["said"] if each["outcome"] not in NO_ANSWER]
    if not known:
        return (
            f"{SHORT[name]}: not known yet, {suite['done']} of {suite['cells']} cells are trained."
        )
    found = [f'"{each["outcome"]}" on {each["dataset"]}{_least(each)}' for each in known]
    return f"{SHORT[name]}: {listed(found)}."


def _least(said: Mapping[str, Any]) -> str:
    return f" ({said['least']})" if said["least"] else ""
