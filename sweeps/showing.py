"""`bench sweep show` and `best`: what studies say, as text, JSON, pictures and a file."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study

from benchmark.cli.out import put
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file, write_json
from sweeps import studies
from sweeps.storage import default_url, open_storage
from sweeps.studies import ALL_FOLDS
from sweeps.summary import Summary, summarise


def show(args: argparse.Namespace) -> int:
    """Print the studies of a sweep and write their pictures; returns 0. Raises `BadInput`."""
    found = find_studies(args)
    summaries = [summarise(study) for study in found]
    if args.json:
        print_json(summaries)
    for summary in () if args.json else summaries:
        print_summary(summary)
    if args.out:
        from sweeps.figures import write_figures

        for study, summary in zip(found, summaries, strict=True):
            for path in write_figures(study, summary, args.out):
                if not args.json:
                    put(f"wrote {path}")
    return 0


def best(args: argparse.Namespace) -> int:
    """Print the best setting and write it for `bench run --config`; returns 0.

    With `--per-fold` studies there is a setting and a file for each fold. Raises `BadInput` where
    several sweeps are meant, or none has a value yet.
    """
    summaries = [summarise(study) for study in find_studies(args)]
    kinds = {(s.about.sweep, s.about.method, s.about.dataset, s.about.preset) for s in summaries}
    tunings = [summary.about.tuning for summary in summaries]
    if len(kinds) > 1 or (len(summaries) > 1 and len(set(tunings)) < len(tunings)):
        names = ", ".join(summary.study for summary in summaries)
        raise BadInput(
            f"{args.name!r} may be any of {names}: name one, or give --method, --dataset"
        )
    if ALL_FOLDS in tunings and len(tunings) > 1:
        raise BadInput(f"{args.name!r} was tuned per fold and for all folds: name one study")
    for summary in summaries:
        if summary.best is None:
            raise BadInput(f"the study {summary.study!r} has no value yet: run it first")
    files = [_write_config(args, summary, len(summaries) > 1) for summary in summaries]
    if args.json:
        put(json.dumps(_best_json(summaries), indent=1))
        return 0
    for summary, path in zip(summaries, files, strict=True):
        assert summary.best is not None
        text = ", ".join(f"{name}={value}" for name, value in summary.best.overrides.items())
        put(
            f"{summary.study}: {text}: DSC {summary.best.value:.2f} %, {len(summary.points)} trials"
        )
        put(f"train it on all training patients: {retrain(summary, path)}")
    if ALL_FOLDS in tunings:
        put(
            "one setting for all folds: a fold's test patients may be inner patients of another; "
            "for a table that nobody can object to, tune with --per-fold"
        )
    return 0


def retrain(summary: Summary, path: Path) -> str:
    """Return the command that trains the chosen setting on all training patients."""
    about = summary.about
    folds = ",".join(str(fold) for fold in about.folds)
    return (
        f"bench run --method {about.method} --dataset {about.dataset} --preset {about.preset} "
        f"--folds {folds} --config {path}"
        + (f" --tuned {about.sweep}" if about.tuning != ALL_FOLDS else "")
    )


def find_studies(args: argparse.Namespace) -> list[Study]:
    """Return the study of that name, else all of that sweep (and row, set, preset).

    Raises `BadInput` where there is none.
    """
    storage = open_storage(args.storage or default_url(args.root), create=False)
    names = optuna.study.get_all_study_names(storage)
    if args.name in names:
        chosen = [optuna.load_study(study_name=args.name, storage=storage)]
        studies.about(chosen[0])
        return chosen
    chosen = []
    for name in sorted(names):
        study = optuna.load_study(study_name=name, storage=storage)
        if studies.ABOUT in study.user_attrs and _wanted(studies.about(study), args):
            chosen.append(study)
    if not chosen:
        known = ", ".join(sorted(names)) or "none yet"
        raise BadInput(f"no study {args.name!r} here; the studies are: {known}")
    return chosen


def print_json(summaries: list[Summary]) -> None:
    """Print all that is known of studies as JSON."""
    put(json.dumps({"studies": [_json(summary) for summary in summaries]}, indent=1))


def print_summary(summary: Summary) -> None:
    """Print a study for a person."""
    about = summary.about
    put(
        f"{summary.study}: {about.sweep} of {about.method} on {about.dataset}, preset "
        f"{about.preset}, {about.tuning}; mean DSC (%) of inner validation patients over "
        f"{', '.join(about.organs)}; sampler {about.sampler}, seed {about.sampler_seed}"
    )
    for point in summary.points:
        values = ", ".join(f"{name}={value}" for name, value in point.overrides.items())
        folds = "  ".join(f"{value:6.2f}" for value in point.folds.values())
        mark = " <- best" if point is summary.best else ""
        note = f"  diverged: {point.diverged}" if point.diverged else ""
        put(
            f"  trial {point.number:3d}  {values:36s} {point.value:6.2f}  folds {folds}{note}{mark}"
        )
    if summary.running:
        put(f"  {summary.running} trials are under way")
    for line in summary.edges:
        put(f"warning: {line}")
    if summary.points:
        put(summary.sharing.line())
        put(summary.response.sentence)


def _wanted(about: studies.About, args: argparse.Namespace) -> bool:
    asked = {"method": args.method, "dataset": args.dataset, "preset": args.preset}
    return about.sweep == args.name and all(
        value in (None, getattr(about, name)) for name, value in asked.items()
    )


def _best_json(summaries: list[Summary]) -> dict[str, Any]:
    one = {str(s.about.folds[0]): dict(s.best.overrides) for s in summaries if s.best}
    values = [summary.best.value for summary in summaries if summary.best]
    nested = len(summaries) > 1 or summaries[0].about.tuning != ALL_FOLDS
    return {
        "params": one if nested else next(iter(one.values())),
        "value": sum(values) / len(values),
        "trials": sum(len(summary.points) for summary in summaries),
    }


def _write_config(args: argparse.Namespace, summary: Summary, several: bool) -> Path:
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
