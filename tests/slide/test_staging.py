"""Copies of slides on a fast disk: ahead of their turn, within a budget, gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.helpers.results import PSM, QUICK_FIT, cells_of
from wsipsm.config import load_config
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.slide.staging import PREFIX, Stager, staged

KB = 1000

STAGE_AND_HANG = """
import sys, time
from pathlib import Path
from wsipsm.slide.staging import staged
slide, folder = map(Path, sys.argv[1:])
with staged([slide], folder, gigabytes=1, log=print) as stager:
    while not stager.copy_of(0)[0]:
        time.sleep(0.01)
    print("copied", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def slides(tmp_path: Path) -> list[Path]:
    """Four files of 1, 2, 3 and 4 kB."""
    folder = tmp_path / "archive"
    folder.mkdir()
    found = [folder / f"{name}.svs" for name in "abcd"]
    for number, slide in enumerate(found, start=1):
        slide.write_bytes(bytes([number]) * number * KB)
    return found


def copy_of(stager: Stager, number: int, seconds: float = 10) -> Path | None:
    """Copy of the slide of a turn, waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        decided, copy = stager.copy_of(number)
        if decided:
            return copy
        time.sleep(0.01)
    raise TimeoutError(number)


def held(folder: Path) -> int:
    """Bytes of slides in the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_slides_are_copied_in_order_within_the_budget(slides: list[Path], tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    with staged(slides, stage, gigabytes=6e-6, log=print) as stager:
        first = [copy_of(stager, number) for number in range(3)]
        time.sleep(0.5)
        assert stager.copy_of(3) == (False, None), "1 + 2 + 3 kB fill the budget"
        assert held(stage) == 6 * KB
        for slide, copy in zip(slides, first, strict=False):
            assert copy is not None
            assert copy.name == slide.name
            assert copy.read_bytes() == slide.read_bytes()

        stager.release(0)
        time.sleep(0.5)
        assert stager.copy_of(3) == (False, None), "5 + 4 kB are too many still"
        stager.release(2)

        assert copy_of(stager, 3) is not None
        assert held(stage) == 6 * KB
    assert not list(stage.iterdir()), "gone with the run"


def test_a_slide_beyond_the_budget_is_read_in_place_and_said(slides: list[Path], tmp_path: Path) -> None:
    said: list[str] = []
    with staged(slides, tmp_path / "stage", gigabytes=2e-6, log=said.append) as stager:
        assert copy_of(stager, 0) is not None
        stager.release(0)
        assert copy_of(stager, 1) is not None
        assert copy_of(stager, 2) is None
    assert said
    assert said[0].startswith("c.svs is read in place: larger than the budget")


def test_a_slide_that_vanished_is_left_to_its_turn(slides: list[Path], tmp_path: Path) -> None:
    slides[0].unlink()
    said: list[str] = []

    with staged(slides, tmp_path / "stage", gigabytes=1, log=said.append) as stager:
        assert copy_of(stager, 0) is None
        assert copy_of(stager, 1) is not None

    assert "a.svs is read in place: it cannot be copied" in said[0]


def test_a_slide_that_stands_there_twice_has_two_copies(slides: list[Path], tmp_path: Path) -> None:
    """Of two rows with a region each, the first must not take the copy of the second along."""
    with staged([slides[2], slides[2]], tmp_path / "stage", gigabytes=1, log=print) as stager:
        first, second = copy_of(stager, 0), copy_of(stager, 1)
        assert held(tmp_path / "stage") == 6 * KB
        stager.release(0)
        assert first is not None
        assert not first.exists()
        assert second is not None
        assert second.read_bytes() == slides[2].read_bytes()
        assert second.stat().st_mtime_ns == slides[2].stat().st_mtime_ns


def test_a_mirax_slide_takes_its_folder_along_and_dicom_stays(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m.mrxs").write_bytes(b"m")
    (tmp_path / "m" / "Slidedat.ini").write_bytes(b"ini")
    (tmp_path / "d.dcm").write_bytes(b"d")
    said: list[str] = []

    with staged([tmp_path / "m.mrxs", tmp_path / "d.dcm"], tmp_path / "s", gigabytes=1, log=said.append) as stager:
        copy = copy_of(stager, 0)
        assert copy is not None
        assert (copy.parent / "m" / "Slidedat.ini").read_bytes() == b"ini"
        assert copy_of(stager, 1) is None

    assert said == ["d.dcm is read in place: a format of many files"]


def test_what_a_killed_run_left_is_swept_by_the_next(slides: list[Path], tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    command = [sys.executable, "-c", STAGE_AND_HANG, str(slides[0]), str(stage)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "copied\n"
    alive = next(stage.glob(f"{PREFIX}*"))

    with staged([], stage, gigabytes=1, log=print):
        assert (alive / "0" / "a.svs").exists(), "another run's copies are its own while it lives"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with staged([], stage, gigabytes=1, log=print):
        assert not alive.exists()

    assert not list(stage.iterdir())


def test_a_stop_does_not_wait_for_a_large_copy(tmp_path: Path) -> None:
    endless = tmp_path / "endless.svs"
    with endless.open("wb") as file:
        file.truncate(1 << 40)

    with staged([endless], tmp_path / "stage", gigabytes=2000, log=print):
        while not list((tmp_path / "stage").rglob("*.part")):
            time.sleep(0.01)

    assert "stager" not in {thread.name for thread in threading.enumerate()}
    assert not list((tmp_path / "stage").iterdir())


def test_a_run_reads_copies_and_gives_the_same_cells(slide: Path, whole: Path, tmp_path: Path) -> None:
    archive, stage = tmp_path / "archive", tmp_path / "stage"
    archive.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(slide, archive / f"{name}.tiff")
    size = slide.stat().st_size
    most, seen = 0, set[str]()
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.02):
            with contextlib.suppress(OSError):  # files go while we look
                most = max(most, held(stage))
                seen.update(path.name for path in stage.glob("*/*/*.tiff"))

    watching = threading.Thread(target=watch)
    watching.start()
    config = load_config("he", (PSM, QUICK_FIT, "tiles.core_px=512", "schedule.workers=2", "schedule.processes=false"))
    request = Request(
        [str(archive)],
        tmp_path / "out",
        config,
        checkpoint=whole / "calibration.safetensors",
        stage_dir=stage,
        stage_gb=2.5 * size / 1e9,
    )
    states = run(request)
    ended.set()
    watching.join()

    assert [state.status for state in states] == ["done"] * 3
    assert seen == {"a.tiff", "b.tiff", "c.tiff"}
    assert size <= most <= 2.5 * size
    assert not list(stage.iterdir())
    for name in ("a", "b", "c"):
        cells = cells_of(tmp_path / "out" / name)
        assert cells.drop(columns="uuid").equals(cells_of(whole).drop(columns="uuid"))
        record = json.loads((tmp_path / "out" / name / "run.json").read_text())
        assert record["slide"]["path"] == str(archive / f"{name}.tiff")
