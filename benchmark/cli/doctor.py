"""`bench doctor`: versions, hardware, speed and everything that might go wrong on this machine."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from benchmark.cli.names import claimed, shadowed
from benchmark.cli.options import add_common
from benchmark.cli.out import put, put_json
from benchmark.errors import PARTS, BadInput

HELP = "versions, hardware, speed, and what might go wrong here"
TRAINING = ("torch", "torchvision", "segmentation-models-pytorch", "mlflow", "optuna")
NUMBERS = ("numpy", "scipy", "nibabel", "pyarrow", "safetensors")
PACKAGES = ("beyond-loss", *TRAINING, *NUMBERS)
LEAST_FREE_GIB = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found; returns 1 where something will not work."""
    facts = {**_versions(), **_parts(), **_hardware(), **_workspace(args.root), **_own_metrics()}
    problems = [
        *shadowed(),
        *claimed(),
        *_registry_problems(),
        *_smp_problem(),
        *_disk_problem(args.root),
    ]
    if args.json:
        put_json({"facts": facts, "problems": problems})
    else:
        for name, value in facts.items():
            put(f"{name:28s} {value}")
        for problem in problems:
            put(f"PROBLEM: {problem}")
        put("no problem found" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _parts() -> dict[str, str]:
    """The extras that are not installed whole, with what they lack."""
    missing: dict[str, list[str]] = {}
    for module, extra in PARTS.items():
        if find_spec(module) is None:
            missing.setdefault(extra, []).append(module)
    told = "; ".join(f"{extra} ({', '.join(names)})" for extra, names in missing.items())
    return {"parts not installed": told or "none"}


def _hardware() -> dict[str, str]:
    import torch

    from benchmark.running.cost import measured_speed
    from benchmark.training.precision import hardware

    chosen = hardware()
    record = chosen.record()
    return {
        "device": f"{record['device']} ({record['name']})",
        "precision": str(record["precision"]),
        "threads": str(torch.get_num_threads()),
        "cpu": str(torch.backends.cpu.get_cpu_capability()),
        "convolutions": f"{measured_speed(chosen.device) / 1e9:.1f} GFLOP/s (fp32, both ways)",
    }


def _workspace(root: Path) -> dict[str, str]:
    free = shutil.disk_usage(_existing(root)).free / 2**30
    return {"workspace": str(root), "disk free": f"{free:.1f} GiB"}


def _own_metrics() -> dict[str, str]:
    from benchmark.settings.metrics import load_metrics

    return {"metrics of your own": ", ".join(load_metrics().metrics) or "none"}


def _registry_problems() -> list[str]:
    from benchmark.settings.metrics import load_metrics
    from benchmark.settings.registry import load_registry

    failed = [f"a package of methods failed: {problem}" for problem in load_registry().problems]
    return [*failed, *(f"a package of metrics failed: {x}" for x in load_metrics().problems)]


def _smp_problem() -> list[str]:
    from benchmark.parts.smp import smp_library

    if find_spec("segmentation_models_pytorch") is None:
        return []  # a part that nobody asked for
    try:
        smp_library()
    except (BadInput, RuntimeError, ImportError) as error:
        return [f"segmentation_models_pytorch cannot be imported: {error}"]
    return []


def _disk_problem(root: Path) -> list[str]:
    place = _existing(root)
    problems = []
    if not os.access(place, os.W_OK):
        problems.append(f"{place} cannot be written: choose another workspace with --root")
    free = shutil.disk_usage(place).free / 2**30
    if free < LEAST_FREE_GIB:
        problems.append(f"only {free:.1f} GiB are free at {place}")
    return problems


def _existing(path: Path) -> Path:
    """The nearest folder on the way up that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())
