"""Print start-up times and the time and peak memory of a whole run: ``python -m benchmarks.startup SLIDE``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import psutil

COMPLETION = {"COMP_WORDS": "wsipsm run --", "COMP_CWORD": "2", "_WSIPSM_COMPLETE": "complete_bash"}
WSIPSM = str(Path(sys.executable).with_name("wsipsm"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", nargs="?", default="demo/CMU-1-Small-Region.svs")
    slide = parser.parse_args().slide
    bare = [sys.executable, "-c", "import wsipsm"]
    print(f"import wsipsm        median of 5: {median_seconds(bare):.2f} s  (asked: <= 0.15 s)")
    print(f"wsipsm --help        median of 5: {median_seconds([WSIPSM, '--help']):.2f} s  (asked: <= 0.35 s)")
    print(f"completion of a word median of 5: {median_seconds([WSIPSM], COMPLETION):.2f} s  (asked: < 0.5 s)")
    print(f"wsipsm info SLIDE    median of 5: {median_seconds([WSIPSM, 'info', slide]):.2f} s  (asked: < 1.5 s)")
    out = tempfile.mkdtemp()
    try:
        log, began = Path(out) / "log.jsonl", time.time()
        seconds, peak = watch([WSIPSM, "run", slide, "-o", out, "--log-json", str(log)])
        first = first_tile(log) - began
    finally:
        shutil.rmtree(out)
    print(f"first tile found     {first:.1f} s after the start")
    print(f"wsipsm run SLIDE     {seconds:.0f} s  (asked: < 300 s)")
    print(f"peak memory of the whole process tree (proportional set size): {peak / 1e9:.2f} GB  (asked: < 3 GB)")


def first_tile(log: Path) -> float:
    """Time of the first event of a tile, seconds since 1970."""
    events = map(json.loads, log.read_text().splitlines())
    return datetime.fromisoformat(next(event["time"] for event in events if event["event"] == "tile")).timestamp()


def median_seconds(command: list[str], environment: Mapping[str, str] | None = None, repeats: int = 5) -> float:
    """Wall seconds of a command."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | dict(environment or {}))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def watch(command: list[str]) -> tuple[float, int]:
    """Wall seconds and peak memory of a command with all its children."""
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(command)
    done = threading.Event()
    threading.Thread(target=lambda: (process.wait(), done.set()), daemon=True).start()
    while not done.wait(0.2):
        peak = max(peak, tree_memory(process.pid))
    if process.returncode:
        raise SystemExit(process.returncode)
    return time.perf_counter() - start, peak


def tree_memory(pid: int) -> int:
    """Bytes held by a process and its children, shared pages counted once."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # it ended while we looked
    return total


if __name__ == "__main__":
    main()
