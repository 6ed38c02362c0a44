"""A cluster to work on: a local one for the run, or an existing one whose workers fit."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import CancelledError, Client, LocalCluster
from distributed.comm.core import CommClosedError

from wsipsm.config import ScheduleConfig
from wsipsm.errors import ScheduleError
from wsipsm.provenance import versions

CONNECT_SECONDS = 30
"""How long a scheduler and its first worker are waited for."""

RETRY_SECONDS = 5
"""How long one try to reach a scheduler that was lost may take."""

LOST_SECONDS = 60
"""After how long without a word a local worker is given up; a scheduler started by others has its own setting."""


class Pool:
    """A connected cluster; made by `connect`.

    Attributes
    ----------
    client : Client
        Of the scheduler.
    config : ScheduleConfig
        Bounds of the stream.
    has_gpu : bool
        Whether workers have a GPU to share out.
    """

    def __init__(self, client: Client, config: ScheduleConfig, scheduler: str | None = None) -> None:
        self.client, self.config = client, config
        self._scheduler = scheduler
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        self.has_gpu = any("GPU" in (worker.get("resources") or {}) for worker in workers)

    @property
    def threads(self) -> int:
        """Tasks that the workers run at a time; asked of the scheduler."""
        return sum(self.client.nthreads().values())

    @property
    def dashboard(self) -> str:
        """Link of the Dask dashboard; empty where it has none."""
        return self.client.dashboard_link if "dashboard" in (self.client.scheduler_info().get("services") or {}) else ""

    @property
    def alive(self) -> bool:
        """Whether the scheduler is there, or may be back in a moment."""
        return self.client.status in {"running", "connecting"}

    def restore(self, give_up: Callable[[], bool]) -> None:
        """Connect again to a scheduler of others that was lost, once it is back with a worker.

        Parameters
        ----------
        give_up : callable
            Asked every few seconds; ends the wait.

        Raises
        ------
        ScheduleError
            It did not come back in time, or ``give_up`` said so.
        """
        deadline = time.monotonic() + (self.config.patience_s if self._scheduler else 0)
        self.close()
        while self._scheduler and time.monotonic() < deadline and not give_up():
            with contextlib.suppress(ScheduleError):
                self.client = _remote_client(self._scheduler, seconds=RETRY_SECONDS)
                _refuse_other_versions(self.client, self._scheduler)
                return
            time.sleep(1)
        raise ScheduleError(
            f"the Dask scheduler was lost{f' ({self._scheduler})' if self._scheduler else ''}; run again, finished "
            "tiles are kept"
        )

    def close(self) -> None:
        """Let go of the scheduler."""
        with contextlib.suppress(OSError, TimeoutError, CommClosedError, CancelledError):
            self.client.close(timeout=RETRY_SECONDS)


@contextlib.contextmanager
def connect(config: ScheduleConfig, *, scheduler: str | None = None, gpus: int = 0) -> Iterator[Pool]:
    """Pool on an existing scheduler, or on a local cluster that ends with the context.

    Parameters
    ----------
    config : ScheduleConfig
        Workers of the local cluster and bounds of the stream.
    scheduler : str, optional
        ``tcp://host:port`` or the path of a scheduler file.
    gpus : int
        GPUs to give to local workers, one each.

    Raises
    ------
    ScheduleError
        The scheduler does not answer, it has no workers, or they have other versions than this process.
    """
    settings = {
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
        "distributed.scheduler.worker-ttl": f"{LOST_SECONDS}s",
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        stack.enter_context(_silence())
        if scheduler is None:
            pool = Pool(Client(stack.enter_context(_local_cluster(config, gpus))), config)
            _share_gpus(pool.client, gpus if config.processes else 0)
        else:
            pool = Pool(_remote_client(scheduler, seconds=CONNECT_SECONDS), config, scheduler)
            _refuse_other_versions(pool.client, scheduler)
        stack.callback(pool.close)
        yield pool


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep Dask's own words to itself: it would print a traceback for whatever goes wrong; ours go to failed.csv."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _local_cluster(config: ScheduleConfig, gpus: int) -> Iterator[LocalCluster]:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = config.workers or gpus or cpus
    threads = max(2, cpus // workers) if gpus else 1
    shape: dict[str, Any] = {"n_workers": workers, "threads_per_worker": threads, "processes": True}
    if not config.processes:
        shape = {"n_workers": 1, "threads_per_worker": workers, "processes": False}
    if gpus:
        shape["resources"] = {"GPU": 1}
    # No memory limit of Dask's own: tiles are bounded by construction, and a paused worker would stall a run.
    with _without_interrupts():
        cluster = LocalCluster(**shape, dashboard_address=":0", memory_limit=0, silence_logs=logging.CRITICAL)
    with cluster:
        yield cluster


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keep SIGINT from threads and processes that are started inside, and from those that they start.

    A terminal sends it to every process of a run; workers must end what they have begun, and only the client decides.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # whoever starts it, as the first new process does, takes SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _address_in(scheduler_file: Path) -> str:
    try:
        return str(json.loads(scheduler_file.read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ScheduleError(f"{scheduler_file}: expected the scheduler file that `dask scheduler` writes") from None


def _share_gpus(client: Client, gpus: int) -> None:
    """Show each local worker one GPU; said before any of them has asked CUDA."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
    for number, worker in enumerate(sorted(client.scheduler_info(n_workers=-1)["workers"]) if gpus else ()):
        client.run(_see_gpu, given[number % len(given)], workers=[worker])


def _see_gpu(name: str) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = name


def _remote_client(scheduler: str, *, seconds: float) -> Client:
    address: dict[str, Any] = {"address": scheduler}
    if "://" not in scheduler:
        if not Path(scheduler).is_file():
            raise ScheduleError(f"{scheduler}: expected an address (tcp://host:port) or a scheduler file that exists")
        address = {"address": _address_in(Path(scheduler))}
    try:
        client = Client(**address, timeout=seconds)
        client.wait_for_workers(1, timeout=seconds)
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ScheduleError(
            f"{scheduler}: no Dask scheduler with workers answers within {seconds:.0f} s: {reason}"
        ) from None
    return client


def worker_versions(client: Client) -> dict[str, dict[str, str]]:
    """Versions of what results depend on, by worker address.

    Raises
    ------
    ScheduleError
        A worker cannot import wsipsm.
    """
    found = client.run(versions, on_error="return")
    for address, answer in found.items():
        if isinstance(answer, BaseException):
            raise ScheduleError(
                f"worker {address} cannot import wsipsm ({type(answer).__name__}: {answer}); "
                "install the same package in the environment of the workers"
            )
    return dict(found)


def _refuse_other_versions(client: Client, scheduler: str) -> None:
    mine = versions()
    for address, theirs in worker_versions(client).items():
        other = [name for name in mine if name != "platform" and theirs.get(name) != mine[name]]
        if other:
            named = ", ".join(f"{name} {theirs.get(name, 'absent')} there and {mine[name]} here" for name in other)
            raise ScheduleError(f"{scheduler}: worker {address} has {named}; install the same versions on both sides")
