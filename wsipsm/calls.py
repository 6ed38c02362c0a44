"""What the client asks of workers for one slide: six calls.

The client imports this and not what the calls need: PyTorch and the readers of pixels are imported where a call runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsipsm.job import JobRef, Prepared
from wsipsm.order import Order
from wsipsm.reports import FinishReport, MapReport, Seconds, Tally, TileReport
from wsipsm.tiles import Tile


def prepare(order: Order) -> Prepared:
    """Call :func:`wsipsm.prepare.prepare`."""
    from wsipsm.prepare import prepare as call

    return call(order)


def fit(ref: JobRef, *, progress: Callable[[dict[str, Any]], None]) -> Seconds:
    """Call :func:`wsipsm.stages.fit`."""
    from wsipsm.stages import fit as call

    return call(ref, progress=progress)


def map_tile(ref: JobRef, tile: Tile, around_damage: bool = False) -> MapReport:
    """Call :func:`wsipsm.stages.map_tile`."""
    from wsipsm.stages import map_tile as call

    return call(ref, tile, around_damage)


def recognise_tile(ref: JobRef, tile: Tile) -> TileReport:
    """Call :func:`wsipsm.stages.recognise_tile`."""
    from wsipsm.stages import recognise_tile as call

    return call(ref, tile)


def finish(ref: JobRef, tally: Tally) -> FinishReport:
    """Call :func:`wsipsm.finish.finish`."""
    from wsipsm.finish import finish as call

    return call(ref, tally)


def export(order: Order) -> FinishReport:
    """Call :func:`wsipsm.export.export`."""
    from wsipsm.export import export as call

    return call(order)
