"""Which organ a name means: one table of spellings, for every rule that asks for an organ.

Stored organ names are never changed by it: they are part of keys. A name that is in no row means
itself. To teach the suite another spelling, add it to the organ's row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "liver": ("livers", "hepar", "whole_liver"),
        "kidneys": ("kidney", "both_kidneys", "renes", "kid"),
        "spleen": ("lien", "spl"),
        "pancreas": ("panc", "pan"),
        "gallbladder": ("gall_bladder", "gall", "vesica_fellea", "vesica_biliaris"),
        "esophagus": ("oesophagus", "eso"),
        "stomach": ("sto", "gaster", "ventriculus"),
        "duodenum": ("duo", "duodenal"),
        "aorta": ("arota", "aorta_abdominalis", "abdominal_aorta", "aor"),  # AMOS has "arota"
        "vena_cava": ("ivc", "postcava", "inferior_vena_cava", "vena_cava_inferior"),
        "portal_vein": (
            "veins",
            "portal_and_splenic_vein",
            "portal_and_splenic_veins",
            "portal_vein_and_splenic_vein",
        ),
        "left_kidney": ("lkid", "lkidney", "lk", "ren_sinister"),
        "right_kidney": ("rkid", "rkidney", "rk", "ren_dexter"),
        "left_adrenal": ("lag", "lad", "left_adrenal_gland", "left_suprarenal_gland"),
        "right_adrenal": ("rag", "rad", "right_adrenal_gland", "right_suprarenal_gland"),
    }
)
"""Each organ's other names in lower_snake_case. Of a paired organ the side may stand before or
behind, in full or as l, r, lt, rt: `kidney_left`, `kidney_l` and `l_kidney` are left_kidney."""

SIDES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"left": ("left", "l", "lt", "sinister"), "right": ("right", "r", "rt", "dexter")}
)


@cache
def meant(name: str) -> str:
    """Return the organ that a stored name means, as the rules call it; an unknown name itself."""
    spelled = name.strip().lower()
    for candidate in (spelled, _side_first(spelled.split("_"))):
        for organ, others in SPELLINGS.items():
            if candidate == organ or candidate in others:
                return organ
    return _side_first(spelled.split("_"))


def _side_first(words: Sequence[str]) -> str:
    """`kidney_l` as `left_kidney`: the side in full, in front. Without a side: as it was."""
    for side, others in SIDES.items():
        for place in (0, -1):
            if len(words) > 1 and words[place] in others:
                rest = words[1:] if place == 0 else words[:-1]
                return "_".join((side, *rest))
    return "_".join(words)


def meant_twice(organs: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return groups of stored names that mean one and the same organ."""
    groups: dict[str, list[str]] = {}
    for name in organs:
        groups.setdefault(meant(name), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
