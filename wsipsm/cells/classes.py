"""Classes of cells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClassScheme:
    """Classes that cells are told apart by.

    Attributes
    ----------
    names : tuple of str
        ``Cells.class_`` is an index into them.
    colors : tuple of (red, green, blue)
        One a class, 0 to 255.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]


CLASSES = ClassScheme(
    names=("Nucleus", "Positive", "Negative", "Doubtful"),
    colors=((60, 140, 255), (200, 60, 50), (60, 90, 200), (230, 160, 0)),
)

DOUBTFUL = CLASSES.names.index("Doubtful")
"""Class of what was found but is refused as no nucleus."""
