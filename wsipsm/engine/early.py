"""The process that local workers are forked from, started before anything else where there is likely work for it.

It takes longest of all that happens before the first tile. So this imports nothing that takes time itself, not even the
configuration: what cannot be told without, `pipeline` finds out a third of a second later.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from wsipsm.engine.cluster.fork_server import end_fork_server, start_fork_server

WORKERS_IMPORT, PSM_IMPORT = "wsipsm.engine.preload", "wsipsm.nuclei.calibrate_psm"
"""Modules that are imported once for all local workers; the second, with PyTorch, where they need it."""


def start_workers_import(*, psm: bool = False) -> None:
    """Start the process that local workers are forked from, unless it runs; for recogniser ``psm``, or without it."""
    start_fork_server([WORKERS_IMPORT, PSM_IMPORT] if psm else [WORKERS_IMPORT])


@contextlib.contextmanager
def started_if_likely(
    slides: Sequence[str], out: Path, *, config: str, settings: Sequence[str], local: bool
) -> Iterator[None]:
    """Start it where a run will need it as far as can be told, and end it with the context, whoever started it.

    That is where slides are there, and a folder for their results is not.

    Parameters
    ----------
    slides, out, config, settings
        As the command line has them; a configuration of the user's own may want no processes.
    local : bool
        Whether workers are those of this machine.
    """
    packaged = not os.path.splitext(config)[1] and not os.path.exists(config)
    processes = packaged and not any("processes" in setting for setting in settings)
    if local and processes and slides and not os.path.lexists(out) and all(map(os.path.exists, slides)):
        start_workers_import(psm=any("psm" in setting for setting in settings))
    try:
        yield
    finally:
        end_fork_server()
