"""docs/study/README.md, and README's sentence of the study, from docs/study/study.json: every
sentence is made by rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.plan.wording import counted, listed

PLAN, PAGE = "docs/study/study.toml", "docs/study/README.md"
REAL, NONE, QUESTION = "spikes-2-percent", "null-2-percent", "few-labels-2-percent"
ASKED = {
    REAL: "Does the suite find a gain that is known to be real?",
    NONE: "Does it find one where there is none?",
    QUESTION: "Does a network learn more from ground-truth images than its loss tells it?",
}
SHORT = {
    "spikes": "A gain that is known to be real (`spike-100` sees a hundred times as many labels as "
    "`unet`) is",
    REAL: "The same with fifty times as many labels is",
    NONE: "A gain that is none (`spike-null` sees as many labels as `unet`, of other slices) is",
    QUESTION: "A gain of `fsm`, where the loss sees a fiftieth of the labels, is",
}
NO_ANSWER = ("incomplete", "demonstration")
WORDS = """\
All patients here are *phantoms*: computed, with masks that are known exactly ([the
phantom](../phantom.md)). A *row* is one way of training ([all rows](../rows.md)), a *fold* a fifth
of the patients, tested by networks that were trained on the others. Each row is trained in five
folds with three *seeds*, the numbers that all chance comes from. `ground.labelled=0.02`: the loss
of the network that reads CT sees the labels of a fiftieth of its training slices. The teacher of
`fsm`, a network that reads masks, sees every mask. Gains are differences of DSC, the overlap with
the true masks, in points (percent), with a 95 % interval. [Other words](../glossary.md), *screen*
among them, and [how a verdict is found](../statistics.md).

The first suite, `spikes`, gives a hundredth of the labels. The others give a fiftieth: that was
chosen after the first suite and before any of them was trained, on *inner* patients, who are never
tested ([decision 0027](../decisions/0027-a-study-that-anyone-can-repeat.md) says why)."""


def page(facts: Mapping[str, Any], anchor: str) -> str:
    """Return the page: the three questions with their answers, the words, then every suite."""
    suites = {suite["name"]: suite for suite in facts["suites"]}
    lines = ["# The study", "", "Written by `python docs/study.py`; no sentence is by hand.", ""]
    for name, question in ASKED.items():
        lines += [f"**{question}** {_answer(suites[name])}", ""]
    lines += [WORDS, "", *([f"Beside `unet`: {anchor}", ""] if anchor else [])]
    for name, suite in suites.items():
        lines += [f"## {f'[{name}]({name}/report.md)' if suite['said'] else name}", ""]
        lines += [suite["about"] + ("" if suite["about"].endswith("?") else "."), ""]
        lines += [f"- {sentence}" for sentence in _sentences(suite)]
        lines += ["", f"`bench suite --config {PLAN} --name {name}`", ""]
    return "\n".join(lines).rstrip() + "\n"


def _answer(suite: Mapping[str, Any]) -> str:
    """What the suite says on each set that is whole; else how far it is."""
    known = [s for s in suite["said"] if s["outcome"] not in NO_ANSWER]
    said = " ".join(sentence for each in known for sentence in each["sentences"][:2])
    return said or f"Not known yet: {_left(suite)}."


def _sentences(suite: Mapping[str, Any]) -> Iterator[str]:
    for each in suite["said"]:
        yield " ".join(each["sentences"])
    if suite["left"]:
        yield f"{'Not whole' if suite['said'] else 'Not run'}: {_left(suite)}."


def _left(suite: Mapping[str, Any]) -> str:
    return (
        f"{suite['done']} of {counted(suite['cells'], 'cell')} (row, fold and seed) are trained, "
        f"and {suite['left']} are left"
    )


def sentence(facts: Mapping[str, Any]) -> str:
    """Return README's sentence of the study."""
    suites = {suite["name"]: suite for suite in facts["suites"]}
    parts = " ".join(_short(name, suites[name]) for name in SHORT)
    return f"**The study** ([what came out]({PAGE}), [its plan]({PLAN}), `make study`). {parts}"


def _short(name: str, suite: Mapping[str, Any]) -> str:
    outcomes = [each["outcome"] for each in suite["said"] if each["outcome"] not in NO_ANSWER]
    if not outcomes:
        return (
            f"{SHORT[name]} not known yet: {suite['done']} of {suite['cells']} cells are trained."
        )
    found = [
        f'"{outcome}" on {counted(outcomes.count(outcome), "set")} of phantom patients'
        for outcome in dict.fromkeys(outcomes)
    ]
    return f"{SHORT[name]} {listed(found)}."
