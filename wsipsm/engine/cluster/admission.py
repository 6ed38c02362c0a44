"""Which workers of a cluster may take tasks of this run: those of the same versions that pass the run's own check.

No Dask plugin does this: a plugin whose set-up fails is logged and the worker takes tasks all the same, and one that
closed workers would close those of other users of a shared scheduler.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

from distributed import Client

from wsipsm.core.errors import describe_error
from wsipsm.core.versions import versions
from wsipsm.engine.cluster.plugin import settle_worker

ASK_SECONDS = 30
"""Time limit for an answer of a worker, s; one that does not answer is asked again."""

Check = Callable[[], str]
"""Called on a worker; the reason why it cannot work for this run, empty where it can."""


class Admission:
    """Checks workers as they join, without waiting for their answers, and keeps those that pass.

    Parameters
    ----------
    client : Client
        Of the scheduler.
    check : callable, optional
        What to ask besides versions.
    trusted : bool
        Whether workers are processes of this very installation and machine, which need not be asked.

    Attributes
    ----------
    refused : dict of str to str
        Why a worker is left out, by its address.
    """

    def __init__(self, client: Client, check: Check | None, *, trusted: bool) -> None:
        self._client, self._check, self._trusted = client, check, trusted
        self._loop: Any = client.loop
        self._asked: dict[str, concurrent.futures.Future[str]] = {}
        self._admitted: set[str] = set()
        self.refused: dict[str, str] = {}

    @property
    def waiting(self) -> bool:
        """Whether a worker has not answered yet."""
        return bool(self._asked)

    def admitted(self, present: frozenset[str]) -> frozenset[str]:
        """Those of the workers that are there now which may take tasks; newcomers are asked."""
        if self._trusted:
            return present
        for gone in self._asked.keys() - present:
            self._asked.pop(gone).cancel()
        for address in [address for address, answer in self._asked.items() if answer.done()]:
            self._take(address, self._asked.pop(address))
        self._admitted &= present
        self.refused = {address: reason for address, reason in self.refused.items() if address in present}
        for address in present - self._admitted - self.refused.keys() - self._asked.keys():
            question = _verdict(self._client, address, self._check)
            self._asked[address] = asyncio.run_coroutine_threadsafe(question, self._loop.asyncio_loop)
        return frozenset(self._admitted)

    def _take(self, address: str, answer: concurrent.futures.Future[str]) -> None:
        error = answer.exception()
        if error is None and not answer.result():
            self._admitted.add(address)
        elif not isinstance(error, OSError | TimeoutError | LookupError):  # those: it left, or will answer later
            self.refused[address] = describe_error(error) if error else answer.result()


async def _verdict(client: Client, address: str, check: Check | None) -> str:
    """Why a worker is left out; empty where it may work, for which it is settled then."""
    theirs = await _answer(client, address, versions)
    if isinstance(theirs, Exception):
        return (
            f"it cannot import wsipsm ({describe_error(theirs)}); install the same package in the environment of the "
            "workers"
        )
    if other := other_versions(theirs):
        return other
    if check is not None and (reason := await _answer(client, address, check)):
        return describe_error(reason) if isinstance(reason, Exception) else str(reason)
    await _answer(client, address, settle_worker)
    return ""


async def _answer(client: Client, address: str, call: Callable[[], Any]) -> Any:
    """What a call gives on a worker, or the error that it raises there."""
    question = client.run(call, workers=[address], on_error="return")
    answer = (await asyncio.wait_for(question, ASK_SECONDS))[address]
    if isinstance(answer, OSError):
        raise answer
    return answer


def ask_workers(client: Client, call: Callable[[], Any], workers: frozenset[str]) -> dict[str, Any]:
    """What a call gives on each worker, by address; an error where it raised one or did not answer in time.

    Parameters
    ----------
    client : Client
        Of the scheduler.
    call : callable
        Sent to the workers, without arguments.
    workers : frozenset of str
        Their addresses.
    """

    async def ask() -> list[Any]:
        return await asyncio.gather(*(_answer(client, one, call) for one in sorted(workers)), return_exceptions=True)

    return dict(zip(sorted(workers), client.sync(ask), strict=True))


def other_versions(theirs: dict[str, str]) -> str:
    """What another process has of other versions than this one, and what to do; empty where nothing."""
    mine = versions()
    other = [name for name in mine if name != "platform" and theirs.get(name) != mine[name]]
    if not other:
        return ""
    named = ", ".join(f"{name} {theirs.get(name, 'absent')} there and {mine[name]} here" for name in other)
    return f"it has {named}; install the same versions on both sides"
