"""Stain normalisation: the constants of a slide, and the planes that networks see."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_otsu

from wsipsm.core.errors import FitError
from wsipsm.core.geometry import Image
from wsipsm.core.stains import Stain
from wsipsm.stain.estimate import blind_vectors
from wsipsm.stain.optics import Floats, optical_density, smooth, tissue_pixels, unmix
from wsipsm.stain.registry import STAINS, Vector, Vectors

BORDER_SIGMA_PX = 1.5
"""Smoothing of the nuclear stain before Otsu's threshold, standard deviation in grid pixels."""
MIN_TISSUE_PX = 4_000
"""Fewer tissue pixels than this say nothing about a slide (0.001 mm2 at 0.5 um/px)."""

FOREIGN_SHARE = 0.05
"""More pixels of a colour that haematoxylin and eosin do not give are unusual; at most 0.014 in 47 labelled H&E images,
0.53 and more in Ki-67 ones with DAB."""

_LEAST_OD = 0.1
_STAINED_OD = 0.2


@dataclass(frozen=True, slots=True)
class SlideStats:
    """How a slide is stained, measured once over patches of its tissue.

    Attributes
    ----------
    od_p99 : tuple of 3 float
        99th percentile over tissue pixels, at least 0.1, of the optical density in red, green and blue; with
        ``vectors`` of the nuclear stain, the counterstain and the mean of the three colours.
    nuclear_od : float
        Otsu's threshold of the smoothed nuclear stain, optical density.
    vectors : Vectors, optional
        Of the stains; none where the networks see colours, see :class:`wsipsm.stain.registry.StainRow`.
    foreign_colour : float
        Share of well stained pixels that absorb more blue than green light, which haematoxylin and eosin do not.
    """

    od_p99: Vector
    nuclear_od: float
    vectors: Vectors | None = None
    foreign_colour: float = 0.0

    def scaled(self, factor: float) -> SlideStats:
        """Percentiles times a factor: what networks see becomes that much weaker."""
        first, second, third = self.od_p99
        return replace(self, od_p99=(first * factor, second * factor, third * factor))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> SlideStats:
        """Inverse of :meth:`to_dict`, also after JSON made lists of the tuples."""
        vectors = table.get("vectors")
        found = (_vector(vectors[0]), _vector(vectors[1]), _vector(vectors[2])) if vectors else None
        return cls(_vector(table["od_p99"]), float(table["nuclear_od"]), found, float(table.get("foreign_colour", 0)))


def as_stain(table: dict[str, Any]) -> Stain:
    """Stain of a network, from the table of its checkpoint.

    Raises
    ------
    ValueError
        It names a stain that is not known here.
    """
    named = table.get("stain", "he")
    if named not in STAINS:
        raise ValueError(f"unknown stain {named!r}")
    return cast(Stain, named)


def measure_slide(patches: npt.NDArray[np.uint8], stain: Stain = "he") -> SlideStats:
    """Constants of a slide from patches of its tissue.

    Parameters
    ----------
    patches : (n, y, x, 3) uint8
        RGB at the working resolution.
    stain : {'he', 'unknown'}
        Which stain vectors are known.

    Raises
    ------
    FitError
        Fewer than ``MIN_TISSUE_PX`` pixels are tissue, or they have one colour.
    """
    density = optical_density(patches)
    tissue = tissue_pixels(density)
    found = int(tissue.sum())
    if found < MIN_TISSUE_PX:
        raise FitError(
            f"only {found} of {tissue.size} sampled pixels are tissue, expected at least {MIN_TISSUE_PX}: "
            "give a region with tissue (--roi) or leave this slide out"
        )
    if np.ptp(density[tissue], axis=0).max() == 0:
        raise FitError("all sampled pixels have one colour, expected stained tissue: leave this slide out")
    known = STAINS[stain]
    vectors = None if known.colour_planes else known.vectors or blind_vectors(density, tissue)
    nuclear = np.stack([smooth(unmix(patch, vectors)[0], BORDER_SIGMA_PX) for patch in density])[tissue]
    if nuclear.min() == nuclear.max():
        raise FitError("all sampled pixels have one colour, expected stained tissue: leave this slide out")
    colours = density[tissue]
    if vectors is not None:
        colours = np.stack([*unmix(colours, vectors), colours.mean(axis=-1)], axis=-1)
    high = np.maximum(np.percentile(colours, 99, axis=0), _LEAST_OD)
    return SlideStats(_vector(high), float(threshold_otsu(nuclear)), vectors, _foreign_colour(density))


def relative_planes(image: Image, stats: SlideStats) -> Floats:
    """What networks see: slides that are stained otherwise become alike.

    Parameters
    ----------
    image : (..., 3) uint8
        RGB.
    stats : SlideStats
        Of the slide.

    Returns
    -------
    (..., 3) float32
        Optical density in red, green and blue over the slide's 99th percentiles. Where the slide has stain vectors:
        nuclear stain and counterstain, not below 0, over theirs, and the mean of the two.
    """
    density = optical_density(image)
    if stats.vectors is None:
        return np.asarray(density / np.array(stats.od_p99, np.float32), np.float32)
    first, second = (
        np.maximum(plane, 0) / np.float32(high)
        for plane, high in zip(unmix(density, stats.vectors), stats.od_p99, strict=False)
    )
    return np.stack([first, second, (first + second) / 2], axis=-1)


def _foreign_colour(density: Floats) -> float:
    stained = density[density.mean(axis=-1) > _STAINED_OD]
    return round(float((stained[:, 2] > stained[:, 1]).mean()), 4) if len(stained) else 0.0


def _vector(values: Any) -> Vector:
    first, second, third = (float(value) for value in values)
    return first, second, third
