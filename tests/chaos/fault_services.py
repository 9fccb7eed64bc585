"""MLflow, PostgreSQL and an object storage that fail beside a run, a suite or a sweep."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import postgres
import s3_server
from bench_process import bench, finish
from chaos import ALONE, PATIENCE, Command, Place, Seen, fault, result, shown, wait_until
from mlflow_servers import Dripping, Failing, Hanging, Server, standing_in
from s3_server import SLOW_DOWN, Answer, Proxy
from suite_process import progress
from sweep_process import PATIENTS, sweep_argv

from benchmark.data.library import add
from benchmark.files.roots import root_of
from benchmark.testing import TinySource

MLFLOW, POSTGRES, STORAGE = "MLflow", "PostgreSQL", "an object storage (S3)"
SYNC = "bench sync"
URL = f"s3://{s3_server.BUCKET}/chaos"


def no_mlflow() -> str:
    return "" if importlib.util.find_spec("mlflow") else "mlflow is not installed"


def mirrored(uri: str) -> Command:
    """The run, shown in the MLflow at an address."""
    return Command(argv=lambda root: [uri if w == "none" else w for w in ALONE.argv(root)])


def with_mlflow(place: Place, uri: str, said: str = SYNC) -> Seen:
    root = place.root()
    ran = mirrored(uri).run(root)
    return place.again(ran, root, said)


@fault(MLFLOW, "refuses connections", missing=no_mlflow)
def refused(place: Place) -> Seen:
    return with_mlflow(place, f"http://127.0.0.1:{s3_server.free_port()}")


def stand_in(place: Place, handler: type[BaseHTTPRequestHandler]) -> Seen:
    with standing_in(handler) as uri:
        return with_mlflow(place, uri)


@fault(MLFLOW, "takes requests and answers none", missing=no_mlflow)
def hanging(place: Place) -> Seen:
    return stand_in(place, Hanging)


@fault(MLFLOW, "answers 500 to all", missing=no_mlflow)
def answers_500(place: Place) -> Seen:
    return stand_in(place, Failing)


@fault(MLFLOW, "answers a byte now and then, for ever", short=True, missing=no_mlflow)
def dripping(place: Place) -> Seen:
    return stand_in(place, Dripping)


@fault(MLFLOW, "is killed in mid-run and started again", missing=no_mlflow)
def restarted(place: Place) -> Seen:
    """Then nothing is missing, or a line says that `bench sync` fills it, and it does."""
    root, server = place.root(), Server(place.site())
    server.start(PATIENCE)
    try:
        process = mirrored(server.uri).start(root)
        wait_until(lambda: progress(root) != (0, 0), process)
        server.kill()
        time.sleep(1)
        server.start(PATIENCE)
        ran = finish(process, PATIENCE)
        synced = bench("sync", "--root", str(root), "--mlflow", server.uri)
        again = bench("sync", "--root", str(root), "--mlflow", server.uri)
        assert synced.code == 0 and "sent now: 0 runs" in again.out, (synced, again)
    finally:
        server.kill()
    return place.again(ran, root, f"{SYNC}|, key")


AWAY = """
import sweeps.patience
sweeps.patience.OUTAGE_SECONDS = float(__import__("os").environ["OUTAGE"])
"""


@contextmanager
def sweeping(place: Place, outage: str) -> Iterator[tuple[postgres.Server, Command, Command]]:
    """A server, a sweep of two settings on it, and the same sweep on a file of its own."""

    def argv(root: Path, url: str) -> list[str]:
        more = ["--trials", "2", "--workers", "1", "--repeats", "0", "--study", "s"]
        more += ["--storage", url, "--heartbeat-seconds", "1", "--checkpoint-seconds", "0"]
        return sweep_argv(root, "xi", *more, schedule__steps_per_epoch=4)

    site = place.site()
    (site / "sitecustomize.py").write_text(AWAY)
    calm = Command(argv=lambda root: argv(root, f"sqlite:///{root / 'sweeps.db'}"))
    with postgres.running() as database:
        on_it = Command(argv=lambda root: argv(root, database.url))
        yield database, replace(on_it, site=site, environment={"OUTAGE": outage}, cold=True), calm


def of_sweep(place: Place, outage: str, said: str, *, stays_away: bool) -> Seen:
    """Stop the server in mid-sweep, and start it again three seconds later, or after the end."""
    root = place.root(PATIENTS)
    with sweeping(place, outage) as (database, sweep, calm):
        process = sweep.start(root)
        wait_until(lambda: progress(root) != (0, 0), process)
        database.stop("immediate")
        if not stays_away:
            time.sleep(3)
            database.start()
        ran = finish(process, PATIENCE)
        if stays_away:
            database.start()
        last = sweep.run(root)
        alone = place.root(PATIENTS)
        assert calm.run(alone).code == 0
    assert "Traceback" not in ran.err + last.err, (ran, last)
    same = result(root) == result(alone)
    return Seen(said=shown(ran, said, root), code=ran.code, again=last.code, same=same)


@fault(POSTGRES, "restarts in mid-sweep", missing=postgres.missing)
def postgres_restarts(place: Place) -> Seen:
    return of_sweep(place, "300", "waiting for it", stays_away=False)


@fault(
    POSTGRES,
    "stays away in mid-sweep (for 3 seconds, where 5 minutes are waited)",
    short=True,
    missing=postgres.missing,
)
def postgres_stays_away(place: Place) -> Seen:
    return of_sweep(place, "3", "was gone for", stays_away=True)


def in_a_bucket(place: Place, judge: object, said: str) -> Seen:
    """A run in a bucket behind a proxy that judges each request; then the same command without it,
    on the same machine."""
    with s3_server.server() as address:
        s3_server.emptied(address)
        variables = s3_server.environment(address, place.site())
        with s3_server.machine(variables):
            add(root_of(URL), "tiny", TinySource(patients=6))
            copy = root_of(URL)
        argv = [URL if word == "ROOT" else word for word in ALONE.argv(Path("ROOT"))]
        with Proxy(target=address, judge=judge).running() as proxy:  # type: ignore[arg-type]
            behind = {**variables, "AWS_ENDPOINT_URL": proxy.address}
            ran = finish(s3_server.start(behind, *argv), PATIENCE)
        last = finish(s3_server.start(variables, *argv), PATIENCE)
    assert s3_server.SECRET not in ran.err + ran.out + last.err
    return place.seen(ran, copy, said, last)


def now_and_then() -> object:
    """503 to every third request."""
    seen: list[str] = []

    def judge(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        seen.append(path)
        return Answer(status=503, body=SLOW_DOWN) if len(seen) % 3 == 0 else None

    return judge


def for_ever(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    return Answer(status=503, body=SLOW_DOWN)


def late(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    time.sleep(0.5)
    return None


@fault(STORAGE, "answers 503 to every third request", missing=s3_server.missing)
def busy(place: Place) -> Seen:
    return in_a_bucket(place, now_and_then(), ", key")


@fault(STORAGE, "answers 503 to all", missing=s3_server.missing)
def always_busy(place: Place) -> Seen:
    return in_a_bucket(place, for_ever, "cannot")


@fault(STORAGE, "answers each request half a second late", short=True, missing=s3_server.missing)
def slow(place: Place) -> Seen:
    return in_a_bucket(place, late, ", key")
