"""`--executor slurm`: what is wrong with it is one line, before a job is submitted."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from bench_process import bench, run_argv, tiny_workspace
from sweep_process import sweep_argv, workspace

from benchmark.cli.array import alone
from benchmark.cli.main import whole_parser


def line(given: list[str]) -> str:
    """The last line of a command that is refused."""
    ran = bench(*given)
    assert ran.code == 2 and ran.out == "" and "Traceback" not in ran.err, ran.err
    return ran.err.splitlines()[-1]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One workspace in which nothing is ever submitted."""
    return tiny_workspace(tmp_path_factory.mktemp("w"))


@pytest.mark.parametrize(
    ("given", "words"),
    [("--num-gpus 2", "--num-gpus"), ("--num-gpus 0.5", "whole ones"),
     ("--num-cpus 0.5", "whole ones"), ("--device cuda:1", "the cluster says which GPU"),
     ("--device cpu --num-gpus 1", "leave one of them out"), ("--fresh", "bench store rm"),
     ("--sbatch array=0-9", "bench itself gives --array"),
     ("--sbatch=--output=x", "bench itself gives --output"), ("--address here:1", "--executor ray"),
     ("--mlflow http://me:secret@server", "a password"),
     ("--executor local --partition p", "--executor slurm"),
     ("--executor local --time 1:00", "--executor slurm"),
     ("--executor local --sbatch account=a", "--executor slurm"),
     ("--executor ray --partition p", "--executor slurm"),
     ("--executor local --num-cpus 1", "--executor ray or --executor slurm")],
)  # fmt: skip
def test_a_wrong_option_is_one_line(root: Path, given: str, words: str) -> None:
    found = line(run_argv(root, "unet", "--folds", "0", "--executor", "slurm", *given.split()))
    assert words in found and "secret" not in found
    assert not list((root / "logs").glob("slurm-*")) and not list((root / "objects").glob("*"))


def test_without_slurm_it_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = line(run_argv(root, "unet", "--folds", "0", "--executor", "slurm"))
    assert "sbatch" in found and "login node" in found


def test_a_bucket_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No machine is asked: the folder of a copy says whose it is."""
    from benchmark.cli.sbatch import check
    from benchmark.errors import BadInput
    from benchmark.files.roots import root_of

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    args = read(run_argv(root_of("s3://laboratory/study"), "unet", "--executor", "slurm"))
    with pytest.raises(BadInput, match="s3://laboratory/study: --executor slurm needs a folder"):
        check(args)


def test_several_workers_do_not_share_a_sqlite_file(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    argv = sweep_argv(root, "xi", "--trials", "2", "--executor", "slurm", "--workers", "2")
    assert "--storage postgresql://" in line(argv)
    secret = ["--storage", "postgresql://me:secret@db/x"]
    found = line([*argv, *secret])
    assert "PGPASSWORD" in found and "secret" not in found


def read(argv: list[str]) -> argparse.Namespace:
    """The options of a command."""
    args = whole_parser().parse_args(argv)
    args.argv = argv
    return args


@pytest.mark.parametrize(
    ("given", "there", "device", "threads"),
    [("", {}, "cpu", 1), ("", {"SLURM_JOB_GPUS": "0"}, "auto", 1),
     ("--num-gpus 1 --num-cpus 4", {}, "auto", 4), ("--num-gpus 0", {"CUDA_VISIBLE_DEVICES": "0"},
     "cpu", 1), ("--device cuda --threads 2 --num-cpus 4", {}, "cuda", 2)],
)  # fmt: skip
def test_a_worker_trains_with_what_slurm_gave_it_and_shows_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, given: str, there: dict[str, str], device: str,
    threads: int,
) -> None:  # fmt: skip
    for name in ("SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    more = ["--executor", "slurm", "--workers", "9", "--detach", "--test-on", "other"]
    args = read(["run", "--method", "unet", "--root", str(root), *more, *given.split()])
    alone(args)
    assert (args.device, args.threads) == (device, threads)
    shown = (args.executor, args.workers, args.mlflow, args.test_on, args.detach, args.of_array)
    assert shown == ("local", 1, "none", None, False, True)
