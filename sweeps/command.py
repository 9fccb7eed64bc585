"""`bench sweep`: tune hyper-parameters on inner validation patients, and show the response.

The one module of the sweeps that knows the command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.executors import add_executor, wanted_of
from benchmark.cli.options import (
    MOST_PORT,
    add_common,
    add_folds,
    add_preset,
    add_sets,
    add_split,
    add_training,
    at_most,
    flag,
    option,
    options_of,
    setting_of,
)
from benchmark.cli.out import put, put_json, say
from benchmark.cli.which import split_for
from benchmark.errors import BadInput
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from optuna.study import Study

    from benchmark.settings.resolve import Setting
    from sweeps.planning import SweepOptions
    from sweeps.summary import Summary

HELP = "tune with Optuna, on inner validation patients alone: xi, noise, taps, joint"
STORAGE = "default: ROOT/sweeps.db"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their options; each sets `args.action`, the function to run."""
    commands = parser.add_subparsers(required=True, metavar="run|show|best|ui")
    _configure_run(commands.add_parser("run", help="evaluate settings; the same command goes on"))
    show = commands.add_parser("show", help="trials, best, sharing, response; pictures with --out")
    _add_study(show)
    option(show, "--out", "DIR", "write pictures, PNG and SVG", type=Path)
    show.set_defaults(action=_show)
    best = commands.add_parser("best", help="write the best setting for bench run --config")
    _add_study(best)
    option(best, "--out", "FILE", "default: ROOT/reports/sweeps/...", type=Path)
    best.set_defaults(action=_best)
    ui = commands.add_parser("ui", help="optuna-dashboard on the storage")
    option(ui, "--storage", "URL", STORAGE)
    ui.add_argument("--port", type=at_most(MOST_PORT), default=8080)
    add_common(ui, json=False)
    ui.set_defaults(action=_ui)


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand; returns the exit code. Raises `BadInput`."""
    code: int = args.action(args)
    return code


def _configure_run(parser: argparse.ArgumentParser) -> None:
    option(parser, "name", "NAME", "xi, noise, taps, joint, FILE.py:FUNCTION, or an installed one")
    option(parser, "--method", "ROW", "the row to tune", default="fsm")
    option(parser, "--rows", "ROW,ROW", "several rows, each with as many trials", type=_names)
    option(parser, "--trials", "N", "settings to try", type=int, required=True)
    option(parser, "--sampler", "tpe|grid|random|qmc", default="tpe")
    option(parser, "--sampler-seed", "N", type=int, default=0)
    option(parser, "--storage", "URL", f"{STORAGE}; postgresql://...")
    option(parser, "--study", "NAME", "default: NAME-ROW-DATASET-PRESET")
    about = "tune each fold on its own (nested cross-validation)"
    parser.add_argument("--per-fold", "--nested", action="store_true", help=about)
    about = "fresh seeds for the best and the default, to know run noise (default 2; 0: none)"
    option(parser, "--repeats", "N", about, type=int, default=2)
    option(parser, "--dataset", "NAME", default="phantom")
    add_preset(parser)
    add_split(parser)
    add_folds(parser, default=[0])
    add_sets(parser, "a value below all trials")
    option(parser, "--config", "FILE", "the same, as JSON or TOML", type=Path)
    add_training(parser, "processes", default=1)
    add_executor(parser)
    about = "a driver that misses three of these counts as dead (default 20)"
    option(parser, "--heartbeat-seconds", "N", about, type=at_most(86_400), default=20)
    flag(parser, "--mlflow-cells", "folds and seeds below every trial in MLflow")
    add_common(parser)
    parser.set_defaults(action=_run)


def _add_study(parser: argparse.ArgumentParser) -> None:
    option(parser, "name", "NAME", "a sweep's or a study's name")
    option(parser, "--method", "ROW", "where several rows were tuned")
    option(parser, "--dataset", "NAME", "where several sets were tuned on")
    add_preset(parser, None)
    option(parser, "--storage", "URL", STORAGE)
    add_common(parser)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _run(args: argparse.Namespace) -> int:
    from sweeps import driver

    summaries = driver.run_sweep(sweep_options(args))
    if summaries is None:
        return 0 if args.detach else 1
    _put(summaries, args.json)
    return 0


def sweep_options(args: argparse.Namespace) -> SweepOptions:
    """Return what the options of `bench sweep run` ask for."""
    from benchmark.cli.slurm import studies_elsewhere
    from sweeps.planning import SweepOptions

    def setting(row: str) -> Setting:
        return setting_of(argparse.Namespace(**{**vars(args), "method": row}))

    same = {f.name: vars(args)[f.name] for f in fields(SweepOptions) if f.name in vars(args)}
    own = {
        "rows": tuple(args.rows or [args.method]),
        "split": lambda dataset: split_for(args.split, dataset),
        "folds": None if args.folds is None else tuple(args.folds),
        "seeds": tuple(args.seeds),
        "storage": _storage(args),
        "wanted": wanted_of(args),
        "elsewhere": studies_elsewhere(args, _storage(args)),
    }
    return SweepOptions(**{**same, **own}, setting=setting, training=options_of(args), say=say)


def _storage(args: argparse.Namespace) -> str:
    from sweeps.storage import default_url

    return str(args.storage or default_url(args.root))


def _put(summaries: list[Summary], as_json: bool) -> None:
    if as_json:
        put_json({"studies": [_json(summary) for summary in summaries]})
    for summary in () if as_json else summaries:
        for line in _lines(summary):
            put(line)


def _show(args: argparse.Namespace) -> int:
    """Print the studies of a sweep and write their pictures. Raises `BadInput`."""
    from sweeps.summary import summarise

    found = _find(args)
    summaries = [summarise(study) for study in found]
    _put(summaries, args.json)
    if args.out:
        from sweeps.figures import without_picture, write_figures

        told: list[str] = []
        for study, summary in zip(found, summaries, strict=True):
            told += [f"wrote {path}" for path in write_figures(study, summary, args.out)]
            told += filter(None, [without_picture(study)])
        for line in () if args.json else told:
            put(line)
    return 0


def _best(args: argparse.Namespace) -> int:
    """Print the best setting and write it for `bench run --config`; of `--per-fold` studies one for
    each fold. Raises `BadInput` where several sweeps are meant, or none has a value yet."""
    from sweeps.studies import ALL_FOLDS
    from sweeps.summary import summarise

    summaries = [summarise(study) for study in _find(args)]
    kinds = {(s.about.sweep, s.about.method, s.about.dataset, s.about.preset) for s in summaries}
    tunings = [summary.about.tuning for summary in summaries]
    if len(kinds) > 1 or (len(summaries) > 1 and len(set(tunings)) < len(tunings)):
        what = f"{args.name!r} may be any of {', '.join(summary.study for summary in summaries)}"
        raise BadInput(f"{what}: name one, or give --method, --dataset")
    if ALL_FOLDS in tunings and len(tunings) > 1:
        raise BadInput(f"{args.name!r} was tuned per fold and for all folds: name one study")
    for summary in summaries:
        if summary.best is None and summary.points:
            raise BadInput(
                f"no setting of the study {summary.study!r} keeps its constraints: run more "
                "trials, or another space"
            )
        if summary.best is None:
            raise BadInput(f"the study {summary.study!r} has no value yet: run it first")
    files = [_write_config(args, summary, len(summaries) > 1) for summary in summaries]
    if args.json:
        put_json(_best_json(summaries))
        return 0
    for summary, path in zip(summaries, files, strict=True):
        assert summary.best is not None
        text = ", ".join(f"{name}={value}" for name, value in summary.best.overrides.items())
        put(
            f"{summary.study}: {text}: DSC {summary.best.value:.2f} %, "
            f"{counted(len(summary.points), 'trial')}"
        )
        put(f"train it on all training patients: {_retrain(summary, path)}")
    if ALL_FOLDS in tunings:
        put(
            "one setting for all folds: a fold's test patients may be inner patients of another; "
            "for a table that nobody can object to, tune with --per-fold"
        )
    return 0


def _ui(args: argparse.Namespace) -> int:
    from sweeps.storage import serve

    serve(_storage(args), args.port, lambda address: put(address, flush=True))
    return 0


def _retrain(summary: Summary, path: Path) -> str:
    """The command that trains the chosen setting on all training patients."""
    from sweeps.studies import ALL_FOLDS

    about, folds = summary.about, ",".join(map(str, summary.about.folds))
    return (
        f"bench run --method {about.method} --dataset {about.dataset} --preset {about.preset} "
        + f"--split {about.split} " * bool(about.split)
        + f"--folds {folds} --config {path}"
        + (f" --tuned {about.sweep}" if about.tuning != ALL_FOLDS else "")
    )


def _find(args: argparse.Namespace) -> list[Study]:
    from sweeps.studies import find_studies

    asked = {name: getattr(args, name) for name in ("method", "dataset", "preset")}
    return find_studies(_storage(args), args.name, asked)


def _lines(summary: Summary) -> Iterator[str]:
    """A study for a person."""
    about = summary.about
    yield (
        f"{summary.study}: {about.sweep} of {about.method} on {about.dataset}, preset "
        f"{about.preset}, {about.tuning}; mean DSC (%) of inner validation patients over "
        f"{', '.join(about.organs)}; sampler {about.sampler}, seed {about.sampler_seed}"
    )
    for point in summary.points:
        values = ", ".join(f"{name}={value}" for name, value in point.overrides.items())
        folds = "  ".join(f"{value:6.2f}" for value in point.folds.values())
        mark = " <- best" if point is summary.best else ""
        note = f"  diverged: {point.diverged}" if point.diverged else ""
        note += "".join(f"  breaks its constraint: {n} = {v:.3g}" for n, v in point.broken.items())
        value = f"{values:36s} {point.value:6.2f}"
        yield f"  trial {point.number:3d}  {value}  folds {folds}{note}{mark}"
    if summary.running:
        yield f"  under way: {counted(summary.running, 'trial')}"
    yield from (f"warning: {line}" for line in summary.edges)
    if summary.points:
        yield summary.sharing.line()
        yield summary.response.sentence


def _best_json(summaries: list[Summary]) -> dict[str, Any]:
    from sweeps.studies import ALL_FOLDS

    one = {str(s.about.folds[0]): dict(s.best.overrides) for s in summaries if s.best}
    values = [summary.best.value for summary in summaries if summary.best]
    nested = len(summaries) > 1 or summaries[0].about.tuning != ALL_FOLDS
    return {
        "params": one if nested else next(iter(one.values())),
        "value": sum(values) / len(values),
        "trials": sum(len(summary.points) for summary in summaries),
    }


def _write_config(args: argparse.Namespace, summary: Summary, several: bool) -> Path:
    from benchmark.files.atomic import commit_file, write_json

    default = args.root / "reports" / "sweeps" / f"best-{summary.study}.json"
    path: Path = args.out or default
    if args.out and several:
        path = path.with_stem(f"{path.stem}-{summary.about.tuning.replace(' ', '')}")
    try:
        with commit_file(path) as temporary:
            write_json(temporary, summary.config)
    except OSError as error:
        raise BadInput(f"--out {path}: {error.strerror}") from error
    return path


def _json(summary: Summary) -> dict[str, Any]:
    value = asdict(summary)
    value["sharing"] = {**value["sharing"], "line": summary.sharing.line()}
    value["trials"] = value.pop("points")
    return value
