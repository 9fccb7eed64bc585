"""A workspace in a bucket: the folder here is a copy of it, and what counts is there.

    commits/NAME      the manifest of a folder: its files with sizes and SHA-256, and their place
    files/OWNER/...   the files of a commit, under a number of its own
    notes/NAME        a small file
    leases/KEY        who trains a key just now (`lease.py`)

A folder is committed by its manifest: the files travel first, under a number that nobody knows,
then one conditional write of the manifest takes the name. Whatever ends a writer before that leaves
files that nobody sees; `sweep` removes them. A folder or note appears here after it is there, so
all that is here is a copy (checkpoints between two uploads, logs and caches aside).

The folder says whose copy it is in `.bucket/root`, so that every process that opens it knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmark.errors import BadInput
from benchmark.files.atomic import (
    CHECKSUMS,
    commit_folder,
    damage,
    move_aside,
    read_json,
    sha256_file,
)
from benchmark.files.bucket import SCHEME, Bucket
from benchmark.files.notes import Notes, say
from benchmark.files.roots import OWN, shown
from benchmark.files.values import json_of

COMMITS, FILES = "commits", "files"
UNDER_WAY = ".partial/"
DATASET = "dataset.json"  # holds the checksums of a data set, which has no other file of them
CACHED = ("objects/", "results/")  # commits that are made again where they are gone
Manifest = dict[str, Any]


def mirror_of(root: Path) -> Mirror | None:
    """Return the bucket of which a folder is the copy, with its notes brought here the first time
    that a process asks; None for a workspace of this disk alone. Raises `BadInput` where the bucket
    cannot be used."""
    url = shown(root)
    if not url.startswith(SCHEME):
        return None
    return _mirror(root.absolute(), url, os.getpid())


def is_here(root: Path, name: str, file: str) -> bool:
    """Return whether a workspace has a folder with a file in it; one of a bucket is brought here,
    with the notes that belong to it."""
    if mirror := mirror_of(root):
        mirror.bring(name)
        mirror.refresh(f"{name}/")
    return (root / name / file).is_file()


def names_in(root: Path, under: str, file: str) -> list[str]:
    """Return the names of the folders of `under` that have a file, sorted; none is brought."""
    if mirror := mirror_of(root):
        return [Path(name).name for name in mirror.committed(f"{under}/")]
    return sorted(path.parent.name for path in (root / under).glob(f"*/{file}"))


@cache
def _mirror(root: Path, url: str, process: int) -> Mirror:
    mirror = Mirror(root, Bucket(url=url))
    mirror.bucket.check(writing=False)
    mirror.refresh()
    return mirror


class Mirror(Notes):
    """The bucket behind the folder `root`. Names are paths below it, with slashes. All raise `Away`
    where the storage does not answer; standard error is told, in a line each, of what is damaged
    there."""

    def keep_folder(self, final: Path, folder: Path) -> None:
        """Commit a folder that is whole under the name of `final`. Raises `FileExistsError` where
        there is one: another writer was faster."""
        name, owner = self._name(final), uuid4().hex
        files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != CHECKSUMS
        }
        manifest = {
            "files": {
                file: [path.stat().st_size, sha256_file(path)] for file, path in files.items()
            },
            "place": owner,
        }
        sent = {f"{FILES}/{owner}/{file}": path for file, path in files.items()}
        self.bucket.send(sent)
        try:
            tag = self.bucket.put(f"{COMMITS}/{name}", json.dumps(manifest), new=True)
        except FileExistsError:
            self.bucket.delete(sent)
            raise
        self._remember(f"{COMMITS}/{name}", tag)

    def has(self, name: str) -> bool:
        """Return whether something is committed under a name; nothing is read of it."""
        return self.bucket.state(f"{COMMITS}/{name}") is not None

    def bring(self, name: str, *, sound: bool = False) -> bool:
        """Make the folder here what is committed under a name; return whether it is there now, and,
        `sound`, as it was written.

        One that is here and is not committed, or is damaged, is moved to `aside`: the bucket
        decides. One that is damaged there is dropped, with a line, and counts as missing.
        """
        final, manifest = self.root / name, self._whole_manifest(name)
        if final.exists():
            if manifest and _is_copy(final, manifest):
                fault = damage(final) if sound else ""
                if not fault:
                    return True
                say(f"the copy of {name} here is damaged ({fault}): it is brought again")
            with suppress(FileNotFoundError):
                move_aside(final, final.parent / "aside", final.name)
        # its tag first: what is committed in between is then told from what was brought
        state = self.bucket.state(f"{COMMITS}/{name}") if manifest else None
        manifest = self._whole_manifest(name) if state else None
        if state is None or manifest is None:
            return False
        try:
            fault = self._fetch(manifest, final) and self._fetch(manifest, final)  # once more
        except FileExistsError:  # another process brought it meanwhile
            return True
        if fault:
            self._drop_damaged(name, fault, manifest["place"])
            return False
        self._remember(f"{COMMITS}/{name}", state[0].tag)
        return True

    def _whole_manifest(self, name: str) -> Manifest | None:
        try:
            return self._manifest(name)
        except ValueError as error:
            self._drop_damaged(name, str(error))
            return None

    def _drop_damaged(self, name: str, fault: str, place: str = "") -> None:
        say(f"{name} in {self.bucket.url} is damaged ({fault}): it is made again")
        self.drop(name, place)

    def _fetch(self, manifest: Manifest, final: Path) -> str:
        """Bring the files of a manifest here; return "" or what is wrong with one. Raises
        `FileExistsError` where the folder is here."""
        try:
            with commit_folder(final, checksums=DATASET not in manifest["files"]) as folder:
                files = {file: folder / file for file in manifest["files"]}
                for path in files.values():
                    path.parent.mkdir(parents=True, exist_ok=True)
                place = manifest["place"]
                self.bucket.fetch({f"{FILES}/{place}/{f}": path for f, path in files.items()})
                for file, sha256 in _sums(manifest).items():
                    if sha256_file(files[file]) != sha256:
                        raise ValueError(f"{file} does not match its checksum")
        except FileNotFoundError as error:
            return f"a file is missing ({error})"
        except ValueError as error:
            return str(error)
        return ""

    def member(self, name: str, file: str) -> bytes | None:
        """Return one file of a committed folder; None where it is not there or is damaged."""
        manifest = self._manifest(name)
        if manifest is None or file not in manifest["files"]:
            return None
        place = self.root / OWN / f"{uuid4().hex}.part"
        try:
            self.bucket.fetch({f"{FILES}/{manifest['place']}/{file}": place})
            content = place.read_bytes()
        except FileNotFoundError:
            return None
        finally:
            place.unlink(missing_ok=True)
        sha256 = hashlib.sha256(content).hexdigest()
        return content if sha256 == manifest["files"][file][1] else None

    def fault(self, name: str) -> str:
        """Return what is wrong with a committed folder, in words, or "": all its files are read."""
        try:
            manifest = self._manifest(name)
        except ValueError as error:
            return str(error)
        if manifest is None:
            return "it is gone"
        scratch = self.root / OWN / f"check-{uuid4().hex}"
        try:
            return self._fetch(manifest, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def drop(self, name: str, place: str = "") -> None:
        """Take a name back, with its files; with a `place`, where it still has that one. One that
        is not there is no error."""
        try:
            manifest = self._manifest(name)
        except ValueError:
            manifest = None
        if place and (manifest or {}).get("place") != place:
            return
        self.bucket.delete([f"{COMMITS}/{name}"])
        self._remember(f"{COMMITS}/{name}", "")
        if manifest:
            folder = f"{FILES}/{manifest['place']}/"
            self.bucket.delete([folder + file for file in manifest["files"]])

    def committed(self, under: str) -> list[str]:
        """Return the names of the committed folders that begin with `under`, sorted."""
        start = f"{COMMITS}/"
        return sorted(key.removeprefix(start) for key in self.bucket.listed(start + under))

    def refresh(self, *under: str) -> None:
        """Bring the notes here that other machines wrote or removed (those that begin with
        `under`); without one, drop the copies too of what was committed anew or taken back."""
        super().refresh(*under)
        if not under:
            with self.writing():
                self._drop_old()

    def _drop_old(self) -> None:
        """Drop the copies of folders whose commit is another now; they come back when needed."""
        for start in CACHED:
            there = self.bucket.listed(f"{COMMITS}/{start}")
            for key in self._all_remembered(f"{COMMITS}/{start}"):
                if UNDER_WAY in key:  # a checkpoint goes with its training
                    continue
                tag = self._remembered(key)
                if (key not in there or there[key].tag != tag) and not self._is_now(key, tag):
                    folder = self.root / key.removeprefix(f"{COMMITS}/")
                    with suppress(FileNotFoundError):
                        move_aside(folder, folder.parent / "aside", folder.name)
                    self._remember(key, "")

    def sweep(self, seconds: float) -> int:
        """Remove what writers left that were killed before their commit, and uploads that nobody
        ends, `seconds` old by the clock of the store; return how many keys and uploads went. Raises
        `BadInput` where a manifest is damaged: whose files it names is not known, so all stay."""
        # listed before the manifests are: what is committed meanwhile stays
        old = self.bucket.older(f"{FILES}/", seconds)
        used, damaged = set(), []
        found = self.bucket.get_all(self.bucket.listed(f"{COMMITS}/"), damaged=True)
        for key, text in found.items():
            if text:
                used.add(json_of(text.text)["place"])
            elif self.bucket.state(key):  # else it was taken back meanwhile
                damaged.append(key)
        if damaged:
            raise BadInput(
                f"nothing is swept in {self.bucket.url}: {', '.join(sorted(damaged))} cannot be "
                "read, and which files belong to it is not known; run its row again, or add its "
                "data set again, then give the same command"
            )
        orphans = [key for key in old if key.split("/")[1] not in used]
        self.bucket.delete([*orphans, *self.bucket.older("probe/", seconds)])
        return len(orphans) + self.bucket.abort_uploads(seconds)

    def _manifest(self, name: str) -> Manifest | None:
        key = f"{COMMITS}/{name}"
        found = self.bucket.get(key)
        return json_of(found.text) if found else None


def _is_copy(folder: Path, manifest: Manifest) -> bool:
    """Whether a folder here is the one of a manifest, by the checksums that it keeps itself."""
    try:
        if DATASET in manifest["files"]:
            return sha256_file(folder / DATASET) == _sums(manifest)[DATASET]
        return bool(read_json(folder / CHECKSUMS) == _sums(manifest))
    except (OSError, ValueError):
        return False


def _sums(manifest: Manifest) -> dict[str, str]:
    return {file: sha256 for file, (_, sha256) in manifest["files"].items()}
