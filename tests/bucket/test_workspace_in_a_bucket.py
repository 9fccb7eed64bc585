"""`--root s3://...`: machines that share a bucket and nothing else."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import s3_server
from bench_process import SMALL, Ran, bench, finish, tiny_workspace
from s3_server import BUCKET, SECRET, SLOW_DOWN, Answer, Proxy
from suite_process import rows, suite_argv

from benchmark.data.library import add
from benchmark.files.bucket import Bucket
from benchmark.files.mirror import _mirror
from benchmark.files.roots import root_of
from benchmark.testing import TinySource

if reason := s3_server.missing():
    pytest.skip(reason, allow_module_level=True)
pytestmark = pytest.mark.slow
URL = f"s3://{BUCKET}/study"
CELL = ("--folds", "0", "--checkpoint-seconds", "0")


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with s3_server.server() as address:
        yield address


@dataclass
class Machine:
    """A machine with a disk of its own."""

    variables: dict[str, str]

    def bench(self, *argv: str) -> Ran:
        """Run a command on it, in this process, as one that never saw the bucket."""
        _mirror.cache_clear()
        with s3_server.machine(self.variables):
            return bench(*argv)

    def run(self, *more: str, **values: Any) -> Ran:
        return self.bench(*argv(*more, **values))

    @property
    def root(self) -> Path:
        """Its copy of the workspace."""
        with s3_server.machine(self.variables):
            return root_of(URL)

    @property
    def bucket(self) -> Bucket:
        return Bucket(url=URL)


def argv(*more: str, root: str = URL, **values: Any) -> list[str]:
    sets = {**SMALL, **{name.replace("__", "."): value for name, value in values.items()}}
    given = [part for n, v in sets.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    start = ["run", "--method", "unet", "--mlflow", "none", "--threads", "1", "--workers", "1"]
    return [*start, "--root", root, "--dataset", "tiny", *given, *CELL, *more]


@pytest.fixture
def machines(running: str, tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two of them, an empty bucket, and the tiny set in it."""
    s3_server.emptied(running)
    both = [
        Machine(s3_server.environment(running, tmp_path / name)) for name in ("first", "second")
    ]
    with s3_server.machine(both[0].variables):
        add(root_of(URL), "tiny", TinySource(patients=6))
    yield both[0], both[1]
    for one in both:  # no key reaches a file
        for path in Path(one.variables["BENCH_CACHE"]).rglob("*"):
            assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The rows of the same run in a folder."""
    root = tiny_workspace(tmp_path_factory.mktemp("undisturbed"))
    assert bench(*argv(root=str(root))).code == 0
    return rows(root)


def test_the_second_machine_computes_nothing_again(
    machines: tuple[Machine, Machine], undisturbed: dict[str, Any]
) -> None:
    """It has the same table, and what it reads it reads from its own disk the next time."""
    first, second = machines
    ran = first.run("--json")
    assert ran.code == 0, ran.err
    assert rows(first.root) == undisturbed
    again = second.run("--json")
    assert again.code == 0 and "the embedded data set" not in again.err, again.err
    assert (ran.json["trained"], again.json["trained"], again.json["reused"]) == (1, 0, 1)
    assert rows(second.root) == undisturbed
    shutil.rmtree(second.root)  # a fresh disk: reading needs no training, and no weights
    for command in (["report", "--skip-hard-cases"], ["status"], ["data", "list"]):
        found = second.bench(*command, "--root", URL)
        assert found.code == 0, (command, found)
    assert not list(second.root.glob("objects/[0-9a-f]*/*.safetensors"))
    assert SECRET not in ran.err + again.err + ran.out
    verified = second.bench("store", "verify", "--root", URL)
    assert verified.code == 0 and "0 damaged" in verified.out, verified


KILLED = """
import os, signal, sys
from benchmark.cli.main import main
from benchmark.files.bucket import Bucket
from benchmark.files.mirror import _mirror
put = Bucket.put
def killed(self, key, *args, **named):
    if key.startswith("commits/objects/") and ".partial" not in key:
        os.kill(os.getpid(), signal.SIGKILL)
    return put(self, key, *args, **named)
Bucket.put = killed
main(sys.argv[1:])
"""


@pytest.mark.long
def test_killed_between_files_and_manifest(
    machines: tuple[Machine, Machine],
    undisturbed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody sees anything of it; another machine goes on from its checkpoint; gc sweeps."""
    first, second = machines
    ran = finish(s3_server.start(first.variables, *argv(), script=KILLED), 100)
    assert ran.code == -signal.SIGKILL, ran.err
    with s3_server.machine(first.variables):
        assert not [k for k in first.bucket.listed("commits/objects/") if ".partial" not in k]
        assert first.bucket.listed("files/")
        first.bucket.delete(first.bucket.listed("leases/"))  # else it is waited for
    assert not list(first.root.glob("objects/[0-9a-f]*/record.json"))
    other = second.run()
    assert other.code == 0 and "resum" in other.err, other.err
    assert rows(second.root) == undisturbed
    monkeypatch.setattr("benchmark.cli.store.ABANDONED_SECONDS", 0.0)
    time.sleep(1.1)
    swept = second.bench("store", "gc", "--root", URL)
    assert swept.code == 0 and "removed from the bucket" in swept.err, swept
    with s3_server.machine(first.variables):
        places = {key.split("/")[1] for key in first.bucket.listed("files/")}
        assert len(places) == len(first.bucket.listed("commits/"))
    assert second.bench("store", "verify", "--root", URL).code == 0
    assert first.run().code == 0 and rows(first.root) == undisturbed


def test_a_damaged_object_is_found_and_made_again(
    machines: tuple[Machine, Machine], undisturbed: dict[str, Any]
) -> None:
    first, second = machines
    assert first.run().code == 0
    with s3_server.machine(first.variables):
        bucket = first.bucket
        for key in bucket.listed("files/"):
            if key.endswith(("ct.safetensors", "rows.parquet")):
                whole = bucket._files.cat_file(bucket._full(key))
                bucket._files.pipe_file(bucket._full(key), whole[:-1] + bytes([whole[-1] ^ 1]))
    found = second.bench("store", "verify", "--root", URL)
    assert found.code == 1 and found.out.count("damaged:") == 2, found
    ran = second.run()
    assert ran.code == 0 and "is damaged" in ran.err, ran.err
    assert rows(second.root) == undisturbed
    assert second.bench("store", "verify", "--root", URL).code == 0
    assert first.run().code == 0 and rows(first.root) == undisturbed


MEETING = """
import os, pathlib, sys, time
from contextlib import nullcontext
import benchmark.store.objects as objects
objects.leased = lambda *args: nullcontext()  # a lease is lost with its machine
from benchmark.cli.main import main
from benchmark.files.mirror import Mirror
keep = Mirror.keep_folder
def together(self, final, folder):
    if "results" not in final.parts and ".partial" not in str(final):
        meeting = pathlib.Path(sys.argv[1])
        (meeting / str(os.getpid())).touch()
        until = time.monotonic() + 80
        while len(list(meeting.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.005)
    keep(self, final, folder)
Mirror.keep_folder = together
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.long
def test_two_on_one_key(
    machines: tuple[Machine, Machine], undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """Both trained it; one is kept, the other machine takes that one, and all rows are equal."""
    (tmp_path / "meeting").mkdir()
    started = [
        s3_server.start(one.variables, str(tmp_path / "meeting"), *argv(), script=MEETING)
        for one in machines
    ]
    ended = [finish(process, 110) for process in started]
    assert [ran.code for ran in ended] == [0, 0], ended
    assert sum("trained twice at the same time" in ran.err for ran in ended) == 1, ended
    for one in machines:
        assert rows(one.root) == undisturbed
    records = [
        path.read_bytes() for one in machines for path in one.root.glob("objects/*/record.json")
    ]
    assert len(records) == 2 and records[0] == records[1], "one object, on both"


@pytest.mark.long
def test_two_machines_share_a_suite(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    """The same command on both, with two workers on one: nothing is trained twice (on a busy
    machine one may train all), and the rows are those of a suite in a folder."""
    more = ("--seeds", "0,1", "--json")
    started = []
    for one, workers in zip(machines, "12", strict=True):
        words = suite_argv(Path("ROOT"), "unet", "--workers", workers, *more, schedule__epochs=20)
        words[words.index("ROOT")] = URL
        started.append(s3_server.start(one.variables, *words))
    ended = [finish(process, 280) for process in started]
    assert [ran.code for ran in ended] == [0, 0], ended
    alone = tiny_workspace(tmp_path / "alone")
    wanted = bench(*suite_argv(alone, "unet", "--workers", "1", *more, schedule__epochs=20))
    assert wanted.code == 0, wanted.err
    trained = [ran.json["trained"] for ran in ended]
    assert sum(trained) == wanted.json["trained"] == 4, trained
    table = machines[0].bench("report", "--skip-hard-cases", "--root", URL)
    assert table.code == 0, table.err
    assert rows(machines[0].root) == rows(alone)


@pytest.mark.long
def test_a_storage_that_is_busy(
    machines: tuple[Machine, Machine],
    undisturbed: dict[str, Any],
    running: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """503 to every third request is ridden out; 503 for ever ends with one line and code 2."""
    first, second = machines
    counted: list[int] = []

    def now_and_then(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        counted.append(1)
        return Answer(status=503, body=SLOW_DOWN) if len(counted) % 3 == 0 else None

    def for_ever(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        return Answer(status=503, body=SLOW_DOWN)

    monkeypatch.setattr("s3fs.S3FileSystem.retries", 2)  # of 25 requests and 43 s
    with Proxy(target=running, judge=now_and_then).running() as proxy:
        first.variables["AWS_ENDPOINT_URL"] = proxy.address
        ran = first.run()
        assert ran.code == 0 and len(counted) > 30, ran.err
        assert rows(first.root) == undisturbed
        proxy.judge = for_ever
        second.variables["AWS_ENDPOINT_URL"] = proxy.address
        refused = second.run()
        assert refused.code == 2 and len(refused.err.splitlines()) == 1, refused
        assert URL in refused.err and "give the same command again" in refused.err
        assert refused.out == "" and SECRET not in refused.err


@pytest.mark.long
def test_every_answer_is_lost_once(
    machines: tuple[Machine, Machine], undisturbed: dict[str, Any], running: str
) -> None:
    """The server did what it was asked, and says 503: nothing is twice, nothing is missing."""
    first, second = machines
    lost: set[str] = set()

    def judge(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        what = f"{method} {path}"
        if what in lost:
            return None
        lost.add(what)
        return Answer(lose=True)

    with Proxy(target=running, judge=judge).running() as proxy:
        first.variables["AWS_ENDPOINT_URL"] = proxy.address
        ran = first.run("--json")
    assert ran.code == 0 and ran.json["trained"] == 1, ran.err
    assert {one.split()[0] for one in lost} >= {"PUT", "POST", "GET", "HEAD"}
    assert "trained twice" not in ran.err and rows(first.root) == undisturbed
    again = second.run("--json")
    assert again.code == 0 and again.json["trained"] == 0, again.err
    assert rows(second.root) == undisturbed
    assert second.bench("store", "verify", "--root", URL).code == 0


@pytest.mark.long
@pytest.mark.parametrize("after", [12, 21, 30, 36, 42, 48])
def test_killed_at_a_request(
    machines: tuple[Machine, Machine], undisturbed: dict[str, Any], running: str, after: int
) -> None:
    """kill -9 after so many of some fifty requests; then both machines have the undisturbed rows,
    and nothing that is stored is damaged."""
    first, second = machines
    seen: list[str] = []
    processes: list[subprocess.Popen[str]] = []

    def judge(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        seen.append(path)
        if len(seen) == after:
            processes[0].kill()
        return None

    with Proxy(target=running, judge=judge).running() as proxy:
        first.variables["AWS_ENDPOINT_URL"] = proxy.address
        processes.append(s3_server.start(first.variables, *argv()))
        ran = finish(processes[0], 110)
        assert ran.code == -signal.SIGKILL, (len(seen), ran)
        with s3_server.machine(first.variables):
            first.bucket.delete(first.bucket.listed("leases/"))  # else it is waited for
        for one in (second, first):  # the first one goes on with what is left on its disk
            again = one.run()
            assert again.code == 0, again.err
            assert rows(one.root) == undisturbed
        assert second.bench("store", "verify", "--root", URL).code == 0


def test_a_server_without_conditions_is_refused(
    machines: tuple[Machine, Machine], running: str
) -> None:
    first, _ = machines
    with Proxy(target=running, strip=("if-none-match",)).running() as proxy:
        first.variables["AWS_ENDPOINT_URL"] = proxy.address
        ran = first.run()
    assert ran.code == 2 and ran.out == "" and len(ran.err.splitlines()) == 1, ran
    assert "ignores If-None-Match" in ran.err


def test_without_keys_and_without_the_extra(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = machines
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del first.variables[name]
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    first.variables["BENCH_CACHE"] += "-other"
    ran = first.run()
    assert ran.code == 2 and "credentials" in ran.err and len(ran.err.splitlines()) == 1, ran
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    ran = first.bench("status", "--root", "s3://laboratory/elsewhere")
    assert ran.code == 2 and "pip install 'beyond-loss[s3]'" in ran.err, ran
