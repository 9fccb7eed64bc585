"""`bench sweep`: tune hyper-parameters on inner validation patients, and show the response."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.cli.options import (
    MOST_PORT,
    add_common,
    add_hardware,
    add_reuse,
    at_most,
    numbers,
    seconds,
)
from benchmark.cli.workers import MOST_ASKED

HELP = "tune with Optuna, on inner validation patients alone: xi, noise, taps, joint"
ABOUT_NAME = "xi, noise, taps, joint, FILE.py:FUNCTION, or an installed sweep"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their options; each sets `args.action`, the function to run."""
    commands = parser.add_subparsers(required=True, metavar="run|show|best|ui")
    _configure_run(commands.add_parser("run", help="evaluate settings; the same command goes on"))
    show = commands.add_parser("show", help="trials, best, sharing, response; pictures with --out")
    _add_study(show)
    show.add_argument("--out", type=Path, metavar="DIR", help="write pictures, PNG and SVG")
    show.set_defaults(action=_show)
    best = commands.add_parser("best", help="write the best setting for bench run --config")
    _add_study(best)
    best.add_argument("--out", type=Path, metavar="FILE", help="default: ROOT/reports/sweeps/...")
    best.set_defaults(action=_best)
    ui = commands.add_parser("ui", help="optuna-dashboard on the storage")
    ui.add_argument("--storage", metavar="URL", help="default: ROOT/sweeps.db")
    ui.add_argument("--port", type=at_most(MOST_PORT), default=8080)
    add_common(ui, json=False)
    ui.set_defaults(action=_ui)


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand; returns the exit code. Raises `BadInput`."""
    code: int = args.action(args)
    return code


def _configure_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=ABOUT_NAME)
    parser.add_argument("--method", default="fsm", metavar="ROW", help="the row to tune")
    parser.add_argument(
        "--rows", type=_names, metavar="ROW,ROW", help="several rows, each with as many trials"
    )
    parser.add_argument("--trials", type=int, required=True, metavar="N", help="settings to try")
    parser.add_argument("--sampler", default="tpe", metavar="tpe|grid|random|qmc")
    parser.add_argument("--sampler-seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--workers", type=at_most(MOST_ASKED), default=1, metavar="N", help="processes"
    )
    parser.add_argument(
        "--storage", metavar="URL", help="default: ROOT/sweeps.db; postgresql://..."
    )
    parser.add_argument("--study", metavar="NAME", help="default: NAME-ROW-DATASET-PRESET")
    parser.add_argument(
        "--per-fold", "--nested", action="store_true",
        help="tune each fold on its own (nested cross-validation)",
    )  # fmt: skip
    parser.add_argument(
        "--repeats", type=int, default=2, metavar="N",
        help="fresh seeds for the best and the default, to know run noise (default 2; 0: none)",
    )  # fmt: skip
    parser.add_argument("--dataset", default="phantom", metavar="NAME")
    parser.add_argument("--preset", default="quick", metavar="quick|lite|paper")
    parser.add_argument("--folds", type=numbers, metavar="0,1,...", help="default: all five")
    parser.add_argument("--seeds", type=numbers, default=[0], metavar="0,1,...")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="a value below all trials; may be repeated",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE", help="the same, as JSON or TOML")
    add_hardware(parser)
    add_reuse(parser)
    parser.add_argument(
        "--checkpoint-seconds", type=seconds, default=30.0, metavar="N",
        help="a training saves itself every N seconds (default 30)",
    )  # fmt: skip
    parser.add_argument(
        "--heartbeat-seconds", type=at_most(86_400), default=20, metavar="N",
        help="a driver that misses three of these counts as dead (default 20)",
    )  # fmt: skip
    parser.add_argument("--mlflow", metavar="URI", help="tracking URI, or none (default: local)")
    parser.add_argument(
        "--mlflow-cells", action="store_true", help="folds and seeds below every trial in MLflow"
    )
    add_common(parser)
    parser.set_defaults(action=_run, fresh=False)


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a sweep's or a study's name")
    parser.add_argument("--method", metavar="ROW", help="where several rows were tuned")
    parser.add_argument("--dataset", metavar="NAME", help="where several sets were tuned on")
    parser.add_argument("--preset", metavar="quick|lite|paper")
    parser.add_argument("--storage", metavar="URL", help="default: ROOT/sweeps.db")
    add_common(parser)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _run(args: argparse.Namespace) -> int:
    from sweeps.running import run_sweep

    return run_sweep(args)


def _show(args: argparse.Namespace) -> int:
    from sweeps.showing import show

    return show(args)


def _best(args: argparse.Namespace) -> int:
    from sweeps.showing import best

    return best(args)


def _ui(args: argparse.Namespace) -> int:
    from sweeps.dashboard import serve

    return serve(args)
