"""`bench ui` serves the table of rows and ends cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import make_cell, make_row

from benchmark.errors import BadInput
from benchmark.tracking.database import default_uri, uri_of
from benchmark.tracking.sync import sync
from benchmark.tracking.ui import serve

SERVE = """
import sys
from pathlib import Path
from benchmark.tracking.database import default_uri
from benchmark.tracking.ui import serve
root = Path(sys.argv[1])
sys.exit(serve(root, default_uri(root), 0, say=lambda line: print(line, flush=True)))
"""


@pytest.mark.long
def test_serves_the_rows_and_ends_on_ctrl_c(root: Path) -> None:
    row = make_row()
    cells = [make_cell(row, fold) for fold in (0, 1)]
    sync(default_uri(root), root / "mlartifacts", [(row, cells)])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MLFLOW_RUN_ID": "no"}
    command = [sys.executable, "-c", SERVE, str(root)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    try:
        assert child.stdout is not None
        told = (line.decode() for line in child.stdout)
        line = next(line for line in told if "still starting" not in line)  # on a busy machine
        assert line.startswith("phantom: http://127.0.0.1:")
        link = line.split()[1]
        base = link.split("/#")[0]
        check_page(base, link)
    finally:
        child.send_signal(signal.SIGINT)
        code = child.wait(15)
        child.communicate()
    assert code == 0
    port = int(base.rsplit(":", 1)[1])
    assert not answers(port)
    assert (root / "logs" / "mlflow-server.log").stat().st_size > 0


def check_page(base: str, link: str) -> None:
    with urllib.request.urlopen(link, timeout=10) as page:
        assert b"<title>MLflow</title>" in page.read()
    view = read_view(base)
    assert view["searchFilter"] == "tags.level = 'row'"
    assert view["selectedColumns"][0] == "metrics.`cv/dice/mean`"
    assert view["selectedColumns"][-3:] == ["tags.`gain`", "tags.`gain_95`", "tags.`flags`"]
    found = ask(base, "runs/search", {"experiment_ids": ["1"], "filter": view["searchFilter"]})
    assert [run["info"]["run_name"] for run in found["runs"]] == ["fsm"]


def read_view(base: str) -> dict[str, list[str]]:
    address = f"{base}/api/2.0/mlflow/experiments/get?experiment_id=1"
    with urllib.request.urlopen(address, timeout=10) as answer:
        tags = json.load(answer)["experiment"]["tags"]
    (view,) = (tag["value"] for tag in tags if tag["key"] == "mlflow.sharedViewState.bench-rows")
    return dict(json.loads(view))


def ask(
    base: str, verb: str, question: dict[str, object]
) -> dict[str, list[dict[str, dict[str, str]]]]:
    request = urllib.request.Request(
        f"{base}/api/2.0/mlflow/{verb}",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def answers(port: int) -> bool:
    end = time.monotonic() + 3
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return False
        time.sleep(0.1)
    return True


def test_a_taken_port_is_refused(root: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(BadInput, match="is taken"):
            serve(root, default_uri(root), holder.getsockname()[1])


def test_a_broken_database_of_somebody_else_is_refused(root: Path) -> None:
    (root / "theirs.db").write_bytes(b"no database" * 1000)
    with pytest.raises(BadInput, match="bench sync"):
        serve(root, uri_of(root / "theirs.db"), 0)
    assert (root / "theirs.db").read_bytes() == b"no database" * 1000


SLOW_SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
time.sleep(2.5)
class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


def test_a_server_that_starts_slowly_is_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "benchmark.tracking.ui.server_command",
        lambda uri, artifacts, port: [sys.executable, "-c", SLOW_SERVER, str(port)],
    )
    monkeypatch.setattr("benchmark.tracking.ui.SAY_SECONDS", 1.0)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("MLflow: http"):
            raise KeyboardInterrupt

    assert serve(root, default_uri(root), 0, say=say) == 0
    assert "MLflow's server is still starting, 1 s (Ctrl-C ends it)" in said
    assert said[-1].startswith("MLflow: http")


def test_a_server_that_ends_is_not_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "benchmark.tracking.ui.server_command",
        lambda uri, artifacts, port: [sys.executable, "-c", "print('no'); raise SystemExit(3)"],
    )
    said: list[str] = []
    assert serve(root, default_uri(root), 0, say=said.append) == 1
    assert "did not start" in said[-1] and "mlflow-server.log" in said[-1]
