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


# QuPath computes "Positive %", H-score and Allred for exactly these names; the colours of the classes are its own, too.
CLASSES = ClassScheme(
    names=("Nucleus", "Positive", "Negative", "Doubtful", "1+", "2+", "3+"),
    colors=(
        *((60, 140, 255), (250, 62, 62), (112, 112, 225), (230, 160, 0)),
        *((255, 255, 0), (255, 187, 62), (250, 62, 62)),
    ),
)

DOUBTFUL = CLASSES.names.index("Doubtful")
"""Class of cells that were refused, where they are kept."""
