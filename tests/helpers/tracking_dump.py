"""For tests: all that a reader of MLflow sees of an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def files_of(client: Any, run_id: str, folder: str | None = None) -> Iterator[str]:
    """All artifacts of a run, those in folders too."""
    for one in client.list_artifacts(run_id, folder):
        if one.is_dir:
            yield from files_of(client, run_id, one.path)
        else:
            yield one.path


Dump = dict[str, dict[str, object]]


def dump_experiment(uri: str, dataset: str = "phantom") -> Dump:
    """Return all that a reader of MLflow sees of a data set, by run name and key."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(dataset)
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id], max_results=1000))
    names = {run.info.run_id: run.info.run_name for run in runs}
    seen: Dump = {}
    for run in runs:
        tags = dict(run.data.tags)
        if parent := tags.pop("mlflow.parentRunId", ""):
            tags["parent"] = names[parent]
        name = f"{run.info.run_name} {tags.get('suite', '')} {tags.get('key', '')}"
        assert name not in seen, f"two runs {name}"
        seen[name] = {
            "status": run.info.status,
            "tags": tags,
            "params": dict(run.data.params),
            "latest": dict(run.data.metrics),
            "curves": {
                metric: [
                    (one.step, one.value, one.timestamp)
                    for one in client.get_metric_history(run.info.run_id, metric)
                ]
                for metric in sorted(run.data.metrics)
            },
            "files": sorted(files_of(client, run.info.run_id)),
            "inputs": [(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs],
        }
    return seen
