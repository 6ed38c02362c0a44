"""Slides without results yet: what the server gives of them, and what the page shows until their cells are there."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.helpers.results import cells_of
from tests.helpers.viewed import CHROMIUM, admitted, at, picture_of, served, settled, unfinished_row, watched
from wsipsm.core.lock import locked
from wsipsm.engine.tables import RUN_FILE
from wsipsm.results.viewer.tiles import picture_tile
from wsipsm.slide import open_slide


@pytest.fixture
def late(out: Path, slide: Path) -> Path:
    """Output folder in whose table a second slide is still being processed."""
    unfinished_row(out, slide)
    return out


def test_an_unfinished_slide_has_a_picture_and_no_cell(late: Path, slide: Path, whole: Path) -> None:
    client, address = admitted(late), "/api/slides/late"
    row = client.get("/api/slides").json()["slides"][1]

    facts = client.get(address).json()
    tile = client.get(f"{address}/picture/{facts['picture']['levels'] - 1}/1_1?v=unfinished")
    column = client.get(f"{address}/columns/class?v=unfinished")
    regions = client.put(f"{address}/regions?v=unfinished", json=[])
    shutil.copytree(whole, late / "late")

    assert (row["version"], row["unfinished"]) == ("", True)
    with open_slide(slide) as opened:
        assert (facts["width"], facts["height"], facts["mpp"]) == (opened.width_l0, opened.height_l0, opened.mpp_l0)
        expected = picture_tile(opened, 0, 1, 1).astype(int)
    assert (facts["unfinished"], facts["cells"]["count"]) == (True, 0)
    assert np.abs(np.asarray(Image.open(io.BytesIO(tile.content))).astype(int) - expected).mean() < 3
    assert client.get(f"{address}/thumbnail?v=unfinished").headers["content-type"] == "image/jpeg"
    assert column.content == bytes([255])
    assert regions.status_code == 404
    assert "has no results yet" in regions.json()["error"]
    assert client.get(f"{address}?v=unfinished").status_code == 404, "its cells are there now"
    assert client.get(address).json()["cells"]["count"] == len(cells_of(whole))


@pytest.mark.parametrize("slide_id", ["late2", "%2e%2e", "..", ""])
def test_no_other_file_is_opened_for_an_unfinished_slide(late: Path, slide_id: str) -> None:
    assert admitted(late).get(f"/api/slides/{slide_id}/thumbnail").status_code == 404


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_slide_that_is_still_being_processed_is_shown_and_gets_its_cells_when_it_is_done(
    browser: Browser, late: Path, whole: Path
) -> None:
    (late / RUN_FILE).unlink()  # says that the run has ended
    view = "slide=late&x=1200&y=1100&mpp=0.25&cells=outlines"
    with locked(late), served(late) as (link, _), watched(browser, link) as page:
        at(page, link, view)
        before, said, summary = picture_of(page), page.inner_text("#notice"), page.inner_text("#summary")
        at(page, link, view.replace("late", whole.name).replace("outlines", "hidden"))
        bare = picture_of(page)
        at(page, link, view)

        shutil.copytree(whole, late / ".late")
        (late / ".late").rename(late / "late")
        page.wait_for_function("() => wsipsm.shown.facts.version !== 'unfinished'", timeout=60_000)
        page.wait_for_function("() => document.querySelector('#notice').hidden")
        settled(page)

        assert said == "Still being processed: cells appear when the slide is done"
        assert summary == "running: 3 of 9 tiles"
        middle_of = np.s_[200:500, 200:500]
        assert np.abs(before[middle_of] - bare[middle_of]).max() == 0
        assert (np.abs(picture_of(page) - before)[middle_of].sum(axis=2) > 60).mean() > 0.01
        assert page.inner_text("#shown") == f"{len(cells_of(whole)):,}"
        assert "x=1200" in page.url
        assert "mpp=0.25" in page.url
