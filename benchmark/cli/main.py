"""`bench`: finds the commands, runs one, and turns what ends it into an exit code.

0 done; 1 a failure of ours or of a cell; 2 the user's input is wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from importlib.metadata import entry_points, version
from pathlib import Path
from types import ModuleType

from benchmark.cli.executors import SLURM, detached
from benchmark.cli.names import shadowed
from benchmark.cli.options import DEFAULT_ROOT, Parser
from benchmark.cli.out import complain, others_print, results_only, to_log, told
from benchmark.cli.shared import add_telling
from benchmark.errors import BadInput, failure, lacking, memory_short, one_line, shortened
from benchmark.files.atomic import disk_full
from benchmark.files.layout import check_format
from benchmark.files.source import OURS as DISTRIBUTION
from benchmark.running.stop import interruptible

RESULTS = ("run", "suite", "compare", "report", "plan", "status", "score", "explain")
OTHERS = (
    "methods",
    "data",
    "predict",
    "import",
    "export",
    "store",
    "sync",
    "ui",
    "doctor",
    "speed",
    "new",
    "init",
    "completion",
)
OURS = (*RESULTS, *OTHERS)
MODULES = {"import": "imports"}  # a word of Python is no name of a file
GROUP = "beyond_loss.commands"
CAUSED = {  # what a person can cause, and mend
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
DIGITS = "integer string conversion"  # Python's own words for a number of thousands of digits
FULL = (
    "no space left on the disk of the workspace {root}: what was finished is whole and stays, and "
    "trainings go on from their last checkpoint; free some space and give the same command again"
)


def main(
    argv: list[str] | None = None, change: Callable[[argparse.Namespace], None] | None = None
) -> int:
    """Run `bench` with `argv` (default: the process's) and return the exit code; `change` may
    change its options once they are read."""
    # idle threads sleep: spinning ones slow a shared machine down tenfold (docs/decisions/0005)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's products here are small
    given = sys.argv[1:] if argv is None else argv
    try:
        with results_only(), interruptible():
            return _run(given, change)
    except BadInput as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt as stopped:
        reason = f" ({stopped})" if str(stopped) else ""
        again = "the same command" + (" without --fresh" if "--fresh" in given else "")
        complain(f"interrupted{reason}: {again} goes on from there")
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone
        return 1


def _run(argv: list[str], change: Callable[[argparse.Namespace], None] | None) -> int:
    args = whole_parser().parse_args(argv or ["--help"])
    args.argv = argv
    if change:
        change(args)
    with told(quiet=args.quiet, log=args.log_file, command=argv):
        code = _ended(args)
        to_log(f"exit code {code}")
    return code


def whole_parser() -> Parser:
    """Return what reads the command line: our commands and those of installed packages."""
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
    add_telling(parser)
    return parser


def _ended(args: argparse.Namespace) -> int:
    """Run the command; return its exit code, and that of what a person or the system caused."""
    try:
        return _result_of(args)
    except BadInput as error:
        complain(str(error))
        return 2
    except BrokenPipeError:
        raise
    except (Exception, SystemExit) as error:
        ended = ended_by(error, getattr(args, "root", Path(DEFAULT_ROOT)), args.command)
        if ended is None:
            raise
        code, line = ended
        complain(shortened(line))
        return code


def _result_of(args: argparse.Namespace) -> int:
    """Run the command, or leave it to a cluster; one of another package owns standard output.
    Raises `BadInput` for a workspace in another format, of whatever command, so that none reads or
    writes half of it, and where another package stands before one of ours."""
    if args.command != "doctor" and (wrong := next(shadowed(), None)):
        raise BadInput(wrong)
    if "root" in args:
        with suppress(OSError):  # there is none yet
            check_format(args.root)
    if getattr(args, "detach", False) and args.executor != SLURM:  # that needs the plan first
        return detached(args)
    ours = args.module.__name__.partition(".")[0] in DISTRIBUTION
    with nullcontext() if ours else others_print():
        code: int = args.module.run(args)
    return code


def _commands() -> dict[str, ModuleType]:
    """Our commands and those of installed packages; one that fails is named and left out."""
    files = {name: MODULES.get(name, name) for name in OURS}
    found = {name: importlib.import_module(f"benchmark.cli.{file}") for name, file in files.items()}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            module = entry.load()
            module.configure(Parser(prog=entry.name, description=module.HELP))  # or it is broken
            found.setdefault(entry.name, module)
        except (Exception, SystemExit) as error:
            why = f"it left with {error!r}" if isinstance(error, SystemExit) else error
            complain(f"the command {entry.name!r} is broken: {why}")
    return found


def ended_by(error: BaseException, root: Path, command: str) -> tuple[int, str] | None:
    """Return exit code and line for an error of the system, a full disk, want of memory, a part
    that is not installed or a package that left; None for any other, whose traceback is wanted.

    The traceback of what stays unclear lies in `logs/failures.log` of the workspace `root`.
    """
    if disk_full(error):
        return 1, FULL.format(root=root)
    if (part := lacking(error)) is not None:
        return 2, f"bench {command}: {part}"
    if isinstance(error, OSError) and error.errno in CAUSED:
        return 2, _of_the_system(error)
    if isinstance(error, RecursionError) or DIGITS in str(error):
        return 2, "what was given holds brackets nested too deep, or a number of too many digits"
    if isinstance(error, OSError | SystemExit) or memory_short(error):
        there = (root / "format").is_file()
        return 1, failure(error, f"bench {command}", root) if there else one_line(error)
    return None


def _of_the_system(error: OSError) -> str:
    place = error.filename2 or error.filename
    where = f" {str(place)!r}" if place is not None else ""
    return f"cannot use{where}: {error.strerror}; put it right, or choose another --root or path"


if __name__ == "__main__":
    sys.exit(main())
