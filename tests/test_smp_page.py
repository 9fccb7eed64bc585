"""docs/smp.md is made of docs/smp.json, which says what a few of its networks do now."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import smp_page
import smp_table

KNOWN = json.loads(smp_table.VALUES.read_text())
FEW = (
    "unet/resnet18",
    "segformer/mit_b0",
    "unetplusplus/mit_b0",
    "pan/resnet18",
    "dpt/tu-vit_tiny_patch16_224",
    "unet/tu-convnext_zepto_rms",
    "unet/tu-cait_xxs24_224",
)


@pytest.mark.parametrize("name", FEW)
def test_a_network_is_in_or_out_as_the_page_says(name: str) -> None:
    decoder, _, encoder = name.partition("/")
    found = smp_table.fits(decoder, encoder)
    found = smp_table.trained(decoder, encoder, found) if found.grid else found
    assert json.loads(json.dumps(asdict(found))) == KNOWN["tried"][name]


def test_every_family_was_tried_with_a_unet() -> None:
    pairs = {f"{d}/{e}" for d in smp_table.DECODERS for e in KNOWN["encoders"].values()}
    assert KNOWN["tried"].keys() <= pairs and len(pairs) > 1000
    unets = [KNOWN["tried"][f"unet/{encoder}"] for encoder in KNOWN["encoders"].values()]
    assert all(tried["trained"] or tried["why"] for tried in unets)


def test_the_page_is_that_of_the_values() -> None:
    assert smp_table.PAGE.read_text() == "\n".join(smp_page.page(KNOWN)) + "\n"


def test_the_library_has_no_other_decoder() -> None:
    library = smp_table.smp_library()
    assert set(library.MODEL_ARCHITECTURES_MAPPING) == set(smp_table.DECODERS)
