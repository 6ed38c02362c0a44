"""The page in a real browser: cells at their pixels, filter, clicks, keys, links and regions."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import openslide
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from tests.helpers.results import cells_of, run_slide
from tests.helpers.viewed import CHROMIUM, at, lone_cell, middle, picture_of, served, watched

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

ZOOMS = (0.2, 0.8, 1.6)
"""Micrometres per pixel of the screen: outlines, labels, and coarser labels."""


def refuses_to_be_elsewhere(page: Page, link: str, slide: str, cell: pd.Series, mpp_l0: float) -> None:
    """A cell that alone is shown changes the window's pixels where it lies, to 2 px, and only there."""
    only = quote(f"area_um2:{cell.area_um2 - 1e-4}:{cell.area_um2 + 1e-4}")
    for mpp in ZOOMS:
        scale = mpp_l0 / mpp
        off = np.array([90.0, -60.0])  # of the screen: not where the view is anchored
        x, y = np.array([cell.centroid_x, cell.centroid_y]) - off / scale
        view = f"slide={slide}&x={x}&y={y}&mpp={mpp}&filter={only}"
        at(page, link, f"{view}&cells=hidden")
        without = picture_of(page)
        at(page, link, f"{view}&cells=filled")
        rows, columns = np.nonzero(np.abs(picture_of(page) - without).sum(axis=2) > 20)

        found = np.array([columns.mean(), rows.mean()]) + 0.5
        assert np.abs(found - (middle(page) + off)).max() <= 2, mpp
        assert np.ptp(columns) < 3 * np.sqrt(cell.area_um2) / mpp + 3


def test_a_known_cell_lies_at_its_pixel_at_three_zooms(page: Page, link: str, whole: Path) -> None:
    refuses_to_be_elsewhere(page, link, whole.name, lone_cell(cells_of(whole), 1000, 1500), 0.25)


@pytest.mark.shared_data
@pytest.mark.slow
def test_a_known_cell_of_a_scanned_slide_lies_at_its_pixel(browser: Browser, shared_data: Path, tmp_path: Path) -> None:
    scan = shared_data / "slides" / "CMU-1-Small-Region.svs"
    results = run_slide(scan, tmp_path, "recognizer.method=segmenter")

    with served(tmp_path) as (link, _), watched(browser, link) as page:
        refuses_to_be_elsewhere(page, link, results.name, lone_cell(cells_of(results), 1000, 1500), 0.499)


def test_the_slide_lies_where_its_pixels_are(page: Page, link: str, whole: Path, slide: Path) -> None:
    at(page, link, f"slide={whole.name}&x=1200&y=1100&mpp=0.25&cells=hidden")
    shown = picture_of(page)[200:500, 200:500]
    with openslide.OpenSlide(slide) as opened:
        x, y = (np.array([1200, 1100]) - middle(page) + 200).round().astype(int)
        pixels = np.asarray(opened.read_region((x - 2, y - 2), 0, (304, 304)).convert("RGB")).astype(int)

    off = {(dy, dx): np.abs(shown - pixels[dy : dy + 300, dx : dx + 300]).mean() for dy in range(5) for dx in range(5)}

    assert min(off, key=off.__getitem__) == (2, 2)


def test_a_click_on_a_cell_shows_its_measurements(page: Page, link: str, whole: Path) -> None:
    cell = lone_cell(cells_of(whole), 1000, 1500)
    for mpp in (0.2, 1.0):
        at(page, link, f"slide={whole.name}&x={cell.centroid_x + 80}&y={cell.centroid_y}&mpp={mpp}")
        x, y = middle(page) - (80 * 0.25 / mpp, 0)

        page.locator("#stage").click(position={"x": x, "y": y})
        page.wait_for_selector("#cell:visible")

        text = page.inner_text("#cell")
        assert f"Label\n{cell.label}\n" in text
        assert str(cell.uuid) in text
        assert f"cell={cell.label}" in page.url


def test_a_filter_hides_cells_and_its_histogram_says_how_many(page: Page, link: str, whole: Path) -> None:
    at(page, link, "")
    cells = cells_of(whole)
    median = round(float(cells.area_um2.median()), 2)
    page.select_option("#measure", "area_um2")
    page.fill("#low-text", str(median))
    page.press("#low-text", "Enter")
    page.wait_for_selector("#filters li")
    kept = int((cells.area_um2 >= median).sum())

    assert page.inner_text("#shown") == f"{kept:,} of {len(cells):,}"
    assert page.evaluate("wsipsm.shown.style.palette.filter(Boolean).length") == kept
    page.fill("#high-text", str(median + 5))
    page.press("#high-text", "Enter")
    page.wait_for_function("() => document.querySelector('#filters li').textContent.includes(' to ')")
    assert page.inner_text("#shown") == f"{int(cells.area_um2.between(median, median + 5).sum()):,} of {len(cells):,}"
    page.click("#clear-filter")
    page.wait_for_selector("#filters li", state="detached")
    assert page.inner_text("#shown") == f"{len(cells):,}"


def test_sliders_move_the_filter_by_keyboard(page: Page, link: str, whole: Path) -> None:
    at(page, link, "")
    page.focus("#low")
    for _ in range(3):
        page.keyboard.press("PageUp")
    page.wait_for_selector("#filters li")

    low, areas = np.float32(page.input_value("#low-text")), cells_of(whole).area_um2
    assert page.inner_text("#shown") == f"{int((areas >= low).sum()):,} of {len(areas):,}"


def test_colours_follow_the_measurement_without_a_word_to_the_server(page: Page, link: str, whole: Path) -> None:
    at(page, link, "")
    cells = cells_of(whole)
    page.select_option("#colour", "area_um2")
    page.wait_for_selector("#ramp:visible")
    page.select_option("#colour", "class")
    page.wait_for_selector("#ramp", state="hidden")
    page.wait_for_load_state("networkidle")  # columns are fetched ahead
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)

    page.select_option("#colour", "area_um2")
    page.wait_for_selector("#ramp:visible")

    palette = np.array(page.evaluate("[...wsipsm.shown.style.palette]"), np.uint32)
    ramp = page.evaluate("[...wsipsm.shown.style.ramp]")
    order = np.array([ramp.index(colour) for colour in palette[cells["label"]]])
    assert np.all(np.diff(order[np.argsort(cells.area_um2)]) >= 0)
    assert len(set(order)) > 20
    assert asked == []


def test_a_class_is_hidden_by_its_box(page: Page, link: str) -> None:
    at(page, link, "")
    page.click("#classes label")

    page.wait_for_function("() => document.querySelector('#shown').textContent.startsWith('0 of')")


def state(page: Page) -> str:
    return re.sub(r"https?://[^#]*", "", page.url)


def test_a_link_restores_the_view(page: Page, browser: Browser, link: str, whole: Path) -> None:
    cell = lone_cell(cells_of(whole), 1000, 1500)
    wanted = f"slide={whole.name}&x=1300.0&y=1200.0&mpp=0.4&colour=solidity&filter={quote('area_um2:10:')}"
    at(page, link, f"{wanted}&off=Doubtful&cells=filled&seams=1&cell={cell.label}")
    page.keyboard.press("g")
    page.keyboard.press("g")
    shown, address = picture_of(page), state(page)

    with watched(browser, link) as other:
        at(other, link, address[1:])
        assert other.input_value("#colour") == "solidity"
        assert other.is_checked("[value=filled]")
        assert other.is_checked("#seams")
        assert f"Label\n{cell.label}\n" in other.inner_text("#cell")
        other.wait_for_timeout(100)
        assert state(other) == address
        assert np.abs(picture_of(other) - shown).mean() < 0.1


def test_keys_move_zoom_and_switch(page: Page, link: str, whole: Path) -> None:
    at(page, link, "")

    def scene(what: str) -> float:
        page.wait_for_timeout(700)
        found: float = page.evaluate(f"wsipsm.shown.scene.{what}")
        return found

    page.focus("#stage")
    page.keyboard.press("4")
    assert scene("mpp") == pytest.approx(0.25, rel=0.01)
    x = scene("centre[0]")
    page.keyboard.press("ArrowRight")
    assert scene("centre[0]") > x + 50
    page.keyboard.press("-")
    assert scene("mpp") == pytest.approx(0.4, rel=0.01)
    page.keyboard.press("h")
    assert page.is_checked("[value=hidden]")
    page.keyboard.press("f")
    assert page.is_checked("[value=filled]")
    page.keyboard.press("g")
    assert page.is_checked("#seams")
    page.keyboard.press("?")
    assert "Draw a region" in page.inner_text("#help")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.wait_for_function(f"() => wsipsm.shown.id !== '{whole.name}'")
    page.keyboard.press("p")
    page.wait_for_function(f"() => wsipsm.shown.id === '{whole.name}'")


def test_the_cell_in_the_middle_is_picked_by_enter(page: Page, link: str, whole: Path) -> None:
    cell = lone_cell(cells_of(whole), 1000, 1500)
    at(page, link, f"slide={whole.name}&x={cell.centroid_x}&y={cell.centroid_y}&mpp=0.2")

    page.focus("#stage")
    page.keyboard.press("Enter")

    page.wait_for_selector("#cell:visible")
    assert f"Label\n{cell.label}\n" in page.inner_text("#cell")
    page.keyboard.press("Escape")
    page.wait_for_selector("#cell", state="hidden")
