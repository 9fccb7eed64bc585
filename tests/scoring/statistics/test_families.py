"""Holm against statsmodels and a worked example; families are closed."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Contrast, families
from benchmark.scoring.statistics.corrections import adjust, holm

FAMILY = families(AnalysisPlan())[1]


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.long
def test_holm_agrees_with_statsmodels():
    p_bk = np.random.default_rng(0).uniform(size=(6, 7)) ** 3
    p_bk[0, :3] = p_bk[0, 0]  # ties
    expected = [multipletests(p, method="holm")[1] for p in p_bk]
    np.testing.assert_allclose(holm(p_bk), expected, rtol=0, atol=1e-12)


def test_a_missing_contrast_never_makes_the_denominator_smaller():
    p = dict.fromkeys(FAMILY.contrasts, 0.009)
    whole = adjust(FAMILY, p)
    assert list(whole.values()) == pytest.approx([0.054] * 6)
    gone, *rest = FAMILY.contrasts
    for value in ({}, {gone: None}):
        part = adjust(FAMILY, dict.fromkeys(rest, 0.009) | value)
        assert part[gone] is None
        assert [part[c] for c in rest] == pytest.approx([0.054] * 5)


def test_a_contrast_of_no_plan_is_refused():
    stranger = Contrast(row="fsm", reference="unet", metric="dsc")
    with pytest.raises(BadInput, match="fsm against unet in dsc is not planned"):
        adjust(FAMILY, {stranger: 0.001})
