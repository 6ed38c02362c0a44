"""A run that was killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from tests.helpers.results import QUICK_FIT, cells_of, labels_of, run_slide

WSIPSM = str(Path(sys.executable).with_name("wsipsm"))
CUT = "tiles.core_px=128"


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a process and all its children at once."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(one.pid, signal.SIGKILL)
    process.wait(20)


def finished_tiles(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*/.work-*/tiles/*.npz")}


def test_a_killed_run_goes_on_and_ends_like_an_undisturbed_one(slide: Path, whole: Path, tmp_path: Path) -> None:
    command = [WSIPSM, "run", str(slide), "-o", str(tmp_path), "--encoder", str(whole / "fit.pt")]
    settings = ["--set", CUT, "--set", QUICK_FIT, "--workers", "2"]
    process = subprocess.Popen([*command, *settings], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(finished_tiles(tmp_path)) < 6 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)

    kill_tree(process)
    before = finished_tiles(tmp_path)
    assert 6 <= len(before) < 100, "killed midway"
    assert not list(tmp_path.glob("*/cells*")), "nothing under a final name"
    again = run_slide(slide, tmp_path, CUT, QUICK_FIT, encoder=whole / "fit.pt")

    assert cells_of(again).equals(cells_of(whole))
    np.testing.assert_array_equal(labels_of(again), labels_of(whole))
    assert not list(again.glob(".*")), "no scratch left"


def test_the_client_of_a_run_does_without_pytorch(slide: Path, tmp_path: Path) -> None:
    """It takes a second to import and half a gigabyte; only workers compute."""
    code = (
        "import sys; from wsipsm.cli.main import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'sklearn', 'skimage', 'zarr', 'tiatoolbox'} & sys.modules.keys()\n"
    )
    command = [sys.executable, "-c", code, "run", slide, "-o", tmp_path, "--workers", "1"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert len(cells_of(tmp_path / slide.stem)) > 500
