"""`bench export splits`: a data set's folds, as another tool reads them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmark.cli.options import add_common, add_split, option
from benchmark.cli.out import put, say
from benchmark.cli.which import split_for
from benchmark.errors import BadInput
from benchmark.plan.wording import counted

FILES = (".json", ".csv")
HELP = "a data set's folds for another tool: bench export splits --for nnunet --dataset mine"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--for", dest="tool", choices=("nnunet", "csv"), default="nnunet",
                        help="splits_final.json of nnU-Net, or a table case,fold")  # fmt: skip
    option(parser, "--dataset", "NAME", "see bench data list", required=True)
    add_split(parser)
    about = "a .json or .csv file, or a folder, which is made (default: splits_final.json or "
    about += "splits.csv in this folder)"
    option(parser, "-o", "FILE", about, type=Path, dest="out")
    add_common(parser, json=False)


def run(args: argparse.Namespace) -> int:
    """Write the file and print its path; returns 0. Raises `BadInput`, also for a file that is
    there with something else in it."""
    from benchmark.data.feeding.splits import for_nnunet
    from benchmark.data.library import open_dataset

    dataset = open_dataset(args.root, args.dataset, say=say)
    split = split_for(args.split, dataset)
    nnunet = args.tool == "nnunet"
    name = "splits_final.json" if nnunet else "splits.csv"
    path = args.out or Path(name)
    if path.is_dir() or path.suffix.lower() not in FILES:
        path = path / name
    if nnunet:
        text = json.dumps(for_nnunet(split.folds), indent=1) + "\n"
    else:
        pairs = [f"{case},{fold.index}" for fold in split.folds for case in fold.test]
        tested = {case for fold in split.folds for case in fold.test}
        trained = {case for fold in split.folds for case in fold.train}
        pairs += [f"{case}," for case in sorted(trained - tested)]
        text = "\n".join(["case,fold", *pairs]) + "\n"
    try:
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
            raise BadInput(f"{path} is there with other folds: give another file with -o")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None
    folds = counted(len(split.folds), "fold")
    put(f"{path}: {folds} of {dataset.name}, split {split.fingerprint[:8]}")
    if nnunet:
        put("put it into nnUNet_preprocessed/DATASET before nnUNetv2_train; then: bench import")
    return 0
