"""The stains that are known: a new one is a row of ``STAINS``, its name in `wsipsm.core.stains`, and its checkpoint.

The checkpoint comes from ``wsipsm train --set recognizer.stain=NAME`` and lies in ``wsipsm/nuclei/models``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Vector = tuple[float, float, float]
Vectors = tuple[Vector, Vector, Vector]
"""Optical density in red, green and blue of nuclear stain, counterstain and a third direction."""

GivenVectors = tuple[Vector, Vector] | Literal["estimate"] | None
"""Vectors of nuclear stain and chromogen that a run asks for: given, estimated on each slide, or the usual ones."""

_HAEMATOXYLIN, _EOSIN, _DAB = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)

HE_VECTORS: Vectors = (_HAEMATOXYLIN, _EOSIN, _DAB)
"""Haematoxylin, eosin and DAB (Ruifrok and Johnston 2001)."""
HDAB_VECTORS: Vectors = (_HAEMATOXYLIN, _DAB, _EOSIN)
"""The same in the order of immunohistochemistry; eosin, which is not there, takes what the two do not explain."""


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
    absolute : bool
        Networks see optical density above the slide's background as it is, not over the slide's percentiles: a stain
        whose strength is a finding must not be normalised away.
    marker : bool
        The counterstain is a chromogen that tells positive cells from negative ones.
    """

    nuclear: str
    counterstain: str
    model: str
    vectors: Vectors | None = None
    colour_planes: bool = False
    absolute: bool = False
    marker: bool = False


STAINS: dict[str, StainRow] = {
    "he": StainRow("Hematoxylin", "Eosin", "he.safetensors", HE_VECTORS, colour_planes=True),
    "ihc": StainRow("Hematoxylin", "DAB", "ihc.safetensors", HDAB_VECTORS, absolute=True, marker=True),
    "unknown": StainRow("Stain 1", "Stain 2", "agnostic.safetensors"),
}
"""Haematoxylin and eosin; haematoxylin and DAB, as in immunohistochemistry; any two stains;
 the names are those of `wsipsm.core.stains.Stain`."""
