"""Small files that machines share through a bucket, each with a copy here; and what tells whether a
copy still is one: the tag that the store gave to what was copied, beside it in `.bucket/tags`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.files.atomic import commit_file
from benchmark.files.bucket import Bucket
from benchmark.files.locks import lock
from benchmark.files.roots import OWN

NOTES = "notes"
PULLED = ("format", "ledger/", "code/")  # notes that every command brings here


class Notes:
    """The notes of a bucket, with copies below `root`. Names are paths below it, with slashes."""

    def __init__(self, root: Path, bucket: Bucket) -> None:
        self.root, self.bucket = root, bucket

    def keep_file(self, final: Path, file: Path, *, new: bool) -> None:
        """Write a small file under the name of `final`; `new`: raises `FileExistsError` where there
        is one."""
        key = f"{NOTES}/{self._name(final)}"
        self._remember(key, self.bucket.put(key, file.read_text(encoding="utf-8"), new=new))

    def forget(self, final: Path) -> None:
        """Remove the note of that name."""
        self.bucket.delete([f"{NOTES}/{self._name(final)}"])

    def note(self, name: str, text: str) -> None:
        """Write a note that is not kept here."""
        self.bucket.put(f"{NOTES}/{name}", text)

    def notes(self, under: str) -> int:
        """Return how many notes begin with `under`."""
        return len(self.bucket.listed(f"{NOTES}/{under}"))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let nobody on this machine bring an older note between a note's way there and here."""
        with lock(self.root / OWN / "notes.lock"):
            yield

    def refresh(self, *under: str) -> None:
        """Bring the notes here that were written, or removed, by other machines (those that begin
        with `under`)."""
        with self.writing():
            for start in under or PULLED:
                self._refresh(f"{NOTES}/{start}")

    def _refresh(self, start: str) -> None:
        there = self.bucket.listed(start)
        changed = [key for key, found in there.items() if self._remembered(key) != found.tag]
        read = self.bucket.get_all(changed, damaged=True)
        for key in changed:
            text = read[key]
            if text is None:
                say(f"{key} in {self.bucket.url} is damaged: it counts as missing")
                continue
            path = self.root / key.removeprefix(f"{NOTES}/")
            with commit_file(path) as temporary:
                temporary.write_text(text.text, encoding="utf-8")
            os.utime(path, (there[key].at.timestamp(),) * 2)  # the newest suite is told by it
            self._remember(key, there[key].tag)
        for key in self._all_remembered(start):
            if key not in there and not self._is_now(key):
                (self.root / key.removeprefix(f"{NOTES}/")).unlink(missing_ok=True)
                self._remember(key, "")

    def _name(self, final: Path) -> str:
        return final.absolute().relative_to(self.root).as_posix()

    def _is_now(self, key: str, tag: str = "") -> bool:
        """Whether a key is there after all, with that tag: a list may be older than a write."""
        state = self.bucket.state(key)
        return state is not None and tag in ("", state[0].tag)

    def _tag_file(self, key: str) -> Path:
        return self.root / OWN / "tags" / f"{key}.tag"

    def _remember(self, key: str, tag: str) -> None:
        """Note the tag of what is here, so that a list tells whether it is still that; "": it is
        not here."""
        path = self._tag_file(key)
        if not tag:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(tag, encoding="utf-8")  # a half one is another tag: then it comes again

    def _remembered(self, key: str) -> str:
        try:
            return self._tag_file(key).read_text(encoding="utf-8")
        except OSError:
            return ""

    def _all_remembered(self, start: str) -> list[str]:
        tags = self.root / OWN / "tags"
        below = tags / start.rpartition("/")[0]
        found = (path.relative_to(tags).as_posix() for path in below.rglob("*.tag"))
        return [key for path in found if (key := path.removesuffix(".tag")).startswith(start)]


class Pace:
    """How often something may be sent that costs time: it takes a twentieth of all, at most."""

    SHARE = 20.0

    def __init__(self) -> None:
        self._next = self._began = 0.0

    def due(self) -> bool:
        """Return whether it may be sent now."""
        return time.monotonic() >= self._next

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        now = time.monotonic()
        self._next = now + self.SHARE * (now - self._began)


def say(text: str) -> None:
    """Tell a person one line, whichever command this is."""
    sys.stderr.write(f"bench: {text}\n")
