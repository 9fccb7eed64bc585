"""`bench`: finds the commands, runs one, and turns what ends it into an exit code.

0 done; 1 a failure of ours or of a cell; 2 the user's input is wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points, version
from pathlib import Path
from types import ModuleType

from benchmark.cli.ends import ended_by
from benchmark.cli.options import DEFAULT_ROOT, Parser
from benchmark.cli.out import others_print, results_only
from benchmark.errors import BadInput, shortened
from benchmark.files.source import OURS as DISTRIBUTION

OURS = (
    "run",
    "suite",
    "compare",
    "report",
    "plan",
    "status",
    "score",
    "explain",
    "methods",
    "data",
    "predict",
    "store",
    "sync",
    "ui",
    "doctor",
    "speed",
)
GROUP = "beyond_loss.commands"


def main(argv: list[str] | None = None) -> int:
    """Run `bench` with `argv` (default: the process's) and return the exit code."""
    # idle threads sleep: spinning ones slow a shared machine down tenfold (docs/decisions/0005)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = sys.argv[1:] if argv is None else argv
    try:
        with results_only(), _interruptible():
            return _run(given)
    except BadInput as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        reason = f" ({stopped})" if str(stopped) else ""
        again = "the same command" + (" without --fresh" if "--fresh" in given else "")
        print(f"bench: interrupted{reason}: {again} goes on from there", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone
        return 1


def _interruptible() -> AbstractContextManager[None]:
    from benchmark.running.stop import interruptible

    return interruptible()


def _run(argv: list[str]) -> int:
    parser = Parser(
        prog="bench",
        description="Does a CT segmentation network learn more from ground-truth images "
        "than its loss tells it?",
    )
    parser.add_argument("--version", action="version", version=version("beyond-loss"))
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in _commands().items():
        sub = commands.add_parser(name, help=module.HELP, description=module.HELP)
        sub.set_defaults(module=module, command=name)
        module.configure(sub)
    args = parser.parse_args(argv or ["--help"])
    try:
        return _result_of(args)
    except (BadInput, BrokenPipeError):
        raise
    except (Exception, SystemExit) as error:
        ended = ended_by(error, getattr(args, "root", Path(DEFAULT_ROOT)), args.command)
        if ended is None:
            raise
        code, line = ended
        print(f"bench: {shortened(line)}", file=sys.stderr)
        return code


def _result_of(args: argparse.Namespace) -> int:
    """Run the command; one of another package owns standard output."""
    ours = args.module.__name__.partition(".")[0] in DISTRIBUTION
    with nullcontext() if ours else others_print():
        code: int = args.module.run(args)
    return code


def _commands() -> dict[str, ModuleType]:
    """Our commands and those of installed packages; one that fails is named and left out."""
    found = {name: importlib.import_module(f"benchmark.cli.{name}") for name in OURS}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            module = entry.load()
            module.configure(Parser(prog=entry.name, description=module.HELP))  # or it is broken
            found.setdefault(entry.name, module)
        except (Exception, SystemExit) as error:
            why = f"it left with {error!r}" if isinstance(error, SystemExit) else error
            print(f"bench: the command {entry.name!r} is broken: {why}", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
