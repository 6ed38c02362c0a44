"""Where the slides of a run stand, and who is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Status = Literal["waiting", "running", "done", "empty", "partial", "failed", "stopped"]


@dataclass
class SlideState:
    """Where one slide stands; a row of ``slides.csv``.

    ``found_done`` says that an earlier run did it; ``seconds`` are that run's then.
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
    note: str = ""
    found_done: bool = False


class Reporter(Protocol):
    """Who is told how the run goes."""

    def said(self, text: str) -> None:
        """Tell something of the run as a whole."""

    def started(self, state: SlideState) -> None:
        """Tell that a slide's tiles are planned."""

    def fitting(self, state: SlideState, step: int, steps: int) -> None:
        """Tell how far self-supervision is."""

    def advanced(self, state: SlideState) -> None:
        """Tell that one more tile of a slide is over."""

    def finishing(self, state: SlideState) -> None:
        """Tell that outputs are being written."""

    def ended(self, state: SlideState) -> None:
        """Tell that a slide is over, well or not."""


class Quiet:
    """A reporter that tells nobody."""

    def said(self, text: str) -> None:
        """Pass over what is said of the run."""

    def started(self, state: SlideState) -> None:
        """Pass over a start."""

    def fitting(self, state: SlideState, step: int, steps: int) -> None:
        """Pass over a step."""

    def advanced(self, state: SlideState) -> None:
        """Pass over a tile."""

    def finishing(self, state: SlideState) -> None:
        """Pass over a finishing pass."""

    def ended(self, state: SlideState) -> None:
        """Pass over an end."""
