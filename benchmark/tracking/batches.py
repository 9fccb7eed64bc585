"""Sends parameters, metrics and tags in batches; what is refused does not cost the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from benchmark.tracking.runs import Known
from benchmark.tracking.server import is_refusal, one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

PER_BATCH = 100  # parameters or tags a call
METRICS_PER_BATCH = 800  # with the other two, at most the 1000 entities that MLflow takes a call


class Gone(Exception):  # noqa: N818 - says what happened to the run
    """Somebody deleted the run since it was last seen."""


class Batches:
    """Logs to runs by `log_batch`. `refusals` holds one line for each thing not accepted."""

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self.refusals: list[str] = []
        self.points = 0

    def log(
        self,
        run: Known,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send what the run has not got. Raises `Gone` when the run was deleted, and whatever
        MLflow raises when the store is down."""
        from mlflow.entities import Param, RunTag

        new_params = {n: v for n, v in (params or {}).items() if n not in run.params}
        new_tags = {n: v for n, v in (tags or {}).items() if run.tags.get(n) != v}
        left: dict[str, tuple[Iterator[Any], int]] = {
            "metrics": (iter(metrics), METRICS_PER_BATCH),
            "params": (iter([Param(*item) for item in new_params.items()]), PER_BATCH),
            "tags": (iter([RunTag(*item) for item in new_tags.items()]), PER_BATCH),
        }
        while True:
            batch: dict[str, Any] = {k: list(islice(it, n)) for k, (it, n) in left.items()}
            if not any(batch.values()):
                break
            self._send(run, batch)
        run.params |= new_params
        run.tags |= new_tags
        run.metrics |= {metric.key: metric.value for metric in metrics}

    def _send(self, run: Known, batch: dict[str, Any]) -> None:
        try:
            self.client.log_batch(run.run_id, **batch)
            self.points += len(batch["metrics"])
        except Exception as error:
            if not is_refusal(error):
                raise
            if self.client.get_run(run.run_id).info.lifecycle_stage != "active":
                raise Gone(run.run_id) from error
            self._one_by_one(run, batch)

    def _one_by_one(self, run: Known, batch: dict[str, Any]) -> None:
        for kind, entities in batch.items():
            for entity in entities:
                one: dict[str, Any] = {kind: [entity]}
                try:
                    self.client.log_batch(run.run_id, **one)
                    self.points += kind == "metrics"
                except Exception as error:
                    if not is_refusal(error):
                        raise
                    self.refusals.append(one_line(error))
