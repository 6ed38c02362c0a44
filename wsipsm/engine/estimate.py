"""What a run would do, slide by slide, before it does it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsipsm.core.errors import WsipsmError
from wsipsm.engine.cluster import Machine
from wsipsm.engine.job import SlideTask
from wsipsm.engine.request import Request, slide_tasks
from wsipsm.tissue.tiles import Lattice

SECONDS_PER_MPX = 0.5
"""Worker seconds for a megapixel of grid: .37 of dense tissue were measured on one core of a Xeon with AVX-512, and the
network takes 1.7 times as long without."""
LEARN_SECONDS = 25.0
"""Seconds to learn the activation network of a slide on the same machine."""
BYTES_PER_MPX = 4_000_000
"""Scratch and results of a megapixel of dense tissue."""

_SLOW_TO_OPEN = frozenset({".dcm", ".zarr"})


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run of one slide would do.

    Attributes
    ----------
    slide : Path
        The slide.
    mm2 : float
        Area of tissue or of the region of interest.
    tiles : int
        Tiles with such an area.
    mpx : float
        Megapixels of grid to compute.
    seconds : float
        Rough wall time on the local cores.
    gigabytes : float
        Rough disk space while it runs.
    error : str
        Why it could not be processed, or empty.
    """

    slide: Path
    mm2: float = 0.0
    tiles: int = 0
    mpx: float = 0.0
    seconds: float = 0.0
    gigabytes: float = 0.0
    error: str = ""


def estimate(request: Request) -> list[Estimate]:
    """What a run would do, slide by slide; nothing is written."""
    return [_estimate(task) for task in slide_tasks(request)]


def tiles_at_most(tasks: Sequence[SlideTask], limit: int) -> int:
    """How many tiles slides have at most, of those that can be opened and however little tissue is on them.

    Only headers are read, and no more than it takes to reach the limit, which means that there may be more. Formats
    whose readers take seconds to import count as that.
    """
    tiles = len(tasks)  # a slide without tissue is a task too
    for task in tasks:
        if tiles >= limit or task.slide.suffix.lower() in _SLOW_TO_OPEN:
            return limit
        with contextlib.suppress(WsipsmError, OSError), task.open() as slide:
            grid = slide.grid(task.config.grid.mpp)
            lattice = Lattice(grid, task.config.tiles.core_px, task.config.tiles.block_px)
            tiles += lattice.rows * lattice.cols - 1
    return min(limit, tiles)


def _estimate(task: SlideTask) -> Estimate:
    from wsipsm.engine.tasks.prepare import plan_slide

    if task.refused:
        return Estimate(task.slide, error=task.refused)
    try:
        with task.open() as slide:
            job, plan = plan_slide(slide, task)
    except (WsipsmError, OSError) as error:
        return Estimate(task.slide, error=str(error))
    mpx = sum(core.width * core.height for core in map(job.lattice.core, plan.tiles)) / 1e6
    workers = Machine().workers(task.config.schedule, 0)
    learns = plan.tiles and task.config.recognizer.method == "psm" and task.checkpoint is None
    seconds = (LEARN_SECONDS if learns else 0.0) + mpx * SECONDS_PER_MPX / workers
    return Estimate(task.slide, job.region_mm2, len(plan.tiles), mpx, seconds, mpx * BYTES_PER_MPX / 1e9)
