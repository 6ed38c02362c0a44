"""Memory that this process may still take, as a container, a batch job or ``ulimit`` limits it."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

import psutil

_CONTROL_GROUPS = (
    ("memory.max", "memory.current"),  # version 2
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # version 1
)


def free_memory(control_groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still take.

    Parameters
    ----------
    control_groups : Path
        Where the limits of the process's control group are shown.
    """
    free = [psutil.virtual_memory().available]
    for limit, used in _CONTROL_GROUPS:
        with suppress(OSError, ValueError):  # not there, or "max"
            free.append(int((control_groups / limit).read_text()) - int((control_groups / used).read_text()))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        free.append(soft - psutil.Process().memory_info().vms)
    return max(0, min(free))
