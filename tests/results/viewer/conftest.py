"""Results that the tests of the viewer look at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.testclient import TestClient

from tests.helpers.classified import with_class
from tests.helpers.viewed import CHROMIUM, REFUSED, admitted, served, watched


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole.parent, tmp_path / "out")


@pytest.fixture(scope="module")
def client(whole: Path) -> TestClient:
    return admitted(whole.parent)


@pytest.fixture(scope="module")
def api(whole: Path) -> str:
    return f"/api/slides/{whole.name}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def folder(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder with two slides; the second has refused cells and small tiles."""
    out = shutil.copytree(whole.parent, tmp_path_factory.mktemp("viewed") / "out")
    (out / "slides.csv").unlink()
    second = shutil.copytree(out / whole.name, out / "second")
    with_class(second, REFUSED, "Doubtful")
    record = json.loads((second / "run.json").read_bytes())
    record["config"]["tiles"]["core_px"] = 256
    (second / "run.json").write_text(json.dumps(record))
    return out


@pytest.fixture(scope="module")
def link(folder: Path) -> Iterator[str]:
    with served(folder) as (link, _):
        yield link


@pytest.fixture
def page(browser: Browser, link: str) -> Iterator[Page]:
    with watched(browser, link) as page:
        yield page
