"""A Dask scheduler and workers as others would start them: processes of their own, found by a file; for tests too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

Process = subprocess.Popen[bytes]


def start_scheduler(file: Path, **environment: str) -> Process:
    """Scheduler on loopback; its file is there when this returns."""
    file.unlink(missing_ok=True)
    process = _dask("scheduler", file, "--host", "127.0.0.1", "--port", "0", **environment)
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def start_worker(file: Path, *options: str, **environment: str) -> Process:
    """Worker of one thread, with a nanny that starts it again when it dies."""
    return _dask("worker", file, "--nworkers", "1", "--nthreads", "1", *options, **environment)


def _dask(role: str, file: Path, *options: str, **environment: str) -> Process:
    command = [sys.executable, "-m", "dask", role, "--no-dashboard", "--scheduler-file", str(file), *options]
    full = os.environ | environment
    # Not in our folder, which Python would look into before any PYTHONPATH.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=full, cwd=file.parent, **quiet)  # type: ignore[call-overload, no-any-return]


def stop(processes: list[Process], with_signal: int = signal.SIGTERM) -> None:
    """End processes, the last started first."""
    for process in reversed(processes):
        process.send_signal(with_signal)
    for process in processes:
        process.wait(60)


def worker_pids(nanny: Process) -> list[int]:
    """Processes in which a nanny's tasks run."""
    return [child.pid for child in psutil.Process(nanny.pid).children() if "spawn_main" in " ".join(child.cmdline())]


def local_worker_pids(client: int) -> list[int]:
    """Processes in which the tasks of a local run are done: forked from a server of its client, or spawned by that."""
    children = psutil.Process(client).children()
    servers = [child for child in children if "forkserver" in " ".join(child.cmdline())]
    forked = [worker.pid for server in servers for worker in server.children()]
    return [*forked, *(child.pid for child in children if "spawn_main" in " ".join(child.cmdline()))]


@contextlib.contextmanager
def cluster(file: Path, workers: int) -> Iterator[list[Process]]:
    """Scheduler and workers, in this order, while the block runs."""
    processes = [start_scheduler(file)]
    try:
        processes += [start_worker(file) for _ in range(workers)]
        yield processes
    finally:
        stop(processes, signal.SIGKILL)
