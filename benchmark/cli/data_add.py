"""`bench data add`: one subcommand a layout on disk."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.options import add_common, flag, option
from benchmark.cli.out import note, put
from benchmark.errors import BadInput
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.data.library import DataSet
    from benchmark.data.readers.base import Reader
    from benchmark.data.readers.pairs import Id

MOST_FOLDS = 1000
TEST = "-test"  # what the name of the set in imagesTs and labelsTs ends on
Adder = Callable[[argparse.Namespace], int]
FORCE = "cases (CASE,CASE, or all) to add although a check of plausibility fails: you have looked"
RENAME = (
    "call the cases case_000, case_001, ...: file names may be those of patients; which is which "
    "is printed, and kept nowhere"
)
FOLD_COUNT = "folds of the set (default: 5; one a patient where there are fewer)"
ORGAN = (
    "an organ to take, once for each (default: liver, left_kidney, right_kidney); what PNG masks "
    "show; of masks, SEG and RTSTRUCT the one with that name"
)
MAP = (
    "which number in a label map is which organ (ignore=4: of those voxels nobody knows); of "
    "masks, SEG and RTSTRUCT which name: liver=Leber"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each layout."""
    kinds = parser.add_subparsers(required=True, metavar="ircadb|multi-organ|folder|pair")
    ircadb = _kind(kinds, "ircadb", "3D-IRCADb-01 as it is downloaded", _ircadb)
    option(ircadb, "path", "PATH", "folder or zip of the patients", type=Path)
    flag(ircadb, "--split-kidneys", "part a mask of both kidneys in the body's middle")
    multi = _kind(kinds, "multi-organ", "the Multi-Organ labels with their images", _multi_organ)
    option(multi, "path", "LABELS", "the folder with label archives", type=Path)
    about = "the images of a source; once for each"
    option(multi, "--images", "tcia=PATH|btcv=PATH", about, action="append", required=True)
    about = "nnU-Net's raw layout, or a folder a case: DICOM slices with PNG, NIfTI or DICOM labels"
    folder = _kind(kinds, "folder", about, _folder)
    option(folder, "path", "PATH", type=Path)
    about = "an image (NIfTI, .mha, .nrrd, DICOM folder) and its labels, or two folders of them"
    pair = _kind(kinds, "pair", about, _pair)
    option(pair, "path", "IMAGE", type=Path)
    option(pair, "label", "LABEL", type=Path)
    for parser in (folder, pair):
        option(parser, "--map", "liver=5,left_kidney=3,...", MAP)


def fold_number(text: str) -> int:
    """Return a number of folds; argparse turns the error into a line."""
    if not (text.isdecimal() and 2 <= int(text) <= MOST_FOLDS):
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 2 to {MOST_FOLDS}")
    return int(text)


def _kind(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str, add: Adder
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=about, description=about)
    parser.set_defaults(action=add, kind=name)
    option(parser, "--name", "NAME", "of the data set")
    flag(parser, "--skip-bad", "leave bad cases out")
    option(parser, "--folds", "N", FOLD_COUNT, type=fold_number, default=0)
    option(parser, "--force", "CASE", FORCE, action="append", default=[])
    if name in ("folder", "pair"):
        flag(parser, "--rename", RENAME)
    option(parser, "--organ", "ORGAN", ORGAN, action="append", default=[])
    add_common(parser, json=False)
    return parser


def _folder(args: argparse.Namespace) -> int:
    from benchmark.data.readers.nnunet import APART, NnUNetRaw, default_name, has_labels_apart
    from benchmark.data.readers.pairs import Beside, is_case
    from benchmark.data.readers.stacks import Stacks, is_stack

    name = args.name or default_name(args.path)
    folders = args.path.is_dir() and not (args.path / "dataset.json").exists()
    if folders and is_stack(args.path):
        if len(args.organ) != 1:
            raise BadInput("say which organ the PNG masks show: --organ liver")
        return _add(args, name, lambda: Stacks(args.path, _organs(args)[0]))
    if folders and is_case(args.path):
        ids = _ids(args)
        return _add(args, name, lambda: Beside(args.path, ids))
    if args.map:
        raise BadInput("--map is for labels beside an image; dataset.json has the numbers here")
    organs = _organs(args) if args.organ else ()
    code = _add(args, name, lambda: NnUNetRaw(args.path, organs=organs))
    if has_labels_apart(args.path):  # a set of its own: no fold of the other trains on it
        test, args.folds, there = f"{name}{TEST}", 0, {"all"}
        if args.force:
            there.update(NnUNetRaw(args.path, APART).cases)
        args.force = [case for case in args.force if case in there]
        _add(args, test, lambda: NnUNetRaw(args.path, APART, organs), apart=True)
        put(f"{test} is kept apart as a test: bench run --dataset {name} --test-on {test}")
    return code


def _pair(args: argparse.Namespace) -> int:
    from benchmark.data.readers.pairs import Pairs, case_name

    ids = _ids(args)
    name = args.name or case_name(args.path).lower().replace(".", "_")
    return _add(args, name, lambda: Pairs(args.path, args.label, ids))


def _ids(args: argparse.Namespace) -> Mapping[str, Id]:
    """What --map says, else the organs by their own names."""
    from benchmark.data.readers.pairs import parse_map

    if args.map and args.organ:
        raise BadInput("--organ and --map both name the organs: give --map alone")
    return parse_map(args.map) if args.map else {organ: organ for organ in _organs(args)}


def _ircadb(args: argparse.Namespace) -> int:
    from benchmark.data.readers.ircadb import Ircadb

    organs = _organs(args)
    name = args.name or "ircadb"
    return _add(args, name, lambda: Ircadb(args.path, organs, split_kidneys=args.split_kidneys))


def _multi_organ(args: argparse.Namespace) -> int:
    from benchmark.data.readers.multi_organ import MultiOrgan, parse_images

    organs, images = _organs(args), parse_images(args.images)
    return _add(args, args.name or "multi-organ", lambda: MultiOrgan(args.path, images, organs))


def _organs(args: argparse.Namespace) -> tuple[str, ...]:
    from benchmark.data.readers.base import TARGETS
    from benchmark.data.readers.names import organ_name

    return tuple(dict.fromkeys(organ_name(organ) for organ in args.organ)) or TARGETS


def _add(
    args: argparse.Namespace, name: str, reader: Callable[[], Reader], *, apart: bool = False
) -> int:
    from benchmark.data import library
    from benchmark.data.judging.checks import check_name
    from benchmark.files.locks import cores
    from benchmark.plan.folds import FEWEST

    check_name(name)  # before a long read
    source = _neutral(args, reader)
    added = library.add(
        args.root,
        name,
        source,
        skip_bad=args.skip_bad,
        force=_forced(args.force, source),
        command=_command(args, name.removesuffix(TEST) if apart else name),
        workers=cores(),
        folds=args.folds,
        say=note,
    )
    report(added, apart=apart)
    if not apart and len(added.cases) >= FEWEST:
        put(f"next: bench run --method unet --dataset {added.name}{_root(args)}")
        apart_as = f"bench run --method unet --dataset OTHER --test-on {added.name}{_root(args)}"
        put(f"or, as a test that is kept apart from another set: {apart_as}")
    return 0


def _root(args: argparse.Namespace) -> str:
    from benchmark.cli.options import default_root

    return "" if args.root == default_root() else f" --root {shlex.quote(str(args.root))}"


def _neutral(args: argparse.Namespace, reader: Callable[[], Reader]) -> Reader:
    """Return the reader; with --rename under other names of cases, after printing which is which.

    Raises BadInput where the set itself would be called as a file or folder.
    """
    if not getattr(args, "rename", False):
        return reader()
    if not args.name:
        raise BadInput("--rename: give the set a --name, too, or it is called as its files are")
    from benchmark.data.readers.names import Renamed

    found = Renamed(reader())
    lines = [f"{case} = {old}" for case, old in found.table.items()]
    put("\n".join([*lines, *found.unsaid, "this table is kept nowhere: note it down"]))
    return found


def _forced(words: Sequence[str], source: Reader) -> Sequence[str]:
    """Return the cases that `--force` names, alone, with commas, or as `all`."""
    names = [name.strip() for word in words for name in word.split(",") if name.strip()]
    return source.cases if "all" in names and "all" not in source.cases else names


def _command(args: argparse.Namespace, name: str) -> str:
    """Return the command that adds the set again, with PATH for paths."""
    words = ["bench data add", args.kind, "IMAGE LABEL" if args.kind == "pair" else "PATH"]
    words += [f"--images {text.partition('=')[0]}=PATH" for text in getattr(args, "images", [])]
    words += [f"--map {args.map}"] if getattr(args, "map", None) else []
    words += [f"--organ {organ}" for organ in getattr(args, "organ", [])]
    words += ["--rename"] if getattr(args, "rename", False) else []
    words += ["--split-kidneys"] if getattr(args, "split_kidneys", False) else []
    words += [f"--folds {args.folds}"] if args.folds else []
    words += [f"--name {name}", *(["--skip-bad"] if args.skip_bad else [])]
    return " ".join([*words, *(f"--force {case}" for case in args.force)])


def report(added: DataSet, *, apart: bool = False) -> None:
    """Print one line about a set, and say at once where it is too small to be run, or so small
    that its folds are others than usual; of one that is kept `apart` no fold is made."""
    from benchmark.data.library import fold_count
    from benchmark.plan.folds import FEWEST, FOLDS

    count, folds = len(added.cases), fold_count(added)
    put(f"data set {added.name}: {counted(count, 'case')}, {', '.join(added.organs)}")
    if apart:
        return
    if count < FEWEST:
        few = f"warning: {counted(count, 'patient')}, fewer than the {FEWEST} that a fold needs"
        how = "add all cases in one command (bench data add folder PATH), under another --name"
        note(f"{few}: no row can be run on it; {how}")
    elif folds == count:
        left = f"{folds} folds, each tests one patient (leave-one-out)"
        note(
            f"{left}; under {FOLDS} patients no figure tells rows apart" if count < FOLDS else left
        )
    elif folds != FOLDS:
        note(f"{folds} folds")
