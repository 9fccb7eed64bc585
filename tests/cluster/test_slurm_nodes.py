"""A real SLURM with two nodes: an array of workers makes the rows of this machine, saves ahead of
its time and goes on, and loses nothing with a worker."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench_process import REPOSITORY, SMALL, Ran, bench, finish, run_argv, spawn, tiny_workspace
from killed_process import same_result, undisturbed_run
from slurm_nodes import Slurm, cluster, missing
from suite_process import progress, rows
from sweep_process import objects, sweep_argv, workspace

pytestmark = pytest.mark.long
SECONDS = 240
STEPS = 120  # of each training
VALUES = {"schedule__epochs": 1, "schedule__steps_per_epoch": STEPS}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Slurm]:
    """Two nodes with one CPU each."""
    if why := missing():
        pytest.skip(why)
    with cluster() as found:
        yield found


@pytest.fixture(autouse=True)
def idle(nodes: Slurm) -> Iterator[None]:
    """No test leaves a job to the next one."""
    yield
    nodes.cancel_all()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The trainings of the tests below in this process."""
    root = tiny_workspace(tmp_path_factory.mktemp("here"))
    return undisturbed_run(root, argv(root, "--workers", "1"))


def argv(root: Path, *more: str) -> list[str]:
    """Two trainings of seconds each."""
    return run_argv(root, "unet", "--folds", "0,1", "--json", *more, **VALUES)


def start(nodes: Slurm, root: Path, *more: str) -> subprocess.Popen[str]:
    on = ["--executor", "slurm", "--workers", "2", "--checkpoint-seconds", "0"]
    return nodes.spawn(*argv(root, *on, *more))


def within(happens: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + SECONDS
    while not happens():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)


def saved(root: Path) -> int:
    """How many trainings have saved and are not done."""
    return len({path.parent for path in (root / "objects").glob("*.partial/[0-9]*")})


def logs(root: Path) -> str:
    return "".join(path.read_text() for path in sorted((root / "logs").glob("slurm-*/*.log")))


def page() -> list[list[str]]:
    """The commands of docs/cluster.md for SLURM, as words."""
    text = (REPOSITORY / "docs" / "cluster.md").read_text()
    part = text.partition("\n## SLURM\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", part, re.S)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def test_two_nodes_make_the_rows_of_this_machine_by_the_commands_of_the_page(
    tmp_path: Path, nodes: Slurm
) -> None:
    """Partition and GPU are ours: there is none. Two of the four workers find no node free."""
    root, here = (tiny_workspace(tmp_path / name) for name in ("slurm", "here"))
    values = "\n".join(f'"{name}" = {value}' for name, value in SMALL.items() if value is not None)
    (nodes.folder / "study.toml").write_text(
        'datasets = "tiny"\nfolds = [0, 1]\nseeds = [0]\n[suites.mine]\nrows = "unet"\n'
        f"[suites.mine.set]\n{values}\n"
    )
    suite, detached, status = (
        [str(root) if word == "/shared/workspace" else word for word in words] for words in page()
    )
    place = suite.index("gpu")
    suite[place : place + 3] = ["p"]
    ran = finish(nodes.spawn(*suite, "--json"), SECONDS)
    local = finish(nodes.spawn("suite", "--config", "study.toml", "--root", str(here)), SECONDS)
    assert (ran.code, local.code) == (0, 0), ran.err + logs(root)
    assert rows(root) == rows(here) != {} and ran.json["table"]
    assert "2 cells, 2 of them done; 0 trainings to do" in ran.err
    marks = [path.read_text()[:12] for path in (root / "logs").glob("slurm-*/worker-*.json")]
    assert {'{"node": "n1', '{"node": "n2'} == {*marks} and len(marks) == 2
    again = finish(nodes.spawn(*detached), SECONDS)  # nothing is left: no job
    assert again.code == 0 and not nodes.jobs("pending,running")
    assert "2 of 2 cells done" in finish(nodes.spawn(*status), SECONDS).out


def test_ahead_of_its_time_a_worker_saves_and_is_started_again_and_a_lost_one_costs_nothing(
    tmp_path: Path, nodes: Slurm, undisturbed: tuple[Path, Ran]
) -> None:
    root = tiny_workspace(tmp_path)
    process = start(nodes, root)
    within(lambda: saved(root) == 2, process)
    (_, _, lost), (worker, _, _) = sorted(nodes.jobs("running"))
    nodes.call("scancel", "--signal=USR1", "--batch", worker)
    os.kill(nodes.processes()[lost], signal.SIGKILL)
    ran = finish(process, SECONDS)
    assert ran.code == 0, ran.err + logs(root)
    assert logs(root).count("DUE TO JOB REQUEUE") == 1 and "resumed from step" in logs(root)
    assert f"worker 0 on {lost} was lost: the others go on with its work" in ran.err
    same_result(root, ran, undisturbed)


def test_ctrl_c_cancels_and_saves(
    tmp_path: Path, nodes: Slurm, undisturbed: tuple[Path, Ran]
) -> None:
    root = tiny_workspace(tmp_path)
    process = start(nodes, root, "--checkpoint-seconds", "1000")
    within(lambda: len(list((root / "objects").glob("*.partial/epochs.jsonl"))) == 2, process)
    process.send_signal(signal.SIGINT)
    ran = finish(process, SECONDS)
    assert ran.code == 130 and "is cancelled; 0 of 2 cells" in ran.err.splitlines()[-1], ran.err
    assert progress(root)[1] > 0 and logs(root).count("stopped after step") == 2, logs(root)
    assert not nodes.jobs("pending,running,completing") and "REQUEUE" not in logs(root)
    last = bench(*argv(root, "--workers", "1"))
    assert last.json["resumed"], last.err
    same_result(root, last, undisturbed)


def test_a_sweep_that_was_left_to_the_cluster(tmp_path: Path, nodes: Slurm) -> None:
    root, here = (workspace(tmp_path / name) for name in ("slurm", "here"))
    more = ["--trials", "2", "--repeats", "0", "--json", "--sampler-seed", "1"]
    ran = finish(nodes.spawn(*sweep_argv(root, "xi", *more, "--executor", "slurm", "--detach")), 90)
    assert ran.code == 0 and ran.out.startswith("submitted: job "), ran.err
    local = finish(spawn(*sweep_argv(here, "xi", *more)), SECONDS)
    within(lambda: not nodes.jobs("pending,running,completing"))
    assert objects(root) == objects(here) != set(), logs(root)
    shown = bench("sweep", "show", "xi", "--root", str(root), "--json")
    assert [t["value"] for t in shown.json["studies"][0]["trials"]] == [
        t["value"] for t in local.json["studies"][0]["trials"]
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [("--partition nowhere", "invalid partition"), ("--time soon", "time"),
     ("--num-gpus 1", "configuration"), ("--sbatch nothing=1", "unrecognized option")],
)  # fmt: skip
def test_what_slurm_refuses_is_one_line(
    tmp_path: Path, nodes: Slurm, more: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", nodes.environment["SLURM_CONF"])
    root = tiny_workspace(tmp_path)
    ran = bench(*argv(root, "--executor", "slurm", *more.split()))
    line = ran.err.splitlines()[-1]
    assert ran.code == 2 and line.startswith("bench: SLURM refuses the job: "), ran.err
    assert words.lower() in line.lower() and not nodes.jobs("pending,running")


def test_a_job_that_nothing_fits_says_why_it_waits(tmp_path: Path, nodes: Slurm) -> None:
    """SLURM takes such a job, and would have it wait for ever; it is cancelled from outside."""
    root = tiny_workspace(tmp_path)
    process = start(nodes, root, "--num-cpus", "64")
    within(lambda: nodes.jobs("pending"), process)
    time.sleep(2)
    nodes.cancel_all()
    ran = finish(process, SECONDS)
    assert ran.code == 130 and "ended with work left" in ran.err.splitlines()[-1], ran.err
    assert "2 waiting (PartitionConfig)" in ran.err and "could not begin" not in ran.err


def test_a_node_that_does_not_see_the_workspace_is_named(tmp_path: Path, nodes: Slurm) -> None:
    """The last test of the file: both nodes have another, empty folder there from now on."""
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path} && exec "$@"', "sh"]
    tried = subprocess.run([*hide, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no namespace of mounts here: {tried.stderr.strip()}")
    for name in ("n1", "n2"):
        nodes.end(name)
        nodes.start_node(name, before=hide)
    nodes.wait_idle()
    root = tiny_workspace(tmp_path)
    ran = finish(start(nodes, root), SECONDS)
    line = ran.err.splitlines()[-1]
    assert ran.code == 2 and re.search(r"worker \d on node n\d could not begin", line), ran.err
    assert f"does it see the workspace {root}" in line and progress(root) == (0, 0)
