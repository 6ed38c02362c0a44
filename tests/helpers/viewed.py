"""The viewer as its users meet it: a process that serves, and a browser that shows nothing but what it is given."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, Page
from starlette.testclient import TestClient

from tests.helpers.command import WSIPSM
from wsipsm.engine.status import read_status
from wsipsm.results.viewer.listing import Listing
from wsipsm.results.viewer.server import make_app

TOKEN = "a-secret"
HERE = "http://127.0.0.1:8000"
CHROMIUM = shutil.which("chromium")
REFUSED = 200
"""Cells of the second slide that are refused."""
SIZE = {"width": 1280, "height": 800}
LATE = "Ignoring tile %s loaded before reset"
"""What OpenSeadragon says of a tile that was on its way as its slide was closed; it is no fault."""


@contextmanager
def served(out: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Link and process of ``wsipsm view``."""
    command = [WSIPSM, "view", str(out), "--no-open", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


@contextmanager
def watched(browser: Browser, link: str) -> Iterator[Page]:
    """Page of its own; at the end nothing may have been complained of, nor asked from another host."""
    complaints, hosts = list[str](), set[str]()
    with browser.new_context(viewport=SIZE, device_scale_factor=1) as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.goto(link)
        yield page
    assert [text for text in complaints if LATE not in text] == [], complaints
    assert hosts <= {urlsplit(link).netloc, ""}, hosts


def at(page: Page, link: str, hash_: str) -> None:
    """Show a view and wait until all that it needs is drawn."""
    page.goto("about:blank")
    page.goto(f"{link}#{hash_}")
    settled(page)


def settled(page: Page) -> None:
    """Wait until the slide, its cells and its columns stand still."""
    page.wait_for_selector("body[data-ready]")
    page.wait_for_function(
        """() => {
          const { scene } = wsipsm.shown, { labels, outlines, viewer } = scene;
          const here = [...outlines.tiles.values()].every((tile) => tile.rings);
          return !labels.running && !labels.waiting.length && here && viewer.world.getItemAt(0).getFullyLoaded();
        }"""
    )
    page.evaluate("wsipsm.shown.scene.redraw()")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def rows(out: Path) -> tuple[str, list[dict[str, Any]]]:
    found = read_status(out)
    return found.state, found.rows


def client_of(out: Path, *, host: str = "127.0.0.1", slides: tuple[Path, ...] = ()) -> TestClient:
    app = make_app(Listing(out, lambda: rows(out)), token=TOKEN, host=host, slide_folders=slides)
    return TestClient(app, base_url=HERE)


def admitted(out: Path, **options: Any) -> TestClient:
    client = client_of(out, **options)
    assert client.get(f"/?token={TOKEN}").status_code == 200
    return client


def picture_of(page: Page) -> np.ndarray:
    """Pixels of the slide's part of the window, (y, x, 3)."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    shot = Image.open(io.BytesIO(page.screenshot(clip=box)))
    return np.asarray(shot.convert("RGB")).astype(int)


def middle(page: Page) -> np.ndarray:
    """Middle of the slide's part of the window, its pixels (x, y)."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    return np.array([box["width"], box["height"]]) / 2


def lone_cell(cells: pd.DataFrame, low: float, high: float) -> pd.Series:
    """Cell well inside the slide whose area no other one has."""
    inside = cells[(cells.centroid_x.between(low, high)) & (cells.centroid_y.between(low, high))]
    return inside[~inside.area_um2.duplicated(keep=False) & (inside.area_um2 > 30)].iloc[0]


def unfinished_row(out: Path, slide: Path) -> None:
    """Add a slide of the name ``late`` to a run's table that is still being processed."""
    with (out / "slides.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    late = {"slide": slide, "slide_id": "late", "status": "running", "tiles_done": "3", "tiles_total": "9"}
    with (out / "slides.csv").open("a", newline="") as file:
        csv.DictWriter(file, list(row)).writerow(row | late | {"cells": "0", "out": str(out / "late")})
