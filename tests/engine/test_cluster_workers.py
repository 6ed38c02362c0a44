"""Workers that must not work, that die, or that do not see the disk; real processes on a real scheduler."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from distributed import Client
from PIL import Image

from tests.engine.test_cluster import SQUARE, Numbers
from tests.helpers.command import wsipsm
from tests.helpers.dask_processes import Process, start_scheduler, start_worker, stop
from tests.helpers.results import run_slide
from wsipsm.config import ScheduleConfig, load_config
from wsipsm.core.errors import ScheduleError, UnseenError, WorkerLostError
from wsipsm.engine.cluster import Stop, Task, connect, run_stream
from wsipsm.engine.job import SlideTask
from wsipsm.engine.tasks.export import export
from wsipsm.engine.tasks.prepare import prepare
from wsipsm.slide.sample import he_field

TWO = ScheduleConfig(workers=2, in_flight_per_worker=2, retries=2)
HERE = os.pathsep.join(sys.path)


def die(diary: str) -> None:
    """Note it and kill the worker, as the system does where memory runs out."""
    with Path(diary).open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def note(diary: str) -> None:
    """Note that the task was done."""
    Path(diary).touch()


def visible_gpu() -> tuple[str | None, int, int]:
    time.sleep(0.1)
    return os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid(), cv2.getNumThreads()


def wait_until(is_true: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def wait_for_workers(file: Path, count: int) -> None:
    with Client(scheduler_file=str(file)) as client:
        client.wait_for_workers(count, timeout=120)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[Path, list[Process]]]:
    """File of a scheduler without workers, and the processes that end with the test."""
    file = tmp_path / "scheduler.json"
    processes = [start_scheduler(file, PYTHONPATH=HERE)]
    yield file, processes
    stop(processes, signal.SIGKILL)


@pytest.fixture
def other_versions(tmp_path: Path) -> str:
    """PYTHONPATH where zarr has another version."""
    folder = tmp_path / "other"
    (folder / "zarr-99.9.dist-info").mkdir(parents=True)
    (folder / "zarr-99.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: zarr\nVersion: 99.9\n")
    return os.pathsep.join([str(folder), HERE])


def test_a_worker_of_other_versions_that_comes_late_gets_no_task_and_ends_nothing(
    scheduler: tuple[Path, list[Process]], other_versions: str
) -> None:
    file, processes = scheduler
    processes.append(start_worker(file, PYTHONPATH=HERE))
    source = Numbers([Task(f"square-{n}", SQUARE, (n,)) for n in range(60)])
    done = source.done

    def done_slowly(task: Task, result: Any) -> None:
        """Let the worker come after the first task, and go on until it was looked at."""
        if len(source.results) == 0:
            processes.append(start_worker(file, PYTHONPATH=other_versions))
            wait_until(lambda: len(pool.client.nthreads()) == 2)
        done(task, result)
        if len(source.results) == 50:
            wait_until(lambda: pool.refresh() or pool.left_out)

    source.done = done_slowly  # type: ignore[method-assign]
    with connect(TWO, scheduler=str(file)) as pool:
        run_stream(pool, source)
        good = pool.workers

    assert len(source.results) == 60
    assert len({pid for _, pid in source.results.values()}) == 1
    assert len(good) == 1
    told = [text for text in source.words if "left out" in text]
    assert len(told) == 1
    assert "zarr 99.9 there" in told[0]


def test_workers_that_all_have_other_versions_are_refused(
    scheduler: tuple[Path, list[Process]], other_versions: str
) -> None:
    file, processes = scheduler
    processes.append(start_worker(file, PYTHONPATH=other_versions))
    wait_for_workers(file, 1)

    with (
        pytest.raises(ScheduleError, match=r"workers are left out; worker tcp.*zarr 99\.9 there"),
        connect(TWO, scheduler=str(file)),
    ):
        pass


def test_a_worker_that_is_started_again_has_its_gpu_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    diary = tmp_path / "deaths"
    with connect(TWO, gpus=2) as pool:
        before = Numbers([Task(f"before-{n}", f"{__name__}:visible_gpu", ()) for n in range(8)])
        run_stream(pool, before)
        run_stream(pool, Numbers([Task("die", f"{__name__}:die", (str(diary),))]))
        wait_until(lambda: len(pool.client.nthreads()) == 2)
        after = Numbers([Task(f"after-{n}", f"{__name__}:visible_gpu", ()) for n in range(8)])
        run_stream(pool, after)

    assert set(before.results.values()) != set(after.results.values()), "new processes"
    for source in (before, after):
        assert {gpu for gpu, _, _ in source.results.values()} == {"5", "7"}
        assert {threads for _, _, threads in source.results.values()} == {1}


def test_a_task_that_kills_its_workers_kills_two_and_costs_nobody_else_a_result(tmp_path: Path) -> None:
    diary = tmp_path / "deaths"
    diary.touch()
    tasks = [Task(f"square-{n}", SQUARE, (n,)) for n in range(40)]
    source = Numbers([*tasks[:10], Task("poison", f"{__name__}:die", (str(diary),)), *tasks[10:]])

    with connect(TWO) as pool:
        run_stream(pool, source)

    assert diary.read_text() == "xx"
    assert source.failures.keys() == {"poison"}
    assert isinstance(source.failures["poison"].error, WorkerLostError)
    assert len(source.results) == 40


def test_a_result_that_is_lost_with_its_last_worker_keeps_nobody_from_stopping(
    scheduler: tuple[Path, list[Process]], tmp_path: Path
) -> None:
    file, processes = scheduler
    processes.append(start_worker(file, PYTHONPATH=HERE))
    stopping, diary = Stop(), tmp_path / "diary"

    class Losing(Numbers):
        """Kills the worker when its task is done and the result is not yet fetched."""

        def next_task(self) -> Task | None:
            if not self.tasks and not stopping.asked:
                wait_until(diary.exists)
                time.sleep(1)  # the client has heard of the result
                stop([processes.pop()], signal.SIGKILL)
                wait_until(lambda: not pool.client.nthreads())
                stopping.ask("enough")
            return super().next_task()

    source = Losing([Task("note", f"{__name__}:note", (str(diary),))])
    with connect(ScheduleConfig(workers=1, in_flight_per_worker=2), scheduler=str(file)) as pool:
        ended = threading.Thread(target=run_stream, args=(pool, source, stopping), daemon=True)
        ended.start()
        ended.join(60)

        assert not ended.is_alive()


def blind(folder: Path) -> list[str]:
    """Command that starts another one which sees an empty folder in place of this one."""
    there = ["unshare", "-m", "sh", "-c"]
    script = f'mount -t tmpfs none "{folder}" && exec "$@"'
    if shutil.which("unshare") is None or subprocess.run([*there, script, "sh", "true"], check=False).returncode:
        pytest.skip("this user may not mount")
    return [*there, script, "sh"]


def start_blind_worker(file: Path, folder: Path) -> Process:
    """Worker that does not see what is in a folder."""
    command = [*blind(folder), sys.executable, "-m", "dask", "worker", "--no-dashboard", "--scheduler-file", str(file)]
    command += ["--nworkers", "1", "--nthreads", "1", "--no-nanny"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=file.parent, **quiet)  # type: ignore[call-overload, no-any-return]


def test_a_worker_that_does_not_see_the_output_folder_is_refused_with_both_hosts(
    slide: Path, tmp_path: Path, scheduler: tuple[Path, list[Process]]
) -> None:
    file, processes = scheduler
    out = tmp_path / "out"
    out.mkdir()
    processes.append(start_blind_worker(file, out))

    done = wsipsm("run", slide, "-o", out, "--scheduler", file)

    assert done.returncode == 1, done
    host = os.uname().nodename
    message = f"{out}: the worker's host {host} does not see this output folder as {host} does"
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_goes_on_with_the_workers_that_see_the_output_folder(
    tmp_path: Path, scheduler: tuple[Path, list[Process]]
) -> None:
    file, processes = scheduler
    out = tmp_path / "out"
    out.mkdir()
    Image.open(he_field()).convert("RGB").crop((0, 0, 320, 320)).save(tmp_path / "s.png")
    processes += [start_blind_worker(file, out), start_worker(file, PYTHONPATH=HERE)]
    wait_for_workers(file, 2)

    done = wsipsm("run", tmp_path / "s.png", "-o", out, "--scheduler", file, "--slide-mpp", "0.25")

    assert done.returncode == 0, done
    assert (out / "s" / "cells.parquet").exists()


@pytest.mark.parametrize("call", [prepare, export])
def test_nothing_is_written_where_the_output_folder_is_not_seen(
    call: Callable[[SlideTask], object], slide: Path, tmp_path: Path
) -> None:
    root = tmp_path / "unmounted"
    task = SlideTask(slide, "s", root / "s", load_config("he"), root=root, run="mine", host="login")

    with pytest.raises(UnseenError, match=r"unmounted.* does not see .* as login does"):
        call(task)

    assert not root.exists()


def test_the_doctor_names_the_worker_that_does_not_see_the_folder(
    tmp_path: Path, scheduler: tuple[Path, list[Process]]
) -> None:
    file, processes = scheduler
    out = tmp_path / "out"
    out.mkdir()
    processes += [start_blind_worker(file, out), start_worker(file, PYTHONPATH=HERE)]
    wait_for_workers(file, 2)

    done = wsipsm("doctor", "-o", out, "--scheduler", file)

    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "shared folder" in line]
    assert line.startswith("FAIL")
    assert f"on host {os.uname().nodename} does not see this folder" in line
    assert line.count("worker tcp://") == 1, "the other one sees it"
    assert not list(out.iterdir())


def test_threads_in_the_user_s_process_leave_its_settings_alone(slide: Path, whole: Path, tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        run_slide(slide, tmp_path, "schedule.processes=false", encoder=whole / "calibration.safetensors")

        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
