"""What tasks on workers return, and what the last one gets."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsipsm.core.events import NO_INDEX, IndexFigures
from wsipsm.engine.job import JobRef
from wsipsm.tissue.tiles import Tile, TilePlan

Seconds = dict[str, float]
"""Wall seconds by what they were spent on."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Cells that a tile owns, outlines kept unsimplified, and cells dropped as they have no valid outline."""

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
    calibrated : bool
        Whether the recogniser is calibrated.
    mapped : frozenset of Tile
        Tiles whose maps are stored without a gap.
    done : dict
        Counts of tiles whose cells are stored, and the maps that they depend on.
    begun_afresh : bool
        Whether scratch of other settings or of another slide was dropped.
    """

    ref: JobRef
    plan: TilePlan
    mm2: float
    calibrated: bool
    mapped: frozenset[Tile]
    done: dict[Tile, Counts]
    begun_afresh: bool = False


@dataclass(frozen=True, slots=True)
class MapReport:
    """Result of mapping a tile.

    Attributes
    ----------
    unreadable : int
        Blocks that could not be read.
    seconds : dict
        Where the time went.
    """

    unreadable: int
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class TileReport:
    """Result of finding the cells of a tile, and where the time went."""

    counts: Counts
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class Tally:
    """What the client knows of a slide before it is assembled.

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
        As in `Counts`.
    """

    stage_seconds: Seconds = field(default_factory=dict)
    seconds: float = 0.0
    tiles: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    unsimplified: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class LabelsReport:
    """Labels of a slide that wait to be published: the name of the draft folder that holds them, and seconds."""

    draft: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CellsReport:
    """All other files of a slide that wait to be published.

    Attributes
    ----------
    draft : str
        Name of the draft folder that holds them.
    seconds : float
        Of the assembly.
    figures : bytes
        What the report of the slide shows of its cell table, pickled: the client need not load what it is. Empty where
        no report is asked for, or can be made.
    unreported : str
        Why none can be made.
    """

    draft: str
    seconds: float
    figures: bytes = b""
    unreported: str = ""


@dataclass(frozen=True, slots=True)
class OutputReport:
    """Cells written, what a reader of the results must know, and the index of the slide."""

    cells: int
    warnings: tuple[str, ...] = ()
    index: IndexFigures = NO_INDEX
