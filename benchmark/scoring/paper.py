"""The paper's printed numbers: beside ours in a column of their own, never mixed with them.

Song et al., ISBI 2020 (arXiv 2004.03882), Table 1 and text, as METHODS.md section 8 holds them.
They are never an input of a test; the claims ledger takes the size of a claim from them.
"""

from __future__ import annotations

from dataclasses import dataclass

IRCADB, MULTI_ORGAN = "ircadb", "multi-organ"

MARKS = {
    "?": "the last digit of the +- is cut off in our copy",
    "derived": "not printed: derived from the mean gains in the paper's text",
    "*": "92.3 +- 1.9 / 1.16 +- 1.06 belongs to one of these two rows; our copy does not say which",
}
"""What each mark beside a printed number means."""


@dataclass(frozen=True, kw_only=True)
class Printed:
    """One printed number: `mean` +- `sd` of a row on a set, DSC in percent or ASSD in mm.

    `sd` is None where none is printed; `mark` is "" or one of `MARKS`; `mean` is None where the
    number is known to exist but not which row it belongs to (mark "*")."""

    row: str
    dataset: str
    metric: str
    mean: float | None
    sd: float | None
    mark: str = ""


def _pair(
    row: str,
    dataset: str,
    dsc: tuple[float | None, float | None],
    assd: tuple[float | None, float | None],
    marks: tuple[str, str] = ("", ""),
) -> tuple[Printed, Printed]:
    return (
        Printed(row=row, dataset=dataset, metric="dsc", mean=dsc[0], sd=dsc[1], mark=marks[0]),
        Printed(row=row, dataset=dataset, metric="assd", mean=assd[0], sd=assd[1], mark=marks[1]),
    )


PRINTED: tuple[Printed, ...] = (
    *_pair("unet", IRCADB, (90.4, 2.7), (1.32, 1.2), ("", "?")),
    *_pair("shape-loss", IRCADB, (91.9, 2.1), (1.17, 1.10)),
    *_pair("param-transfer", IRCADB, (92.3, 1.9), (1.11, 0.99)),
    *_pair("joint-train", IRCADB, (90.9, 2.5), (1.27, 1.1), ("", "?")),
    *_pair("no-refine", IRCADB, (93.9, 1.7), (1.01, 1.0), ("", "?")),
    *_pair("no-noise", IRCADB, (84.2, 6.2), (1.67, 2.1), ("", "?")),
    *_pair("fsm", IRCADB, (94.6, 1.5), (0.93, 0.91)),
    *_pair("unet", MULTI_ORGAN, (90.6, None), (1.25, None), ("derived", "derived")),
    *_pair("shape-loss", MULTI_ORGAN, (None, None), (None, None), ("*", "*")),
    *_pair("param-transfer", MULTI_ORGAN, (None, None), (None, None), ("*", "*")),
    *_pair("no-refine", MULTI_ORGAN, (94.2, 1.8), (0.97, 0.96)),
    *_pair("fsm", MULTI_ORGAN, (94.8, 1.6), (0.90, 0.88)),
)
"""Every number of METHODS.md section 8. A row that is not here is not in the paper's table."""

MEAN_GAIN = {"dsc": 4.2, "assd": 0.37}
"""The paper's mean gain of its method over the U-Net, over both sets: points, and mm."""


def printed(row: str, dataset: str, metric: str) -> Printed | None:
    """Return the printed number of a row; None where the paper has none.

    `assd_penalised`, our tested column, has the paper's ASSD beside it."""
    name = metric.removesuffix("_penalised")
    for each in PRINTED:
        if (each.row, each.dataset, each.metric) == (row, dataset, name):
            return each
    return None


def printed_gain(row: str, reference: str, dataset: str, metric: str) -> float | None:
    """Return how much better the paper prints `row` than `reference` (positive is better, for
    distances too), in points or mm; None where one of the two is not printed."""
    first, second = (printed(name, dataset, metric) for name in (row, reference))
    if first is None or second is None or first.mean is None or second.mean is None:
        return None
    sign = 1.0 if metric == "dsc" else -1.0
    return round(sign * (first.mean - second.mean), 6)
