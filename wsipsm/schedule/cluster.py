"""A cluster to work on: a local one for the run, or an existing one whose workers fit."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from wsipsm.config import ScheduleConfig
from wsipsm.errors import ScheduleError
from wsipsm.provenance import versions

CONNECT_SECONDS = 30
"""How long a scheduler and its first worker are waited for."""

LOST_SECONDS = 60
"""After how long without a word a local worker is given up; a scheduler started by others has its own setting."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A connected cluster."""

    client: Client
    config: ScheduleConfig
    has_gpu: bool

    @property
    def threads(self) -> int:
        """Tasks that the workers run at a time."""
        return sum(self.client.nthreads().values())

    @property
    def dashboard(self) -> str:
        """Link of the Dask dashboard; empty where it has none."""
        return self.client.dashboard_link if "dashboard" in (self.client.scheduler_info().get("services") or {}) else ""


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
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            dask.config.set(
                {
                    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
                    "distributed.scheduler.worker-ttl": f"{LOST_SECONDS}s",
                }
            )
        )
        if scheduler is None:
            client = stack.enter_context(Client(stack.enter_context(_local_cluster(config, gpus))))
            _share_gpus(client, gpus if config.processes else 0)
        else:
            client = stack.enter_context(_remote_client(scheduler))
            _refuse_other_versions(client, scheduler)
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        yield Pool(client, config, has_gpu=any("GPU" in (worker.get("resources") or {}) for worker in workers))


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
    # Dask would print the traceback of every failed try; ours go to failed.csv.
    # No memory limit of Dask's own: tiles are bounded by construction, and a paused worker would stall a run.
    with LocalCluster(**shape, dashboard_address=":0", memory_limit=0, silence_logs=logging.CRITICAL) as cluster:
        yield cluster


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


def _remote_client(scheduler: str) -> Client:
    address: dict[str, Any] = {"address": scheduler}
    if "://" not in scheduler:
        if not Path(scheduler).is_file():
            raise ScheduleError(f"{scheduler}: expected an address (tcp://host:port) or a scheduler file that exists")
        address = {"address": _address_in(Path(scheduler))}
    try:
        client = Client(**address, timeout=CONNECT_SECONDS)
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ScheduleError(
            f"{scheduler}: no Dask scheduler with workers answers within {CONNECT_SECONDS} s: {reason}"
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
