"""Trainings that are not done: their checkpoints and the curves so far.

    objects/KEY.partial/STEP/...      the two newest checkpoints
    objects/KEY.partial/epochs.jsonl  the curves, a line an epoch

Where the workspace is a bucket's, the newest checkpoint is there too, as often as costs a twentieth
of the time: another machine goes on from it.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark.errors import BadInput
from benchmark.files.atomic import commit_folder, damage, read_json, write_json
from benchmark.files.mirror import Mirror
from benchmark.files.notes import Pace
from benchmark.files.values import json_of, read_as
from benchmark.training.meter import Epoch
from benchmark.training.trainer import State

KEPT_CHECKPOINTS = 2
EPOCHS = "epochs.jsonl"


class Checkpoints(ABC):
    """The unfinished trainings under `folder`; `warn` is told which checkpoint is not used."""

    def __init__(
        self, folder: Path, warn: Callable[[str], None], mirror: Mirror | None = None
    ) -> None:
        self.folder = folder
        self._warn = warn
        self._mirror = mirror
        self._sent = Pace()

    @abstractmethod
    def has(self, key: str) -> bool:
        """Return whether the training is done and stored."""

    def save_checkpoint(
        self, key: str, state: State, about: Mapping[str, Any], *, last: bool = False
    ) -> None:
        """Write a checkpoint whole and keep the one before it. `about`: parents, hardware, code,
        seconds. Raises `OSError` for a full disk; those of before stay. Where another process
        trains the same, one of the two writes a step; where it is through, nothing is written. The
        `last` one before a stop is sent to a bucket in any case."""
        partial = self.folder / f"{key}.partial"
        final = partial / f"{state.step:09d}"
        shutil.rmtree(final, ignore_errors=True)
        try:
            with commit_folder(final, checksums=True) as folder:
                save_file(plain(state.tensors), folder / "state.safetensors")
                epochs = [asdict(epoch) for epoch in state.epochs]
                write_json(folder / "state.json", {**about, "step": state.step, "epochs": epochs})
        except FileExistsError:
            pass
        except (OSError, SafetensorError):
            if not self.has(key):  # else its folder was dropped under our hands
                raise
        for old in sorted(checkpoints_in(partial))[:-KEPT_CHECKPOINTS]:
            shutil.rmtree(old, ignore_errors=True)
        if self._mirror and (last or self._sent.due()):
            with suppress(OSError, BadInput), self._sent:
                self._send_checkpoint(final, self._mirror)

    def _send_checkpoint(self, folder: Path, mirror: Mirror) -> None:
        """Send a checkpoint to the bucket, and drop those before it there. It may fail: then the
        one of before serves whoever goes on."""
        before = mirror.committed(f"objects/{folder.parent.name}/")
        mirror.keep_folder(folder, folder)
        for name in before:
            mirror.drop(name)

    def _bring_checkpoint(self, key: str, mirror: Mirror) -> None:
        """Bring the newest checkpoint here that another machine has sent."""
        there = mirror.committed(f"objects/{key}.partial/")
        here = self.checkpoint_step(key)
        if there and (here is None or int(Path(there[-1]).name) > here):
            mirror.bring(there[-1])

    def checkpoint(self, key: str) -> tuple[State, dict[str, Any]] | None:
        """Return the newest whole checkpoint with what was said about it, or None. A damaged one is
        removed with a warning, and the one before is taken."""
        if self._mirror:
            self._bring_checkpoint(key, self._mirror)
        for folder in sorted(checkpoints_in(self.folder / f"{key}.partial"), reverse=True):
            fault = damage(folder)
            if not fault:
                about = read_json(folder / "state.json")
                epochs = tuple(read_as(Epoch, epoch) for epoch in about.pop("epochs"))
                tensors = load_file(folder / "state.safetensors")
                return State(step=about["step"], tensors=tensors, epochs=epochs), about
            self._warn(f"checkpoint {folder.name} of {key} is damaged ({fault}): not using it")
            shutil.rmtree(folder, ignore_errors=True)  # else it would be kept as the newest
        return None

    def checkpoint_step(self, key: str) -> int | None:
        """Return the step of the newest checkpoint of a training that is not done, or None."""
        steps = [int(path.name) for path in checkpoints_in(self.folder / f"{key}.partial")]
        return max(steps, default=None)

    def begin_epochs(self, key: str, title: str, epochs: Iterable[Epoch]) -> None:
        """Start the curves of a training that begins, or goes on after these `epochs`: those that
        it did after its checkpoint it will do again."""
        self.epochs_file(key).parent.mkdir(parents=True, exist_ok=True)
        self.epochs_file(key).write_text("".join(_line(title, one) for one in epochs), "utf-8")

    def add_epoch(self, key: str, title: str, epoch: Epoch) -> None:
        """Append an epoch to the curves that `begin_epochs` started; none where another process was
        through with the training and dropped them."""
        with (
            suppress(FileNotFoundError),
            self.epochs_file(key).open("a", encoding="utf-8") as file,
        ):
            file.write(_line(title, epoch))

    def epochs_file(self, key: str) -> Path:
        """Return where the curves of a training lie until it is stored. It is there as soon as the
        training has begun."""
        return self.folder / f"{key}.partial" / EPOCHS

    def epochs(self, key: str) -> list[dict[str, Any]]:
        """Return the epochs of a training that is not done, as its record will hold them, each with
        its `title`; none where there is no such training. A line that is not whole ends them."""
        found: list[dict[str, Any]] = []
        with suppress(OSError, ValueError):
            for line in self.epochs_file(key).read_text(encoding="utf-8").splitlines(keepends=True):
                if line.endswith("\n"):
                    found.append(json_of(line))
        return found

    def drop_checkpoints(self, key: str) -> None:
        """Remove the checkpoints of a key."""
        if self._mirror:
            for name in self._mirror.committed(f"objects/{key}.partial/"):
                self._mirror.drop(name)
        shutil.rmtree(self.folder / f"{key}.partial", ignore_errors=True)


def checkpoints_in(partial: Path) -> list[Path]:
    """Return the folders of checkpoints in that of a training, in no order."""
    return [path for path in partial.glob("*") if path.name.isdigit()]


def _line(title: str, epoch: Epoch) -> str:
    return json.dumps({"title": title, **as_recorded(epoch)}, allow_nan=False) + "\n"


def as_recorded(epoch: Epoch) -> dict[str, Any]:
    """Return an epoch as records hold it: index, terms, time, and pulls where it has some."""
    pulls = {"pulls": dict(epoch.pulls)} if epoch.pulls else {}
    return {"index": epoch.index, "terms": dict(epoch.terms), "at_ms": epoch.at_ms, **pulls}


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies on the host: the file format knows neither strides nor devices."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
