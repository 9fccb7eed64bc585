"""Write docs/smp.md: which networks of segmentation_models_pytorch train, and which do not and why.

python docs/smp_table.py                     # try what docs/smp.json lacks: an hour on one thread
python docs/smp_table.py --only unet,fpn     # these decoders, anew
python docs/smp_table.py --only ''           # try nothing, write the page anew

Every decoder is tried with the smallest encoder of every family: those of the library by its own
modules, and those of timm (`tu-...`) by timm's. A network is in where it takes a grid as
`bench plan` checks it and one training step leaves finite weights. No weights are downloaded.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from smp_page import ANY, DECODERS, page

from benchmark.errors import BadInput, one_line
from benchmark.parts.batch import Batch
from benchmark.parts.networks import Network
from benchmark.parts.smp import Smp, smp_library
from benchmark.parts.stages import plain
from benchmark.plan.ground import LossForm
from benchmark.plan.nodes import Build, Schedule
from benchmark.running.fitting import OTHERS, Try, why_not
from benchmark.training.nets import build, on_meta, place
from benchmark.training.precision import hardware
from benchmark.training.trainer import Control, fit

DOCS = Path(__file__).parent
VALUES, PAGE = DOCS / "smp.json", DOCS / "smp.md"
ORGANS = ("liver", "left_kidney", "right_kidney")
BATCH = 2
OWN = ("dpt", "pspnet")  # make their encoder otherwise: the one another kind, the other less deep
LARGEST = 200_000_000  # weights; above, a step takes more memory than a laptop has


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a network: a grid that it takes, None where it is out, and why; `trained`: one
    step there left finite weights."""

    grid: tuple[int, int] | None
    why: str = ""
    stride: int = 0
    channels: tuple[int, ...] = ()
    taps: tuple[int, ...] = ()
    trained: bool = False


class Slices:
    """Batches of noise with a block for each organ, as a draw gives them."""

    steps_in_one_pass = 1.0
    case_names = ("a", "b")

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        height, width = self._size
        random = torch.Generator().manual_seed(step)
        label_BHW = torch.zeros(BATCH, height, width, dtype=torch.long)
        for organ in range(1, len(ORGANS) + 1):
            label_BHW[:, 8 * organ : 8 * organ + 8, 8:40] = organ
        image = torch.rand(BATCH, 1, height, width, generator=random) + label_BHW[:, None]
        return Batch(
            image_B1HW=image,
            label_BHW=label_BHW,
            annotated_BK=torch.ones(BATCH, len(ORGANS), dtype=torch.bool),
            valid_BHW=torch.ones_like(label_BHW).bool(),
            case_B=torch.arange(BATCH),
            position_B=torch.zeros(BATCH),
            loss_form=LossForm(),
        )


def fits(decoder: str, encoder: str) -> Tried:
    """Build a network without memory and look for a grid that it takes."""
    if decoder not in OWN and (why := no_encoder(encoder)):
        return Tried(grid=None, why=why)
    arch, to = Smp(decoder=decoder, encoder=encoder), Build(organs=ORGANS, size=None, built={})
    try:
        with torch.device("meta"):
            net = arch.build(to)
            on_meta({"ct": net})
            _check_taps(net)
            grid, why = _grid(arch, net, to)
    except BadInput as error:
        return Tried(grid=None, why=str(error).partition("cannot be made: ")[2] or str(error))
    except Exception as error:  # the library's
        return Tried(grid=None, why=one_line(error))
    if sum(weight.numel() for weight in net.parameters()) > LARGEST:
        grid, why = None, "over 200 million weights: not tried"
    return Tried(grid=grid, why=why, stride=net.stride, channels=net.channels, taps=net.tappable)


def trained(decoder: str, encoder: str, found: Tried) -> Tried:
    """Train a network that fits for one step."""
    assert found.grid is not None
    try:
        _train(Smp(decoder=decoder, encoder=encoder), found.grid)
    except Exception as error:  # the library's, or `Diverged`
        height, width = found.grid
        why = f"takes {height} x {width} as far as shapes go, but: {one_line(error)}"
        return replace(found, grid=None, why=why)
    return replace(found, trained=True)


@cache
def no_encoder(encoder: str) -> str:
    """Return why the library cannot make an encoder for any decoder, "" where it can."""
    make = smp_library().encoders.get_encoder
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(encoder, in_channels=1, depth=5, weights=None)
    except Exception as error:  # the library's
        return "" if "meta tensors" in str(error) else one_line(error)
    return ""


def _grid(arch: Smp, net: Network, to: Build) -> tuple[tuple[int, int] | None, str]:
    """The first grid that a network takes, else what it says of the first."""
    reasons = []
    for height, width in (ANY, *((side, side) for side in OTHERS)):
        if height % net.stride or width % net.stride:
            continue
        one = Try(batch=BATCH, height=height, width=width, training=True)
        why = why_not(net, to, "image", one)
        if "meta tensors" in why:  # it reads numbers on its way: with them, then
            with torch.device("cpu"):
                why = why_not(arch.build(to), to, "image", one)
        if not why:
            return (height, width), ""
        reasons.append(why)
    return None, reasons[0] if reasons else f"takes multiples of {net.stride} pixels alone"


def _check_taps(net: Network) -> None:
    """Raise `AssertionError` where a level is called a tap that is the input, or the reverse."""
    x_BCHW = torch.zeros(1, 1, 512, 512)
    try:
        first = net.eval().encoder(x_BCHW)[0]
    except Exception:  # `_grid` says so
        return
    assert (first is x_BCHW) == (0 not in net.tappable), "level 0 is not what it is said to be"


def _train(arch: Smp, grid: tuple[int, int]) -> None:
    node = plain(arch, Schedule(epochs=1, steps_per_epoch=1))
    nets = build(node, organs=ORGANS, size=None, seed=0)
    where = place(nets, hardware("cpu", "fp32"))
    fit(node, nets, Slices(*grid), seed=0, hardware=where, control=Control())


def encoders() -> dict[str, str]:
    """Return the smallest encoder of each family, as they were chosen when the table was made: by
    their weights, those left out that timm keeps for its own tests (`test_...`)."""
    chosen: dict[str, str] = json.loads(VALUES.read_text())["encoders"]
    return chosen


def main() -> None:
    """Try what is asked for, keep it, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="DECODER,DECODER")
    asked = parser.parse_args().only
    torch.set_num_threads(1)
    known = json.loads(VALUES.read_text())
    wanted = DECODERS if asked is None else [name for name in asked.split(",") if name]
    if asked is not None:
        known["tried"] = {
            name: value
            for name, value in known["tried"].items()
            if name.partition("/")[0] not in wanted
        }
    for decoder in wanted:  # unet first: whether a family is in at all
        for encoder in known["encoders"].values():
            if f"{decoder}/{encoder}" not in known["tried"]:
                _keep(known, decoder, encoder, fits(decoder, encoder))
        for encoder in known["encoders"].values():
            found = tried_before(known, decoder, encoder)
            if found.grid and not found.trained:
                _keep(known, decoder, encoder, trained(decoder, encoder, found))
    PAGE.write_text("\n".join(page(known)) + "\n")


def tried_before(known: dict[str, Any], decoder: str, encoder: str) -> Tried:
    """Return what is known of a network."""
    value = known["tried"][f"{decoder}/{encoder}"]
    return Tried(**{n: tuple(v) if isinstance(v, list) else v for n, v in value.items()})


def _keep(known: dict[str, Any], decoder: str, encoder: str, found: Tried) -> None:
    known["tried"][f"{decoder}/{encoder}"] = asdict(found)
    VALUES.write_text(_text(known))
    print(f"{decoder}/{encoder}: {found}", flush=True)


def _text(known: dict[str, Any]) -> str:
    """A line a network, so that a change is one of few lines."""
    lines = [f"  {json.dumps(n)}: {json.dumps(v)}" for n, v in sorted(known["tried"].items())]
    chosen = json.dumps(known["encoders"], indent=2)
    tries = ",\n".join(lines)
    return f'{{\n"encoders": {chosen},\n"tried": {{\n{tries}\n}}\n}}\n'


if __name__ == "__main__":
    main()
