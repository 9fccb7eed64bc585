"""What a person reads in MLflow's table: the gain with its interval as one text, and a note on what
each metric is."""

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


def test_the_gain_is_one_text_and_goes_with_the_difference(root: Path) -> None:
    assert sent(root, GAIN).data.tags["gain"] == "+1.20 (-0.40 to +2.00)"
    few = {name: GAIN[name] for name in ("cv/dsc/mean", "cv/dsc_minus_unet/mean")}
    assert sent(root, few).data.tags["gain"] == "+1.20"
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
