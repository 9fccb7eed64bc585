"""Two rows by another library's definition, beside ours: what `bench compare --as` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmark.cli.out import put
from benchmark.cli.show import number_text, print_rows

if TYPE_CHECKING:
    from benchmark.reporting.tables import Line
    from benchmark.scoring.surface import Elsewhere

HEADLINE = "headline"
WIDTH = 160


def show_elsewhere(dataset: str, lines: Iterable[Line], definition: Elsewhere) -> None:
    """Print a line a row and organ, and their mean: DSC, and the distances of both definitions."""
    from benchmark.running.elsewhere import THEIRS

    columns = {"dsc": "DSC %"}
    for metric, heading in (("assd", "ASSD mm"), ("hd95", "HD95 mm")):
        columns |= {metric: f"{heading}, ours", metric + THEIRS: f"{heading}, {definition.about}"}
    by_place = {(line.row, line.organ, line.metric): line for line in lines}
    body = []
    for row, organ in dict.fromkeys((row, organ) for row, organ, _ in by_place):
        if organ != HEADLINE:
            found = {metric: by_place.get((row, organ, metric)) for metric in columns}
            values = [number_text(line, metric) for metric, line in found.items()]
            dsc = by_place[row, organ, "dsc"]
            body.append((row, organ, *values, str(dsc.n), str(dsc.n_missed)))
    title = f"{dataset}: {definition.about} beside ours, from the stored label maps"
    headings = ("row", "organ", *columns.values(), "patients", "missed")
    print_rows(title, headings, body, left=2, width=WIDTH)
    put("stored nowhere, and no word above rests on it; a missed organ has no distance in either")


def elsewhere_json(
    dataset: str, lines: Iterable[Line], definition: Elsewhere, name: str
) -> dict[str, Any]:
    """Return the same as plain values."""
    return {
        "dataset": dataset,
        "as": name,
        "library": definition.about,
        "table": [asdict(line) for line in lines if line.organ != HEADLINE],
    }
