"""How many workers the machine of a run takes, by its CPUs and memory as a container or a batch system limits them."""

from __future__ import annotations

from dataclasses import dataclass

from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT

from wsipsm.config import ScheduleConfig

WORKER_GB = 1.2
"""Memory that a worker takes, whatever the slide."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run may use of its machine.

    Attributes
    ----------
    cpus : int
        By the process's affinity and the limits of control groups.
    gigabytes : float
        By what is built in, and by the limits of control groups and of the process.
    """

    cpus: int = CPU_COUNT
    gigabytes: float = MEMORY_LIMIT / 1e9

    def workers(self, config: ScheduleConfig, gpus: int) -> int:
        """Workers to start: as configured, else one a GPU, else one a CPU while memory lasts.

        Examples
        --------
        >>> Machine(64, 16.0).workers(ScheduleConfig(), 0), Machine(4, 16.0).workers(ScheduleConfig(), 0)
        (13, 4)
        """
        return config.workers or gpus or max(1, min(self.cpus, int(self.gigabytes / WORKER_GB)))

    def note(self, config: ScheduleConfig, gpus: int) -> str:
        """What a user must know of that number; empty where it is one a CPU or as configured."""
        workers = self.workers(config, gpus)
        if gpus and not config.workers:
            return ""
        if config.workers is None and workers < self.cpus:
            return (
                f"{workers} workers, not {self.cpus}: each takes {WORKER_GB} GB, and {self.gigabytes:.0f} GB are there"
            )
        if config.workers and workers > 1 and workers * WORKER_GB > self.gigabytes:
            return (
                f"{workers} workers take about {workers * WORKER_GB:.0f} GB, {self.gigabytes:.0f} GB are there: with "
                f"schedule.workers={self.workers(config.model_copy(update={'workers': None}), 0)} they fit"
            )
        return ""
