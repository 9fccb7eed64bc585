"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from benchmark.cli.experiment import DEFAULTS, LIMIT, values_alone
from benchmark.cli.out import put, warn
from benchmark.errors import BadInput, near
from benchmark.files.roots import root_of

if TYPE_CHECKING:
    from benchmark.running.bench import Options
    from benchmark.settings.registry import Registry
    from benchmark.settings.resolve import Setting

DEFAULT_ROOT = "workspace"
INNER = "for tuning: train without the inner validation patients and score them"
SPLIT = (
    "other folds than the data set's own: nnU-Net's splits_final.json, a table case,fold, or the "
    "fingerprint of one that was given before"
)
MOST_THREADS = 1024
MOST_ASKED = 256  # workers
MOST_PORT = 2**16 - 1


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line for a person and exit code 2."""

    def _print_message(self, message: str, file: object = None) -> None:
        """Print help and version where results go."""
        put(message, end="")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a word that is none of an argument's, with the nearest of them."""
        if action.choices is not None and value not in action.choices:
            words = [str(word) for word in action.choices]
            told = f"{near(str(value), words)}choose from {', '.join(words)}"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}: {told}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Take all words; a command refuses those that it does not know itself, so that the nearest
        of its own options is named."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            given = str(unknown[0]).partition("=")[0]
            hint = near(given, self._option_string_actions) if given.startswith("-") else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint and ': '}{hint.rstrip()}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Raise the message as `BadInput`."""
        raise BadInput(f"{message} (see {self.prog} --help)")


def option(
    parser: argparse.ArgumentParser, name: str, metavar: str, about: str | None = None, **more: Any
) -> None:
    """Add an option that takes a value; `more` goes to argparse."""
    parser.add_argument(name, metavar=metavar, help=about, **more)


def flag(parser: argparse.ArgumentParser, name: str, about: str) -> None:
    """Add an option that is given or not."""
    parser.add_argument(name, action="store_true", help=about)


def add_common(parser: argparse.ArgumentParser, json: bool = True) -> None:
    """Add `--root`, and `--json` for commands that print results."""
    about = (
        f"the workspace: DIR or s3://BUCKET/PREFIX (default: $BENCH_ROOT, else ./{DEFAULT_ROOT})"
    )
    default = os.environ.get("BENCH_ROOT") or DEFAULT_ROOT
    option(parser, "--root", "DIR", about, type=root_of, default=default)
    if json:
        add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    flag(parser, "--json", "print JSON and nothing else")


def add_suite(parser: argparse.ArgumentParser) -> None:
    """Add `--suite` of a command that reads one suite."""
    option(parser, "--suite", "NAME", "default: main, else the suite that was written to last")


def default_root() -> Path:
    """Return the workspace of a command without `--root`."""
    return root_of(os.environ.get("BENCH_ROOT") or DEFAULT_ROOT)


def add_setting(parser: argparse.ArgumentParser) -> None:
    """Add what names a row and its values, the data set, folds and seeds.

    What is left out is None until `complete` (`experiment.py`) fills it in."""
    option(parser, "--method", "NAME", "see bench methods")
    add_values(parser, experiment=True)
    add_folds(parser, "default: 0")
    add_split(parser)
    flag(parser, "--inner", INNER)
    about = "the values were tuned for each fold: call the row METHOD[tuned=NAME] in every table"
    option(parser, "--tuned", "NAME", about, default="")


def add_values(
    parser: argparse.ArgumentParser, *, experiment: bool = False, stored: bool = False
) -> None:
    """Add the data set and the values of a row; with `experiment`, `--config` may hold both; of
    what is `stored` alone, what is left out is whatever is there."""
    chosen = dict.fromkeys(DEFAULTS) if experiment or stored else DEFAULTS
    about = "where the row was run on several" if stored else "see bench data list"
    option(parser, "--dataset", "NAME", about, default=chosen["dataset"])
    add_preset(parser, chosen["preset"])
    add_sets(parser, "a hyper-parameter (bench methods show NAME) or ground.NAME")
    more = ", or a whole experiment: method, preset, dataset, folds, seeds, set"
    about = "the same, as JSON or TOML" + (more if experiment else "")
    option(parser, "--config", "FILE", about, type=Path)


def add_preset(parser: argparse.ArgumentParser, default: Any = DEFAULTS["preset"]) -> None:
    """Add `--preset`."""
    about = "a set of values for grid, network and training"
    option(parser, "--preset", "quick|lite|study|paper", about, default=default)


def add_sets(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--set`; `what` says what a value may be of."""
    more: dict[str, Any] = {"action": "append", "default": [], "dest": "overrides"}
    option(parser, "--set", "NAME=VALUE", f"{what}; may be repeated", **more)


def add_split(parser: argparse.ArgumentParser) -> None:
    """Add `--split`."""
    option(parser, "--split", "FILE", SPLIT)


def add_folds(
    parser: argparse.ArgumentParser, seeds: str | None = None, default: list[int] | None = None
) -> None:
    """Add `--folds` and `--seeds`; `seeds` says what the latter is by default."""
    option(parser, "--folds", "0,1,...", "default: all", type=numbers)
    option(parser, "--seeds", "0,1,...", seeds, type=numbers, default=default)


def add_training(parser: argparse.ArgumentParser, workers: str, **more: Any) -> None:
    """Add what every command that trains has: workers, which `workers` says more of, hardware,
    `--reuse`, `--checkpoint-seconds`, `--mlflow`."""
    auto = more.pop("auto", False)
    count = at_most(MOST_ASKED)
    given: Callable[[str], int | None] = auto_or(count) if auto else count
    option(parser, "--workers", "auto|N" if auto else "N", workers, type=given, **more)
    add_hardware(parser)
    flag(parser, "--reuse", "keep what code of other packages made, though it changed since")
    about = "a training saves itself every N seconds (default 30)"
    option(parser, "--checkpoint-seconds", "N", about, type=seconds, default=30.0)
    option(parser, "--mlflow", "URI", "tracking URI, or none (default: local)")


def add_hardware(parser: argparse.ArgumentParser) -> None:
    """Add device, precision and threads."""
    option(
        parser, "--device", "auto|cpu|cuda|cuda:N", "what trains (default: auto)", default="auto"
    )
    about = "of the numbers in a step; auto: bf16 where the hardware multiplies in it"
    option(parser, "--precision", "auto|fp32|bf16", about, default="auto")
    about = "default: all cores, 1 for a grid up to 64"
    option(parser, "--threads", "N", about, type=at_most(MOST_THREADS))


def seconds(text: str) -> float:
    """Return a time of 0 seconds or more; argparse turns the error into a line."""
    try:
        chosen = float(text)
    except ValueError:
        chosen = -1.0
    if not chosen >= 0:  # also catches NaN
        raise argparse.ArgumentTypeError(f"{text!r}: give 0 or more seconds")
    return chosen


def at_most(most: int) -> Callable[[str], int]:
    """Return what reads a number from 1 to `most`; argparse turns the error into a line."""

    def count(text: str) -> int:
        try:
            chosen = int(text)
        except ValueError:
            chosen = 0
        if not 1 <= chosen <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: give a number from 1 to {most}")
        return chosen

    return count


def auto_or(count: Callable[[str], int]) -> Callable[[str], int | None]:
    """Return what reads `auto` as None and all else as `count` does."""

    def read(text: str) -> int | None:
        return None if text == "auto" else count(text)

    return read


def numbers(text: str) -> list[int]:
    """Return `0,1,2` as a list, each once; argparse turns the error into a line."""
    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write numbers with commas: 0,1,2") from None
    if not all(0 <= number < LIMIT for number in chosen):
        raise argparse.ArgumentTypeError(f"{text!r}: numbers go from 0 to {LIMIT - 1}")
    return list(dict.fromkeys(chosen))


def setting_of(args: argparse.Namespace) -> Setting:
    """Return the row with its values resolved; raises `BadInput`."""
    from benchmark.settings.registry import load_registry
    from benchmark.settings.resolve import resolve

    overrides = values_of(args)
    registry = load_registry()
    say_refused(registry, [args.method])
    setting = resolve(registry, args.method, args.preset, overrides)
    return replace(setting, tuned=check_tuned(getattr(args, "tuned", "")))


def values_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the values of `--config` and `--set`, as they were typed; raises `BadInput`."""
    from benchmark.settings.overrides import parse

    chosen = parse(args.overrides)
    overrides = _config_values(args)
    for name in list(overrides):  # --set ct=... also ends what the file says of ct.width
        if any(name.startswith(f"{other}.") for other in chosen):
            del overrides[name]
    return overrides | chosen


def _config_values(args: argparse.Namespace) -> dict[str, Any]:
    """The values of the row in `--config`, where `complete` has read it or not."""
    known: Mapping[str, Any] | None = getattr(args, "config_values", None)
    if known is None:
        known = values_alone(args.config) if args.config else {}
    return dict(known)


def check_tuned(name: str) -> str:
    """Return the name of a tuning; raises `BadInput` for one that a label cannot hold."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", name):
        raise BadInput(f"--tuned {name!r}: write letters, digits, '.', '_', '-'")
    return name


def say_refused(registry: Registry, names: Iterable[str]) -> None:
    """Print why another row of these names was left out."""
    for name in names:
        if name in registry.refused:
            warn(registry.refused[name])


def part_of(args: argparse.Namespace) -> str:
    """Return which patients are scored."""
    return "inner" if args.inner else "test"


def options_of(args: argparse.Namespace) -> Options:
    """Return how a command's trainings are run, by those of its options that say so."""
    from benchmark.running.bench import Options

    names = {f.name for f in fields(Options)}
    given = {name: value for name, value in vars(args).items() if name in names}
    if getattr(args, "executor", "local") != "local":  # the device is one of the cluster
        given["device"] = "auto"
    return Options(**given)
