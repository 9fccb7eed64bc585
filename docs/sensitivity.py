"""Measure how small a true gain the suite finds: docs/sensitivity.md, .json and .png.

python docs/sensitivity.py --root ROOT   # score the trained networks, draw studies, write the page
python docs/sensitivity.py               # draw studies of the stored scores: minutes
python docs/sensitivity.py --only page   # write the page anew from docs/sensitivity.json
python docs/sensitivity.py --root ROOT --only scores   # a second process that shares the scoring

Networks come first (the page prints the whole commands):

bench suite --name sensitivity --rows unet --datasets phantom-60 --preset study \
    --seeds 0,1,2,3,4,5 --root ROOT

The luck of folds is that of differences of --luck-rows, with the values of --rows-set and the seeds
of --luck-seeds. What the scoring gives is kept in ROOT/sensitivity, a file a network, and the mean
DSC of every patient and dose in docs/sensitivity.npz.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sensitivity_figures import Size, figures, luck_of, stored_luck
from sensitivity_page import page, picture, sentence
from sensitivity_scores import gathered, measure, networks_of, open_study

from benchmark.cli.out import note, put
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file, read_json, write_json
from benchmark.files.source import reached
from benchmark.scoring.comparison import compare
from benchmark.scoring.statistics.components import components
from benchmark.scoring.statistics.corrections import patients_needed, smallest_detectable
from benchmark.scoring.verdict import judge
from benchmark.settings.overrides import parse

DOCS = Path(__file__).parent
NAME, STORED = "sensitivity", "stored"


def main(typed: Sequence[str] | None = None) -> int:
    """Do what is asked; return the exit code."""
    asked = _parser().parse_args(typed)
    try:
        if asked.root is not None and asked.only != "page":
            score(asked)
        if asked.only is None:
            draw(asked)
        if asked.only != "scores":
            write(asked.to)
    except BadInput as error:
        note(f"error: {error}")
        return 2
    return 0


def score(asked: argparse.Namespace) -> None:
    """Score all networks; keep the mean DSC over organs by row, fold, seed, patient and dose."""
    study = open_study(asked.root, asked.dataset, asked.preset, asked.unseen)
    seeds, luck_seeds = range(asked.seeds), _numbers(asked.luck_seeds)
    own = list(networks_of(study, asked.row, seeds, parse(asked.set)))
    rows = [] if asked.luck_rows == "none" else asked.luck_rows.split(",")
    luck = {
        row: list(networks_of(study, row, luck_seeds, parse(asked.rows_set)))
        for row in rows
        if row != STORED
    }
    measure(study, [*own, *(network for each in luck.values() for network in each)])
    if asked.only == "scores":
        return
    unseen_FSnD, own_FSnD = gathered(study, own)
    arrays = {"unseen": unseen_FSnD, "own": own_FSnD}
    arrays |= {f"luck {row}": gathered(study, each)[0][..., 0] for row, each in luck.items()}
    made = {"row": asked.row, "dataset": asked.dataset, "preset": asked.preset, "set": asked.set,
            "seeds": len(seeds), "luck_rows": rows, "luck_seeds": luck_seeds if rows else [],
            "rows_set": asked.rows_set, "unseen": asked.unseen}  # fmt: skip
    small: dict[str, Any] = {name: each.astype(np.float32) for name, each in arrays.items()}
    with commit_file(asked.to / f"{NAME}.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, made_of=np.array(json.dumps(made)), **small)


def draw(asked: argparse.Namespace) -> None:
    """Draw studies of the stored scores and keep what they add up to."""
    path = asked.to / f"{NAME}.npz"
    if not path.exists():
        raise BadInput(f"there is no {path}: give --root, the workspace of the trained networks")
    with np.load(path, allow_pickle=False) as stored:
        made = json.loads(str(stored["made_of"]))
        arrays = {n: stored[n].astype(np.float64) for n in stored.files if n != "made_of"}
    rows = [row for row in made["luck_rows"] if row != STORED]
    luck = luck_of({row: arrays[f"luck {row}"] for row in rows})
    if made["luck_rows"] == [STORED]:
        luck = stored_luck(DOCS / "fold-luck.json")
    size = Size.of(asked.studies, asked.resamples)
    found = figures(arrays["unseen"], arrays["own"], luck, size)
    with commit_file(asked.to / f"{NAME}.json") as temporary:
        write_json(temporary, found | {"made_of": made, "source": source()})


def write(to: Path) -> None:
    """Write page and picture from the stored figures; print README's sentence."""
    path = to / f"{NAME}.json"
    if not path.exists():
        raise BadInput(f"there is no {path}: run it without --only first")
    found = read_json(path)
    (to / f"{NAME}.md").write_text(page(found), encoding="utf-8")
    picture(found, to / f"{NAME}.png")
    put(sentence(found))


def source() -> str:
    """Return the hash of the code that made the figures."""
    roots = [compare, judge, components, patients_needed, smallest_detectable]
    digest = hashlib.sha256(reached(roots).fingerprint.encode())
    for name in ("edit", "studies", "figures"):
        digest.update((DOCS / f"{NAME}_{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, help="the workspace of the trained networks")
    parser.add_argument("--only", choices=("scores", "page"))
    parser.add_argument("--row", default="unet")
    parser.add_argument("--dataset", default="phantom-60")
    parser.add_argument("--preset", default="study")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seeds", type=int, default=6, help="of the row: 0 to this less one")
    parser.add_argument(
        "--luck-rows",
        default="unet,unet-200,fsm",
        help="none: without; stored: as docs/fold-luck.json has it",
    )
    parser.add_argument("--luck-seeds", default="0,1,2")
    parser.add_argument("--rows-set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--unseen", type=int, default=200, help="patients that nobody trained on")
    parser.add_argument("--studies", type=int, default=Size.studies)
    parser.add_argument("--resamples", type=int, default=Size.resamples)
    parser.add_argument("--to", type=Path, default=DOCS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
