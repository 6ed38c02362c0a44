"""The page in a real browser: ids, refused cells, tile borders, regions, and what its controls are called."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image
from playwright.sync_api import Page
from starlette.testclient import TestClient

from tests.helpers.classified import table
from tests.helpers.viewed import CHROMIUM, REFUSED, at, middle, picture_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


def test_refused_cells_are_shown_on_demand(page: Page, link: str, folder: Path) -> None:
    count = len(table(folder / "second"))
    at(page, link, "slide=second")

    before = page.inner_text("#shown")
    page.click("#classes label:has-text('Refused')")
    page.wait_for_function("() => !document.querySelector('#shown').textContent.includes('of')")

    assert before == f"{count - REFUSED:,} of {count:,}"
    assert page.inner_text("#shown") == f"{count:,}"


def test_borders_of_tiles_are_drawn_where_they_are(page: Page, link: str) -> None:
    view = "slide=second&x=1200&y=1250&mpp=0.5&cells=hidden"
    at(page, link, view)
    without = picture_of(page)
    at(page, link, f"{view}&seams=1")

    changed = np.abs(picture_of(page) - without).sum(axis=2) > 30
    columns = np.flatnonzero(changed[300:450].mean(axis=0) > 0.9)
    groups = [group.mean() + 0.5 for group in np.split(columns, np.flatnonzero(np.diff(columns) > 4) + 1)]
    borders = middle(page)[0] + (np.array([512, 1024, 1536]) - 1200) / 2
    np.testing.assert_allclose(groups, borders, atol=1)


def test_a_region_that_is_drawn_is_counted_saved_and_there_again(page: Page, link: str, folder: Path) -> None:
    at(page, link, "slide=second&x=1250&y=1250&mpp=0.5")
    corners = middle(page) + np.array([[-200, -150], [180, -120], [150, 200], [-100, 170]])

    page.focus("#stage")
    page.keyboard.press("d")
    for x, y in corners:
        page.locator("#stage").click(position={"x": x, "y": y})
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#saved').textContent.startsWith('Saved')")

    drawn = shapely.Polygon((corners - middle(page)) * 2 + 1250)
    (feature,) = json.loads((folder / "second" / "regions.geojson").read_bytes())["features"]
    assert shapely.geometry.shape(feature["geometry"]).symmetric_difference(drawn).area < 0.01 * drawn.area
    cells = table(folder / "second")
    known = cells[cells["class"] != "Doubtful"]
    inside = shapely.contains_xy(drawn, known.centroid_x, known.centroid_y).sum()
    assert inside > 20
    assert page.inner_text("#regions .figures").startswith(f"{inside} cells, {drawn.area / 16e6:.3g} mm²")
    at(page, link, "slide=second")
    assert page.input_value("#regions input") == "Region 1"
    page.click("#regions button[aria-label^=Remove]")
    page.wait_for_selector("#regions li", state="detached")
    page.wait_for_timeout(300)
    assert not (folder / "second" / "regions.geojson").exists()


def test_ids_reach_the_page_unchanged(page: Page, client: TestClient, api: str) -> None:
    tile = np.asarray(Image.open(io.BytesIO(client.get(f"{api}/labels/0/0_0").content))).astype(np.uint32)
    expected = tile @ np.array([1, 256, 65536], np.uint32)

    found = page.evaluate(
        """async (path) => {
          const { idsOf } = await import("/static/js/ids.js");
          const { ids } = await idsOf(await (await fetch(path)).arrayBuffer());
          return [...new Uint8Array(await crypto.subtle.digest("SHA-256", ids))];
        }""",
        f"{api}/labels/0/0_0",
    )

    assert bytes(found) == hashlib.sha256(expected.astype("<u4").tobytes()).digest()
    assert expected.max() > 256


def test_every_control_has_a_name(page: Page, link: str) -> None:
    at(page, link, "")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select")]
          .filter((control) => !(control.ariaLabel || control.textContent.trim() || control.labels?.length))
          .map((control) => control.outerHTML)"""
    )

    assert nameless == []
