"""``wsipsm view`` as a process: its link, its end, its refusals."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.helpers.command import wsipsm
from tests.helpers.viewed import served


def test_the_printed_link_opens_the_page_and_ctrl_c_ends_at_once(whole: Path) -> None:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with served(whole.parent) as (link, process):
        with browser.open(link) as answer:
            page = answer.read()
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(link.split("?")[0])
        refused.value.close()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)

    assert link.startswith("http://127.0.0.1:")
    assert b"<title>wsipsm view</title>" in page
    assert (process.returncode, err) == (0, "")


def test_other_machines_are_let_in_on_request_only_and_with_a_warning(whole: Path) -> None:
    with served(whole.parent, "--host", "0.0.0.0") as (link, process):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)

    assert socket.gethostname() in link
    assert err.startswith("wsipsm: warning: 0.0.0.0 can be reached from other machines")


def test_a_port_that_is_taken_is_said(whole: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = wsipsm("view", whole.parent, "--no-open", "--port", str(port))

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"wsipsm: 127.0.0.1:{port}: cannot be listened on")
    assert "--port" in refused.stderr


def test_a_folder_without_a_run_is_said(tmp_path: Path) -> None:
    refused = wsipsm("view", tmp_path)

    assert refused.returncode == 1
    assert "no slides here; expected the output folder of wsipsm run" in refused.stderr
