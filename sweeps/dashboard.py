"""`bench sweep ui`: optuna-dashboard on the storage of the sweeps."""

from __future__ import annotations

import argparse
import socket
from contextlib import closing, suppress

from benchmark.cli.out import put
from benchmark.errors import BadInput
from sweeps.storage import default_url, open_storage, shown

HOST = "127.0.0.1"


def serve(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C, on this machine only; return 0.

    Raises `BadInput` for a storage that cannot be opened and a port that is taken.
    """
    from optuna_dashboard import run_server

    url = args.storage or default_url(args.root)
    storage = open_storage(url, create=False)
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, args.port))
        except (OSError, OverflowError) as error:
            raise BadInput(f"port {args.port} cannot be had on {HOST}: give --port N") from error
    put(f"{shown(url)}: http://{HOST}:{args.port}/", flush=True)
    with suppress(KeyboardInterrupt):
        run_server(storage, host=HOST, port=args.port)
    return 0
