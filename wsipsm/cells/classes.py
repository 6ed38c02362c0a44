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


CLUSTERS = ClassScheme(
    names=tuple(f"Cluster {number}" for number in range(1, 21)),
    # Of Okabe and Ito and of Tol, in an order in which colour-blind people tell the first dozen apart too.
    colors=(
        *((0, 114, 178), (213, 94, 0), (0, 158, 115), (240, 228, 66), (86, 180, 233), (17, 17, 17), (102, 37, 6)),
        *((136, 34, 85), (255, 170, 187), (204, 121, 167), (51, 34, 136), (153, 221, 255), (119, 119, 119)),
        *((221, 204, 119), (170, 68, 153), (187, 204, 51), (17, 119, 51), (255, 0, 255), (153, 153, 51)),
        (68, 170, 153),
    ),
)
"""Phenotype clusters, see `wsipsm.results.phenotypes`."""

# QuPath computes "Positive %", H-score and Allred for exactly these names; the colours of the classes are its own, too.
CLASSES = ClassScheme(
    names=("Nucleus", "Positive", "Negative", "Doubtful", "1+", "2+", "3+", *CLUSTERS.names),
    colors=(
        *((60, 140, 255), (250, 62, 62), (112, 112, 225), (230, 160, 0)),
        *((255, 255, 0), (255, 187, 62), (250, 62, 62)),
        *CLUSTERS.colors,
    ),
)

DOUBTFUL = CLASSES.names.index("Doubtful")
"""Class of cells that were refused, where they are kept."""

POSITIVE = tuple(CLASSES.names.index(name) for name in ("Positive", "1+", "2+", "3+"))
"""Classes of positive cells."""
