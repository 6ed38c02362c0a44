"""What workers tell of a slide's tiles and of its end, and what they are told of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsipsm.engine.job import JobRef
from wsipsm.tissue.tiles import Tile, TilePlan

Seconds = dict[str, float]
"""Wall seconds by what they were spent on."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is told of a tile: cells that it owns, outlines kept unsimplified, and cells without a valid outline."""

    cells: int = 0
    unsimplified: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A slide that can be worked on.

    Attributes
    ----------
    ref : JobRef
        Its job, saved.
    plan : TilePlan
        Its tiles.
    mm2 : float
        Area of its region.
    fitted : bool
        Whether the recogniser is there.
    mapped : frozenset of Tile
        Tiles whose maps are stored without a gap.
    recognised : dict
        Counts of tiles whose cells are stored.
    begun_afresh : bool
        Whether scratch of other settings or of another slide was dropped.
    """

    ref: JobRef
    plan: TilePlan
    mm2: float
    fitted: bool
    mapped: frozenset[Tile]
    recognised: dict[Tile, Counts]
    begun_afresh: bool = False


@dataclass(frozen=True, slots=True)
class MapReport:
    """What became of the maps of one tile.

    Attributes
    ----------
    unreadable : int
        Blocks that the slide did not give.
    seconds : dict
        Where the time went.
    """

    unreadable: int
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class TileReport:
    """What became of one tile, and where the time went."""

    counts: Counts
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class Tally:
    """What is known of a run before it is finished.

    Attributes
    ----------
    stage_seconds : dict
        Worker seconds by stage.
    seconds : float
        Wall seconds so far.
    tiles : int
        Tiles of the plan.
    failed : dict
        Reason by tile.
    unsimplified, dropped : int
        Outlines kept unsimplified, and cells without a valid outline.
    """

    stage_seconds: Seconds = field(default_factory=dict)
    seconds: float = 0.0
    tiles: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    unsimplified: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class FinishReport:
    """How many cells left, how long it took, and what of the outputs is not as it should be."""

    cells: int
    seconds: float
    warning: str = ""
