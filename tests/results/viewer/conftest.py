"""Results that the tests of the viewer look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.helpers.viewed import admitted


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole.parent, tmp_path / "out")


@pytest.fixture(scope="module")
def client(whole: Path) -> TestClient:
    return admitted(whole.parent)


@pytest.fixture(scope="module")
def api(whole: Path) -> str:
    return f"/api/slides/{whole.name}"
