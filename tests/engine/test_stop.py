"""Stopped, locked out, and refused: what a run says, what it leaves, and how the next one goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.helpers import forked
from tests.helpers.command import WSIPSM, wsipsm, wsipsm_process
from tests.helpers.dask_processes import start_scheduler, start_worker
from tests.helpers.dask_processes import stop as stop_processes
from tests.helpers.imports import PACKAGE
from tests.helpers.killed import finished_tiles
from tests.helpers.results import PSM, QUICK_FIT, cells_of, labels_of, run_slide
from tests.helpers.slidegen import read_rgb
from wsipsm import __version__
from wsipsm.config import load_config
from wsipsm.core.errors import StoppedError
from wsipsm.core.events import Event
from wsipsm.engine.cluster import Stop
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.engine.status import read_status
from wsipsm.slide.sample import he_field

CUT = ("tiles.core_px=256", PSM, QUICK_FIT)


def begin(slide: Path, out: Path, fit: Path) -> subprocess.Popen[str]:
    """A run of 25 tiles in a process group of its own, some of them done."""
    command = [WSIPSM, "run", str(slide), "-o", str(out), "--encoder", str(fit), "--workers", "1"]
    command += [part for setting in CUT for part in ("--set", setting)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(finished_tiles(out)) < 2 and process.poll() is None:
        time.sleep(0.02)
    return process


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a process tells, to the line that begins with these words."""
    assert process.stderr is not None
    assert any(line.startswith(words) for line in process.stderr), "it ended before it said so"


@pytest.mark.parametrize(("number", "to_group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_signal_ends_what_is_under_way_and_leaves_the_rest_for_later(
    slide: Path, whole: Path, tmp_path: Path, number: signal.Signals, to_group: bool
) -> None:
    process = begin(slide, tmp_path, whole / "calibration.safetensors")
    family = psutil.Process(process.pid).children(recursive=True)

    os.killpg(process.pid, number) if to_group else process.send_signal(number)
    _, told = process.communicate(timeout=120)

    assert process.returncode == 128 + number
    assert f"stopped by {number.name}; the same command goes on where it was" in told.splitlines()[-1]
    assert "Traceback" not in told
    assert not psutil.wait_procs(family, timeout=60)[1], "nothing is left running"
    found = read_status(tmp_path)
    assert found.slides == {"stopped": 1}
    assert found.state == "interrupted"
    before = finished_tiles(tmp_path)
    assert 2 <= found.tiles_done <= len(before) < 25, "stopped midway"
    assert not list(tmp_path.glob("*/cells*"))

    again = run_slide(slide, tmp_path, *CUT, encoder=whole / "calibration.safetensors")

    assert cells_of(again).equals(cells_of(whole))
    np.testing.assert_array_equal(labels_of(again), labels_of(whole))


def test_a_second_ctrl_c_ends_at_once_and_nothing_is_left_running(slide: Path, whole: Path, tmp_path: Path) -> None:
    process = begin(slide, tmp_path, whole / "calibration.safetensors")
    family = psutil.Process(process.pid).children(recursive=True)
    for worker in family:
        worker.suspend()  # so that the first one cannot end in order before the second has come

    process.send_signal(signal.SIGINT)
    read_until(process, "stopped by SIGINT: ")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)

    assert process.returncode == 130
    assert told.splitlines()[-1] == "wsipsm: stopped at once; the same command goes on where it was"
    assert "Traceback" not in told
    assert not psutil.wait_procs(family, timeout=60)[1], "nothing is left running"


def test_a_ctrl_c_that_comes_as_a_stopped_run_is_ending_changes_nothing(
    slide: Path, whole: Path, tmp_path: Path
) -> None:
    process = begin(slide, tmp_path, whole / "calibration.safetensors")

    process.send_signal(signal.SIGINT)
    read_until(process, "wsipsm: stopped by SIGINT; ")
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)

    assert process.returncode == 130
    assert process.communicate()[1] == "", "the reason is the last line"


def terminate(event: Event) -> None:
    """Send SIGTERM to this process once a slide is begun."""
    if event.kind == "started":
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("fresh", "how"), [(False, "the same command"), (True, "the same command without --fresh")])
def test_a_stopped_run_says_how_what_is_done_is_kept(tmp_path: Path, fresh: bool, how: str) -> None:
    Image.fromarray(read_rgb(he_field())[:320, :320]).save(tmp_path / "s.png")
    config = load_config("he", ("schedule.workers=1", "schedule.processes=false"))
    request = Request([str(tmp_path / "s.png")], tmp_path / "out", config, slide_mpp=0.25, fresh=fresh)

    with (
        pytest.raises(StoppedError, match=f"stopped by SIGTERM; {how} goes on where it was"),
        Stop().on_signals() as stop,
    ):
        run(request, terminate, stop)


def test_a_caller_can_stop_a_run_and_keeps_its_signal_handlers(tmp_path: Path) -> None:
    Image.fromarray(read_rgb(he_field())[:320, :320]).save(tmp_path / "s.png")
    config = load_config("he", ("schedule.workers=1", "schedule.processes=false"))
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stop, handlers = Stop(), list[object]()

    def ask(event: Event) -> None:
        if event.kind == "started":
            handlers.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
            stop.ask("enough for today")

    with pytest.raises(StoppedError, match="enough for today; the same command goes on where it was") as stopped:
        run(Request([str(tmp_path / "s.png")], tmp_path / "out", config, slide_mpp=0.25), ask, stop)

    assert stopped.value.signal == 0
    assert handlers == before
    assert read_status(tmp_path / "out").slides == {"stopped": 1}


def test_a_second_run_on_the_same_output_is_refused_while_the_first_goes_on(
    slide: Path, whole: Path, tmp_path: Path
) -> None:
    config = load_config("he", (*CUT, "schedule.workers=1", "schedule.processes=false"))
    first = forked.start(run, Request([str(slide)], tmp_path, config, checkpoint=whole / "calibration.safetensors"))
    while len(finished_tiles(tmp_path)) < 2 and first.is_alive():
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGSTOP)  # so that it cannot end before the second has looked

    second = wsipsm("run", slide, "-o", tmp_path)
    os.kill(first.pid, signal.SIGCONT)
    first.join()

    assert second.returncode == 1
    assert f"another run (process {first.pid} on " in second.stderr
    assert "works on this folder" in second.stderr
    assert first.exitcode == 0
    assert cells_of(tmp_path / slide.stem).equals(cells_of(whole))


@pytest.fixture(params=["worker", "scheduler"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """File of a scheduler which has, or whose worker has, another version of this package."""
    package = tmp_path / "older" / "wsipsm"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text('__version__ = "0.0.7"\n')
    file = tmp_path / "scheduler.json"
    paths = {
        role: {"PYTHONPATH": str(package.parent)} if role == request.param else {} for role in ("worker", "scheduler")
    }
    started = [start_scheduler(file, **paths["scheduler"]), start_worker(file, **paths["worker"])]
    yield file
    stop_processes(started, signal.SIGKILL)


def test_another_version_on_the_other_side_is_refused_and_both_versions_named(
    slide: Path, older: Path, tmp_path: Path
) -> None:
    done = wsipsm("run", slide, "-o", tmp_path / "out", "--scheduler", older)

    assert done.returncode == 1
    assert f"wsipsm 0.0.7 there and {__version__} here" in done.stderr
    assert "Traceback" not in done.stderr


NO_REPLACE = """
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>
int rename(const char *from, const char *to) {
    if (access(to, F_OK) == 0) { errno = EEXIST; return -1; }
    return EXDEV;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here")
def test_a_file_system_that_cannot_replace_files_is_refused(slide: Path, tmp_path: Path) -> None:
    """As some network and FUSE file systems answer: the C library is made to refuse to rename over a file."""
    (tmp_path / "no_replace.c").write_text(NO_REPLACE)
    library = tmp_path / "no_replace.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "no_replace.c"], check=True)

    environment = os.environ | {"LD_PRELOAD": str(library)}
    done = wsipsm_process("run", slide, "-o", tmp_path / "out", env=environment)

    assert done.returncode == 1
    assert "cannot replace a file in one step (File exists)" in done.stderr
    assert "choose a folder on another file system" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_stops_the_run_and_says_so_and_more_room_goes_on(
    slide: Path, whole: Path, small_disk: Path
) -> None:
    settings = [part for setting in CUT for part in ("--set", setting)]
    encoder = whole / "calibration.safetensors"

    done = wsipsm_process("run", slide, "-o", small_disk / "out", "--encoder", encoder, "--workers", "1", *settings)

    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "no space is left" in last
    assert "make room, then the same command goes on where it was" in last
    assert "Traceback" not in done.stderr
    assert not list(small_disk.glob("out/*/cells*"))
    before = finished_tiles(small_disk / "out")

    subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
    again = run_slide(slide, small_disk / "out", *CUT, encoder=encoder)

    assert before
    assert cells_of(again).equals(cells_of(whole))
