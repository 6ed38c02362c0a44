"""The stains that are known: a new one is a row of ``STAINS``, its name in `wsipsm.core.stains`, and its checkpoint.

The checkpoint comes from ``wsipsm train --set recognizer.stain=NAME`` and lies in ``wsipsm/nuclei/models``.
"""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]
Vectors = tuple[Vector, Vector, Vector]
"""Optical density in red, green and blue of nuclear stain, counterstain and a third direction."""

HE_VECTORS: Vectors = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Haematoxylin, eosin and DAB (Ruifrok and Johnston 2001)."""


@dataclass(frozen=True, slots=True)
class StainRow:
    """What is known of a stain.

    Attributes
    ----------
    nuclear, counterstain : str
        Names in tables and in QuPath; a name may only say what is known of a slide.
    model : str
        File of the segmenter that comes with the package.
    vectors : Vectors, optional
        Of the stains; without them they are estimated on each slide.
    colour_planes : bool
        Networks see the optical density of red, green and blue, not of the two stains. Only with ``HE_VECTORS``, which
        are those of slides whose `SlideStats` hold none.
    """

    nuclear: str
    counterstain: str
    model: str
    vectors: Vectors | None = None
    colour_planes: bool = False


STAINS: dict[str, StainRow] = {
    "he": StainRow("Hematoxylin", "Eosin", "he.pt", HE_VECTORS, colour_planes=True),
    "unknown": StainRow("Stain 1", "Stain 2", "agnostic.pt"),
}
"""Haematoxylin and eosin, and any two stains; the names are those of `wsipsm.core.stains.Stain`."""
