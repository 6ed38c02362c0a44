"""What benchmarks share: mosaics, times of processes, tables."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from tests.helpers.slidegen import mosaic, read_rgb, write_slide

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Spent:
    """Wall and CPU seconds; CPU seconds are user and system time of a process and all that it started."""

    wall: float
    cpu: float


def time_process(command: list[str], folder: Path | None = None) -> Spent:
    """Run a command to its end, with the packages of a folder where one is given; stops where it fails."""
    _adopt_orphans()
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | ({"PYTHONPATH": str(folder)} if folder else {})
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0):  # the server that workers are forked from ends after the command
            pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(seconds, cpu)


def _adopt_orphans() -> None:
    """Let processes whose parents end become children of this one, so that their CPU seconds count (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def in_turns(parts: Mapping[str, Callable[[], Spent]], rounds: int) -> dict[str, list[Spent]]:
    """Measure every part once in each round, so that all see the same machine: A B A B."""
    found: dict[str, list[Spent]] = {name: [] for name in parts}
    for number in range(rounds):
        for name, part in parts.items():
            spent = part()
            found[name].append(spent)
            print(f"round {number + 1}, {name}: {spent.wall:.1f} s wall, {spent.cpu:.1f} s CPU", flush=True)
    return found


def ratio(found: Mapping[str, list[Spent]], one: str, other: str, what: str = "cpu") -> float:
    """Median over the rounds of one part's seconds over the other's."""
    pairs = zip(found[one], found[other], strict=True)
    return statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs)


def median(spent: list[Spent], what: str) -> float:
    """Median of ``wall`` or ``cpu`` seconds."""
    return statistics.median(getattr(one, what) for one in spent)


def dense_mosaic(data: Path, side: int, file: Path) -> Path:
    """Write a slide of dense H&E at 0.5 um/px in JPEG tiles, ``side`` px wide and high."""
    images = [read_rgb(path) for path in sorted((data / "images").iterdir())]
    halves = [cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for image in images]
    return write_slide(file, mosaic(halves, side), mpp=0.5, compression="jpeg")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {"cpu": model or platform.processor(), "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}


def write_table(file: Path, table: Mapping[str, Any]) -> None:
    """Write figures as JSON beside the machine."""
    file.write_text(json.dumps({"machine": machine(), **table}, indent=2) + "\n")
    print(f"{file}: written")
