"""Tables of diagnostics: what the probes measured, and the hard cases."""

from __future__ import annotations

import pandas as pd

from benchmark.reporting.chapter import Chapter, per_case
from benchmark.reporting.look import NOTHING, Sheet, mean_sd_text, number
from benchmark.scoring.hard_cases import HARD_CASE_UNITS, Association, against_difficulty
from benchmark.scoring.statistics.components import PATIENTS_P

PROBES = {
    "gt_gap": "GT gap %",
    "m_matched": "M matched",
    "m_shuffled": "M shuffled",
    "cka": "CKA(F, G)",
    "dead_channels": "dead channels of F",
    "teacher_dsc": "teacher DSC",
    "teacher_loses_shuffled": "teacher loses, shuffled",
    "teacher_loses_mean": "teacher loses, mean",
    "teacher_loses_zero": "teacher loses, zero",
    "student_dsc": "student DSC",
    "student_loses_shuffled": "student loses, shuffled",
    "student_loses_mean": "student loses, mean",
    "student_loses_zero": "student loses, zero",
    "headroom": "headroom",
}
DIFFICULTY = "border_gradient"


def diagnostics_sheets(chapter: Chapter) -> list[Sheet]:
    """Return the probes' table, and the hard cases, where they have rows."""
    return [sheet for sheet in (_probes(chapter), _hard(chapter)) if sheet.rows]


def _probes(chapter: Chapter) -> Sheet:
    """Means over patients. Metrics that are not named above have a column of their own name."""
    found = _figures(chapter.scores.probes)
    rows = [row for row in chapter.group.rows if row in found.index.get_level_values("row")]
    other = sorted({str(m) for m in found.index.get_level_values("metric")} - set(PROBES))
    metrics = [m for m in (*PROBES, *other) if m in found.index.get_level_values("metric")]
    body = []
    for row in rows:
        cells = [_spread(found, row, metric) for metric in metrics]
        n = found.loc[row]["size"].max()
        body.append((row, *cells, str(int(n))))
    return Sheet(
        name="diagnostics",
        title="GT gap, teacher, student and headroom",
        columns=("row", *(PROBES.get(metric, metric) for metric in metrics), "n"),
        rows=tuple(body),
        about="Mean ± sd over test patients. GT gap: (M shuffled - M matched) / M shuffled; under "
        "5 % the distance does not see whose masks they are. Teacher and student: points of DSC "
        "lost when the bottom is shuffled, replaced by its mean, or zeroed; under 1 point it is "
        "not used. Headroom: points that ideal features at the tap would gain.",
    )


def _figures(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean, sd and number of patients by row and metric."""
    case = per_case(frame)
    return case.groupby(["row", "metric"], observed=True).agg(["mean", "std", "size"])


def _spread(found: pd.DataFrame, row: str, metric: str) -> str:
    if (row, metric) not in found.index:
        return NOTHING
    mean, sd, n = found.loc[(row, metric)]
    return mean_sd_text(float(mean), float(sd) if n > 1 else None, 2)


def _hard(chapter: Chapter) -> Sheet:
    frame = chapter.hard[chapter.hard["organ"].isin(chapter.analysis.organs)]
    found = _figures(frame)
    there = set(found.index.get_level_values("row"))
    body = [
        (
            row,
            *(_spread(found, row, metric) for metric in HARD_CASE_UNITS if metric != DIFFICULTY),
            str(int(found.loc[row]["size"].max())),
        )
        for row in chapter.group.rows
        if row in there
    ]
    both = {chapter.plan.subject, chapter.plan.baseline} <= chapter.told
    notes = [_association_note(chapter)] if both else []
    absent = [row for row in chapter.group.rows if row not in there]
    if absent:
        notes.append(f"Not measured (no label maps, or no data set here): {', '.join(absent)}.")
    return Sheet(
        name="hard-cases",
        title="Hard cases",
        columns=(
            "row",
            "border error %, faintest third",
            "middle third",
            "sharpest third",
            "false ml that look like the organ",
            "n",
        ),
        rows=tuple(body),
        about="Mean ± sd over patients, organs of the endpoint. Border error: wrong voxels within "
        "5 mm of the true border, by thirds of the CT's gradient along it. False ml: predicted "
        "voxels that are not the organ and have its HU (5th to 95th percentile).",
        notes=tuple(notes),
    )


def difficulty(chapter: Chapter) -> pd.DataFrame | None:
    """Return gain and difficulty by patient: columns `gain` (the subject's over the baseline, mean
    over seeds, in points) and `gradient` (the border's, HU/mm); None without both rows."""
    plan, metric = chapter.plan, chapter.plan.metrics[0].name
    ours, theirs = (chapter.analysis.row(r, metric) for r in (plan.subject, plan.baseline))
    hard = chapter.hard
    if ours is None or theirs is None or hard.empty:
        return None
    hard = hard[(hard["metric"] == DIFFICULTY) & hard["organ"].isin(chapter.analysis.organs)]
    gradient = hard.groupby(hard["case"].astype(str))["value"].mean()
    gain = (ours.value_nS - theirs.value_nS).mean(axis=1)
    table = pd.DataFrame({"gain": gain}, index=list(ours.cases))
    table["gradient"] = gradient.reindex(table.index)
    return table.dropna()


def association(chapter: Chapter) -> Association | None:
    """Return how the gain goes with difficulty, None under 12 patients."""
    table = difficulty(chapter)
    if table is None or len(table) < PATIENTS_P:
        return None
    return against_difficulty(table["gain"].to_numpy(), table["gradient"].to_numpy())


def _association_note(chapter: Chapter) -> str:
    plan, found = chapter.plan, association(chapter)
    name = f"Gain of {plan.subject} over {plan.baseline} against the border's gradient"
    if found is None:
        return f"{name}: needs {PATIENTS_P} patients with both rows."
    return (
        f"{name}, {found.patients} patients: Spearman {number(found.rho, 2)}, "
        f"{number(found.slope, 3)} points per HU/mm ({number(found.slope_low, 3)} to "
        f"{number(found.slope_high, 3)}); for description, runs are not accounted for."
    )
