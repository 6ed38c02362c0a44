"""Rasterises outlines to label images, in the pixel convention of their source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import shapely
from skimage.draw import polygon as draw_polygon

from wsipsm.core.geometry import Labels

Convention = Literal["centre", "vertex"]
"""Which pixels a polygon covers; a vertex is a position in the plane whose pixel (0, 0) covers [0, 1) x [0, 1).

``centre``
    Pixels whose centre (x + 0.5, y + 0.5) lies inside: the box 0..6 x 0..3 has 18 pixels. That of QuPath and wsipsm.
``vertex``
    Pixels whose corner (x, y) lies inside or on the outline, as ``skimage.draw.polygon`` does with raw coordinates:
    the same box has 28 pixels. The label maps of MoNuSeg were made so.
"""

_SHIFTS: dict[Convention, float] = {"centre": -0.5, "vertex": 0.0}


@dataclass(frozen=True, slots=True)
class Outlines:
    """Outlines of the objects of an image.

    Attributes
    ----------
    polygons : sequence of Polygon or MultiPolygon
        One an object, in pixels of the truth's image; holes are kept.
    convention : str
        Which pixels they cover.
    from_qupath : bool
        Whether QuPath wrote them, so that they lie in the frame that it shows.
    note : str
        What of the file is no object and was left out; empty if nothing was.
    """

    polygons: Sequence[shapely.Polygon | shapely.MultiPolygon]
    convention: Convention = "centre"
    from_qupath: bool = False
    note: str = ""

    def moved(self, origin: tuple[int, int]) -> Outlines:
        """The same, each moved by an (x, y) in pixels."""
        polygons = [shapely.transform(one, lambda xy: xy + origin) for one in self.polygons]
        return replace(self, polygons=polygons)

    @property
    def shape(self) -> tuple[int, int]:
        """Smallest (height, width) of an image from (0, 0) that holds all of them."""
        if not len(self.polygons):
            return (0, 0)
        _, _, right, bottom = shapely.total_bounds(list(self.polygons))
        return max(int(np.floor(bottom)) + 1, 0), max(int(np.floor(right)) + 1, 0)


def rasterise(outlines: Outlines, shape: tuple[int, int]) -> Labels:
    """Label image of outlines.

    Parameters
    ----------
    outlines : Outlines
        N objects.
    shape : (int, int)
        Height and width; what lies outside is cut off.

    Returns
    -------
    (H, W) int32
        Object i has label i + 1; where objects overlap, the later one is kept. A pixel whose sample point (see
        `Convention`) lies on an outline belongs to the object.

    Examples
    --------
    >>> int(rasterise(Outlines([shapely.box(0, 0, 6, 3)]), (5, 8)).sum())
    18
    """
    labels = np.zeros(shape, np.int32)
    shift = _SHIFTS[outlines.convention]
    for label, outline in enumerate(outlines.polygons, 1):
        for part in shapely.get_parts(outline):
            _draw(labels, part, shift, label)
    return labels


def _draw(labels: Labels, part: shapely.Polygon, shift: float, label: int) -> None:
    if not part.interiors:
        labels[_pixels(part.exterior, shift, labels.shape)] = label
        return
    # Holes are cut in a separate mask: an object that lies in one must be kept.
    left, top, right, bottom = part.bounds
    x0, y0 = max(int(left) - 1, 0), max(int(top) - 1, 0)
    window = labels[y0 : int(max(bottom, 0)) + 2, x0 : int(max(right, 0)) + 2]
    mask = np.zeros(window.shape, bool)
    own = shapely.transform(part, lambda xy: xy - (x0, y0))
    mask[_pixels(own.exterior, shift, mask.shape)] = True
    for ring in own.interiors:
        mask[_pixels(ring, shift, mask.shape)] = False
    window[mask] = label


def _pixels(ring: shapely.LinearRing, shift: float, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    x, y = shapely.get_coordinates(ring).T + shift
    rows, columns = draw_polygon(y, x, shape=shape)
    return rows, columns
