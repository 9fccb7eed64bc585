"""Trained networks by content key: one folder a key, committed by one rename under a lock.

    objects/KEY/NET.safetensors, record.json, checksums.json
    objects/KEY.partial/              a training that is not done (`checkpoints.py`)
    objects/aside/KEY-N/              what was found damaged, or was replaced by --fresh

Where the workspace is a bucket's, the folder here is a copy: `whole` asks the bucket, all else
brings here what is not here yet (`Objects.path`).

Nothing is ever unpickled.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark.files.atomic import (
    checked,
    commit_folder,
    damage,
    move_aside,
    read_json,
    write_json,
)
from benchmark.files.lease import is_leased, leased
from benchmark.files.locks import is_held, lock, shown_lock
from benchmark.files.values import json_of
from benchmark.store.checkpoints import Checkpoints, checkpoints_in, plain

KEY = re.compile(r"[0-9a-f]{20}")  # `glob` also finds what a living writer prepares


class Objects(Checkpoints):
    """The store of trained networks under `folder`; `warn` is told what was set aside."""

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the lock of a key: a second worker, of this machine or another, says for whom it
        waits, then finds the result."""
        what = f"training {key}"
        with ExitStack() as held:
            held.enter_context(shown_lock(self.folder / f"{key}.lock", what, self._warn))
            if self._mirror and not self._mirror.has(f"objects/{key}"):
                held.enter_context(leased(self._mirror.bucket, key, what, self._warn))
            yield

    def lock_at_once(self, key: str) -> AbstractContextManager[object]:
        """Return the lock of a key for who does not wait: entering it raises `Timeout` where
        another holds it."""
        return lock(self.folder / f"{key}.lock", seconds=0)

    def is_training(self, key: str) -> bool:
        """Return whether a living process, of this machine or another, trains this key."""
        if is_held(self.folder / f"{key}.lock"):
            return True
        return self._mirror is not None and is_leased(self._mirror.bucket, key)

    def path(self, key: str) -> Path:
        """Return the folder of an object, whether it is there or not; of a bucket's workspace it is
        brought here first."""
        if self._mirror and not (self.folder / key).exists():
            self._mirror.bring(f"objects/{key}")
        return self.folder / key

    def about(self, key: str) -> bytes | None:
        """Return the bytes of an object's record, as it was written; None where there is none.
        Networks are brought from no bucket for that."""
        if self._mirror and not (self.folder / key).exists():
            return self._mirror.member(f"objects/{key}", "record.json")
        return checked(self.folder / key, "record.json")

    def has(self, key: str) -> bool:
        """Return whether the object is there and its record is as it was written."""
        if self._mirror and not (self.folder / key).exists():
            return self._mirror.has(f"objects/{key}")
        return self.about(key) is not None

    def whole(self, key: str) -> bool:
        """Return whether the object is there and matches its checksums; a damaged one is set
        aside, with a warning."""
        if self._mirror:
            return self._mirror.bring(f"objects/{key}", sound=True)
        if not (self.folder / key).exists():
            return False
        fault = damage(self.folder / key)
        if fault:
            with suppress(FileNotFoundError):  # another process set it aside just now
                place = self.set_aside(key)
                self._warn(f"object {key} is damaged ({fault}): set aside as {place.name}")
        return not fault

    def set_aside(self, key: str) -> Path:
        """Move an object out of the way; return where it lies now. Raises `OSError` where it is not
        there, or cannot be moved."""
        folder = self.path(key)
        if self._mirror:
            self._mirror.drop(f"objects/{key}")
        return move_aside(folder, self.folder / "aside", key)

    def stored(self) -> list[str]:
        """Return the keys of all objects, damaged ones too, sorted."""
        if self._mirror:
            names = (Path(name).name for name in self._mirror.committed("objects/"))
        else:
            names = (path.name for path in self.folder.glob("*"))
        return sorted(name for name in names if KEY.fullmatch(name))

    def record(self, key: str) -> dict[str, Any]:
        """Return the record of an object: spec, history, seconds, versions, code. Raises `OSError`
        or `ValueError` where it cannot be read."""
        if (content := self.about(key)) is not None:
            return dict(json_of(content))
        return dict(read_json(self.folder / key / "record.json"))

    def weights(self, key: str, net: str) -> dict[str, Tensor]:
        """Return the weights of one network of an object by parameter name, on the CPU, in the
        format in which they were trained. Raises `OSError` or `SafetensorError` for a file that is
        none."""
        return dict(load_file(self.path(key) / f"{net}.safetensors"))

    def weight_files(self, key: str) -> list[Path]:
        """Return the weight files of an object."""
        return sorted(self.path(key).glob("*.safetensors"))

    def commit(
        self, key: str, nets: Mapping[str, Mapping[str, Tensor]], record: Mapping[str, Any]
    ) -> None:
        """Write an object whole (`nets`: states by network), then drop its checkpoints. Where
        another process was faster (a lock is lost with its machine), its object is the one that
        counts, and `warn` is told. Raises `OSError` for a full disk."""
        try:
            self._commit(key, nets, record)
        except FileExistsError:
            if self.whole(key):
                self._warn(f"{key} was trained twice at the same time: what was stored first stays")
            else:  # and it was damaged
                self._commit(key, nets, record)
        self.drop_checkpoints(key)

    def _commit(
        self, key: str, nets: Mapping[str, Mapping[str, Tensor]], record: Mapping[str, Any]
    ) -> None:
        with commit_folder(self.folder / key, checksums=True, keeper=self._mirror) as folder:
            for name, state in nets.items():
                save_file(plain(state), folder / f"{name}.safetensors")
            write_json(folder / "record.json", dict(record))

    def parents(self) -> dict[str, tuple[str, ...]]:
        """Return what each training started from, by key; also of those that are not done."""
        found = {key: self.record(key)["parents"] for key in self.stored() if self.has(key)}
        for partial in self.folder.glob("*.partial"):
            for folder in checkpoints_in(partial):
                with suppress(OSError, ValueError):
                    about = read_json(folder / "state.json")
                    found.setdefault(partial.stem, about.get("parents", ()))
        return {key: tuple(above) for key, above in found.items()}

    def remove(self, key: str) -> bool:
        """Remove an object and its checkpoints, unless somebody trains it just now; return whether
        it was removed."""
        if self.is_training(key):
            return False
        try:
            with lock(self.folder / f"{key}.lock", seconds=0):
                if self._mirror:
                    self._mirror.drop(f"objects/{key}")
                shutil.rmtree(self.folder / key, ignore_errors=True)
                self.drop_checkpoints(key)
                return True
        except Timeout:
            return False

    def unused(self, used: set[str]) -> list[str]:
        """Return the keys, also of unfinished trainings, that are not in `used` and that no
        living process trains."""
        partial = {path.name.removesuffix(".partial") for path in self.folder.glob("*.partial")}
        if self._mirror:
            there = (Path(name).parts[1] for name in self._mirror.committed("objects/"))
            partial |= {n.removesuffix(".partial") for n in there if n.endswith(".partial")}
        keys = sorted({*self.stored(), *partial} - used)
        return [key for key in keys if not self.is_training(key)]

    def clear_aside(self) -> None:
        """Remove all that was set aside, for good. What cannot be removed stays."""
        shutil.rmtree(self.folder / "aside", ignore_errors=True)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield (key, "" or what is wrong) for every object; changes nothing."""
        for key in self.stored():
            fault = self._mirror.fault(f"objects/{key}") if self._mirror else ""
            if not self._mirror or (self.folder / key).exists():
                fault = fault or damage(self.folder / key) or self._unreadable(key)
            yield key, fault

    def _unreadable(self, key: str) -> str:
        for path in sorted((self.folder / key).glob("*.safetensors")):
            try:
                with safe_open(path, framework="pt") as file:
                    file.keys()
            except (SafetensorError, OSError) as error:
                return f"{path.name}: {error}"
        return ""
