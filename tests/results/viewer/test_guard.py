"""Whom the viewer's server answers, and what it gives to nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.helpers.viewed import TOKEN, admitted, client_of
from wsipsm.results.viewer.guard import HEADERS


@pytest.mark.parametrize("path", ["/", "/?token=another", "/api/slides", "/static/view.css", "/static/js/main.js"])
def test_nobody_without_the_token_is_answered(whole: Path, path: str) -> None:
    refused = client_of(whole.parent).get(path)

    assert refused.status_code == 403
    assert whole.name not in refused.text
    assert HEADERS.items() <= dict(refused.headers).items() or all(refused.headers[name] for name in HEADERS)


def test_the_link_leaves_a_cookie_that_no_script_reads_and_an_address_without_the_token(whole: Path) -> None:
    answer = client_of(whole.parent).get(f"/?token={TOKEN}", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"]


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_another_host_is_refused_even_with_the_token(client: TestClient, name: str) -> None:
    assert client.get("/", headers={"host": name}).status_code == 421


@pytest.mark.parametrize(("name", "status"), [("10.0.0.1:8000", 200), ("[fe80::1]:8000", 200), ("evil.example", 421)])
def test_a_server_for_other_machines_is_known_by_its_numbers_but_by_no_strange_name(
    whole: Path, name: str, status: int
) -> None:
    client = admitted(whole.parent, host="0.0.0.0")

    assert client.get("/", headers={"host": name}).status_code == status


def test_another_page_of_the_same_browser_is_refused(client: TestClient, api: str) -> None:
    assert client.put(f"{api}/regions", json=[], headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_every_answer_keeps_the_page_to_its_own_server(client: TestClient, api: str) -> None:
    for path in ("/", "/api/slides", api, "/static/js/main.js", "/static/vendor/openseadragon.min.js"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/slides/%2e%2e",
        "/api/slides/%2e",
        "/api/slides/%2e%2e%2fother",
        "/api/slides/..%5Cother",
        "/api/slides/%2e%2e/thumbnail",
        "/api/slides/%2e%2e/regions",
        "/api/slides/%2Fetc",
        "/static/%2e%2e/server.py",
        "/static/%2e%2e%2f%2e%2e%2f__init__.py",
        "/static/js/%2e%2e/%2e%2e/server.py",
        "/static//etc/passwd",
    ],
)
def test_nothing_outside_the_folder_is_given(out: Path, path: str) -> None:
    shutil.copytree(next(out.glob("*/run.json")).parent, out.parent / "other")

    assert admitted(out).get(path).status_code == 404


def test_a_link_that_leads_out_of_the_folder_is_no_slide(out: Path) -> None:
    other = shutil.copytree(next(out.glob("*/run.json")).parent, out.parent / "other")
    (out / "linked").symlink_to(other)

    assert admitted(out).get("/api/slides/linked").status_code == 404
