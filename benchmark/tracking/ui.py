"""`bench ui`: MLflow's own page on a workspace, opened at the table of rows."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BadInput
from benchmark.tracking.notes import FORMER, NOTE, experiment_note
from benchmark.tracking.server import Store, bounded, prepare_environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

SAY_SECONDS = 10.0  # the server imports for seconds, on a slow disk for many
STOP_SECONDS = 5.0
HOST = "127.0.0.1"
ROWS, FOLDS = (f"tags.level = '{level}'" for level in ("row", "fold"))
VIEW = "bench-rows"  # the names of our shared views: MLflow keeps such views as experiment tags
CHARTS = "bench-folds"
FIRST_CHARTS = "test/dsc"  # what the charts are searched for until a person searches otherwise
MOST_COLUMNS = 8  # as many as are read at a glance


def start_link(base: str, experiment: str) -> str:
    """Return the address of an experiment's table that shows the rows, not their folds."""
    return _link(base, experiment, VIEW)


def charts_link(base: str, experiment: str) -> str:
    """Return the address of an experiment's charts: metrics of folds, grouped by method."""
    return _link(base, experiment, CHARTS) + "&compareRunsMode=CHART"


def _link(base: str, experiment: str, view: str) -> str:
    # The view holds the filter as well; a filter in the address would switch the view off.
    chosen = f"viewStateShareKey={view}&workflowType=machine_learning"
    return f"{base}/#/experiments/{experiment}/runs?{chosen}"


def serve(
    root: Path,
    uri: str,
    port: int = 5000,
    *,
    columns: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> int:
    """Serve MLflow's page on this machine only until Ctrl-C or SIGTERM; return an exit code.

    Says one link a data set, the last changed first. The table shows the metrics named in
    `columns`, by default the first of those the rows have. For an HTTP `uri` a server runs already:
    only the links are said. `port` 0 takes a free one.

    Raises:
        BadInput: the port is taken, or the store cannot be opened.
    """
    artifacts = root / "mlartifacts"
    experiments = _experiments(uri, artifacts, columns, say)
    if uri.startswith(("http:", "https:")):
        _say_links(uri.rstrip("/"), experiments, say)
        return 0
    port = _free_port(port)
    base = f"http://{HOST}:{port}"
    log = root / "logs" / "mlflow-server.log"
    child = _start(uri, artifacts, port, log)
    before = _stop_on_sigterm()
    try:
        if not _wait(child, base, say):
            say(f"MLflow's server did not start; it wrote why to {log}")
            return 1
        _say_links(base, experiments, say)
        return child.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(child)
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _experiments(
    uri: str, artifacts: Path, columns: Sequence[str], say: Callable[[str], None]
) -> list[tuple[str, str]]:
    """Return name and id of the experiments, the last changed first; make their views."""

    def read(store: Store) -> list[Any]:
        every = store.client.search_experiments(order_by=["last_update_time DESC"])
        found = [one for one in every if one.experiment_id != "0"]
        for one in found:
            _make_rows_view(store.client, one.experiment_id, columns)
            _make_charts_view(store.client, one.experiment_id)
            if one.tags.get(NOTE) == FORMER:  # a note of somebody's own stays
                store.client.set_experiment_tag(one.experiment_id, NOTE, experiment_note())
        return found

    try:
        found = bounded(uri, artifacts, read, say=say)
    except Exception as error:  # whatever MLflow, SQLite or the network raise
        raise BadInput(
            f"MLflow at {uri} cannot be opened: {error}".splitlines()[0]
            + ". If the file is broken, move it away and run `bench sync`."
        ) from error
    return [(one.name, one.experiment_id) for one in found]


def _make_rows_view(client: MlflowClient, experiment: str, columns: Sequence[str]) -> None:
    """Store which columns the table of rows shows; without this it shows no metric at all.

    Sorted by date, the page would hang rows below their suite and fold them in: it is sorted by the
    first metric, the best row first.
    """
    rows = client.search_runs([experiment], ROWS, max_results=100)
    # Of the spreads only what fits: a mean says more than a spread without its mean.
    known = {name for run in rows for name in run.data.metrics}
    names = columns or sorted(known, key=lambda name: (name.endswith("/sd"), name))
    metrics = [f"metrics.`{name}`" for name in names[:MOST_COLUMNS]]
    # The method stands in each run's name: without its column the interval fits on 1280 pixels.
    tags = [f"tags.`{name}`" for name in ("gain", "gain_95", "flags")]
    shown = [*metrics[:1], "tags.`patients`", *metrics[1:], *tags]
    state = {"searchFilter": ROWS, "selectedColumns": shown, **_sorted_by(shown[0])}
    _share(client, experiment, VIEW, state)


def _make_charts_view(client: MlflowClient, experiment: str) -> None:
    """Store a page of charts of the folds, one group a method: its mean, not single folds."""
    method = {"mode": "param", "groupByData": "method"}
    state = {
        "searchFilter": FOLDS,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [method]},
        "useGroupedValuesInCharts": True,
        "chartsSearchFilter": FIRST_CHARTS,
        **_sorted_by(f"metrics.`{FIRST_CHARTS}/mean`"),
    }
    _share(client, experiment, CHARTS, state)


def _sorted_by(column: str) -> dict[str, Any]:
    return {"orderByKey": column, "orderByAsc": False}


def _share(client: MlflowClient, experiment: str, name: str, state: dict[str, Any]) -> None:
    client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{name}", json.dumps(state))


def _say_links(base: str, experiments: list[tuple[str, str]], say: Callable[[str], None]) -> None:
    """Say where to look."""
    for name, experiment in experiments:
        say(f"{name}: {start_link(base, experiment)}")
        say(f"{name}, charts of the folds: {charts_link(base, experiment)}")
    if not experiments:
        say(f"MLflow: {base}")


def _free_port(port: int) -> int:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadInput(f"Port {port} is taken on {HOST}; give another: --port N") from error
        return int(probe.getsockname()[1])


def server_command(uri: str, artifacts: Path, port: int) -> list[str]:
    """Return the command that serves a store with one worker on this machine only."""
    options = {
        "--backend-store-uri": uri,
        "--default-artifact-root": artifacts.resolve().as_uri(),
        "--host": HOST,
        "--port": str(port),
        "--workers": "1",
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "-m", "mlflow", "server", *words]


def server_environment() -> dict[str, str]:
    """Return the environment of the server: without a user's run, telemetry and job runner."""
    dropped = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_", "MLFLOW_TRACKING_URI")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(dropped)}
    environment.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    prepare_environment(3.0, environment)
    return environment


def _start(uri: str, artifacts: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            server_command(uri, artifacts, port),
            env=server_environment(),
            cwd=log.parent.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Its own group: Ctrl-C reaches us only, and we end the workers with it.
            start_new_session=True,
        )


def _wait(child: subprocess.Popen[bytes], base: str, say: Callable[[str], None]) -> bool:
    """Wait until the server answers, and say now and then that it still starts; false when it
    ended."""
    began = said = time.monotonic()
    while child.poll() is None:
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            say(f"MLflow's server is still starting, {said - began:.0f} s (Ctrl-C ends it)")
        try:
            with urllib.request.urlopen(f"{base}/health", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


def _stop_on_sigterm() -> Any:
    """Let SIGTERM end the server too; return the handler to put back, None off the main thread."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        return signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        return None


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the server and its workers: politely, then by force."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            if hasattr(os, "killpg"):
                os.killpg(child.pid, number)
            else:
                child.terminate()
        except ProcessLookupError:
            pass
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
