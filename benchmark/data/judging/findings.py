"""What was found in many cases, in few lines: equal sentences are said once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

NAMED = 3  # cases named in a line
ONE_BY_ONE = 5  # so many cases keep a line each where their figures differ
FILE = re.compile(r"[^\s/]+\.(?:nii(?:\.gz)?|dcm|png)\b")
FIGURE = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")
Said = tuple[str, str]  # a case, a sentence


def in_few_lines(found: Iterable[Said], total: int) -> list[str]:
    """Return one line for each sentence with its cases, in order; `total` counts all cases.

    Sentences are equal but for names of files. Where more than `ONE_BY_ONE` cases differ in
    figures alone they are one line, too, with the range of each figure.
    """
    kinds: dict[str, list[Said]] = {}
    for case, text in dict.fromkeys(found):
        kinds.setdefault(FIGURE.sub("#", FILE.sub("its file", text)), []).append((case, text))
    return [line for kind in kinds.values() for line in _lines(kind, total)]


def _lines(kind: Sequence[Said], total: int) -> Iterator[str]:
    if len({case for case, _ in kind}) > ONE_BY_ONE:
        yield _line(kind, total)
        return
    equal: dict[str, list[Said]] = {}
    for case, text in kind:
        equal.setdefault(FILE.sub("its file", text), []).append((case, text))
    for same in equal.values():
        alone = len({case for case, _ in same}) == 1  # its image and its label, say
        yield from (_line([one], total) for one in same) if alone else [_line(same, total)]


def _line(same: Sequence[Said], total: int) -> str:
    cases, texts = [*dict.fromkeys(case for case, _ in same)], {text for _, text in same}
    return f"{_who(cases, total)}: {next(iter(texts)) if len(texts) == 1 else _ranges(texts)}"


def _who(cases: Sequence[str], total: int) -> str:
    if len(cases) == 1:
        return f"case {cases[0]}"
    if len(cases) == total:
        return f"all {total} cases"
    more = f" and {len(cases) - NAMED} more" if len(cases) > NAMED else ""
    return f"cases {', '.join(cases[:NAMED])}{more}"


def _ranges(texts: Iterable[str]) -> str:
    """One sentence for several: a figure that differs becomes `LEAST to MOST`."""
    plain = [FILE.sub("its file", text) for text in texts]
    columns = iter([*zip(*(FIGURE.findall(text) for text in plain), strict=True)])

    def shown(_: re.Match[str]) -> str:
        figures = sorted(next(columns), key=float)
        return figures[0] if figures[0] == figures[-1] else f"{figures[0]} to {figures[-1]}"

    return FIGURE.sub(shown, plain[0])
