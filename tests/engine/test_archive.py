"""An archive on a cluster of others: every good slide done exactly once, every bad one named."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.engine.test_damage import damage
from tests.helpers.command import WSIPSM
from tests.helpers.dask_processes import cluster, worker_pids
from tests.helpers.results import cells_of, labels_of
from tests.helpers.slidegen import Pixels, read_rgb, write_slide
from wsipsm.config import load_config
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.engine.status import read_status
from wsipsm.slide.sample import he_field

SETTINGS = ("tiles.core_px=256", "tiles.block_px=256")
GOOD = 10


def stub(path: Path, _: Pixels) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\n")


def truncated(path: Path, pixels: Pixels) -> None:
    write_slide(path, pixels, mpp=0.25)
    os.truncate(path, path.stat().st_size // 2)


def without_resolution(path: Path, pixels: Pixels) -> None:
    write_slide(path, pixels, mpp=None)


def unreadable(path: Path, pixels: Pixels) -> None:
    write_slide(path, pixels, mpp=0.25)
    for y in range(0, pixels.shape[0], 256):
        for x in range(0, pixels.shape[1], 256):
            damage(path, x, y)


def too_coarse(path: Path, pixels: Pixels) -> None:
    write_slide(path, pixels, mpp=4.0)


def sixteen_bit(path: Path, pixels: Pixels) -> None:
    dots = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels.astype(np.uint16) * 257, tile=(256, 256), photometric="rgb", **dots)


BROKEN: dict[Callable[[Path, Pixels], None], str] = {
    stub: "not a slide: neither OpenSlide nor Pillow knows it",
    truncated: "cannot read its pixels",
    without_resolution: "no micrometres per pixel; give the right value with --slide-mpp",
    unreadable: "the file is damaged there: copy it again",
    too_coarse: "coarser than the working 0.5 um",
    sixteen_bit: "16 bits in Pillow mode 'RGB'; expected 8-bit RGB",
}
"""How a slide can be broken, and what is said of it."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 slides of H&E in three folders, 6 of them broken in 6 ways."""
    folder, rng, field = tmp_path_factory.mktemp("archive"), np.random.default_rng(0), read_rgb(he_field())
    for case in ("a", "b", "c"):
        (folder / case).mkdir()
    makers = [*BROKEN, *[None] * GOOD]
    for number, place in enumerate(rng.permutation(len(makers))):
        height, width = rng.integers(380, 760, 2)
        y, x = rng.integers(0, 1000 - height), rng.integers(0, 1000 - width)
        pixels, make = field[y : y + height, x : x + width], makers[place]
        path = folder / "abc"[number % 3] / f"{make.__name__ if make else 'slide'}-{number:02d}.tiff"
        if make is None:
            write_slide(path, pixels, mpp=0.25)
        else:
            make(path, pixels)
    return folder


@pytest.fixture(scope="module")
def undisturbed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one process with one thread."""
    out = tmp_path_factory.mktemp("undisturbed")
    config = load_config("he", (*SETTINGS, "schedule.workers=1", "schedule.processes=false"))
    states = run(Request([str(archive)], out, config))
    assert sorted(state.status for state in states) == ["done"] * GOOD + ["failed"] * len(BROKEN)
    return out


def tiles_done(out: Path) -> int:
    return read_status(out).tiles_done if (out / "slides.csv").exists() else 0


def assert_same_results(found: Path, expected: Path) -> None:
    """Same slides, cells, ids and labels."""
    names = {path.parent.name for path in expected.glob("*/run.json")}
    assert {path.parent.name for path in found.glob("*/run.json")} == names
    assert len(names) == GOOD
    for name in names:
        assert cells_of(found / name).equals(cells_of(expected / name)), name
        np.testing.assert_array_equal(labels_of(found / name), labels_of(expected / name))
        assert not list((found / name).glob(".*")), "no scratch left"


def test_an_archive_on_three_workers_one_of_which_is_killed(archive: Path, undisturbed: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "scheduler.json"
    command = [WSIPSM, "run", archive, "-o", out, "--scheduler", file]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    with cluster(file, workers=3) as (_, *workers):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while tiles_done(out) < 8 and process.poll() is None:
            time.sleep(0.05)
        (victim,) = worker_pids(workers[0])
        os.kill(victim, signal.SIGKILL)
        _, told = process.communicate(timeout=300)
        again = worker_pids(workers[0])

    assert process.returncode == 2, told
    assert again != [victim], "killed midway, started again by its nanny"
    assert "Traceback" not in told
    found = read_status(out)
    assert found.slides == {"done": GOOD, "failed": len(BROKEN)}
    with (out / "failed.csv").open(newline="") as table:
        failed = {row["slide_id"].rsplit("-", 1)[0]: row for row in csv.DictReader(table)}
    for make, reason in BROKEN.items():
        row = failed.pop(make.__name__)
        assert reason in row["error"]
        assert "Error" in row["traceback"]
    assert not failed
    assert_same_results(out, undisturbed)


def test_a_finished_archive_is_not_done_again(archive: Path, undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*/run.json")}
    config = load_config("he", (*SETTINGS, "schedule.workers=1", "schedule.processes=false"))

    states = run(Request([str(archive)], undisturbed, config))

    assert [state.status for state in states].count("done") == GOOD
    assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("*/run.json")} == before
