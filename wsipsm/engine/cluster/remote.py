"""A scheduler that others started, found by its address or its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distributed import Client

from wsipsm.core.errors import ScheduleError, short_reason
from wsipsm.core.versions import versions
from wsipsm.engine.cluster.admission import other_versions

CONNECT_SECONDS = 30
"""Time limit for a scheduler and its first worker to answer, s."""

RETRY_SECONDS = 5
"""Time limit for one try to reach a lost scheduler, s."""


class UnreachableError(ScheduleError):
    """A scheduler that does not answer now."""


def remote_client(scheduler: str, *, seconds: float) -> Client:
    """Client of a scheduler that has a worker.

    Raises
    ------
    UnreachableError
        It does not answer in time, or the scheduler file is none.
    ScheduleError
        The connection needs other settings of Dask on this machine, such as certificates.
    """
    address: dict[str, Any] = {"address": scheduler}
    if "://" not in scheduler:
        if not Path(scheduler).is_file():
            raise UnreachableError(
                f"{scheduler}: expected an address (tcp://host:port) or a scheduler file that exists"
            )
        address = {"address": _address_in(Path(scheduler))}
    client = None
    try:
        client = Client(**address, timeout=seconds, set_as_default=False)
        client.wait_for_workers(1, timeout=seconds)
    except (OSError, TimeoutError, ValueError) as error:
        if client is not None:
            client.close(timeout=RETRY_SECONDS)
        reason = " ".join(str(error).split())
        raise UnreachableError(
            f"{scheduler}: no Dask scheduler with workers answers within {seconds:.0f} s: {reason}"
        ) from None
    except (TypeError, RuntimeError, AssertionError) as error:  # what Dask raises for settings that do not go together
        what = "certificates, distributed.comm.tls" if scheduler.startswith("tls") else "other settings"
        raise ScheduleError(
            f"{scheduler}: it needs {what} in Dask's configuration on this machine ({short_reason(error)})"
        ) from None
    return client


def _address_in(scheduler_file: Path) -> str:
    try:
        return str(json.loads(scheduler_file.read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UnreachableError(f"{scheduler_file}: expected the scheduler file that `dask scheduler` writes") from None


def refuse_other_scheduler(client: Client) -> None:
    """Raise `ScheduleError` where the scheduler has other versions than this process."""

    async def ask() -> dict[str, str]:
        return dict(await client.run_on_scheduler(versions))

    try:
        theirs = client.sync(ask, callback_timeout=CONNECT_SECONDS)
    except ImportError as error:
        raise ScheduleError(
            f"the scheduler cannot import wsipsm ({error}); start it in the environment of the workers"
        ) from None
    if other := other_versions(theirs):
        raise ScheduleError(f"the scheduler cannot be used: {other}")
