"""Local workers are forked from one process that has imported what all of them need."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest

from wsipsm.core.gpus import gpu_count
from wsipsm.engine.cluster.fork_server import METHOD
from wsipsm.engine.tasks.rehearsal import drawn_nuclei, rehearse

SCRIPT = """\
import json, os, sys
from wsipsm.config import ScheduleConfig
from wsipsm.engine.cluster import connect, start_fork_server

def seen():
    import signal
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    names = "wsipsm.engine.tasks.map_tile", "cv2", "numba"
    return os.getppid(), blocked, [name in sys.modules for name in names]

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "3"
    start_fork_server(["wsipsm.engine.tasks.rehearsal"])
    mine = os.environ["OMP_NUM_THREADS"]
    with connect(ScheduleConfig(workers=2)) as pool:
        found = pool.client.run(seen)
    print(json.dumps({"me": os.getpid(), "mine": mine, "workers": list(found.values())}))
"""


@pytest.mark.skipif(METHOD != "forkserver", reason="workers are spawned on this system")
def test_workers_come_from_one_process_that_imported_for_all() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)

    servers = {server for server, *_ in found["workers"]}
    assert len(found["workers"]) == 2
    assert len(servers) == 1
    assert servers != {found["me"]}
    assert found["mine"] == "3", "the environment of the user's process is as it was"
    for _, interrupts_blocked, imported in found["workers"]:
        assert interrupts_blocked, "only the client takes Ctrl-C"
        assert imported == [True] * 3, "before the first task"
    assert not any(psutil.pid_exists(server) and "forkserver" in name_of(server) for server in servers)


def name_of(pid: int) -> str:
    """Command line of a process; empty where it has ended."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def test_the_rehearsal_finds_what_it_has_drawn() -> None:
    assert drawn_nuclei().shape == (192, 192, 3)
    assert rehearse() == 16, "of 6 x 6, those away from the border, whose surroundings are known"


def test_workers_begin_without_what_takes_long_to_import_and_few_slides_need() -> None:
    heavy = (*(() if gpu_count() else ("torch",)), "pandas", "skimage", "scipy.ndimage", "sklearn", "tiatoolbox")
    code = f"import sys, wsipsm.engine.preload; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
