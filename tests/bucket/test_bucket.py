"""What a store asks of a bucket, on a real server: conditions, checksums, lost answers, room."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import s3_server
from s3_server import BUCKET, SLOW_DOWN, Answer, Proxy

from benchmark.errors import BadInput
from benchmark.files import lease
from benchmark.files.atomic import commit_folder, damage
from benchmark.files.bucket import Away, Bucket
from benchmark.files.lease import is_leased, leased
from benchmark.files.mirror import Mirror

if reason := s3_server.missing():
    pytest.skip(reason, allow_module_level=True)
URL = f"s3://{BUCKET}/deep/er"


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with s3_server.server() as address:
        yield address


@pytest.fixture
def address(running: str, tmp_path: Path) -> Iterator[str]:
    """An empty server, which the environment of this process names."""
    with s3_server.machine(s3_server.environment(running, tmp_path / "cache")):
        yield s3_server.emptied(running)


@pytest.fixture
def proxy(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy(target=address).running() as one:
        monkeypatch.setenv("AWS_ENDPOINT_URL", one.address)
        yield one


def test_of_many_writers_one_is_taken(address: str) -> None:
    """And a text that is to take another's place takes no later one's."""
    buckets = [Bucket(url=URL) for _ in range(4)]

    def write(number: int) -> bool:
        try:
            buckets[number % 4].put("a", f"text {number}", new=True)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(16)))
    assert won.count(True) == 1
    bucket = Bucket(url=URL)
    found = bucket.get("a")
    assert found and found.text == f"text {won.index(True)}"
    state = bucket.state("a")
    assert state and 0 <= state[1] < 60
    tag = bucket.put("a", "next", instead=state[0].tag)
    with pytest.raises(FileExistsError):
        bucket.put("a", "too late", instead=state[0].tag)
    assert bucket.listed("")["a"].tag == tag and list(bucket.listed("")) == ["a"]
    bucket.put("b/1+2=3_4", "odd")
    assert list(bucket.listed("b/")) == ["b/1+2=3_4"]
    bucket.delete(["b/1+2=3_4"])
    bucket.delete(["a", "not there"])
    assert bucket.get("a") is None and bucket.state("a") is None and not bucket.listed("")


def test_a_lost_answer_is_told_from_a_lost_race(proxy: Proxy) -> None:
    lost: list[str] = []

    def judge(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        if method == "PUT" and not lost:
            lost.append(path)
            return Answer(lose=True)
        return None

    proxy.judge = judge
    bucket = Bucket(url=URL)
    bucket.put("mine", "mine", new=True)
    assert lost
    found = bucket.get("mine")
    assert found and found.text == "mine"
    with pytest.raises(FileExistsError):
        bucket.put("mine", "theirs", new=True)


def test_a_store_that_is_busy_is_waited_for_and_one_that_stays_so_is_said(proxy: Proxy) -> None:
    refused: list[str] = []

    def busy(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        refused.append(path)
        return Answer(status=503, body=SLOW_DOWN) if len(refused) <= 6 else None

    bucket = Bucket(url=URL)
    proxy.judge = busy
    bucket.put("a", "text")
    assert len(refused) > 6 and (found := bucket.get("a")) and found.text == "text"


def test_a_damaged_text_is_no_text(address: str) -> None:
    bucket = Bucket(url=URL)
    bucket.put("a", "text")
    body = bucket._files.cat_file(bucket._full("a"))
    bucket._files.pipe_file(bucket._full("a"), body.replace(b'text"}', b'texd"}'))
    with pytest.raises(ValueError, match="checksum"):
        bucket.get("a")
    bucket._files.pipe_file(bucket._full("a"), b"[]")
    with pytest.raises(ValueError, match="none of ours"):
        bucket.get("a")
    assert bucket.get_all(["a", "b"], damaged=True) == {"a": None, "b": None}


@pytest.mark.parametrize("url", ["s3://", "s3://A/b", "s3://user:hidden@bucket/x", "s3://ab/?x"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(BadInput, match="s3://BUCKET/PREFIX") as refused:
        Bucket(url=url).check_address()
    assert "hidden" not in str(refused.value)


def test_no_bucket_no_server_no_right(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="no bucket nowhere"):
        Bucket(url="s3://nowhere/x").check(writing=False)
    Bucket(url=URL).check(writing=True)
    assert not Bucket(url=URL).listed("")


def test_a_server_that_ignores_the_condition_is_refused(proxy: Proxy) -> None:
    """It answers as one that overwrites: the condition is taken off on its way."""
    proxy.strip = ("if-none-match",)
    with pytest.raises(BadInput, match="ignores If-None-Match"):
        Bucket(url=URL).check(writing=True)
    Bucket(url=URL).check(writing=False)
    assert not Bucket(url=URL).listed("")


def test_s3rver_is_refused(tmp_path: Path) -> None:
    """A server of another make that answers 200 to every writer."""
    program = os.environ.get("S3RVER") or shutil.which("s3rver")
    if not program:
        pytest.skip("no s3rver here: npm install s3rver@3.7.1, and name it in S3RVER")
    port = s3_server.free_port()
    command = [program, "-d", str(tmp_path), "-a", "127.0.0.1", "-p", str(port), "--silent"]
    process = subprocess.Popen([*command, "--configure-bucket", BUCKET])
    variables = s3_server.environment(f"http://127.0.0.1:{port}", tmp_path)
    keys = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}
    try:
        s3_server.wait_for(port, process)
        with (
            s3_server.machine({**variables, **keys}),
            pytest.raises(BadInput, match="ignores If-None-Match"),
        ):
            Bucket(url=URL).check(writing=True)
    finally:
        process.kill()
        process.wait()


def mirrors(tmp_path: Path) -> tuple[Mirror, Mirror]:
    return Mirror(tmp_path / "a", Bucket(url=URL)), Mirror(tmp_path / "b", Bucket(url=URL))


def commit(mirror: Mirror, name: str, text: str) -> None:
    with commit_folder(mirror.root / name, checksums=True, keeper=mirror) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text(text)


def test_folders_of_two_machines(address: str, tmp_path: Path) -> None:
    """One commit is taken; the other machine gets it; what is committed anew replaces its copy."""
    ours, theirs = mirrors(tmp_path)
    commit(ours, "objects/x", "first")
    with pytest.raises(FileExistsError):
        commit(theirs, "objects/x", "second")
    assert not (theirs.root / "objects/x").exists()
    assert theirs.bring("objects/x", sound=True) and not damage(theirs.root / "objects/x")
    assert (theirs.root / "objects/x/deep/file").read_text() == "first"
    assert len(theirs.bucket.listed("files/")) == 1, "the loser takes its files away"
    ours.drop("objects/x")
    theirs.refresh()
    assert not (theirs.root / "objects/x").exists() and not theirs.bring("objects/x")
    commit(theirs, "objects/x", "anew")
    assert ours.bring("objects/x") and (ours.root / "objects/x/deep/file").read_text() == "anew"


def test_a_copy_that_is_damaged_comes_again_and_an_original_is_dropped(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = mirrors(tmp_path)
    commit(ours, "objects/x", "text")
    assert theirs.bring("objects/x")
    (theirs.root / "objects/x/deep/file").write_text("tex_")
    assert theirs.bring("objects/x", sound=True)
    assert (theirs.root / "objects/x/deep/file").read_text() == "text"
    assert "the copy of objects/x here is damaged" in capsys.readouterr().err
    key = next(iter(ours.bucket.listed("files/")))
    ours.bucket._files.pipe_file(ours.bucket._full(key), b"tex_")
    third = Mirror(tmp_path / "c", Bucket(url=URL))
    assert third.fault("objects/x") and not third.bring("objects/x")
    assert "objects/x in s3://" in capsys.readouterr().err
    assert not third.has("objects/x") and not (third.root / "objects/x").exists()


def test_what_was_broken_off_is_swept(address: str, tmp_path: Path) -> None:
    """Files without a manifest are seen by nobody; the sweep leaves what a manifest names."""
    ours, theirs = mirrors(tmp_path)
    commit(ours, "objects/x", "text")
    ours.bucket.send({"files/killed/part": tmp_path / "a" / "objects/x/deep/file"})
    ours.bucket._files.call_s3("create_multipart_upload", Bucket=BUCKET, Key="deep/er/files/k/b")
    assert theirs.committed("") == ["objects/x"]
    assert ours.sweep(3600) == 1, "an upload that moto dates 2010"
    assert "files/killed/part" in ours.bucket.listed("files/")
    time.sleep(1.1)  # the store's clock counts seconds
    assert ours.sweep(0) == 1
    assert len(ours.bucket.listed("files/")) == 1 and theirs.bring("objects/x", sound=True)


def test_of_a_damaged_manifest_nothing_is_swept(address: str, tmp_path: Path) -> None:
    """Its files are not known, and a data set is not made again."""
    ours, theirs = mirrors(tmp_path)
    commit(ours, "objects/x", "text")
    commit(ours, "objects/y", "text")
    ours.bucket._files.pipe_file(ours.bucket._full("commits/objects/x"), b"{}")
    files = ours.bucket.listed("files/")
    time.sleep(1.1)
    with pytest.raises(BadInput, match="commits/objects/x cannot be read"):
        ours.sweep(0)
    assert ours.bucket.listed("files/").keys() == files.keys() and len(files) == 2
    assert not theirs.bring("objects/x"), "who needs it drops it, and makes it again"
    time.sleep(1.1)
    assert ours.sweep(0) == 1 and len(ours.bucket.listed("files/")) == 1


def test_uploads_are_given_up_on_every_page(proxy: Proxy) -> None:
    """A list of uploads has pages of a thousand; the server here knows none, so the proxy cuts them
    to two."""
    bucket, asked = Bucket(url=URL), list[str]()
    for number in range(5):
        key = f"deep/er/files/k/{number}"
        bucket._files.call_s3("create_multipart_upload", Bucket=BUCKET, Key=key)

    def pages(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        if method != "GET" or "uploads" not in path:
            return None
        asked.append(path)
        with urllib.request.urlopen(f"{proxy.target}/{BUCKET}?uploads") as whole:
            return Answer(status=200, body=s3_server.page_of_uploads(whole.read(), path, 2))

    proxy.judge = pages
    assert bucket.abort_uploads(3600) == 5, "moto dates them 2010"
    assert len(asked) == 3 and bucket.abort_uploads(0) == 0


def test_a_lease_is_taken_over_when_it_is_old(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, told = Bucket(url=URL), list[str]()
    with leased(bucket, "key", "the training", told.append):
        assert is_leased(bucket, "key") and not is_leased(bucket, "other")
    assert not is_leased(bucket, "key") and not told
    bucket.put("leases/key", "process 1 on a machine that is gone")
    monkeypatch.setattr(lease, "STALE_SECONDS", 2.0)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.3)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.2)
    with leased(bucket, "key", "the training", told.append):
        assert len(told) == 1 and "process 1 on a machine that is gone" in told[0]
        time.sleep(2.5)
        assert is_leased(bucket, "key"), "it was renewed"
    assert not is_leased(bucket, "key")


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server.machine(s3_server.environment("http://127.0.0.1:9", tmp_path)):
        bucket = Bucket(url=URL)
        monkeypatch.setattr(type(bucket._files), "retries", 1)
        with pytest.raises(Away, match="cannot open s3://"):
            bucket.check(writing=False)
