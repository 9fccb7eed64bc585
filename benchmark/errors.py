"""The ways in which a command ends early. Every floor may raise them; only `cli` turns them into
exit codes: 2, 1 and 130."""

import re

LONGEST_WORD, LONGEST_LINE = 300, 1000  # letters; a path of the usual length stays whole


def shortened(text: str) -> str:
    """Return a message in which nothing that was typed or read is repeated at any length."""
    text = re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: _cut(word[0], 100, 50), text)
    lines = (
        line if len(line) <= LONGEST_LINE else _cut(line, 600, 300) for line in text.split("\n")
    )
    return "\n".join(lines)


def _cut(text: str, first: int, last: int) -> str:
    return f"{text[:first]}...({len(text) - first - last} letters more)...{text[-last:]}"


class BadInput(Exception):  # noqa: N818 - reads as what it is: the input, not we, is wrong
    """The user's input is wrong.

    The message is one or two lines for a person: what is wrong, where, and what to do. It is
    shown without a traceback and the command ends with exit code 2. What it quotes is cut short.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(shortened(str(message)))


class Diverged(Exception):  # noqa: N818 - the field's word for it
    """A training met a loss that is not finite; the message names step, term and cases."""


class Stopped(KeyboardInterrupt):
    """A training was asked to stop and saved a checkpoint; the message says at which step."""
