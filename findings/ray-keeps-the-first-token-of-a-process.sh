#!/usr/bin/env bash
# Ray 2.60.0, Python 3.11, Linux; two clusters of one node each, with token authentication (RAY_AUTH_MODE=token).
#
# A process that was once connected to a cluster cannot connect to another one that has another token. Neither `ray.shutdown()` nor
# a new RAY_AUTH_TOKEN_PATH helps: the first token is kept for the life of the process and sent to the second
# cluster, which refuses it. `ray.init` then tries for some 20 seconds and raises "Failed to connect to Ray cluster": neither the
# error nor its class says that the token was wrong (a line of the C++ log on stderr does). A fresh process with the same variables
# connects at once.
#
# Who is hit: a notebook or a service that goes from one cluster to the next, and tests that start a cluster each: the message sends
# them to look at the network.
#
# Seen:
#   first cluster, its token: connected
#   second cluster, its token, same process: ConnectionError, says token: False
#   second cluster, its token, fresh process: connected
#
# What helps: one process for each cluster (bench does so in its tests; a command of bench joins one cluster).
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet ray==2.60.0
cat > "$place/look.py" <<'PYTHON'
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

PLACE = Path(__file__).parent
os.environ.update(RAY_AUTH_MODE="token", RAY_USAGE_STATS_ENABLED="0")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def cluster(name):
    """A cluster with a token of its own; gives its address and the file of its token."""
    token, port = PLACE / f"token-{name}", free_port()
    token.write_text(secrets.token_hex(32))
    folder = tempfile.mkdtemp(prefix="r-")  # sockets in it have long names
    command = [PLACE / "venv/bin/ray", "start", "--head", "--block", f"--port={port}", "--num-cpus=1"]
    command += ["--node-ip-address=127.0.0.1", "--include-dashboard=false", f"--temp-dir={folder}"]
    command += ["--object-store-memory=80000000", "--disable-usage-stats"]
    log = PLACE / f"log-{name}"
    environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(token)}
    with log.open("wb") as file:
        node = subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        until = time.monotonic() + 120
        while b"--block" not in log.read_bytes():
            if node.poll() is not None or time.monotonic() > until:
                sys.exit(log.read_text())
            time.sleep(0.2)
        yield f"127.0.0.1:{port}", token
    finally:
        node.send_signal(signal.SIGTERM)
        time.sleep(3)
        try:
            os.killpg(node.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        node.wait()
        subprocess.run(["rm", "-rf", folder])


def connect(address, token):
    """What came of it, and whether an error names the token."""
    import ray

    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:
        return f"{type(error).__name__}, says token: {'token' in str(error).lower()}"
    ray.shutdown()
    return "connected"


def main():
    with cluster("first") as (address, token):
        found = [("first cluster, its token", connect(address, token))]
    with cluster("second") as (address, token):
        found.append(("second cluster, its token, same process", connect(address, token)))
        fresh = subprocess.run(
            [sys.executable, __file__, address, token], stdout=subprocess.PIPE, text=True
        ).stdout.strip()
        found.append(("second cluster, its token, fresh process", fresh))
    for name, what in found:
        print(f"{name}: {what}")
    expected = ["connected", "ConnectionError, says token: False", "connected"]
    sys.exit(0 if [what for _, what in found] == expected else 1)


if len(sys.argv) > 1:
    print(connect(sys.argv[1], sys.argv[2]))
else:
    main()
PYTHON
"$place/venv/bin/python" "$place/look.py"
