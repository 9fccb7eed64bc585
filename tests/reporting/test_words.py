"""The glossary's words: what other pages send there, and what output says otherwise."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from benchmark.analysis.flag_guide import GUIDES, HEAD
from benchmark.analysis.tables import HEADLINE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SECTION = (DOCS / "glossary.md").read_text(encoding="utf-8").partition("\n## Words\n")[2]
PARTS = [part.partition("\n\n") for part in SECTION.split("\n### ")[1:]]
FOUND = [(word, text.strip()) for word, _, text in PARTS]
WORDS = dict(FOUND)
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
}


def test_each_word_that_the_page_of_flags_sends_to_the_glossary_is_there() -> None:
    (sent,) = re.findall(r"^(.+) are explained in the \[glossary\]", HEAD, re.MULTILINE)
    promised = re.split(r", | and ", sent)
    assert "GT gap" in promised
    assert not set(promised) - set(WORDS)


def test_the_headline_organs_are_the_codes() -> None:
    first = WORDS["headline organs"].lower().partition(", which")[0]
    assert first == " and ".join(organ.replace("_", " ") for organ in HEADLINE)


def test_each_word_is_defined_once_in_a_sentence() -> None:
    assert len(FOUND) > 35
    assert not [word for word, times in Counter(word for word, _ in FOUND).items() if times > 1]
    assert not [word for word, text in FOUND if not text.endswith((".", ")."))]


def test_links_to_words_and_flags_lead_to_one() -> None:
    anchors = {word.lower().replace(" ", "-").replace("_", "_") for word in WORDS}
    flags = {guide.name.replace(" ", "-") for guide in GUIDES}
    for name, text in PAGES.items():
        words = set(re.findall(r"glossary\.md#([\w-]+)", text))
        assert not words - anchors, name
        linked = set(re.findall(r"flags\.md#([\w-]+)", text))
        assert not linked - flags, name


def test_each_flag_is_linked_where_a_report_is_explained() -> None:
    page = PAGES["docs/reading-a-report.md"]
    for guide in GUIDES:
        assert f"[`{guide.slug}`](flags.md#{guide.name.replace(' ', '-')})" in page, guide.name
