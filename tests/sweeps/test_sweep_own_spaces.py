"""Spaces as people write them: tuples for choices, constraints; and importances of pure noise."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from bench_process import bench, finish, spawn
from optuna.study import Study
from sweep_process import sweep_argv, workspace

from benchmark.errors import BadInput
from sweeps import studies
from sweeps.figures import write_figures
from sweeps.samplers import make_sampler
from sweeps.spaces import Sweep, find_sweep, parameters
from sweeps.storage import default_url, open_storage
from sweeps.summary import summarise

PAIRS = """
def space(trial):
    pair = trial.suggest_categorical("pair", [(-1, -1), (-2, -2), None, "all", 2])
    assert pair is None or isinstance(pair, (tuple, str, int)), pair
    return {"taps": [pair] if isinstance(pair, tuple) else [(-1, -1)]}
"""
FOLDS = {"0": 80.0, "1": 81.0}


def about_of(sweep: Sweep, sampler: str = "tpe") -> studies.About:
    return studies.About(
        sweep=sweep.name,
        method="fsm",
        dataset="tiny",
        cases="abc",
        preset="quick",
        overrides={},
        folds=(0, 1),
        seeds=(0,),
        tuning=studies.ALL_FOLDS,
        organs=("liver",),
        sampler=sampler,
        sampler_seed=0,
        space=studies.About.space_of(parameters(sweep)),
    )


def made(url: str, sweep: Sweep, sampler: str = "tpe") -> Study:
    """A study as a driver process opens it."""
    study = studies.open_study(open_storage(url), "mine", about_of(sweep, sampler))
    study.sampler = make_sampler(sampler, 0, parameters(sweep), 5)
    return study


def drive(study: Study, sweep: Sweep, trials: int, value: Callable[[Any], float]) -> None:
    """Give a study its trials; the score is a function of the overrides."""
    while trial := studies.next_trial(study, sweep, trials, "here 1"):
        score = value(trial.user_attrs[studies.OVERRIDES])
        folds = dict.fromkeys(FOLDS, score)
        about = {"folds": folds, "patients": {}, "diverged": "", "nodes": {}, "seconds": 1.0}
        studies.finish(study, trial, {"value": score, **about})


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("sampler", ["tpe", "grid", "random", "qmc"])
def test_tuples_for_choices_survive_the_storage(tmp_path: Path, sampler: str) -> None:
    """A driver that opens the study anew, as a second process or machine does."""
    file = tmp_path / "pairs.py"
    file.write_text(PAIRS)
    url, sweep = f"sqlite:///{tmp_path / 'sweeps.db'}", find_sweep(str(file))
    drive(made(url, sweep, sampler), sweep, 3, lambda overrides: 80.0)
    study = made(url, sweep, sampler)
    assert len(studies.counted(study)) == 3
    drive(study, sweep, 5, lambda overrides: 81.0)
    summary = summarise(study)
    assert len(summary.points) == 5 and summary.best and summary.best.value == 81.0
    for point in summary.points:
        known = {"[-1, -1]": [-1, -1], "[-2, -2]": [-2, -2]}.get(point.params["pair"], [-1, -1])
        assert point.overrides == {"taps": [known]}


def test_a_choice_that_no_storage_keeps_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(
        "def space(trial):\n    return {'a': trial.suggest_categorical('a', [{1, 2}, 3])}\n"
    )
    with pytest.raises(BadInput, match=r"'a' has the choice \{1, 2\}, which no study can keep"):
        parameters(find_sweep(str(file)))


LIMITED = """
def space(trial):
    noise = trial.suggest_float("noise", 0.0, 0.8)
    trial.set_constraint("slow", noise - {limit})
    return {{"noise": noise}}
"""


def limited(folder: Path, limit: float) -> tuple[Study, Sweep]:
    file = folder / f"limited-{limit}.py"
    file.write_text(LIMITED.format(limit=limit))
    sweep = find_sweep(str(file))
    study = made(default_url(folder), sweep)
    drive(study, sweep, 8, lambda overrides: 80 + overrides["noise"])
    return study, sweep


def test_the_best_keeps_the_constraints_of_its_space(tmp_path: Path) -> None:
    study, _ = limited(tmp_path, 0.4)
    summary = summarise(study)
    assert summary.best is not None and summary.best.number == study.best_trial.number
    assert summary.best.overrides["noise"] <= 0.4 and not summary.best.broken
    over = [point for point in summary.points if point.overrides["noise"] > 0.4]
    assert over and all(p.broken == {"slow": pytest.approx(p.value - 80.4)} for p in over)
    assert max(summary.points, key=lambda point: point.value) in over


def test_without_a_setting_that_keeps_them_there_is_no_best(tmp_path: Path) -> None:
    summary = summarise(limited(tmp_path, -1)[0])
    assert summary.best is None and len(summary.points) == 8
    assert "not known" in summary.response.sentence
    best = bench("sweep", "best", "mine", "--root", str(tmp_path))
    assert best.code == 2 and best.err.count("\n") == 1
    assert "no setting of the study 'mine' keeps its constraints" in best.err
    shown = bench("sweep", "show", "mine", "--root", str(tmp_path), "--out", str(tmp_path / "out"))
    assert shown.out.count("breaks its constraint: slow = 1.") == 8, shown.out + shown.err
    assert (tmp_path / "out" / "mine-response-noise.png").is_file()


def noisy(height: float, seed: int) -> Study:
    """A study of two parameters, the score a known function and run noise of 0.8 points, with
    repeats of the best and the default."""
    chance = random.Random(seed)

    def space(trial: Any) -> dict[str, Any]:
        return {"xi": trial.suggest_float("xi", 0, 1), "noise": trial.suggest_float("noise", 0, 1)}

    def value(overrides: Any) -> float:
        return 80 + height * overrides.get("xi", 0.0) + chance.gauss(0, 0.8)

    sweep = Sweep(name="two", space=space)
    storage: Any = optuna.storages.InMemoryStorage()
    storage.record_heartbeat = lambda trial_id: None
    study = studies.open_study(storage, f"two-{height}-{seed}", about_of(sweep))
    study.sampler = make_sampler("random", seed, parameters(sweep), 12)
    drive(study, sweep, 12, value)
    best = summarise(study).best
    assert best is not None
    for overrides in (best.overrides, {}):
        for fresh in (1, 2, 3):
            found = {"folds": {"0": value(overrides)}, "diverged": "", "value": 80.0}
            study.set_user_attr(studies.repeat_name(overrides, fresh), found)
    return study


def pictures(study: Study, folder: Path) -> set[str]:
    write_figures(study, summarise(study), folder)
    return {path.stem.removeprefix(f"{study.study_name}-") for path in folder.glob("*.svg")}


def test_importances_are_shown_only_above_run_noise(tmp_path: Path) -> None:
    flat = next(s for s in (noisy(0, n) for n in range(20)) if not summarise(s).response.exceeds)
    shares = optuna.importance.get_param_importances(
        flat, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert max(shares.values()) > 0.6  # of nothing but noise
    old = tmp_path / f"{flat.study_name}-importance.svg"
    old.write_text("of fewer trials, which seemed to differ")
    assert pictures(flat, tmp_path) == {"response-xi", "response-noise"}
    steep = noisy(20, 0)
    assert summarise(steep).response.exceeds
    assert pictures(steep, tmp_path / "steep") >= {"importance"}


@pytest.mark.long
def test_bench_sweep_goes_on_with_tuples_and_constraints(tmp_path: Path) -> None:
    root, file = workspace(tmp_path), tmp_path / "pairs.py"
    file.write_text(
        "def space(trial):\n"
        "    pair = trial.suggest_categorical('pair', [(-1, -1), (-2, -2)])\n"
        "    trial.set_constraint('deep', -1 - pair[0])\n"
        "    return {'taps': [pair]}\n"
    )

    def argv(trials: int) -> list[str]:
        more = ["--repeats", "0", "--json", "--trials", f"{trials}"]
        return sweep_argv(root, str(file), *more)

    first, again = bench(*argv(1)), finish(spawn(*argv(5)), 300)
    assert first.code == 0, first.err
    assert again.code == 0, again.err
    (study,) = again.json["studies"]
    assert study["trials"][0] == first.json["studies"][0]["trials"][0]
    assert {str(t["overrides"]["taps"]): t["broken"] for t in study["trials"]} == {
        "[[-1, -1]]": {},
        "[[-2, -2]]": {"deep": 1.0},
    }
    assert study["best"]["overrides"] == {"taps": [[-1, -1]]}
    shown = bench("sweep", "show", "pairs", "--root", str(root))
    assert "breaks its constraint: deep = 1" in shown.out, shown.out + shown.err


ONE_CHOICE = """
def space(trial):
    return {"xi": trial.suggest_categorical("xi", [0.1, 1.0])}
"""


def test_one_setting_is_trained_once_and_a_file_names_its_study(tmp_path: Path) -> None:
    file, root = tmp_path / "xi_space.py", workspace(tmp_path / "w")
    file.write_text(ONE_CHOICE)
    ran = bench(*sweep_argv(root, str(file), "--trials", "1", "--json"))
    assert ran.code == 0, ran.err
    assert "one setting alone was tried, so nothing is trained again" in ran.err
    assert "again with seeds" not in ran.err
    for name in (str(file), f"{file}:xi_space", "xi_space"):
        assert bench("sweep", "best", name, "--root", str(root)).code == 0
    out = tmp_path / "out"
    ran = bench("sweep", "show", "xi_space", "--root", str(root), "--out", str(out))
    assert ran.code == 0 and "xi has no picture: it is a choice without a scale" in ran.out
    few = bench(*sweep_argv(root, "xi", "--trials", "1", "--folds", "0"))
    assert few.code == 2 and "give more folds (--folds 0,1,2) or more cases" in few.err
