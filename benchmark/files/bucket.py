"""A bucket of an object storage (S3), as a store needs it.

Four things hold here, whatever the server's client does beside them (docs/decisions/0037):

- What has to be there once is put with `If-None-Match`: of several writers one is taken. An answer
  may be lost, so each text carries its writer's own number and is read back where it is refused.
- Every text carries its SHA-256, and is verified when it is read.
- Nothing is streamed: a stream that breaks off would publish its half.
- Lists and keys are asked for anew each time: the client keeps no cache of them.

Keys and passwords come from the environment alone (`AWS_ACCESS_KEY_ID`, ...; the address of a
server that is not Amazon's: `AWS_ENDPOINT_URL`), and no message repeats them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmark.errors import BadInput, one_line
from benchmark.files.values import json_of

SCHEME = "s3://"
URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[\w./=+-]*))?")
AT_ONCE = 8  # files that travel at the same time
MOST_DELETED = 1000  # in one request
TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class Away(BadInput):
    """The bucket did not answer, or refused, however often it was asked."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text in a bucket, whole: its checksum was compared. `owner`: its writer's own number."""

    text: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """A key in a list: its tag, which is another one after each write, and when it was written, by
    the clock of the store."""

    tag: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """The keys below a prefix of a bucket. All raise `Away` where the storage does not answer."""

    url: str

    @cached_property
    def _place(self) -> tuple[str, str]:
        found = URL.fullmatch(self.url)
        if not found:
            raise BadInput(
                "a workspace in an object storage is s3://BUCKET/PREFIX, of letters, digits and "
                "'.', '_', '-', '/'; keys and passwords come from the environment"
            )
        prefix = (found["prefix"] or "").strip("/")
        return found["bucket"], f"{prefix}/" if prefix else ""

    def check_address(self) -> None:
        """Raise `BadInput` for an address that is none; asks no network."""
        _ = self._place

    @cached_property
    def _files(self) -> Any:
        try:
            from s3fs import S3FileSystem
        except ImportError:
            raise BadInput(f"--root {self.url} needs s3fs: pip install 'beyond-loss[s3]'") from None
        # another's cache would be ours, and would hide what other machines write
        return S3FileSystem(use_listings_cache=False, skip_instance_cache=True)

    def put(self, key: str, text: str, *, new: bool = False, instead: str | None = None) -> str:
        """Write a text under a key and return its tag. `new`: raises `FileExistsError` where there
        is one, `instead`: where it has not this tag any more."""
        owner = uuid4().hex
        body = {"owner": owner, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
        condition = {"IfNoneMatch": "*"} if new else {"IfMatch": instead} if instead else {}
        content = json.dumps(body).encode()
        try:
            answer = self._call("put_object", key, Body=content, **condition)
        except FileExistsError:
            if getattr(self.get(key), "owner", None) != owner:
                raise
            # it was taken, and the answer to that was lost
            return self._call("head_object", key)["ETag"]  # type: ignore[no-any-return]
        return str(answer["ETag"])

    def get(self, key: str) -> Text | None:
        """Return the text under a key, None where there is none. Raises `ValueError` for one that
        does not match its checksum."""
        return self.get_all([key])[key]

    def get_all(self, keys: Iterable[str], *, damaged: bool = False) -> dict[str, Text | None]:
        """Return the texts under keys, None where there is none; and, where `damaged` ones are let
        pass, for those, which else raise `ValueError`."""
        full = {self._full(key): key for key in keys}
        if not full:
            return {}
        whole = [None] * len(full)
        with self._asking("read"):  # `cat` would ask twice for each
            read = self._files.cat_ranges(list(full), whole, whole, on_error="return")
        found: dict[str, Text | None] = {}
        for key, content in zip(full.values(), read, strict=True):
            if isinstance(content, FileNotFoundError):
                found[key] = None
                continue
            if isinstance(content, Exception):
                with self._asking("read"):
                    raise content
            try:
                found[key] = _checked(content)
            except ValueError as error:
                if not damaged:
                    raise ValueError(f"{key} in {self.url}: {error}") from None
                found[key] = None
        return found

    def state(self, key: str) -> tuple[Found, float] | None:
        """Return a key's tag and time, and the seconds since, by the store's own clock; None where
        there is none."""
        try:
            answer = self._call("head_object", key)
        except FileNotFoundError:
            return None
        at = answer["LastModified"]
        return Found(tag=answer["ETag"], at=at), (_now(answer) - at).total_seconds()

    def listed(self, under: str) -> dict[str, Found]:
        """Return the keys that begin with `under`, each without the prefix of the workspace."""
        found: dict[str, Found] = {}
        for answer in self._pages("list_objects_v2", under, ("ContinuationToken",)):
            for one in answer.get("Contents", ()):
                key = one["Key"].removeprefix(self._place[1])
                found[key] = Found(tag=one["ETag"], at=one["LastModified"])
        return found

    def send(self, files: Mapping[str, Path]) -> None:
        """Write files under keys, several at a time. Nobody may know the keys before."""
        self._several(lambda key, path: self._files.put_file(str(path), key), files, "write")

    def fetch(self, files: Mapping[str, Path]) -> None:
        """Read keys into files, several at a time; nothing is verified. Raises `FileNotFoundError`
        for a key that is not there."""
        self._several(lambda key, path: self._files.get_file(key, str(path)), files, "read")

    def delete(self, keys: Iterable[str]) -> None:
        """Remove keys; one that is not there is no error."""
        bucket, prefix = self._place
        wanted = [{"Key": prefix + key} for key in keys]
        for start in range(0, len(wanted), MOST_DELETED):
            some = {"Objects": wanted[start : start + MOST_DELETED], "Quiet": True}
            with self._asking("delete"):
                self._files.call_s3("delete_objects", Bucket=bucket, Delete=some)

    def check(self, *, writing: bool) -> None:
        """Raise `BadInput` where there is no such bucket, and, for `writing`, where the server
        takes a second writer for one that was to be the only one."""
        bucket, prefix = self._place
        try:
            with self._asking("open"):
                self._files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except FileNotFoundError:
            raise BadInput(
                f"there is no bucket {bucket}: make it first, or choose another"
            ) from None
        if not writing:
            return
        key = f"probe/{uuid4().hex}"
        try:
            self.put(key, "first", new=True)
            self.put(key, "second", new=True)
        except FileExistsError:
            return
        finally:
            self.delete([key])
        raise BadInput(
            f"the server of {self.url} ignores If-None-Match: two machines could overwrite each "
            "other; use one that knows conditional writes"
        )

    def older(self, under: str, seconds: float) -> dict[str, Found]:
        """Return the keys that begin with `under` and were written `seconds` ago or earlier, by
        the clock of the store."""
        self.put(key := f"probe/{uuid4().hex}", "now")
        known = self.state(key)
        self.delete([key])
        found = self.listed(under)
        if known is None:  # somebody removed it: then nothing is old
            return {}
        now = known[0].at
        return {k: v for k, v in found.items() if (now - v.at).total_seconds() >= seconds}

    def abort_uploads(self, seconds: float) -> int:
        """Give up uploads in parts that were begun `seconds` ago or earlier; return how many."""
        old: list[tuple[str, str]] = []
        for answer in self._pages("list_multipart_uploads", "", ("KeyMarker", "UploadIdMarker")):
            now = _now(answer)
            for one in answer.get("Uploads", ()):
                if (now - one["Initiated"]).total_seconds() >= seconds:
                    old.append((one["Key"], one["UploadId"]))
        for key, number in old:
            with suppress(FileNotFoundError), self._asking("delete"):  # its writer ended it
                self._files.abort_mpu(self._place[0], key, number)
        return len(old)

    def _pages(self, method: str, under: str, marks: tuple[str, ...]) -> Iterator[Any]:
        """Yield the answers to a list, which holds a thousand at a time; `marks` say where the next
        one begins."""
        bucket, prefix = self._place
        asked = {"Bucket": bucket, "Prefix": prefix + under}
        while True:
            with self._asking("list"):
                answer = self._files.call_s3(method, **asked)
            yield answer
            if not answer.get("IsTruncated"):
                return
            asked |= {mark: answer[f"Next{mark}"] for mark in marks}

    def _full(self, key: str) -> str:
        bucket, prefix = self._place
        return f"{bucket}/{prefix}{key}"

    def _call(self, method: str, key: str, **more: Any) -> Any:
        bucket, prefix = self._place
        with self._asking("write" if "put" in method else "read"):
            return self._files.call_s3(method, Bucket=bucket, Key=prefix + key, **more)

    def _several(
        self, do: Callable[[str, Path], None], files: Mapping[str, Path], what: str
    ) -> None:
        def one(pair: tuple[str, Path]) -> None:
            with self._asking(what):
                do(self._full(pair[0]), pair[1])

        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            list(pool.map(one, files.items()))

    def _asking(self, what: str) -> _Asking:
        return _Asking(self.url, what)


class _Asking:
    """Turns what the client raises into what a caller can act on."""

    def __init__(self, url: str, what: str) -> None:
        self._url, self._what = url, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, BadInput | FileExistsError | FileNotFoundError):
            return
        if not isinstance(error, Exception):  # an interrupt
            return
        answer = getattr(error.__cause__, "response", None) or getattr(error, "response", None)
        code = str((answer or {}).get("Error", {}).get("Code", ""))
        if code in TAKEN:
            raise FileExistsError(self._url) from error
        raise Away(
            f"cannot {self._what} {self._url} ({one_line(error)}): what is stored there stays; see "
            "to it, then give the same command again"
        ) from error


def _now(answer: Any) -> datetime:
    """The time by the clock of the store, which dates its answers."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)


def _checked(content: bytes) -> Text:
    value = json_of(content.decode("utf-8", errors="replace"))
    try:
        text, owner, sha256 = value["text"], value["owner"], value["sha256"]
        if hashlib.sha256(text.encode()).hexdigest() != sha256:
            raise ValueError("it does not match its checksum")
        return Text(text=text, owner=owner)
    except (TypeError, KeyError, AttributeError):
        raise ValueError("it is none of ours") from None
