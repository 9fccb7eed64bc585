"""Names of organs as public sets spell them."""

from __future__ import annotations

import pytest

from benchmark.plan.organs import SPELLINGS, meant, meant_twice


@pytest.mark.parametrize(
    ("organ", "names"),
    {
        "liver": "liver Liver hepar",
        "left_kidney": "left_kidney kidney_left kidney_l l_kidney lkid Kidney_Left lt_kidney",
        "right_kidney": "right_kidney kidney_right kidney_r r_kidney rkid",
        "kidneys": "kidneys kidney",
        "gallbladder": "gallbladder gall_bladder gall",
        "esophagus": "esophagus oesophagus eso",
        "aorta": "aorta arota",
        "vena_cava": "vena_cava postcava ivc inferior_vena_cava",
        "left_adrenal": "left_adrenal adrenal_gland_left left_adrenal_gland lag",
        "left_lung": "lung_left left_lung",
        "prostate_uterus": "prostate_uterus",
        "left_kidney_cyst": "kidney_cyst_left",
    }.items(),
)
def test_spellings(organ: str, names: str) -> None:
    assert {name: meant(name) for name in names.split()} == dict.fromkeys(names.split(), organ)


def test_no_spelling_stands_in_two_rows() -> None:
    every = [name for organ, others in SPELLINGS.items() for name in (organ, *others)]
    assert len(set(every)) == len(every)
    assert all(meant(name) in SPELLINGS for name in every)


@pytest.mark.parametrize("name", ["", "l", "left", "_", "left_", "vertebra_l1"])
def test_odd_names_mean_themselves(name: str) -> None:
    assert meant(name) == name


def test_names_of_one_organ_are_found() -> None:
    organs = ("liver", "left_kidney", "kidney_left", "kidney_right", "hepar")
    assert meant_twice(organs) == (("liver", "hepar"), ("left_kidney", "kidney_left"))
