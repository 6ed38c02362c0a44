"""How a run scales: ``python -m benchmarks.scale --data ../shared/data/monuseg``.

``workers``  an archive of 8 slides with one worker and with two, one thread each
``ceiling``  two runs of one worker side by side against one alone: what the machine gives without any sharing
``resume``   a slide of 1024 tiles: finished and run again; killed at half and run again
``memory``   peak memory of a worker and time of slides of 16k, 32k and 64k px side (64k: 4 gigapixels)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.helpers.dask_processes import local_worker_pids
from tests.helpers.slidegen import mosaic, read_rgb, write_endless

WSIPSM = str(Path(sys.executable).with_name("wsipsm"))
TEXTURE_PX = 4096


class Peaks:
    """Peak resident memory of every process of a run, as the system keeps it (VmHWM), until the run ends."""

    def __init__(self) -> None:
        self.client = 0
        self.workers: dict[int, int] = {}

    def watch(self, pid: int) -> None:
        """Look at them until the client ends."""
        self.root = psutil.Process(pid)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while self.root.is_running() and self.root.status() != psutil.STATUS_ZOMBIE:
                with contextlib.suppress(psutil.NoSuchProcess, OSError):  # one may end while it is looked at
                    self.client = max(self.client, peak(self.root.pid))
                    for pid in local_worker_pids(self.root.pid):
                        self.workers[pid] = max(self.workers.get(pid, 0), peak(pid))
                time.sleep(0.25)


def peak(pid: int) -> int:
    """Bytes of VmHWM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def run(slides: Path, out: Path, *settings: str, peaks: Peaks | None = None) -> tuple[float, list[dict[str, Any]]]:
    """Wall seconds and every ``run.json`` of a run."""
    command = [WSIPSM, "run", str(slides), "-o", str(out), *[part for one in settings for part in ("--set", one)]]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if peaks is not None:
        peaks.watch(process.pid)
    if process.wait():
        raise SystemExit(f"{command} ended with {process.returncode}")
    seconds = time.perf_counter() - start
    return seconds, [json.loads(path.read_text()) for path in sorted(out.glob("*/run.json"))]


def workers(slide: Path, folder: Path) -> None:
    """One worker against two; nobody watches them, for that would take a part of the second core."""
    archive, walls = folder / "archive", []
    archive.mkdir()
    for number in range(8):
        os.link(slide, archive / f"slide-{number}.tiff")
    for number in (1, 2):
        seconds, records = run(archive, folder / f"workers-{number}", f"schedule.workers={number}")
        walls.append(seconds)
        spent = Counter[str]()
        for record in records:
            spent.update(record["seconds"]["workers"])
        text = ", ".join(f"{name} {value:.0f}" for name, value in spent.items())
        print(f"{number} workers: {seconds:.0f} s; worker seconds {sum(spent.values()):.0f}: {text}", flush=True)
    print(f"2 workers are {walls[0] / walls[1]:.2f} times as fast as 1 (asked: 1.8)")


def ceiling(slide: Path, folder: Path) -> None:
    """One run of one worker alone, and two that know nothing of each other side by side: what the machine gives."""
    archive = folder / "part"
    archive.mkdir()
    for number in range(2):
        os.link(slide, archive / f"slide-{number}.tiff")
    alone, _ = run(archive, folder / "alone", "schedule.workers=1")
    with ThreadPoolExecutor(2) as threads:
        both = threads.map(lambda name: run(archive, folder / name, "schedule.workers=1")[0], ("left", "right"))
    print(f"two runs side by side do {2 * alone / max(both):.2f} times the work of one in the same time", flush=True)


def marks(work: Path) -> dict[Path, int]:
    """Results of tiles, and when they were written."""
    return {path: path.stat().st_mtime_ns for kind in ("mapped", "tiles") for path in (work / kind).glob("[0-9]*")}


def resume(slide: Path, folder: Path) -> None:
    """A finished slide, and one that was killed at half."""
    settings = ("tiles.core_px=256", "tiles.block_px=256")
    options = [part for one in settings for part in ("--set", one)]
    out, killed = folder / "resume", folder / "killed"
    whole, _ = run(slide, out, *settings)
    imports = min(timed([sys.executable, "-c", "import wsipsm.cli.main, wsipsm.engine.pipeline"]) for _ in range(3))
    again = min(timed([WSIPSM, "run", str(slide), "-o", str(out), *options]) for _ in range(3))
    print(f"finished slide of 1024 tiles, run again: {again:.1f} s, imports alone {imports:.1f} s (asked: 3 s besides)")

    command = [WSIPSM, "run", str(slide), "-o", str(killed), *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    found: dict[Path, int] = {}
    while process.poll() is None and len([path for path in found if path.suffix]) < 512:
        time.sleep(0.2)
        found = {path: stamp for work in (killed / slide.stem).glob(".work-*") for path, stamp in marks(work).items()}
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(one.pid, signal.SIGKILL)
    process.wait()
    (work,) = (killed / slide.stem).glob(".work-*")
    before = marks(work)
    watch = Rewritten(work, before)
    seconds = timed(command)
    mapped, done = (sum(path.parent.name == kind for path in before) for kind in ("mapped", "tiles"))
    print(
        f"killed with {mapped} of 1024 tiles mapped and {done} recognised, resumed: {seconds:.0f} s (undisturbed "
        f"{whole:.0f} s), {watch.stop()} finished results made again (asked: those in flight, 6 at most)",
        flush=True,
    )


class Rewritten:
    """Counts results that are written again while a run goes on; the scratch is gone when it ends."""

    def __init__(self, work: Path, before: dict[Path, int]) -> None:
        self._work, self._before = work, before
        self._again: set[Path] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """End the watch; returns how many."""
        self._ended.set()
        self._thread.join()
        return len(self._again)

    def _watch(self) -> None:
        while not self._ended.wait(0.3):
            with contextlib.suppress(OSError):
                now = marks(self._work)
                self._again |= {path for path, stamp in self._before.items() if now.get(path, stamp) != stamp}


def timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def memory(folder: Path, texture: object, sides: list[int]) -> None:
    """Peak memory and time by the side of the slide."""
    largest, took = {}, {}
    for side in sides:
        slide = write_endless(folder / f"side-{side}.tiff", texture, side, mpp=0.25)
        peaks = Peaks()
        seconds, (record,) = run(slide, folder / f"memory-{side}", peaks=peaks)
        largest[side], took[side] = max(peaks.workers.values()), seconds
        print(
            f"{side} px, {slide.stat().st_size / 1e9:.2f} GB file: {record['counts']['cells']:,} cells, "
            f"{record['counts']['tiles']} tiles, {seconds:.0f} s; "
            f"peak of a worker {largest[side] / 1e9:.2f} GB, of the client {peaks.client / 1e9:.2f} GB",
            flush=True,
        )
        slide.unlink()
    exponent = np.polyfit(2 * np.log(list(took)), np.log(list(took.values())), 1)[0] if len(took) > 1 else math.nan
    print(f"time grows with the {exponent:.2f}th power of the area (asked: 1.0 +- 0.05)")
    spread = max(largest.values()) / min(largest.values()) - 1
    most = max(largest.values()) / 1e9
    print(f"largest over smallest peak: +{100 * spread:.0f} % (asked: 15 %), at most {most:.2f} GB (asked: 2.5)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/monuseg"))
    parser.add_argument("--parts", nargs="+", default=["workers", "ceiling", "resume", "memory"])
    parser.add_argument("--sides", type=int, nargs="+", default=[16384, 32768, 65536])
    options = parser.parse_args()
    texture = mosaic([read_rgb(path) for path in sorted((options.data / "images").iterdir())], TEXTURE_PX)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"workers", "ceiling", "resume"} & set(options.parts):
            slide = write_endless(folder / "slide.tiff", texture, 16384, mpp=0.25)
            if "workers" in options.parts:
                workers(slide, folder)
            if "ceiling" in options.parts:
                ceiling(slide, folder)
            if "resume" in options.parts:
                resume(slide, folder)
        if "memory" in options.parts:
            memory(folder, texture, options.sides)


if __name__ == "__main__":
    main()
