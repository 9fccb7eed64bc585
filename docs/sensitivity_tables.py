"""The tables and the sentences between them of docs/sensitivity.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scipy import stats

Figures = dict[str, Any]
CLAIMS, FACTOR = 0.05, 1.5  # what is asked: of the null, and of what planning foretells
COLUMNS = ("better", "supported")


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (JASA 22, 1927).

    >>> [round(each, 3) for each in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    z = float(stats.norm.ppf(0.975))
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return max(centre - half, 0.0), min(centre + half, 1.0)


def limits_table(curves: Sequence[Figures]) -> str:
    """Return the limits of detection beside what planning foretold."""
    head = ["patients", "fold sd", '"better"', '"supported"', "foretold", "ratio",
            "found by half", "asked for it"]  # fmt: skip
    lines = []
    for each in curves:
        limits = [limit_text(each["limits"][name], unit="") for name in ("better", "supported")]
        ratio, half = _ratio(each), each["half"]
        lines.append(
            [str(each["patients"]), f"{each['fold_sd']:.2f}", *limits, f"{each['least']:.2f}",
             "-" if ratio is None else f"{ratio:.2f}", "-" if half is None else f"{half:.2f}",
             "more seeds" if each["needed"] is None else f"{each['needed']:.0f}"]
        )  # fmt: skip
    return _markdown(head, lines)


def _ratio(curve: Figures) -> float | None:
    found = curve["limits"]["better"][0]
    return None if found is None else float(found / curve["least"])


def foretold(curves: Sequence[Figures]) -> str:
    """Return whether planning foretold the limits as well as is asked."""
    ratios = {_name(each): _ratio(each) for each in curves}
    off = [n for n, r in ratios.items() if r is None or not 1 / FACTOR <= r <= FACTOR]
    asked = f"Asked: the limit is within a factor of {FACTOR:g} of what planning foretold. "
    return asked + (f"Not so with {'; '.join(off)}." if off else "It is, in every line.")


def null_table(found: Figures) -> str:
    """Return what is said where there is nothing to find."""
    head = ["patients", "fold sd", '"better"', "Wilson", "bootstrap", '"worse"', '"supported"']
    lines = []
    for each in found["curves"]:
        share, low, high = each["null"]
        wilsons = _pair(*wilson(share, found["size"]["studies"]))
        rest = [f"{100 * each[name][0]:.1f}" for name in ("worse", "supported")]
        lines.append([str(each["patients"]), f"{each['fold_sd']:.2f}", f"{100 * share:.1f}",
                      wilsons, _pair(low, high), *rest])  # fmt: skip
    return _markdown(head, lines)


def claims(curves: Sequence[Figures]) -> str:
    """Return whether so few claim a gain there as is asked."""
    over = [_name(each) for each in curves if each["null"][0] > CLAIMS]
    asked = f"Asked: at most {100 * CLAIMS:g} of 100 studies claim a gain where there is none. "
    return asked + (f"More do with {'; '.join(over)}." if over else "So it is, in every line.")


def curve_tables(found: Figures) -> list[str]:
    """Return a table of the shares at each dose for each number of patients."""
    count = found["size"]["studies"]
    texts = []
    for n in dict.fromkeys(each["patients"] for each in found["curves"]):
        both = [each for each in found["curves"] if each["patients"] == n]
        named = [f'"{name}", fold sd {each["fold_sd"]:.2f}'
                 for each in both for name in ("better", "supported")]  # fmt: skip
        lines = []
        for d, dose in enumerate(found["doses"]):
            cells = [_share(each[name][d], count) for each in both for name in COLUMNS]
            gain = f"{found['gain'][d]:.2f} +- {found['error'][d]:.3f}"
            lines.append([f"{dose:g}", gain, *cells])
        texts.append(f"### {n} patients\n\n" + _markdown(["dose", "true gain", *named], lines))
    return texts


def own_table(found: Figures) -> str:
    """Return the shares of studies of the data set's own patients."""
    count = found["size"]["studies"]
    lines = [
        [f"{dose:g}", f"{found['own_gain'][d]:.2f}",
         *(_share(found["own"][name][d], count) for name in COLUMNS)]
        for d, dose in enumerate(found["doses"])
    ]  # fmt: skip
    return _markdown(["dose", "true gain", '"better"', '"supported"'], lines)


def _name(curve: Figures) -> str:
    return f"{curve['patients']} patients, fold sd {curve['fold_sd']:.2f}"


def limit_text(found: Sequence[float | None], unit: str = " points") -> str:
    """Return a limit with its interval; "over all doses" where no dose is found so often."""
    gain, low, high = found
    if gain is None:
        return "over all doses"
    ends = f"{low:.2f} to {high:.2f}" if None not in (low, high) else f"{low or gain:.2f} or more"
    return f"{gain:.2f}{unit} ({'95 % interval ' if unit else ''}{ends})"


def of_100(share: float) -> str:
    """Return a share as so many of 100."""
    return f"{100 * share:.1f}".removesuffix(".0")


def _share(share: float, count: int) -> str:
    return f"{100 * share:.1f} ({_pair(*wilson(share, count))})"


def _pair(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        [f"| {' | '.join(head)} |", "|---" * len(head) + "|",
         *(f"| {' | '.join(line)} |" for line in lines)]
    )  # fmt: skip
