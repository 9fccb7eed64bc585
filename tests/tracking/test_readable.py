"""What a person reads in MLflow's table: the gain with its interval, short, and a note on what each
metric is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import make_row
from mlflow import MlflowClient

from benchmark.scoring.cases import METRIC_UNITS
from benchmark.tracking.database import default_uri
from benchmark.tracking.notes import METRICS, NOTE
from benchmark.tracking.sync import sync

GAIN = {
    "cv/dsc/mean": 81.0,
    "cv/dsc_minus_unet/mean": 1.204,
    "cv/low_dsc_minus_unet/mean": -0.4,
    "cv/high_dsc_minus_unet/mean": 2.0,
}


def test_the_gain_and_its_interval_are_texts_that_fit_and_go_with_it(root: Path) -> None:
    tags = sent(root, GAIN).data.tags
    assert (tags["gain"], tags["gain_95"]) == ("+1.20", "-0.4, 2.0")
    few = {name: GAIN[name] for name in ("cv/dsc/mean", "cv/dsc_minus_unet/mean")}
    tags = sent(root, few).data.tags
    assert tags["gain"] == "+1.20" and "gain_95" not in tags
    assert "gain" not in sent(root, {"cv/dsc/mean": 81.0}).data.tags


def test_each_metric_has_a_line_in_the_note_of_the_experiment(root: Path) -> None:
    sent(root, GAIN)
    experiment = MlflowClient(default_uri(root)).get_experiment_by_name("phantom")
    assert set(METRICS) == set(METRIC_UNITS)
    lines = experiment.tags[NOTE].splitlines()
    assert [
        name for name in METRICS if not any(x.startswith(f"| `{name}` | ") for x in lines)
    ] == []


def sent(root: Path, metrics: dict[str, float]) -> Any:
    """The run of a row after it was sent with these metrics."""
    done = sync(default_uri(root), root / "mlartifacts", [(make_row(metrics=metrics), [])])
    assert done.refused == ()
    client = MlflowClient(default_uri(root))
    experiment = client.get_experiment_by_name("phantom")
    (run,) = client.search_runs([experiment.experiment_id], "tags.level = 'row'")
    return run
