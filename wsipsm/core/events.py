"""Events of a run or a training, and the observers that receive them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["waiting", "running", "done", "empty", "partial", "failed", "stopped"]
"""Status of a slide: ``empty`` has no tissue, ``partial`` lacks tiles, ``stopped`` was left midway."""

Kind = Literal["message", "started", "calibrating", "tile", "assembling", "ended", "stage", "step"]
"""Kind of an event, see `Event`."""


@dataclass(frozen=True, slots=True)
class IndexFigures:
    """Index of a slide whose cells have classes; all None for one whose cells have none.

    Attributes
    ----------
    positive_percent : float or None
        Share of positive cells; None without a cell.
    counted : int or None
        Negative and positive cells.
    h_score : float or None
        0 to 300; None without a cell.
    """

    positive_percent: float | None = None
    counted: int | None = None
    h_score: float | None = None


NO_INDEX = IndexFigures()
"""Of a slide whose cells have no classes."""


@dataclass
class SlideState:
    """Progress of one slide; a row of ``slides.csv``.

    Attributes
    ----------
    slide : Path
        The slide.
    slide_id : str
        Name of the slide and of its results folder.
    out : Path
        Results folder; no two slides of a run share one.
    status : str
        See `Status`.
    tiles_total, tiles_done : int
        Planned tiles, and those that are finished, by earlier runs too.
    cells : int
        Cells found so far.
    mm2 : float
        Area of tissue, or of the region of interest, mm².
    seconds : float
        Wall time; of the earlier run, where ``found_done``.
    error : str
        Why the slide or some of its tiles failed, on one line; else empty.
    traceback : str
        Traceback of that error.
    warnings : tuple of str
        What a reader of the results must know, a sentence each.
    index : IndexFigures
        Share of positive cells.
    note : str
        Why results of an earlier run are made again; else empty.
    found_done : bool
        Whether an earlier run finished the slide.
    """

    slide: Path
    slide_id: str
    out: Path = Path()
    status: Status = "waiting"
    tiles_total: int = 0
    tiles_done: int = 0
    cells: int = 0
    mm2: float = 0.0
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""
    warnings: tuple[str, ...] = ()
    index: IndexFigures = NO_INDEX
    note: str = ""
    found_done: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a run or a training.

    Events may be kept: ``slide`` is a copy of the state at that moment, which the run no longer changes.

    Attributes
    ----------
    kind : str
        ``message``: something about the run or training as a whole.
        Of a slide: ``started`` (its tiles are planned), ``calibrating`` (one more step), ``tile`` (one more tile is
        finished or failed), ``assembling`` (its results are being written), ``ended`` (for good or not, see its
        status).
        Of a training: ``stage`` (a stage begins), ``step`` (one more step of it is done).
    slide : SlideState or None
        The slide; None in messages and trainings.
    text : str
        The message, or the name of the stage.
    step, steps : int
        Steps done and steps in all, of a calibration or a stage.
    loss : float or None
        Loss of the step; None where nothing is learnt.

    Examples
    --------
    >>> state = SlideState(Path("a.svs"), "a", cells=3)
    >>> event = Event("tile", state)
    >>> state.cells = 5
    >>> event.slide.cells
    3
    """

    kind: Kind
    slide: SlideState | None = None
    text: str = ""
    step: int = 0
    steps: int = 0
    loss: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "slide", copy.copy(self.slide))


Observer = Callable[[Event], None]
"""Receives the events of a run or a training, one at a time but not all from one thread; it should return soon."""


def ignore(_: Event) -> None:
    """Observer that does nothing."""


def combine(*observers: Observer) -> Observer:
    """Observer that passes each event to all observers, in their order; calls from several threads never overlap.

    Examples
    --------
    >>> kept = []
    >>> combine(kept.append, lambda event: print(event.text))(Event("message", text="connected"))
    connected
    >>> len(kept)
    1
    """
    turn = threading.RLock()

    def observe(event: Event) -> None:
        with turn:
            for observer in observers:
                observer(event)

    return observe
