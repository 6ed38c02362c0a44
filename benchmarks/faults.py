"""Break a run in every way, again and again: ``python -m benchmarks.faults --data ../shared/data/monuseg``.

A seeded plan of interruptions over an archive of real H&E: SIGKILL of the client with its workers, of one worker, of
the scheduler (which comes back, or does not); SIGTERM; a worker that is stopped and goes on when others have done its
work; a disk that is full; a slide that is cut off while it is read. The same command goes on after each. When the
archive is done its outputs must be those of an undisturbed run on one process, and the next round begins.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import geopandas
import numpy as np
import psutil
import zarr

from tests.helpers.dask_processes import Process, local_worker_pids, start_scheduler, start_worker, stop, worker_pids
from tests.helpers.slidegen import mosaic, read_rgb, write_slide

WSIPSM = str(Path(sys.executable).with_name("wsipsm"))
SETTINGS = ["--set", "tiles.core_px=256", "--set", "tiles.block_px=256"]
TTL = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "4s"}
"""After how long the scheduler gives up a worker that says nothing; a minute by default."""


class Watcher:
    """Sees every result of a tile of a round, and those that were made again."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._seen: dict[Path, int] = {}
        self.again = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()
        self._thread.join()

    @property
    def results(self) -> int:
        """Results seen so far, of both steps."""
        return len(self._seen)

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            with contextlib.suppress(OSError):
                for path in self._out.glob("*/.work-*/*/[0-9]*"):
                    stamp = path.stat().st_mtime_ns
                    self.again += self._seen.get(path, stamp) != stamp
                    self._seen[path] = stamp


@dataclass
class Round:
    """One archive from nothing to done."""

    slides: Path
    originals: Path
    out: Path
    rng: np.random.Generator
    watcher: Watcher
    cluster: list[Process] = field(default_factory=list)
    client: subprocess.Popen[str] | None = None
    resumes: int = -1

    @property
    def file(self) -> Path:
        """Scheduler file."""
        return self.out.parent / "scheduler.json"

    def command(self) -> list[str]:
        """The command that a user would type."""
        where = (
            ["--scheduler", str(self.file), "--set", "schedule.patience_s=60"] if self.cluster else ["--workers", "2"]
        )
        return [WSIPSM, "run", str(self.slides), "-o", str(self.out), *SETTINGS, *where]

    def start(self) -> None:
        """Start the client, or start it again."""
        self.resumes += 1
        self.client = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def progress(self, results: int) -> bool:
        """Wait for so many more results; False when the client ends before."""
        aim = self.watcher.results + results
        while self.watcher.results < aim:
            if self.client.poll() is not None:
                return False
            time.sleep(0.02)
        return True

    def ended(self, *codes: int) -> str:
        """Wait for the client's end with one of these codes; returns what it said."""
        _, told = self.client.communicate(timeout=600)
        assert self.client.returncode in codes, (self.client.returncode, codes, told)
        assert "Traceback" not in told, told
        return told

    def close(self) -> None:
        """End all that is left of the round."""
        self.watcher.stop()
        if self.client and self.client.poll() is None:
            os.killpg(self.client.pid, signal.SIGKILL)
            self.client.communicate()
        stop(self.cluster, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Processes in which tasks run."""
        if self.cluster:
            return [pid for nanny in self.cluster[1:] for pid in worker_pids(nanny)]
        return local_worker_pids(self.client.pid)

    def one_worker(self) -> int:
        """One of them, by lot."""
        while not (found := self.workers()):
            time.sleep(0.05)
        return int(self.rng.choice(sorted(found)))


def kill_client(r: Round) -> None:
    """With all that it started; workers of others go on with what they have."""
    family = [psutil.Process(r.client.pid), *psutil.Process(r.client.pid).children(recursive=True)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    r.client.communicate()
    r.start()


def kill_worker(r: Round) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(r.one_worker(), signal.SIGKILL)


def terminate(r: Round) -> None:
    r.client.send_signal(signal.SIGTERM)
    r.ended(0, 128 + signal.SIGTERM)
    r.start()


def restart_scheduler(r: Round) -> None:
    """The run goes on by itself."""
    stop(r.cluster, signal.SIGKILL)
    r.cluster[:] = start_cluster(r.file)


def lose_scheduler(r: Round) -> None:
    """It does not come back in time."""
    stop(r.cluster, signal.SIGKILL)
    told = r.ended(0, 1)
    assert r.client.returncode == 0 or "scheduler was lost" in told, told
    r.cluster[:] = start_cluster(r.file)
    r.start()


def stop_worker(r: Round) -> None:
    """It goes on when others have done its work."""
    pid = r.one_worker()
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(8, _go_on, [pid]).start()


def _go_on(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def fill_disk(r: Round) -> None:
    """Then make room."""
    remount(r.out.parent, shutil.disk_usage(r.out.parent).used + (1 << 20))
    told = r.ended(0, 1, 2)
    assert r.client.returncode == 0 or "no space is left" in told, told
    remount(r.out.parent, 2 << 30)
    r.start()


def remount(place: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)


def cut_slide(r: Round) -> None:
    """While it is read; after the run it is whole again."""
    with (r.out / "slides.csv").open(newline="") as table:
        running = [row["slide"] for row in csv.DictReader(table) if row["status"] == "running"]
    slide = Path(r.rng.choice(running)) if running else next(iter(sorted(r.slides.iterdir())))
    os.truncate(slide, slide.stat().st_size // 3)
    r.ended(0, 1, 2)
    shutil.copy2(r.originals / slide.name, slide)
    r.start()


FAULTS: dict[str, tuple[str, Callable[[Round], None]]] = {
    "client killed, with its workers": ("local", kill_client),
    "worker killed": ("local", kill_worker),
    "SIGTERM": ("local", terminate),
    "slide cut off while it is read": ("local", cut_slide),
    "disk full": ("small disk", fill_disk),
    "client killed, workers of others go on": ("remote", kill_client),
    "worker of others killed": ("remote", kill_worker),
    "worker stopped, and goes on later": ("remote", stop_worker),
    "scheduler killed, and back": ("remote", restart_scheduler),
    "scheduler killed for good": ("remote", lose_scheduler),
}


def start_cluster(file: Path) -> list[Process]:
    return [start_scheduler(file, **TTL), *(start_worker(file) for _ in range(2))]


def write_archive(data: Path, folder: Path, slides: int, rng: np.random.Generator) -> None:
    """Slides of real H&E of different sizes."""
    images = [read_rgb(path) for path in sorted((data / "images").iterdir())]
    folder.mkdir()
    for number in range(slides):
        side = int(rng.integers(1400, 2600))
        chosen = [images[i] for i in rng.choice(len(images), 4, replace=False)]
        write_slide(folder / f"slide-{number}.tiff", mosaic(chosen, side), mpp=0.25)


def compare(found: Path, expected: Path) -> tuple[int, int, int]:
    """Cells of the expected results, and cells lost and doubled; exits where anything else differs or is left."""
    if left := [str(path.relative_to(found)) for path in found.glob("*/.*")]:
        raise SystemExit(f"left behind: {', '.join(left)}")
    cells = lost = doubled = 0
    for folder in sorted(path.parent for path in expected.glob("*/run.json")):
        mine = geopandas.read_parquet(found / folder.name / "cells.parquet").sort_values("label", ignore_index=True)
        theirs = geopandas.read_parquet(folder / "cells.parquet").sort_values("label", ignore_index=True)
        cells += len(theirs)
        lost += len(theirs) - int(theirs["uuid"].isin(mine["uuid"]).sum())
        doubled += int(mine.duplicated("geometry").sum()) + max(0, len(mine) - len(theirs))
        labels = [
            np.asarray(zarr.open_group(path / folder.name / "labels.ome.zarr", mode="r")["instances/0"])
            for path in (found, expected)
        ]
        if not mine.equals(theirs) or (labels[0] != labels[1]).any():
            raise SystemExit(f"{folder.name}: outputs differ from those of the undisturbed run")
        geojson = [(path / folder.name / "cells.geojson.gz").read_bytes() for path in (found, expected)]
        if geojson[0] != geojson[1]:
            raise SystemExit(f"{folder.name}: GeoJSON differs")
    return cells, lost, doubled


@dataclass
class Book:
    """What was done, and where it happens."""

    folder: Path
    rng: np.random.Generator
    done: Counter[str] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> int:
        """Interruptions so far."""
        return sum(self.done.values())

    def next_fault(self, where: str | None = None) -> str:
        """One of those that happened least; of those that happen in one kind of place, where one is named."""
        due = [name for name, (place, _) in FAULTS.items() if where in (None, place)]
        least = min(self.done[name] for name in due)
        return str(self.rng.choice([name for name in due if self.done[name] == least]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/monuseg"))
    parser.add_argument("--faults", type=int, default=56)
    parser.add_argument("--slides", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_archive(options.data, folder / "originals", options.slides, rng)
        command = [WSIPSM, "run", str(folder / "originals"), "-o", str(folder / "expected"), *SETTINGS]
        one = ["--workers", "1", "--set", "schedule.processes=false"]
        subprocess.run([*command, *one], check=True, capture_output=True)
        book = Book(folder, rng)
        print("| round | where | interruptions | resumes | results made again | cells | lost | doubled | seconds |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        while book.faults < options.faults:
            run_round(FAULTS[book.next_fault()][0], book)
        print("\n| interruption | times |\n| --- | --- |")
        for fault, times in book.done.items():
            print(f"| {fault} | {times} |")
        print(
            f"\n{book.faults} interruptions in {book.totals['rounds']} rounds, {book.totals['resumes']} resumes, "
            f"{book.totals['again']} results of tiles made again, cells lost {book.totals['lost']}, "
            f"doubled {book.totals['doubled']}"
        )


def run_round(where: str, book: Book) -> None:
    """From nothing to done, with interruptions that happen in one kind of place."""
    book.totals["rounds"] += 1
    number, start = book.totals["rounds"], time.perf_counter()
    place, slides = book.folder / f"round-{number}", book.folder / f"slides-{number}"
    place.mkdir()
    shutil.copytree(book.folder / "originals", slides)
    if where == "small disk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", place], check=True)
    r = Round(slides, book.folder / "originals", place / "out", book.rng, Watcher(place / "out"))
    try:
        had = interrupt(r, where, book)
        cells, lost, doubled = compare(r.out, book.folder / "expected")
    finally:
        r.close()
        if where == "small disk":
            subprocess.run(["umount", "-l", place], check=True)
    again = r.watcher.again
    book.totals.update(resumes=r.resumes, again=again, lost=lost, doubled=doubled)
    seconds = time.perf_counter() - start
    print(
        f"| {number} | {where} | {had} | {r.resumes} | {again} | {cells} | {lost} | {doubled} | {seconds:.0f} |",
        flush=True,
    )


def interrupt(r: Round, where: str, book: Book) -> int:
    """Run the archive to its end, interrupted after every few results; returns how often."""
    r.cluster[:] = start_cluster(r.file) if where == "remote" else []
    r.start()
    had = 0
    while r.progress(int(book.rng.integers(4, 40))):
        fault = book.next_fault(where)
        FAULTS[fault][1](r)
        book.done[fault] += 1
        had += 1
    r.ended(0)
    return had


if __name__ == "__main__":
    main()
