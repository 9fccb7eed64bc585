"""What mkdocs does beside its own work: README is the first page, and files of the repository that
pages link to (`../examples/...`) are part of the site."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
BESIDE = re.compile(r"\]\((?:\.\./)+((?:examples|findings)/[^)#]+|[A-Z]\w*(?:\.\w+)?)\)")
EXPLAINED = (
    "N_CT",
    "N_GT",
    "FSM",
    "GT gap",
    "headroom",
    "DSC",
    "ASSD",
    "HD95",
    "NSD",
    "target ceiling",
    "grid ceiling",
    "mean shape",
    "constant predictor",
    "limit of detection",
)


def on_files(files: Files, config: Any) -> Files:
    """Add README as index.md, and what pages link to outside docs/."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {one for file in files.documentation_pages() for one in _linked(file)}
    linked |= set(re.findall(r"\]\(((?:examples|findings)/[^)#]+|[A-Z]\w*(?:\.\w+)?)\)", text))
    for name in sorted(linked):
        if (ROOT / name).is_file():
            content = (ROOT / name).read_bytes()
            files.append(File.generated(config, _place(name), content=content))
    home = re.sub(r"\]\(([^)]+)\)", lambda found: f"]({_from_home(found[1])})", text)
    files.append(File.generated(config, "index.md", content=home))
    return files


def _linked(file: File) -> list[str]:
    """The files outside docs/ that a page links to."""
    return BESIDE.findall(Path(file.abs_src_path or "").read_text(encoding="utf-8"))


def _place(name: str) -> str:
    """Where such a file lies in the site: a Markdown file is shown as it is."""
    return f"repository/{name}.txt" if name.endswith(".md") else f"repository/{name}"


def _from_home(link: str) -> str:
    """A link of README, from the site's first page."""
    if link.startswith("docs/"):
        return link.removeprefix("docs/")
    outside = "://" not in link and not link.startswith("#")
    return _place(link) if outside else link


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of docs/ to the files that were added, and explain words of the glossary
    where the pointer rests on them."""
    up = "../" * page.file.src_uri.count("/")
    markdown = markdown.replace("](../README.md)", f"]({up}index.md)")
    led = BESIDE.sub(lambda found: f"]({up}{_place(found[1])})", markdown)
    return led if page.file.src_uri == "glossary.md" else f"{led}\n\n{_explained()}"


@cache
def _explained() -> str:
    """The words that are no everyday English, as abbreviations in Markdown."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    parts = [part.partition("\n\n") for part in text.split("\n### ")[1:]]
    said = {word: " ".join(meaning.split()) for word, _, meaning in parts}
    plain = {word: re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", said[word]) for word in EXPLAINED}
    return "\n".join(f"*[{word}]: {meaning}" for word, meaning in plain.items())
