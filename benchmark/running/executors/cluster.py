"""A Ray cluster: join it with a token, see what its nodes have, and leave it.

Ray listens on all interfaces of a machine and runs what it is sent: without a token, anybody's.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BadInput, one_line
from benchmark.files.locks import cores
from benchmark.files.roots import shown
from benchmark.running.executors.remote import Ear, Kept, Sign, look, unseen
from benchmark.running.stop import SIGNALS

STORE_BYTES = 100_000_000  # of objects: what travels are tasks and their ends
MOST_RESTARTS = 10  # of a command that was left to the cluster, when its node is lost
LOOK_SECONDS = 60.0  # for a node to start a worker
TOKEN, TOKEN_FILE, MODE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"
FOLDER = "bench-ray-"  # and the process that made it
USUAL = Path("~/.ray/auth_token")
ENVIRONMENT = {
    MODE: "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_oom_retries": "0",  # else a task that needs too much memory is repeated for ever
    "RAY_worker_niceness": "0",  # of our own instance: as our own processes
}
INSTALL = "--executor ray needs the package ray on every node: pip install 'beyond-loss[ray]'"
NO_TOKEN = (
    "no token of the Ray cluster: copy the file that its head was started with to this machine and "
    f"name it in {TOKEN_FILE} (docs/cluster.md)"
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which cluster ("": an instance of our own on this machine), what each task needs of a node
    (`num_gpus` None: a GPU where a node has one), and the most tasks at a time (None: all that
    fit)."""

    address: str = ""
    device: str = "auto"
    num_gpus: float | None = None
    num_cpus: float = 1.0
    most: int | None = None


@dataclass(kw_only=True)
class Joined:
    """A cluster that this process has joined."""

    ray: Any
    wanted: Wanted
    num_gpus: float
    sign: Sign | None
    _folder: Path | None
    _before: dict[str, str | None]
    _ear: Any = field(default=None)

    def slots(self) -> int:
        """Return how many tasks fit on the nodes that live, at most as many as are wanted."""
        found = sum(_fits(node["Resources"], self.needs) for node in _living(self.ray))
        return min(found, self.wanted.most) if self.wanted.most else found

    @property
    def needs(self) -> dict[str, float]:
        """What a task needs of a node, by Ray's names of resources."""
        return {"CPU": self.wanted.num_cpus, "GPU": self.num_gpus}

    @property
    def ear(self) -> Any:
        """The ear, on this node."""
        if self._ear is None:
            here = self.ray.get_runtime_context().get_node_id()
            kind = self.ray.remote(num_cpus=0, max_restarts=-1)(Ear)
            self._ear = kind.options(scheduling_strategy=_on(here, soft=True)).remote()
        return self._ear

    def keep(self, argv: list[str], root: Path) -> tuple[Path, str]:
        """Start a `bench` command in the cluster that outlives this process, and its own node;
        return its log in the workspace, and its process. Raises `BadInput` where none answers."""
        name = f"bench-{uuid.uuid4().hex[:8]}"
        log = root / "logs" / f"{name}.log"
        kind = self.ray.remote(num_cpus=0, max_restarts=MOST_RESTARTS)(Kept)
        about = {"name": name, "namespace": "bench", "lifetime": "detached"}
        kept = kind.options(**about).remote(argv, str(Path.cwd()), str(log))
        try:
            return log, self.ray.get(kept.where.remote(), timeout=LOOK_SECONDS)
        except self.ray.exceptions.RayError as error:
            raise BadInput(f"nobody in the cluster takes the command: {one_line(error)}") from None

    def leave(self) -> None:
        """Leave the cluster, or end our own; take back what was written and set."""
        if self.ray:
            self.ray.shutdown()
        if self.sign:
            with suppress(OSError):
                self.sign.path.unlink()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def join(wanted: Wanted, root: Path) -> Joined:
    """Join the cluster, or start our own. Raises `BadInput` where Ray, the cluster, its token or
    what a task needs is not there, and where a node does not see the workspace `root`."""
    before = {name: os.environ.get(name) for name in (*ENVIRONMENT, TOKEN_FILE)}
    joined = Joined(ray=None, wanted=wanted, num_gpus=0.0, sign=None, _folder=None, _before=before)
    os.environ.update(ENVIRONMENT)
    try:
        joined.ray = package()
        joined._folder = None if wanted.address else _own_folder()
        _init(joined.ray, wanted.address, joined._folder)
        joined.num_gpus = _gpus(joined.ray, wanted)
        _check_fits(joined)
        if wanted.address and shown(root) == str(root):  # of a bucket each node has its own copy
            joined.sign = Sign(
                path=root / "logs" / f"ray-{uuid.uuid4().hex}", text=uuid.uuid4().hex
            )
            joined.sign.write()
            _check_seen(joined, root)
    except BaseException:
        joined.leave()
        raise
    return joined


def package() -> Any:
    """Return Ray; raises `BadInput` where it is not installed."""
    try:
        import ray
    except ModuleNotFoundError:
        raise BadInput(INSTALL) from None
    return ray


def _own_folder() -> Path:
    """A folder of our instance, with its token where the user has none; nobody else may read it.
    Those of commands that were killed go."""
    import psutil  # comes with the extra, as Ray does

    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        owner = left.name.removeprefix(FOLDER).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
    if not _token_there():
        token = folder / "token"
        handle = os.open(token, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(handle, secrets.token_hex(32).encode())
        os.close(handle)
        os.environ[TOKEN_FILE] = str(token)
    return folder


def _token_there() -> bool:
    named = os.environ.get(TOKEN_FILE)
    return bool(os.environ.get(TOKEN)) or Path(named or USUAL).expanduser().is_file()


def _init(ray: Any, address: str, folder: Path | None) -> None:
    """Connect; a driver keeps its own handlers of signals."""
    if address and not _token_there():
        raise BadInput(NO_TOKEN)
    own: dict[str, Any] = {
        "address": "local",
        "num_cpus": cores(),
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_temp_dir": str(folder),
    }
    given = {"address": address} if address else own
    with suppress(AttributeError):  # without `log_to_driver` too, a lost node prints its whole log
        ray._private.worker.listen_error_messages = lambda worker, stopped: None
    with _own_handlers():
        try:
            ray.init(**given, log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = f"the Ray cluster at {address}" if address else "an instance of Ray"
            raise BadInput(f"{where} cannot be used: {one_line(error)}") from None


@contextmanager
def _own_handlers() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _living(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _fits(there: dict[str, float], needs: dict[str, float]) -> int:
    """How many tasks fit on a node with these resources."""
    fits = [int(there.get(name, 0.0) / need + 1e-6) for name, need in needs.items() if need]
    return min(fits)


def _most(ray: Any, name: str) -> float:
    """The most of a resource that one node has."""
    return max((float(node["Resources"].get(name, 0)) for node in _living(ray)), default=0.0)


def _gpus(ray: Any, wanted: Wanted) -> float:
    """The share of a GPU that a task gets."""
    if wanted.device == "cpu":
        return 0.0
    if wanted.num_gpus is not None:
        return wanted.num_gpus
    return float(wanted.device == "cuda" or _most(ray, "GPU") >= 1)


def _check_fits(joined: Joined) -> None:
    """Ray waits for ever for what no node has."""
    if any(_fits(node["Resources"], joined.needs) for node in _living(joined.ray)):
        return
    for name, need in joined.needs.items():
        most = _most(joined.ray, name)
        if need > most:
            raise BadInput(
                f"no node of the Ray cluster has {need:g} {name} (the most is {most:g}): give less "
                f"with --num-{name.lower()}s, or start a node that has it"
            )
    raise BadInput("no node of the Ray cluster has both the CPUs and the GPUs that a task needs")


def _on(node: str, *, soft: bool = False) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=soft)


def _check_seen(joined: Joined, root: Path) -> None:
    """Every node that may run a task sees the workspace."""
    ray = joined.ray
    nodes = [n["NodeID"] for n in _living(ray) if _fits(n["Resources"], joined.needs)]
    ask = ray.remote(num_cpus=0, max_retries=0)(look)
    asked = [ask.options(scheduling_strategy=_on(n)).remote(joined.sign) for n in nodes]
    try:
        found = ray.get(asked, timeout=LOOK_SECONDS)
    except ray.exceptions.RayError as error:
        raise BadInput(f"a node of the Ray cluster cannot run bench: {one_line(error)}") from None
    if blind := sorted(name for seen, name in found if not seen):
        raise BadInput(f"{', '.join(blind)}: {unseen(root)}")
