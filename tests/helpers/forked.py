"""Processes that start with PyTorch imported already: for tests that kill them, or make them wait."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any

from wsipsm.nuclei.nets.device import limited_threads

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["wsipsm.engine.tasks.prepare", "wsipsm.engine.pipeline", "wsipsm.training.pipeline"])


def start(call: Callable[..., object], *arguments: Any) -> ForkServerProcess:
    """Process that makes a call, on one thread."""
    process = CONTEXT.Process(target=_on_one_thread, args=(call, *arguments))
    process.start()
    return process


def _on_one_thread(call: Callable[..., object], *arguments: Any) -> None:
    with limited_threads(1):
        call(*arguments)
