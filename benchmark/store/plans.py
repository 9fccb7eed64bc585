"""The plans of suites, beside their cells: every version, in the order in which they were made.

ledger/SUITE/plan/NUMBER.json      written once, never changed
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file, read_json, write_json
from benchmark.files.locks import lock
from benchmark.files.mirror import Mirror
from benchmark.files.values import read_as
from benchmark.plan.analysis import POST_HOC
from benchmark.plan.keys import canonical
from benchmark.plan.presets import known_as
from benchmark.plan.suite import SuitePlan


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a suite's plan. `results` is how many of its cells had a result when it was
    written: of a plan made beforehand, none. The plan's preset has the name of now."""

    number: int
    plan: SuitePlan
    fingerprint: str
    results: int
    made_at: str


class Plans:
    """All plans under `folder`, the ledger's."""

    def __init__(self, folder: Path, mirror: Mirror | None = None) -> None:
        self.folder = folder
        self._mirror = mirror

    def suites(self) -> list[str]:
        """Return the suites that have a plan, sorted."""
        return sorted({path.parts[-3] for path in self.folder.glob("*/plan/*.json")})

    def versions(self, suite: str) -> list[Version]:
        """Return a suite's plans, the first one first. Raises `BadInput` for one that cannot be
        read or was changed by hand."""
        files = sorted((self.folder / suite / "plan").glob("[0-9]*.json"))
        return [_version(path) for path in files]

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield (SUITE/plan/FILE, "" or what is wrong) for every plan; changes nothing."""
        for path in sorted(self.folder.glob("*/plan/[0-9]*.json")):
            try:
                _version(path)
                yield path.relative_to(self.folder).as_posix(), ""
            except BadInput as error:
                yield path.relative_to(self.folder).as_posix(), str(error)

    def latest(self, suite: str) -> SuitePlan | None:
        """Return the plan that holds, or None for a suite that was never planned."""
        found = self.versions(suite)
        return found[-1].plan if found else None

    def record(self, suite: str, plan: SuitePlan, results: Callable[[SuitePlan], int]) -> SuitePlan:
        """Write what `plan` adds to the suite's plan, on disk when this returns; return the whole.

        `results` counts the results that a plan's cells have already. Raises `BadInput` where
        the plan cannot join what is there; then nothing is written.
        """
        with lock(self.folder / f"{suite}.lock"):
            while True:
                with suppress(FileExistsError):  # of two at once, the second joins the first's
                    return self._record(suite, plan, results)
                if self._mirror:
                    self._mirror.refresh(f"ledger/{suite}/plan/")

    def _record(
        self, suite: str, plan: SuitePlan, results: Callable[[SuitePlan], int]
    ) -> SuitePlan:
        before = self.versions(suite)
        whole = before[-1].plan.joined(plan, suite) if before else plan
        if before and before[-1].fingerprint == whole.fingerprint:
            return whole
        value = {
            "plan": canonical(whole),
            "fingerprint": whole.fingerprint,
            "results": results(whole),
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        path = self.folder / suite / "plan" / f"{len(before) + 1:04d}.json"
        with commit_file(path, new=True, keeper=self._mirror) as temporary:
            write_json(temporary, value)
        return whole


def post_hoc(versions: list[Version]) -> str:
    """Return "" for a plan that was whole before its first result, else "post hoc" and why."""
    if not versions:
        return f"{POST_HOC}: no plan was written before the results"
    late = [version for version in versions if version.results]
    if not late:
        return ""
    last = late[-1]
    if last.number == 1:
        what = "the plan was written"
    else:
        what = f"the plan was changed ({', '.join(_changes(versions, last))})"
    return f"{POST_HOC}: {what} when {last.results} of its cells had a result ({last.made_at})"


def _changes(versions: list[Version], late: Version) -> list[str]:
    """The names of what a version has and the one before had not."""
    before = canonical(versions[late.number - 2].plan)
    after = canonical(late.plan)
    names = [name for name in after if after[name] != before[name]]
    return [name for name in names if name != "labels"]


def _version(path: Path) -> Version:
    try:
        value = read_json(path)
        value["plan"]["analysis"].setdefault("version", 1)  # from before versions were written
        chosen = {name: value[name] for name in ("plan", "fingerprint", "results", "made_at")}
        version = read_as(Version, {**chosen, "number": int(path.stem)})
        if version.plan.fingerprint != version.fingerprint:
            raise ValueError("it does not match its hash")
        preset, preset_hash = known_as(version.plan.preset, version.plan.preset_hash)
        return replace(version, plan=replace(version.plan, preset=preset, preset_hash=preset_hash))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            f"{path} is damaged ({error}): a plan cannot be made again; use another suite --name"
        ) from error
