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

from wsipsm.config import RecipeConfig, ScheduleConfig
from wsipsm.errors import ScheduleError
from wsipsm.provenance import versions
from wsipsm.schedule.recipes import all_jobs_ended, started

CONNECT_SECONDS = 30
"""How long a scheduler and its first worker are waited for."""

JOBS_SECONDS = 15
"""How often a manager is asked about jobs while no worker ever came."""

RETRY_SECONDS = 5
"""How long one try to reach a scheduler that was lost may take."""

LOST_SECONDS = 60
"""After how long without a word a local worker is given up; a scheduler started by others has its own setting."""


_SETTINGS = {
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    "distributed.scheduler.worker-ttl": f"{LOST_SECONDS}s",
    # What Dask does to watch itself takes a tenth of a core from each worker.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.active-memory-manager.start": False,
    # With an arena for each thread, which keep what they freed, the largest slides take a sixth more memory.
    "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 1,
}
"""Of Dask, for the client and for the workers that it starts."""


class Pool:
    """A connected cluster; made by `connect`.

    Attributes
    ----------
    client : Client
        Of the scheduler.
    config : ScheduleConfig
        Bounds of the stream.
    threads : int
        Tasks that the workers run at a time; 0 while there is none. As of the last `refresh`.
    workers : frozenset of str
        Their addresses, as of then.
    gpu_workers : frozenset of str
        Those of them with a GPU to share out.
    has_gpu : bool
        Whether a worker had one, at any time: what needs a GPU waits for it then.
    """

    def __init__(
        self, client: Client, config: ScheduleConfig, *, scheduler: str | None = None, managed: Any = None
    ) -> None:
        self.client, self.config = client, config
        self.threads, self.has_gpu = 0, False
        self.workers, self.gpu_workers = frozenset[str](), frozenset[str]()
        self._scheduler, self._managed = scheduler, managed
        self._known: set[str] = set()
        self._look_at_jobs = time.monotonic() + JOBS_SECONDS
        self._greet()

    def _greet(self) -> None:
        """Look at a scheduler of others, and at its workers."""
        self._known.clear()
        self.workers = frozenset()
        if self._scheduler is not None:
            try:
                theirs: dict[str, str] = self.client.run_on_scheduler(versions)
            except ImportError as error:
                raise ScheduleError(
                    f"the scheduler cannot import wsipsm ({error}); start it in the environment of the workers"
                ) from None
            _refuse_other_versions("the scheduler", theirs)
        self.refresh()

    def refresh(self) -> None:
        """Look at the workers anew: a cluster may grow and shrink.

        Raises
        ------
        ScheduleError
            A worker has other versions than this process, or no worker will ever come.
        CommClosedError
            The scheduler does not answer.
        """
        try:
            threads = self.client.nthreads()
            if threads.keys() != self.workers:
                self._look_at(frozenset(threads))
        except (OSError, TimeoutError) as error:
            raise CommClosedError(str(error)) from None
        self.threads = sum(threads.values())
        if self._managed and not self._known and time.monotonic() > self._look_at_jobs:
            self._look_at_jobs = time.monotonic() + JOBS_SECONDS
            if trouble := all_jobs_ended(self._managed):
                raise ScheduleError(trouble)

    def _look_at(self, workers: frozenset[str]) -> None:
        """Look at workers that came; those that do not answer now are asked again."""
        facts = self.client.scheduler_info(n_workers=-1)["workers"]
        self.gpu_workers = frozenset(name for name in workers if "GPU" in (facts.get(name, {}).get("resources") or {}))
        self.has_gpu |= bool(self.gpu_workers)
        new = sorted(workers - self._known)
        if new and (self._scheduler is not None or self._managed is not None):
            found = worker_versions(self.client, new)
            for address, theirs in found.items():
                _refuse_other_versions(f"worker {address}", theirs)
            new = list(found)
        self._known.update(new)
        self.workers = workers & self._known

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
            It did not come back in time, or ``give_up`` said so; or a worker has other versions.
        """
        deadline = time.monotonic() + (self.config.patience_s if self._scheduler else 0)
        while self._scheduler and time.monotonic() < deadline and not give_up():
            with contextlib.suppress(_UnreachableError, OSError, TimeoutError, CancelledError):
                self.close()
                self.client = _remote_client(self._scheduler, seconds=RETRY_SECONDS)
                self._greet()
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


class _UnreachableError(ScheduleError):
    """A scheduler that does not answer now."""


@contextlib.contextmanager
def connect(
    config: ScheduleConfig, *, scheduler: str | None = None, recipe: RecipeConfig | None = None, gpus: int = 0
) -> Iterator[Pool]:
    """Pool on an existing scheduler, on workers of a cluster's manager, or on a local cluster.

    Parameters
    ----------
    config : ScheduleConfig
        Workers of the local cluster and bounds of the stream.
    scheduler : str, optional
        ``tcp://host:port`` or the path of a scheduler file.
    recipe : RecipeConfig, optional
        What to ask of a manager; what it starts ends with the context, like a local cluster.
    gpus : int
        GPUs to give to local workers, one each.

    Raises
    ------
    ScheduleError
        The scheduler does not answer, it has no workers, they have other versions than this process, or the recipe does
        not fit.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        stack.enter_context(_silence())
        managed = None
        if scheduler is not None:
            client = _remote_client(scheduler, seconds=CONNECT_SECONDS)
        elif recipe is not None:
            managed = stack.enter_context(started(recipe))
            client = Client(managed)
        else:
            client = Client(stack.enter_context(_local_cluster(config, gpus)))
            _share_gpus(client, gpus if config.processes else 0)
        pool = Pool(client, config, scheduler=scheduler, managed=managed)
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
        raise _UnreachableError(f"{scheduler_file}: expected the scheduler file that `dask scheduler` writes") from None


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
            raise _UnreachableError(
                f"{scheduler}: expected an address (tcp://host:port) or a scheduler file that exists"
            )
        address = {"address": _address_in(Path(scheduler))}
    client = None
    try:
        client = Client(**address, timeout=seconds)
        client.wait_for_workers(1, timeout=seconds)
    except (OSError, TimeoutError, ValueError) as error:
        if client is not None:
            client.close(timeout=RETRY_SECONDS)
        reason = " ".join(str(error).split())
        raise _UnreachableError(
            f"{scheduler}: no Dask scheduler with workers answers within {seconds:.0f} s: {reason}"
        ) from None
    return client


def worker_versions(client: Client, workers: list[str] | None = None) -> dict[str, dict[str, str]]:
    """Versions of what results depend on, by worker address; of all workers if none is named, if they are still there.

    Raises
    ------
    ScheduleError
        A worker cannot import wsipsm.
    """
    answers = client.run(versions, on_error="return", workers=workers)
    found = {address: answer for address, answer in answers.items() if not isinstance(answer, OSError)}
    for address, answer in found.items():
        if isinstance(answer, BaseException):
            raise ScheduleError(
                f"worker {address} cannot import wsipsm ({type(answer).__name__}: {answer}); "
                "install the same package in the environment of the workers"
            )
    return found


def _refuse_other_versions(who: str, theirs: dict[str, str]) -> None:
    mine = versions()
    other = [name for name in mine if name != "platform" and theirs.get(name) != mine[name]]
    if other:
        named = ", ".join(f"{name} {theirs.get(name, 'absent')} there and {mine[name]} here" for name in other)
        raise ScheduleError(f"{who} has {named}; install the same versions on both sides")
