"""Runs that are killed midway, with all their processes and without a warning."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from tests.helpers.command import WSIPSM


def finished_tiles(out: Path) -> dict[str, int]:
    """Finished tiles of slides that are not assembled yet, and when each was written, ns."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*/.work-*/tiles/*.npz")}


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a process and all its children at once."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(one.pid, signal.SIGKILL)
    process.wait(20)


def killed_midway(slide: Path, out: Path, *arguments: str | Path, least: int = 3) -> dict[str, int]:
    """Start ``wsipsm run`` and kill it when it has finished some tiles; these."""
    command = [WSIPSM, "run", *map(str, (slide, "-o", out, *arguments))]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(finished_tiles(out)) < least and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it was killed"
    kill_tree(process)
    assert not list(out.glob("*/cells*")), "nothing under a final name"
    return finished_tiles(out)
