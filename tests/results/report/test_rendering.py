"""Reports in a real browser: nothing is asked from elsewhere, no complaint, and something to see."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Error, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, as the system has it or as Playwright installed it."""
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"no Chromium here: {error.message.splitlines()[0]}")
        yield started
        started.close()


@pytest.mark.parametrize("which", ["slide", "run", "marked"])
def test_a_report_is_drawn_without_complaint_and_alone(
    browser: Browser, run: Path, marked: Path, tmp_path: Path, which: str
) -> None:
    source = {"slide": run / "a", "run": run, "marked": marked}[which] / "report.html"
    alone = tmp_path / "page.html"
    shutil.copy(source, alone)
    said, asked = list[str](), list[str]()
    page = browser.new_page(viewport={"width": 1000, "height": 1200})
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    page.goto(alone.as_uri())

    picture = np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB"))
    broken = page.evaluate("[...document.images].filter(one => !one.complete || !one.naturalWidth).length")
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [alone.as_uri()]
    assert broken == 0
    assert wide <= 1000
    assert picture.shape[0] > 1000
    assert 0.02 < (picture < 200).any(axis=2).mean() < 0.9


def test_a_report_prints_on_a4(browser: Browser, run: Path) -> None:
    page = browser.new_page()
    page.goto((run / "a" / "report.html").as_uri())

    content = page.pdf(prefer_css_page_size=True, print_background=True)

    page.close()
    assert b"/MediaBox [0 0 594.95996 841.91998]" in content or b"/MediaBox [0 0 595" in content
