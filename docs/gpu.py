"""Measure what only a GPU can tell: one script, at most eight minutes, one JSON file.

make gpu                                       # or: python3 docs/gpu.py
python3 docs/gpu.py --rehearse                 # all of it on a CPU, tiny, under a minute
python3 docs/gpu.py --page docs/speed-gpu.json # write its tables in docs/speed.md

It makes no environment: any Python with torch, numpy, scipy and filelock will do. Each part is a
process of its own with a time of its own, so that one that crashes, hangs or fills the memory takes
no other along; the file is written after each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/speed.md"
HEAD = "## On a GPU\n"
NOTHING = "No GPU figure exists yet: `make gpu` has not been run on a machine with one.\n"
PACKAGES = ("torch", "triton", "numpy", "scipy", "pytest")
LIMIT_S = 470.0  # of all parts together
LEAST_S = 15.0  # a part is not begun with less


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of `docs/gpu_parts.py`: the seconds that it may take, and whether a CPU has nothing
    to run in it."""

    seconds: float
    cuda: bool = False


# what matters most comes first: a run that is cut off keeps it
PARTS = {
    "step": Part(seconds=120),
    "sync": Part(seconds=50, cuda=True),
    "resume": Part(seconds=70),
    "stages": Part(seconds=70),
    "checks": Part(seconds=70, cuda=True),
    "graph": Part(seconds=60, cuda=True),
    "forms": Part(seconds=80),
    "packing": Part(seconds=130),
    "compile": Part(seconds=120, cuda=True),
}


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("speed-gpu.json"))
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, tiny")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write its tables in docs/speed.md"
    )
    args = parser.parse_args()
    if args.page:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), args.page), encoding="utf-8")
        return
    chosen = args.only.split(",")
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}: choose among {', '.join(PARTS)}")
    conduct(args.out, chosen, rehearse=args.rehearse)


def conduct(out: Path, chosen: Sequence[str], *, rehearse: bool) -> None:
    """Run the parts one after the other; write the file after each."""
    began = time.monotonic()
    if rehearse:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    found: dict[str, Any] = {"format": 1, "rehearsal": rehearse, "machine": machine(), "parts": {}}
    cuda = found["machine"]["device"] != "cpu"
    if not cuda and not rehearse:
        sys.exit("no CUDA device is seen here: --rehearse tries it all on the CPU")
    for name in chosen:
        left = LIMIT_S - (time.monotonic() - began)
        if PARTS[name].cuda and not cuda:
            found["parts"][name] = _of(0.0, {}, "needs CUDA")
        elif left < LEAST_S:
            found["parts"][name] = _of(0.0, {}, "no time was left")
        else:
            found["parts"][name] = run(
                name, min(round(left), PARTS[name].seconds), rehearse=rehearse
            )
        done = found["parts"][name]
        print(f"{name:8s} {done['seconds']:6.1f} s  {done['error'] or 'done'}", flush=True)
        found["seconds"] = round(time.monotonic() - began, 1)
        _write(out, found)
    print(f"{out}: {found['seconds']} s")


def run(name: str, seconds: float, *, rehearse: bool) -> dict[str, Any]:
    """Run one part in a process of its own; return its seconds, figures and error ("" for none)."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        notes, said = Path(folder) / "notes.json", Path(folder) / "said.txt"
        command = [sys.executable, str(ROOT / "docs/gpu_parts.py"), "--part", name,
                   "--out", str(notes), *(["--rehearse"] if rehearse else [])]  # fmt: skip
        with said.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=_environment(),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            error = _ended(process, seconds)
        lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if error and lines:
            error = f"{error}: {lines[-1][:300]}".replace(f"{ROOT}/", "")
        figures = _read(notes)
    return _of(time.monotonic() - began, figures, error)


def _environment() -> dict[str, str]:
    """This repository goes first: nothing has to be installed."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _ended(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Wait for a process; "" where it ended well. One over its time ends with its children."""
    try:
        code = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return f"over its {seconds:g} seconds"
    return f"exit code {code}" if code else ""


def _of(seconds: float, figures: Mapping[str, Any], error: str) -> dict[str, Any]:
    return {"seconds": round(seconds, 1), "error": error, "figures": dict(figures)}


def _read(path: Path) -> dict[str, Any]:
    """What a part noted; a part that was killed in mid-writing has lost it."""
    try:
        noted: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted


def _write(path: Path, found: Mapping[str, Any]) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def machine() -> dict[str, Any]:
    """Return versions and the device, "cpu" where there is no CUDA."""
    import torch

    facts: dict[str, Any] = {"python": platform.python_version(), "cpus": os.cpu_count()}
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    facts["commit"] = _line("git", "-C", str(ROOT), "rev-parse", "HEAD")
    facts["device"] = "cpu"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        facts["device"] = device.name
        facts["memory_gib"] = round(device.total_memory / 2**30, 1)
        facts["processors"] = device.multi_processor_count
        facts["capability"] = f"{device.major}.{device.minor}"
        facts["cuda"] = torch.version.cuda
        facts["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        facts["driver"] = _line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return facts


def _line(*command: str) -> str:
    """What a program prints, "" where it is not there or fails."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def page(text: str, path: Path) -> str:
    """Return the page with the tables of a file under its heading, or with a line where there is no
    such file."""
    before = text.partition(HEAD)[0]
    if not path.exists():
        return f"{before}{HEAD}\n{NOTHING}"
    found = json.loads(path.read_text(encoding="utf-8"))
    return f"{before}{HEAD}\n" + "\n".join(_section(found)) + "\n"


def _section(found: Mapping[str, Any]) -> Iterator[str]:
    facts = found["machine"]
    yield (
        f"{facts['device']}, torch {facts['torch']}, Python {facts['python']}; written by "
        f"`make gpu` in {found['seconds']:.0f} s. Steps are medians of blocks taken in turn."
    )
    if found["rehearsal"]:
        yield "**A rehearsal on a CPU with tiny networks: these figures mean nothing.**"
    for name, part in found["parts"].items():
        yield f"\n### {TITLES[name]}\n"
        if part["error"]:
            yield f"Not complete: {part['error']}.\n"
        if part["figures"]:
            yield from _tables(part["figures"])


TITLES = {
    "step": "The paper's network (width 64, five levels, no norm, 512 pixels): `fit`, the bare "
    "step, and the floor by the matrix rate",
    "sync": "Does the host wait for the device within an epoch?",
    "resume": "Is a resumed training the same bit for bit?",
    "stages": "FSM's trainings beside the plain one",
    "checks": "`pytest -m gpu`",
    "graph": "The bare step as a CUDA graph",
    "forms": "The bare step in other layouts, precisions and kernels",
    "packing": "Trainings of a small preset at once on one device",
    "compile": "The bare step through torch.compile",
}


def _tables(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One table for all entries with the same columns."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, values in figures.items():
        groups.setdefault(tuple(values), []).append(name)
    for columns, names in groups.items():
        yield _row(["", *(column.replace("_", " ") for column in columns)])
        yield _row(["---"] * (len(columns) + 1))
        for name in names:
            yield _row([name, *(_shown(figures[name][column]) for column in columns)])
        yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    return "none" if value is None else str(value).replace("|", "/")


if __name__ == "__main__":
    main()
