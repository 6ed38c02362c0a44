"""A cluster to work on: a local one for the run, or an existing one whose workers fit."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import dask
from distributed import Client, LocalCluster

from wsipsm.config import RecipeConfig, ScheduleConfig
from wsipsm.engine.cluster.admission import Check
from wsipsm.engine.cluster.dashboard import offer_dashboard
from wsipsm.engine.cluster.fork_server import ENVIRONMENT, METHOD, without_interrupts
from wsipsm.engine.cluster.local import Machine
from wsipsm.engine.cluster.plugin import LocalWorker, visible_gpus
from wsipsm.engine.cluster.pool import LOST_SECONDS, Pool
from wsipsm.engine.cluster.recipes import started
from wsipsm.engine.cluster.remote import CONNECT_SECONDS, remote_client

_SETTINGS = {
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    "distributed.scheduler.worker-ttl": f"{LOST_SECONDS}s",
    # The stream itself decides whether a task that lost its worker is tried again, and where.
    "distributed.scheduler.allowed-failures": 0,
    # What Dask does to watch itself takes a tenth of a core from each worker.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.multiprocessing-method": METHOD,
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in ENVIRONMENT.items()},
}
"""Of Dask, for the client and for the workers that it starts."""


@contextlib.contextmanager
def connect(
    config: ScheduleConfig,
    *,
    scheduler: str | None = None,
    recipe: RecipeConfig | None = None,
    gpus: int = 0,
    check: Check | None = None,
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
    check : callable, optional
        Called on each worker of others before it gets a task: why it is left out, or an empty string.

    Raises
    ------
    ScheduleError
        The scheduler does not answer, it has no workers or none that fits, or the recipe does not fit.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        stack.enter_context(_silence())
        managed = None
        if scheduler is not None:
            client = remote_client(scheduler, seconds=CONNECT_SECONDS)
        elif recipe is not None:
            stack.enter_context(_without_main())  # GPU workers of this machine are processes of ours too
            managed = stack.enter_context(started(recipe))
            client = Client(managed, set_as_default=False)  # what the user computes with Dask is not for our workers
        else:
            stack.enter_context(dask.config.set(_own_settings()))
            client = Client(stack.enter_context(_local_cluster(config, gpus)), set_as_default=False)
            if config.processes:  # else the worker lives in the user's process, which is not ours to set up
                client.register_plugin(LocalWorker(visible_gpus(gpus)))
        pool = Pool(client, config, scheduler=scheduler, managed=managed, check=check)
        stack.callback(pool.close)
        yield pool


def _own_settings() -> dict[str, Any]:
    """Dask's settings as it comes with, and ours: a local cluster does not depend on those of other projects.

    Where temporary files go is still the user's.
    """
    own = dask.config.merge(*dask.config.defaults)
    dask.config.set(_SETTINGS, config=own)
    return own | {key: dask.config.get(key) for key in ("temporary-directory",)}


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Silence Dask's loggers, which would print tracebacks that go to failed.csv anyway."""
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
    machine = Machine()
    workers = machine.workers(config, gpus)
    threads = max(2, machine.cpus // workers) if gpus else 1
    shape: dict[str, Any] = {"n_workers": workers, "threads_per_worker": threads, "processes": True}
    if not config.processes:
        shape = {"n_workers": 1, "threads_per_worker": workers, "processes": False}
    if gpus:
        shape["resources"] = {"GPU": 1}
    # No memory limit of Dask's own: tiles are bounded by construction, and a paused worker would stall a run.
    with without_interrupts(), _without_main():
        cluster = LocalCluster(
            **shape,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},  # see offer_dashboard
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        offer_dashboard(cluster)
    try:
        with _without_main():
            yield cluster
    finally:
        with contextlib.suppress(TimeoutError):  # a killed worker may outlive Dask's wait where the machine is busy
            cluster.close()


_HIDDEN: list[ModuleType] = []
"""The user's ``__main__`` once for each cluster that runs; the first is put back when the last one ends."""
_HIDING = threading.Lock()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep new worker processes from running the user's script again.

    A spawned process imports the ``__main__`` of its parent, and a script that calls `wsipsm.run` outside
    ``if __name__ == "__main__":`` would start another run in each worker. Workers need nothing of it. Its own globals
    stay as they are; only the entry in ``sys.modules`` changes meanwhile.
    """
    with _HIDING:
        _HIDDEN.append(sys.modules["__main__"])
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        with _HIDING:
            first = _HIDDEN[0]
            _HIDDEN.pop()
            if not _HIDDEN:
                sys.modules["__main__"] = first
