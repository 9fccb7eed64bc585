"""What a file says it is: another modality than CT is refused by that word."""

from __future__ import annotations

import re

from benchmark.data.badfile import BadFile

# DICOM's terms (PS3.3 C.7.3.1.1.1) and the words of other headers. A word that is not here may
# be anybody's name for a CT, and the checks of HU judge it.
WORDS = {
    "MR": (
        "mr",
        "mri",
        "mrt",
        "t1",
        "t1w",
        "t1c",
        "t1gd",
        "t1ce",
        "t2",
        "t2w",
        "flair",
        "adc",
        "dwi",
    ),
    "PET": ("pt", "pet", "suv", "positron"),
    "nuclear medicine": ("nm", "spect", "nuclear"),
    "ultrasound": ("us", "ultrasound"),
    "X-ray": ("cr", "dx", "xa", "rf", "mg", "xr", "xray", "radiography", "angiographic"),
}
OTHER = {word: name for name, words in WORDS.items() for word in words}


def other_modality(text: str) -> str:
    """Return the modality that a word names where it is known not to be CT, else "".

    >>> other_modality("MRI"), other_modality("T2_w"), other_modality("ct")
    ('MR', 'MR', '')
    """
    whole = re.sub(r"[^a-z0-9]", "", text.lower())
    words = re.findall(r"[a-z0-9]+", text.lower())
    if "ct" in words:
        return ""
    return next((OTHER[word] for word in (whole, *words) if word in OTHER), "")


def refusal_of(name: str, modality: str) -> BadFile:
    """Return the refusal of a file of another modality."""
    message = f"{name} says it is {modality}, not CT: nothing here reads {modality}"
    return BadFile("modality", modality, "CT", message)


def refuse_modality(name: str, text: str) -> None:
    """Raise BadFile where `text`, what a header says of itself, names another modality."""
    if found := other_modality(text):
        raise refusal_of(name, found)
