"""Makes docs/smp.md of docs/smp.json, for docs/smp_table.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

ANY = (32, 64)  # a small grid that is not square: who takes it, takes what is a multiple of 32
DECODERS = (
    "unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet", "deeplabv3", "deeplabv3plus",
    "pan", "upernet", "segformer", "dpt",
)  # fmt: skip


DILATED = re.compile(r"dilated|dilation|output_stride|^AssertionError$")
HEAD = """# Which networks of segmentation_models_pytorch train

Written by `python docs/smp_table.py`; do not edit by hand. The values lie in `smp.json`.

`--set ct=smp:DECODER/ENCODER` takes any network of the library. Each decoder was tried with the
smallest encoder of every family: built without memory, passed a batch as `bench plan` passes it,
and trained for one step. A network that cannot take your slices is refused before anything is
trained, with slices that it can take.

- **in**: it takes any slices; bench pads them to multiples of the *stride*.
- **a number**: not slices of 32 x 64 pixels, but square ones of that side: `--set ground.size=SIDE`
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
    inside = sum(1 for tried in every if tried["trained"])
    left = sum(1 for tried in every if tried["grid"] and not tried["trained"])
    alone = sum(1 for by in found.values() if not any(t["trained"] for t in by.values()))
    yield f"Of {len(every)} networks {inside} are in, and of {len(found)} families of encoders "
    yield f"{len(found) - alone} with at least one decoder.\n"
    if left:
        yield f"{left} more (**?**) take slices as far as shapes go: their step is to be tried.\n"
    if missing := len(found) * len(DECODERS) - len(every):
        yield f"{missing} networks (empty fields) are to be tried yet.\n"
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
        text = "in" if tuple(tried["grid"]) == ANY else str(tried["grid"][0])
        return text if tried["trained"] else f"{text}?"
    reason = _reason(tried["why"], encoder)
    return letters.setdefault(reason, _letter(len(letters)))


def _reason(why: str, encoder: str) -> str:
    """A reason without what differs from encoder to encoder."""
    if DILATED.search(why):
        return "the encoder cannot be dilated, which this decoder asks for"
    text = why.replace(encoder.removeprefix("tu-"), "ENCODER").replace("tu-ENCODER", "ENCODER")
    text = re.sub(r"\w+\.forward_intermediates", "forward_intermediates", text)
    text = re.sub(r"^\w+Error: ", "", text)
    text = re.sub(r"\d+", "N", text)
    return re.sub(r"(N, )+N", "N, ...", text)


def _letter(number: int) -> str:
    first, second = divmod(number, 26)
    return (chr(96 + first) if first else "") + chr(97 + second)
