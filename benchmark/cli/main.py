"""`bench`: finds the commands, runs one, and turns what ends it into an exit code.

0 done; 1 a failure of ours or of a cell; 2 the user's input is wrong; 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import entry_points, version
from types import ModuleType

from benchmark.cli.options import Parser
from benchmark.errors import BadInput

OURS = (
    "run",
    "suite",
    "compare",
    "report",
    "plan",
    "status",
    "methods",
    "data",
    "predict",
    "store",
    "sync",
    "ui",
    "doctor",
)
GROUP = "beyond_loss.commands"


def main(argv: list[str] | None = None) -> int:
    """Run `bench` with `argv` (default: the process's) and return the exit code."""
    # idle threads sleep: spinning ones slow a shared machine down tenfold (docs/decisions/0005)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except BadInput as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        reason = f" ({stopped})" if str(stopped) else ""
        given = sys.argv[1:] if argv is None else argv
        again = "the same command" + (" without --fresh" if "--fresh" in given else "")
        print(f"bench: interrupted{reason}: {again} goes on from there", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone
        return 1


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
        sub.set_defaults(module=module)
        module.configure(sub)
    args = parser.parse_args(argv)
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
        except Exception as error:
            print(f"bench: the command {entry.name!r} is broken: {error}", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
