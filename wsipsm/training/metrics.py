"""Loss of every step, in a table that a killed training leaves whole."""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass, fields
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
        Of the segmenter; 0 for the encoder.
    step : int
        From 1.
    loss : float
        Of its batch.
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
    """Table on disk that grows by a line a step.

    Steps that are done again after a kill replace what was written of them.

    Parameters
    ----------
    path : Path
        The CSV file; it goes on where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._section: tuple[str, int] | None = None
        self._last = time.perf_counter()

    def begin(self) -> None:
        """Start the clock of the next step: what came before it was no step."""
        self._last = time.perf_counter()

    def add(self, stage: str, number: int, step: int, loss: float) -> None:
        """Write a step.

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
            write_csv(self.path, COLUMNS, [_table(r) for r in kept])
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(",".join(str(value) for value in _table(row).values()) + "\n")
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from None


def read_metrics(path: Path) -> list[Row]:
    """Steps of a table, in its order; none where there is no table, and a torn last line is left out."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []
    rows = [row for row in csv.DictReader(lines) if None not in row.values()]
    return [Row(r["stage"], int(r["round"]), int(r["step"]), float(r["loss"]), float(r["seconds"])) for r in rows]


def _table(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in COLUMNS}
