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
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

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
ANY = (64, 96)  # a small grid that is not square: who takes it, takes what is a multiple of 32
LARGEST = 200_000_000  # weights; above, a step takes more memory than a laptop has
DECODERS = (
    "unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet", "deeplabv3", "deeplabv3plus",
    "pan", "upernet", "segformer", "dpt",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a network: the grid that it was trained on, None where it is out, and why."""

    grid: tuple[int, int] | None
    why: str = ""
    stride: int = 0
    channels: tuple[int, ...] = ()
    taps: tuple[int, ...] = ()


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
            label_BHW[:, 16 * organ - 8 : 16 * organ, 8:40] = organ
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


def tried(decoder: str, encoder: str) -> Tried:
    """Build a network, look for a grid that it takes, and train it for a step there."""
    arch = Smp(decoder=decoder, encoder=encoder)
    to = Build(organs=ORGANS, size=None, built={})
    try:
        with torch.device("meta"):
            net = arch.build(to)
            on_meta({"ct": net})
            _check_taps(net)
            grid, why = _grid(net, to)
    except BadInput as error:
        return Tried(grid=None, why=str(error).partition("cannot be made: ")[2] or str(error))
    except Exception as error:  # the library's
        return Tried(grid=None, why=one_line(error))
    found: dict[str, Any] = {
        "stride": net.stride, "channels": net.channels, "taps": net.tappable,
    }  # fmt: skip
    if sum(weight.numel() for weight in net.parameters()) > LARGEST:
        return Tried(grid=None, why="over 200 million weights: not tried", **found)
    if grid is None:
        return Tried(grid=None, why=why, **found)
    try:
        _train(arch, grid)
    except Exception as error:  # the library's, or `Diverged`
        why = f"takes {grid[0]} x {grid[1]} as far as shapes go, but: {one_line(error)}"
        return Tried(grid=None, why=why, **found)
    return Tried(grid=grid, **found)


def _grid(net: Network, to: Build) -> tuple[tuple[int, int] | None, str]:
    """The first grid that a network takes, else what it says of the first."""
    reasons = []
    for height, width in (ANY, *((side, side) for side in OTHERS)):
        if height % net.stride or width % net.stride:
            continue
        one = Try(batch=BATCH, height=height, width=width, training=True)
        why = why_not(net, to, "image", one)
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
    if wanted:
        smp_library()
    for family, encoder in known["encoders"].items():
        for decoder in wanted:
            name = f"{decoder}/{encoder}"
            if asked is None and name in known["tried"]:
                continue
            began = time.monotonic()
            known["tried"][name] = asdict(tried(decoder, encoder))
            VALUES.write_text(_text(known))
            seconds = time.monotonic() - began
            print(f"{family}: {name}: {known['tried'][name]}, {seconds:.1f} s", flush=True)
    PAGE.write_text("\n".join(page(known)) + "\n")


def _text(known: dict[str, Any]) -> str:
    """A line a network, so that a change is one of few lines."""
    lines = [f"  {json.dumps(n)}: {json.dumps(v)}" for n, v in sorted(known["tried"].items())]
    chosen = json.dumps(known["encoders"], indent=2)
    tries = ",\n".join(lines)
    return f'{{\n"encoders": {chosen},\n"tried": {{\n{tries}\n}}\n}}\n'


HEAD = """# Which networks of segmentation_models_pytorch train

Written by `python docs/smp_table.py`; do not edit by hand. The values lie in `smp.json`.

`--set ct=smp:DECODER/ENCODER` takes any network of the library. Each decoder was tried with the
smallest encoder of every family: built without memory, passed a batch as `bench plan` passes it,
and trained for one step. A network that cannot take your slices is refused before anything is
trained, with slices that it can take.

- **in**: it takes any slices; bench pads them to multiples of the *stride*.
- **a number**: not slices of 64 x 96 pixels, but square ones of that side: `--set ground.size=SIDE`
  where your slices are square. Transformers of a fixed size take that size alone, the decoder `pan`
  that size and more.
- **a letter**: out; the reason stands below the table.

*Taps* are the encoder's levels that FSM can read: level 0 is the CT itself with most encoders, and
transformers have no channels at level 1.
"""


def page(known: dict[str, Any]) -> Iterator[str]:
    """Yield the page's lines."""
    yield HEAD
    found = {
        family: {d: known["tried"][f"{d}/{e}"] for d in DECODERS if f"{d}/{e}" in known["tried"]}
        for family, e in known["encoders"].items()
    }
    letters: dict[str, str] = {}
    lines = []
    for family, by_decoder in found.items():
        encoder = known["encoders"][family]
        cells = [_cell(by_decoder.get(d), encoder, letters) for d in DECODERS]
        ours = next((t for t in by_decoder.values() if t["grid"]), None)
        strides = sorted({t["stride"] for t in by_decoder.values() if t["grid"]})
        taps = ", ".join(map(str, ours["taps"])) if ours else ""
        stride = ", ".join(map(str, strides))
        lines.append(f"| {family} | `{encoder}` | {' | '.join(cells)} | {stride} | {taps} |")
    every = [tried for by_decoder in found.values() for tried in by_decoder.values()]
    inside = sum(1 for tried in every if tried["grid"])
    alone = sum(1 for by in found.values() if not any(t["grid"] for t in by.values()))
    yield f"Of {len(every)} networks {inside} are in, and of {len(found)} families of encoders "
    yield f"{len(found) - alone} with at least one decoder.\n"
    yield f"| family | encoder | {' | '.join(DECODERS)} | stride | taps |"
    yield "|" + "---|" * (len(DECODERS) + 4)
    yield from lines
    yield "\n## Why they are out\n"
    for reason, letter in letters.items():
        yield f"- **{letter}**: {reason}"


def _cell(tried: dict[str, Any] | None, encoder: str, letters: dict[str, str]) -> str:
    if tried is None:
        return ""
    if tried["grid"]:
        return "in" if tuple(tried["grid"]) == ANY else str(tried["grid"][0])
    reason = _reason(tried["why"], encoder)
    return letters.setdefault(reason, _letter(len(letters)))


def _reason(why: str, encoder: str) -> str:
    """A reason without what differs from encoder to encoder."""
    text = why.replace(encoder.removeprefix("tu-"), "ENCODER").replace("tu-ENCODER", "ENCODER")
    text = re.sub(r"\d+", "N", text)
    return re.sub(r"(N, )+N", "N, ...", text)


def _letter(number: int) -> str:
    first, second = divmod(number, 26)
    return (chr(96 + first) if first else "") + chr(97 + second)


if __name__ == "__main__":
    main()
