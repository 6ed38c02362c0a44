"""On a real scheduler with real worker processes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.dask_processes import start_scheduler, start_worker, stop
from wsipsm.config import ScheduleConfig
from wsipsm.core.errors import DiskFullError, ScheduleError, UnreadableSlideError
from wsipsm.engine.cluster import Failure, Pool, Task, connect, run_stream

TWO = ScheduleConfig(workers=2, in_flight_per_worker=2, retries=1)


SQUARE, NOTE = f"{__name__}:square", f"{__name__}:note"


def square(number: int) -> tuple[int, int]:
    time.sleep(0.02)
    return number * number, os.getpid()


def note(path: str, word: str, seconds: float = 0) -> None:
    with Path(path).open("a") as file:
        file.write(f"{word}\n")
    time.sleep(seconds)


def count_then_fail(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("x")
    raise ValueError("never works")


class StubbornError(Exception):
    """As some libraries have: it cannot be unpickled."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)


def fail_because_of_another() -> None:
    try:
        raise StubbornError(7, "bad data")
    except StubbornError as error:
        raise UnreadableSlideError(f"cannot be read ({error})") from None


def fail_stubbornly() -> None:
    raise StubbornError(7, "bad data")


def fill_up() -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        raise RuntimeError("the writer gave up") from error


def report_and_return(number: int, *, progress: Any) -> int:
    progress({"number": number})
    time.sleep(1)  # the client listens until the last task ends
    return number


class Numbers:
    """Source of a list of tasks that notes what it is given and how many are under way."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = list(tasks)
        self.results: dict[str, Any] = {}
        self.failures: dict[str, Failure] = {}
        self.messages: list[dict[str, Any]] = []
        self.words: list[str] = []
        self.under_way = self.most_under_way = self.polls = 0

    def next_task(self) -> Task | None:
        if not self.tasks:
            return None
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        return self.tasks.pop(0)

    def last_task(self) -> Task | None:
        return None

    def over(self) -> bool:
        return not self.tasks and not self.under_way

    def poll(self) -> None:
        self.polls += 1

    def done(self, task: Task, result: Any) -> None:
        self.under_way -= 1
        self.results[task.key] = result

    def failed(self, task: Task, failure: Failure) -> None:
        self.under_way -= 1
        self.failures[task.key] = failure

    def progress(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    def log(self, text: str) -> None:
        self.words.append(text)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with connect(TWO) as pool:
        yield pool


def test_every_task_runs_on_some_worker_process(pool: Pool) -> None:
    source = Numbers([Task(f"square-{n}", SQUARE, (n,)) for n in range(40)])

    run_stream(pool, source)

    assert {key: value for key, (value, _) in source.results.items()} == {f"square-{n}": n * n for n in range(40)}
    workers = {pid for _, pid in source.results.values()}
    assert len(workers) == 2
    assert os.getpid() not in workers


def test_work_in_flight_is_bounded(pool: Pool) -> None:
    source = Numbers([Task(f"bounded-{n}", SQUARE, (n,)) for n in range(30)])

    run_stream(pool, source)

    assert source.most_under_way == 4


def test_a_worker_goes_by_the_order_it_was_sent_tasks_in_and_takes_some_first(tmp_path: Path) -> None:
    file = tmp_path / "order"
    tasks = [Task("begin", NOTE, (str(file), "begin", 1.0))]  # meanwhile the others come
    tasks += [Task(f"note-{n}", NOTE, (str(file), f"{n}")) for n in (4, 2, 5, 1)]
    tasks += [Task("urgent", NOTE, (str(file), "urgent"), first=True)]

    with connect(ScheduleConfig(workers=1, in_flight_per_worker=8)) as alone:
        run_stream(alone, Numbers(tasks))

    assert file.read_text().split() == ["begin", "urgent", "4", "2", "5", "1"]


def test_a_failing_task_is_retried_then_handed_back_and_the_rest_goes_on(pool: Pool, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    source = Numbers([Task("bad", f"{__name__}:count_then_fail", (str(tries),)), Task("good", SQUARE, (3,))])

    run_stream(pool, source)

    assert source.results["good"][0] == 9
    assert isinstance(source.failures["bad"].error, ValueError)
    assert "count_then_fail" in source.failures["bad"].traceback
    assert tries.read_text() == "xx"


def test_what_a_worker_raises_comes_back_as_it_was_raised(pool: Pool) -> None:
    targets = {"slide": "fail_because_of_another", "stubborn": "fail_stubbornly", "full": "fill_up"}
    source = Numbers([Task(key, f"{__name__}:{name}", ()) for key, name in targets.items()])

    run_stream(pool, source)

    errors = {key: failure.error for key, failure in source.failures.items()}
    assert type(errors["slide"]) is UnreadableSlideError
    assert str(errors["slide"]) == "cannot be read (bad data)"
    assert str(errors["stubborn"]) == "StubbornError: bad data"
    assert type(errors["full"]) is DiskFullError
    assert "the writer gave up" in str(errors["full"])
    assert "No space left on device" in source.failures["full"].traceback


def test_a_task_reports_its_progress_to_the_client(pool: Pool) -> None:
    source = Numbers([Task("report", f"{__name__}:report_and_return", (5,), progress=True)])

    run_stream(pool, source)

    assert [message["number"] for message in source.messages] == [5]


def test_threads_of_one_process_do_the_same() -> None:
    source = Numbers([Task(f"thread-{n}", SQUARE, (n,)) for n in range(8)])

    with connect(ScheduleConfig(workers=2, processes=False)) as pool:
        run_stream(pool, source)

    assert {pid for _, pid in source.results.values()} == {os.getpid()}
    assert len(source.results) == 8


def start_dask(file: Path) -> list[subprocess.Popen[bytes]]:
    # Schedulers and workers of others import what is to be called.
    path = os.pathsep.join(sys.path)
    return [start_scheduler(file, PYTHONPATH=path), start_worker(file, PYTHONPATH=path)]


def test_an_existing_scheduler_is_found_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    started = start_dask(file)
    try:
        source = Numbers([Task("remote", "operator:mul", (7, 7))])

        with connect(ScheduleConfig(), scheduler=str(file)) as pool:
            run_stream(pool, source)

        assert source.results["remote"] == 49
    finally:
        stop(started)


def test_what_needs_a_gpu_is_tried_again_where_one_is(tmp_path: Path) -> None:
    file, tries = tmp_path / "scheduler.json", tmp_path / "tries"
    path = os.pathsep.join(sys.path)
    started = [*start_dask(file), start_worker(file, "--resources", "GPU=1", PYTHONPATH=path)]
    try:
        bad = Task("bad", f"{__name__}:count_then_fail", (str(tries),), gpu=True)
        source = Numbers([bad, Task("good", SQUARE, (3,), gpu=True)])
        with connect(ScheduleConfig(retries=1), scheduler=str(file)) as pool:
            pool.client.wait_for_workers(2, timeout=60)
            pool.refresh()
            pool.wait_for_answers()
            (with_gpu,) = pool.gpu_workers
            run_stream(pool, source)

        assert isinstance(source.failures["bad"].error, ValueError)
        assert source.failures["bad"].worker == with_gpu
        assert tries.read_text() == "xx"
        assert source.results["good"][0] == 9
    finally:
        stop(started)


def test_a_run_whose_last_worker_leaves_ends(tmp_path: Path) -> None:
    """Jobs have time limits: what is over is over, whether or not a worker is left."""
    file = tmp_path / "scheduler.json"
    started = start_dask(file)

    class Leaving(Numbers):
        def done(self, task: Task, result: Any) -> None:
            stop([started.pop()])
            while pool.client.nthreads():
                time.sleep(0.05)
            pool.refresh()
            super().done(task, result)

    try:
        source = Leaving([Task("last", "operator:mul", (7, 7))])
        with connect(ScheduleConfig(), scheduler=str(file)) as pool:
            run_stream(pool, source)
            assert pool.threads == 0

        assert source.results == {"last": 49}
    finally:
        stop(started)


def test_a_scheduler_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ScheduleError, match="a scheduler file that exists"),
        connect(ScheduleConfig(), scheduler=str(tmp_path / "none.json")),
    ):
        pass


def test_a_scheduler_that_dies_for_good_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    started = start_dask(file)
    try:
        with connect(ScheduleConfig(patience_s=2), scheduler=str(file)) as pool:
            threading.Timer(1, started[0].kill).start()
            source = Numbers([Task(f"slow-{n}", "time:sleep", (0.2,)) for n in range(400)])
            with pytest.raises(ScheduleError, match=r"lost .* run again"):
                run_stream(pool, source)
    finally:
        stop(started)


def test_a_scheduler_that_restarts_gets_what_was_under_way_again(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    started, later = start_dask(file), list[subprocess.Popen[bytes]]()

    def restart() -> None:
        stop(started, signal.SIGKILL)
        later.extend(start_dask(file))

    try:
        source = Numbers([Task(f"square-{n}", SQUARE, (n,)) for n in range(200)])
        with connect(ScheduleConfig(patience_s=60), scheduler=str(file)) as pool:
            restarting = threading.Timer(1, restart)
            restarting.start()
            run_stream(pool, source)
            restarting.join()

        assert not source.failures
        assert {key: value for key, (value, _) in source.results.items()} == {f"square-{n}": n * n for n in range(200)}
        assert source.under_way == 0, "no result came twice"
        assert "the Dask scheduler was lost" in source.words[0]
        assert source.words[-1].startswith("connected again")
    finally:
        stop([*started, *later], signal.SIGKILL)


@pytest.mark.parametrize("text", ["{}", "rubbish", "[]"])
def test_a_file_that_is_no_scheduler_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "scheduler.json").write_text(text)

    with (
        pytest.raises(ScheduleError, match="that `dask scheduler` writes"),
        connect(ScheduleConfig(), scheduler=str(tmp_path / "scheduler.json")),
    ):
        pass
