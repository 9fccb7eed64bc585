"""Drives MLflow's page in a real browser. `python tests/helpers/browser.py LINK FOLDER` makes the
pictures of docs/mlflow.md from the link that `bench ui` says."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmark.tracking.ui import charts_link, start_link

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDE = {"width": 1280, "height": 800}


def found_browser() -> str | None:
    """The path of an installed browser."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def opened_page(browser: str) -> Iterator[tuple[Any, list[str]]]:
    """A page, and the errors that it writes to its console."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chrome.new_page(viewport=WIDE)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page, errors
        chrome.close()


def show(page: Any, link: str, *words: str) -> str:
    """Open a link, wait until all words are there, close MLflow's assistant; return the text."""
    page.goto("about:blank")  # else a link that differs behind the # is not loaded anew
    page.goto(link)
    for word in words:
        page.get_by_text(word).first.wait_for(timeout=60_000)
    if page.get_by_text("Ask questions about your").count():
        page.mouse.click(WIDE["width"] - 36, 36)
        page.get_by_text("Ask questions about your").wait_for(state="hidden", timeout=10_000)
    page.wait_for_timeout(1500)  # charts are drawn a little later
    return str(page.inner_text("body"))


def compare_link(base: str, experiment: str, runs: list[str]) -> str:
    """The address of MLflow's page that compares runs."""
    chosen = quote(json.dumps(runs))
    return f"{base}/#/compare-runs?runs={chosen}&experiments={quote(json.dumps([experiment]))}"


def rows_of(base: str, experiment: str) -> dict[str, str]:
    """Run ids of the rows by name."""
    question = {"experiment_ids": [experiment], "filter": "tags.level = 'row'"}
    request = urllib.request.Request(
        f"{base}/api/2.0/mlflow/runs/search",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        runs = [run["info"] for run in json.load(answer)["runs"]]
    return {run["run_name"]: run["run_id"] for run in runs}


def main(link: str, folder: Path) -> None:
    """Write the pictures: the table of rows on a small and on a wide screen, charts, comparison."""
    base, experiment = link.split("/#")[0], link.split("/experiments/")[1].split("/")[0]
    rows = rows_of(base, experiment)
    with opened_page(found_browser() or "") as (page, errors):
        for name, address, word in (
            ("rows", start_link(base, experiment), "Run Name"),
            ("folds", charts_link(base, experiment), "Group: "),
            ("compare", compare_link(base, experiment, list(rows.values())), "Run ID:"),
        ):
            show(page, address, word)
            page.wait_for_timeout(4000)
            page.screenshot(path=folder / f"mlflow-{name}.png")
        page.set_viewport_size({"width": 1920, "height": 800})
        show(page, start_link(base, experiment), "Run Name")
        page.screenshot(path=folder / "mlflow-rows-1920.png")
    if errors:
        sys.exit("\n".join(errors))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
