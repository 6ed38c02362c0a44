"""How many workers a machine gets, as a container or a batch job limits it, and who can reach them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import dask
import distributed
import psutil
import pytest
from distributed import LocalCluster

from wsipsm.config import ScheduleConfig
from wsipsm.engine.cluster import Machine, connect


@pytest.mark.parametrize(
    ("machine", "asked", "gpus", "workers", "note"),
    [
        (Machine(4, 64.0), None, 0, 4, ""),
        (Machine(64, 16.0), None, 0, 13, "13 workers, not 64: each takes 1.2 GB, and 16 GB are there"),
        (Machine(2, 0.5), None, 0, 1, "1 workers, not 2"),
        (Machine(64, 16.0), None, 2, 2, ""),
        (
            Machine(64, 16.0),
            32,
            0,
            32,
            "32 workers take about 38 GB, 16 GB are there: with schedule.workers=13 they fit",
        ),
        (Machine(4, 16.0), 8, 0, 8, ""),
    ],
)
def test_workers_fit_cpus_and_memory_and_what_does_not_is_said(
    machine: Machine, asked: int | None, gpus: int, workers: int, note: str
) -> None:
    config = ScheduleConfig(workers=asked)

    assert machine.workers(config, gpus) == workers
    assert machine.note(config, gpus).startswith(note)
    assert bool(machine.note(config, gpus)) == bool(note)


def listening() -> set[tuple[int, str, int]]:
    """Process, address and port of every socket of this process and its children that waits for others."""
    me = psutil.Process()
    return {
        (process.pid, one.laddr.ip, one.laddr.port)
        for process in (me, *me.children(recursive=True))
        for one in process.net_connections()
        if one.status == psutil.CONN_LISTEN
    }


def test_nobody_reaches_a_local_run_from_another_machine() -> None:
    before = listening()
    with connect(ScheduleConfig(workers=1)):
        opened = listening() - before

    assert {address for _, address, _ in opened} == {"127.0.0.1"}
    assert len(opened) >= 3, "scheduler, dashboard and worker"


DASHBOARD = """\
import sys, urllib.request
from wsipsm.config import ScheduleConfig
from wsipsm.engine.cluster import connect
with connect(ScheduleConfig(workers=1, processes=sys.argv[1] == "processes")) as pool:
    before = "bokeh" in sys.modules
    pages = [pool.dashboard, pool.dashboard.replace("status", "workers"), pool.dashboard.replace("status", "")]
    read = [urllib.request.urlopen(page).read().decode() for page in pages]
    print(before, *("bokeh" in text and "<title>" in text for text in read))
"""


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_the_dashboard_is_loaded_when_somebody_opens_it(workers: str) -> None:
    command = [sys.executable, "-c", DASHBOARD, workers]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True", "True", "True"]


def test_what_a_user_computes_with_dask_is_not_for_the_workers_of_a_run() -> None:
    with connect(ScheduleConfig(workers=1, processes=False)):
        assert dask.base.get_scheduler() is None
        with pytest.raises(ValueError, match="No clients found"):
            distributed.default_client()

    assert dask.base.get_scheduler() is None


def test_workers_that_end_too_slowly_do_not_make_a_finished_run_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    close, closed = LocalCluster.close, []

    def close_late(cluster: LocalCluster, *args: Any) -> None:
        close(cluster, *args)
        closed.append(cluster)
        raise TimeoutError

    monkeypatch.setattr(LocalCluster, "close", close_late)
    with connect(ScheduleConfig(workers=1, processes=False)) as pool:
        assert pool.threads == 1

    assert closed
