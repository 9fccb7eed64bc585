"""A Ray cluster of three nodes makes the rows of this machine, and shows its token to nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench_process import Ran, finish, tiny_workspace, tree
from killed_process import same_result, undisturbed_run
from ray_nodes import Nodes
from suite_process import progress, suite_argv

pytestmark = pytest.mark.long


def argv(root: Path, *more: str) -> list[str]:
    """A suite of one training and one of two, in two folds."""
    return suite_argv(root, "unet,fsm", "--json", *more)


def on(nodes: Nodes, root: Path, *more: str) -> list[str]:
    return argv(root, "--executor", "ray", "--address", nodes.address, "--workers", "9", *more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The same suite by the processes of this machine."""
    root = tiny_workspace(tmp_path_factory.mktemp("local"))
    return undisturbed_run(root, argv(root))


def test_rows_are_those_of_this_machine_and_the_token_is_nowhere(
    tmp_path: Path, three_nodes: Nodes, undisturbed: tuple[Path, Ran]
) -> None:
    root = tiny_workspace(tmp_path)
    ran = finish(three_nodes.spawn(*on(three_nodes, root)), 120)
    same_result(root, ran, undisturbed)
    assert "with 3 workers" in ran.err and "[6/6]" in ran.err
    token = three_nodes.token
    places = {**tree(root), **tree(three_nodes.folder)}
    assert {name for name, content in places.items() if token.encode() in content} == {"token"}
    assert token not in ran.out + ran.err
    assert not list((root / "logs").glob("ray-*")), "the sign that nodes see the folder is gone"


def test_a_client_without_the_token_is_refused(three_nodes: Nodes) -> None:
    code = f"import ray; ray.init(address={three_nodes.address!r}); print('joined')"
    other = {"RAY_AUTH_MODE": "disabled"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90,
        env={**three_nodes.environment, **other},
    )  # fmt: skip
    assert ran.returncode != 0 and "joined" not in ran.stdout
    assert "ConnectionError" in ran.stderr, ran.stderr


def test_with_another_token_it_is_one_line(tmp_path: Path, three_nodes: Nodes) -> None:
    other = tmp_path / "token"
    other.write_text("0" * 64)
    root = tiny_workspace(tmp_path / "w")
    command = [sys.executable, "-m", "benchmark.cli.main", *on(three_nodes, root)]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=90,
        env={**three_nodes.environment, "RAY_AUTH_TOKEN_PATH": str(other)},
    )  # fmt: skip
    assert ran.returncode == 2 and "Traceback" not in ran.stderr, ran.stderr
    assert ran.stderr.splitlines()[-1].startswith(
        f"bench: the Ray cluster at {three_nodes.address}"
    )
    assert "0" * 64 not in ran.stderr


LACKING = {
    "--num-gpus 0.25": "has 0.25 GPU (the most is 0): give less with --num-gpus",
    "--num-cpus 4": "has 4 CPU (the most is 1): give less with --num-cpus",
    "--device cuda": "has 1 GPU (the most is 0)",
}
ALL = """
import sys
from benchmark.cli.main import main
for argv in {argvs!r}:
    print("exit code", main(argv), file=sys.stderr)
"""


def test_what_no_node_has_is_said_and_not_waited_for(tmp_path: Path, three_nodes: Nodes) -> None:
    root = tiny_workspace(tmp_path)
    code = ALL.format(argvs=[on(three_nodes, root, *more.split()) for more in LACKING])
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90,
        env=three_nodes.environment,
    )  # fmt: skip
    lines = ran.stderr.splitlines()
    assert lines[1::2] == ["exit code 2"] * len(LACKING), ran.stderr
    for line, words in zip(lines[::2], LACKING.values(), strict=True):
        assert words in line
    assert progress(root) == (0, 0)


def test_a_node_that_does_not_see_the_workspace_is_named(
    tmp_path: Path, three_nodes: Nodes
) -> None:
    """The last test of the file: the fourth node has another, empty folder there."""
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path} && exec "$@"', "sh"]
    tried = subprocess.run([*hide, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no namespace of mounts here: {tried.stderr.strip()}")
    node = three_nodes.add(before=hide)
    root = tiny_workspace(tmp_path)
    ran = finish(three_nodes.spawn(*on(three_nodes, root)), 120)
    line = ran.err.splitlines()[-1]
    assert ran.code == 2 and line.startswith(f"bench: node {node.address}: the workspace"), ran.err
    assert "a folder that all nodes share" in line and "127.0.0.7" not in line
    assert progress(root) == (0, 0)
