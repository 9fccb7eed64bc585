"""Runs `bench` in forked children that are killed, or whose disk is full, at a chosen operation.

As a program it reads jobs from standard input, a JSON line each: {"argv", "after", "how", "where",
"err"}; it answers each with {"code", "count"}. `how` is "kill", "full" (once), "stays full" or "";
`where` a pattern of the paths that count. One warm process serves all; `Server` starts it.
"""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]

COUNTED = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")


class Faults:
    """Counts the disk operations on the paths that `where` matches and breaks one off."""

    def __init__(self, after: int, how: str, where: str = "") -> None:
        self.after, self.how, self.where, self.count = after, how, where, 0

    def step(self, *names: Any) -> None:
        if self.where and not any(re.search(self.where, path_of(name)) for name in names):
            return
        self.count += 1
        if self.how == "kill" and self.count == self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "full" and self.count == self.after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.how == "stays full" and self.count >= self.after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def install(self) -> None:
        for name in COUNTED:
            frees = name in ("unlink", "rmdir") and "full" in self.how  # that needs no space
            setattr(os, name, self.counted(getattr(os, name), not frees))
        for module in (builtins, io):
            module.open = self.opened(module.open)  # type: ignore[attr-defined]

    def counted(self, call: Callable[..., Any], counts: bool) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            if counts:
                self.step(*args)
            return call(*args, **named)

        return step

    def opened(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
            if set(mode) & set("wxa") and not isinstance(file, int):
                self.step(file)
            return call(file, mode, *args, **named)

        return step


def path_of(name: Any) -> str:
    """The path of a file that is named by its path or its number."""
    if isinstance(name, int):
        try:
            return os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - while `os` counts
        except OSError:
            return ""
    return str(name)


class Server:
    """One warm process that runs `bench` in forked children."""

    def __init__(self, folder: Path) -> None:
        self.err = folder / "stderr"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def run(
        self, argv: list[str], after: int = 0, how: str = "", where: str = ""
    ) -> tuple[int, int, str]:
        """Return exit code, operations counted, and what was said."""
        assert self.process.stdin is not None and self.process.stdout is not None
        job = {"argv": argv, "after": after, "how": how, "where": where, "err": str(self.err)}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        return told["code"], told["count"], self.err.read_text()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def child(job: dict[str, Any], count: int) -> None:
    """Run a job in this process, which then ends."""
    from benchmark.cli.main import main

    err = os.open(job["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(err, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    faults = Faults(job["after"], job["how"], job["where"])
    faults.install()
    try:
        code = main(job["argv"])
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    os.write(count, str(faults.count).encode())
    sys.stderr.flush()
    os._exit(code)


def run(job: dict[str, Any]) -> dict[str, int]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(job, write)
    os.close(write)
    told = os.read(read, 100)
    os.close(read)
    status = os.waitpid(pid, 0)[1]
    return {"code": os.waitstatus_to_exitcode(status), "count": int(told or 0)}


def serve() -> None:
    import torch

    torch.set_num_threads(1)
    import benchmark.reporting.report
    import benchmark.running.executors.worker  # noqa: F401 - loaded once for all children

    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    serve()
