"""What the client asks of workers for one slide: six calls.

The client imports this and not what the calls need: PyTorch and the readers of pixels are imported where a call runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsipsm.engine.job import JobRef, SlideTask
from wsipsm.engine.reports import FinishReport, MapReport, Prepared, Seconds, Tally, TileReport
from wsipsm.tissue.tiles import Tile


def prepare(task: SlideTask) -> Prepared:
    """Call :func:`wsipsm.engine.tasks.prepare.prepare`."""
    from wsipsm.engine.tasks.prepare import prepare as call

    return call(task)


def fit(ref: JobRef, *, progress: Callable[[dict[str, Any]], None]) -> Seconds:
    """Call :func:`wsipsm.engine.tasks.stages.fit`."""
    from wsipsm.engine.tasks.stages import fit as call

    return call(ref, progress=progress)


def map_tile(ref: JobRef, tile: Tile, around_damage: bool = False) -> MapReport:
    """Call :func:`wsipsm.engine.tasks.stages.map_tile`."""
    from wsipsm.engine.tasks.stages import map_tile as call

    return call(ref, tile, around_damage)


def recognise_tile(ref: JobRef, tile: Tile) -> TileReport:
    """Call :func:`wsipsm.engine.tasks.stages.recognise_tile`."""
    from wsipsm.engine.tasks.stages import recognise_tile as call

    return call(ref, tile)


def finish(ref: JobRef, tally: Tally) -> FinishReport:
    """Call :func:`wsipsm.engine.tasks.finish.finish`."""
    from wsipsm.engine.tasks.finish import finish as call

    return call(ref, tally)


def export(task: SlideTask) -> FinishReport:
    """Call :func:`wsipsm.engine.tasks.export.export`."""
    from wsipsm.engine.tasks.export import export as call

    return call(task)
