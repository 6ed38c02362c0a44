"""Table ``metrics.csv``: loss and seconds of every optimiser step, continued by a resumed training."""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from wsipsm.core.errors import OutputError
from wsipsm.core.files import write_csv


@dataclass(frozen=True, slots=True)
class Row:
    """One optimiser step.

    Attributes
    ----------
    stage : str
        ``encoder`` or ``segmenter``.
    round : int
        Round of the segmenter; 0 for the encoder.
    step : int
        From 1.
    loss : float
        Loss of the batch.
    seconds : float
        Wall time since the step before.
    """

    stage: str
    round: int
    step: int
    loss: float
    seconds: float


COLUMNS = tuple(field.name for field in fields(Row))


class Metrics:
    """Append a line a step; a step that is repeated after a kill replaces its line.

    Parameters
    ----------
    path : Path
        The CSV file; continued if it exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._section: tuple[str, int] | None = None
        self._last = time.perf_counter()

    def begin(self) -> None:
        """Restart the clock, so that the next step does not count the time before it."""
        self._last = time.perf_counter()

    def add(self, stage: str, number: int, step: int, loss: float) -> None:
        """Append a step.

        Parameters
        ----------
        stage : str
            Name of the stage.
        number : int
            Of the round.
        step : int
            Of the round's steps.
        loss : float
            At that step.

        Raises
        ------
        OutputError
            The disk is full, or the table cannot be written.
        """
        now = time.perf_counter()
        row = Row(stage, number, step, loss, round(now - self._last, 4))
        self._last = now
        if self._section != (stage, number):
            self._section = stage, number
            kept = [r for r in read_metrics(self.path) if (r.stage, r.round) != (stage, number) or r.step < step]
            write_csv(self.path, COLUMNS, [asdict(r) for r in kept])
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(",".join(str(value) for value in asdict(row).values()) + "\n")
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from None


def read_metrics(path: Path) -> list[Row]:
    """Steps of a table, in its order; a torn last line is left out, a missing file has none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []
    rows = [row for row in csv.DictReader(lines) if None not in row.values()]
    return [Row(r["stage"], int(r["round"]), int(r["step"]), float(r["loss"]), float(r["seconds"])) for r in rows]
