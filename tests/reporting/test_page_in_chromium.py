"""The page in a real browser, offline: no console error, every figure drawn, fits a phone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from reported_suite import Reported

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
ASKS_FOR_NETWORK = '<img src="https://192.0.2.1/x.png" alt="x"></body>'


@pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)} is installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_offline_without_a_console_error(reported: Reported, width: int) -> None:
    seen = visit(reported.out / "index.html", width)
    assert seen["told"] == [] and seen["asked"] == []
    assert seen["figures"] == 8 and seen["undrawn"] == 0
    assert seen["wide"] <= width, "tables scroll in their own box, the page does not"
    assert seen["tables"] > 10 and seen["text"] > 5000


@pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)} is installed")
def test_a_page_that_asks_for_the_network_is_found_out(reported: Reported, tmp_path: Path) -> None:
    page = (reported.out / "index.html").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(page.replace("</body>", ASKS_FOR_NETWORK))
    assert visit(tmp_path / "index.html", 1280)["told"], "the policy refuses it, in the console"


def visit(page: Path, width: int) -> dict[str, object]:
    """Open a page and return what the console said, what was asked for, and what is on it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    told: list[str] = []
    asked: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": 844}, offline=True)
        tab = context.new_page()
        tab.on("console", lambda message: told.append(message.text))
        tab.on("pageerror", lambda error: told.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.as_uri())
        tab.wait_for_load_state("load")
        seen = tab.evaluate(
            """() => ({
                figures: document.images.length,
                undrawn: [...document.images].filter(i => !i.complete || !i.naturalWidth).length,
                wide: document.documentElement.scrollWidth,
                tables: document.querySelectorAll("table").length,
                text: document.body.innerText.length,
            })"""
        )
        browser.close()
    ours = [url for url in asked if not url.startswith("data:") and url != page.as_uri()]
    return {**seen, "told": told, "asked": ours}


@pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)} is installed")
def test_it_prints_whole(reported: Reported, tmp_path: Path) -> None:
    """As PDF, with what is folded away laid open, and no table wider than its sheet."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": SHEET, "height": 1000})
        tab.goto((reported.out / "index.html").as_uri())
        pdf = tab.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
        tab.emulate_media(media="print")
        upright = tab.evaluate(PRINTED, ".wide:not(.most) table")
        tab.set_viewport_size({"width": BROAD_SHEET, "height": 700})
        broad = tab.evaluate(PRINTED, ".wide.most table")
        browser.close()
    assert pdf[:5] == b"%PDF-" and 8 < len(re.findall(rb"/Type */Page\b", pdf)) < 30
    assert len(upright) >= 15 and len(broad) == 1
    assert [name for name, width, height in upright if width > SHEET or height < 20] == []
    assert [name for name, width, height in broad if width > BROAD_SHEET or height < 20] == []


SHEET, BROAD_SHEET = 688, 1032  # pixels of 182 and 273 mm: A4 without its margins
PRINTED = """kind => [...document.querySelectorAll(kind)].map(table => {
    const box = table.getBoundingClientRect();
    return [table.caption.innerText.slice(0, 40), box.right, box.height];
})"""
