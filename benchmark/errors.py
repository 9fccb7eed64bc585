"""The ways in which a command ends early. Every floor may raise them; only `cli` turns them into
exit codes: 2, 1 and 130."""


class BadInput(Exception):  # noqa: N818 - reads as what it is: the input, not we, is wrong
    """The user's input is wrong.

    The message is one or two lines for a person: what is wrong, where, and what to do. It is
    shown without a traceback and the command ends with exit code 2.
    """


class Diverged(Exception):  # noqa: N818 - the field's word for it
    """A training met a loss that is not finite; the message names step, term and cases."""


class Stopped(KeyboardInterrupt):
    """A training was asked to stop and saved a checkpoint; the message says at which step."""
